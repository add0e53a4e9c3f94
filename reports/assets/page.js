// What the whole page needs: small tools, the colour scheme, sections that open where a link leads.
const root = document.documentElement;
const element = (id) => document.getElementById(id);
root.classList.add("has-script");

const kept = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
const keep = (key, value) => { try { localStorage.setItem(key, value); } catch { /* private window */ } };

const make = (name, text, attributes = {}) => {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
};
const within = (name, children, attributes = {}) => {
  const node = make(name, undefined, attributes);
  node.append(...children);
  return node;
};

if (kept("theme")) root.dataset.theme = kept("theme");
element("theme").addEventListener("click", () => {
  const systemDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : systemDark;
  root.dataset.theme = isDark ? "light" : "dark";
  keep("theme", root.dataset.theme);
});

const openTarget = () => {
  const raw = location.hash.slice(1);
  const target = raw && !raw.includes("=") && element(raw);
  let closed = target && target.closest("details:not([open])");
  if (!closed) return;
  for (; closed; closed = closed.parentElement.closest("details:not([open])")) closed.open = true;
  target.scrollIntoView();
};
addEventListener("hashchange", openTarget);
openTarget();
addEventListener("beforeprint", () => {
  for (const node of document.querySelectorAll("details")) node.open = true;
});
