"use strict";
// The item browser: filters over the JSON block, one page of rows in the document at a time.
(() => {
  const root = document.documentElement;
  const element = (id) => document.getElementById(id);
  root.classList.add("has-script");

  const theme = element("theme");
  const stored = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  if (stored()) root.dataset.theme = stored();
  theme.addEventListener("click", () => {
    const systemDark = matchMedia("(prefers-color-scheme: dark)").matches;
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : systemDark;
    root.dataset.theme = isDark ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* private window */ }
  });

  // Columns of the JSON block, as harness/report/items.py writes them.
  const ROW = { candidate: 0, item: 1, transition: 2, base: 3, tuned: 4 };
  const ITEM = { id: 0, suite: 1, doc: 2, prompt: 3, target: 4, slices: 5, choices: 6, question: 7, cut: 8 };
  const ANSWER = { text: 0, extracted: 1, score: 2, labels: 3, why: 4, logprobs: 5, cut: 6, outcome: 7, evidence: 8 };
  const OUTCOMES = ["right", "wrong", "wrong: asked for something not allowed", "without a score"];
  const PAGE = 20;

  const data = JSON.parse(element("data").textContent);
  const lines = (indexes) => indexes.map((index) => data.strings[index]).join("\n");
  const itemOf = (row) => data.items[row[ROW.item]];
  const sides = (row) => [data.answers[row[ROW.base]], data.answers[row[ROW.tuned]]];

  const make = (name, text, attributes = {}) => {
    const node = document.createElement(name);
    if (text !== undefined) node.textContent = text;
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  };

  const controls = {
    candidate: element("by-candidate"), suite: element("by-suite"),
    show: element("by-transition"), label: element("by-label"), q: element("by-text"),
  };
  const fill = (select, pairs) => {
    select.append(new Option("all", ""));
    for (const [value, words] of pairs) select.append(new Option(words, value));
  };
  fill(controls.candidate, data.candidates.map((name) => [name, name]));
  fill(controls.suite, data.suites);
  fill(controls.show, data.transitions);
  fill(controls.label, data.labels.map(([name, words]) => [name, `${words} (${name})`]));

  const haystacks = new Map();
  const haystack = (row) => {
    let text = haystacks.get(row);
    if (text === undefined) {
      const item = itemOf(row);
      const parts = [item[ITEM.id], lines(item[ITEM.prompt]), lines(item[ITEM.target])];
      for (const answer of sides(row)) parts.push(lines(answer[ANSWER.text]));
      text = parts.join("\n").toLowerCase();
      haystacks.set(row, text);
    }
    return text;
  };

  let found = [];
  let page = 0;
  let current = null;

  const search = () => {
    const candidate = data.candidates.indexOf(controls.candidate.value);
    const suite = data.suites.findIndex(([name]) => name === controls.suite.value);
    const move = data.transitions.findIndex(([name]) => name === controls.show.value);
    const label = data.labels.findIndex(([name]) => name === controls.label.value);
    const words = controls.q.value.toLowerCase().split(/\s+/).filter(Boolean);
    found = data.rows.filter((row) =>
      (candidate < 0 || row[ROW.candidate] === candidate) &&
      (suite < 0 || itemOf(row)[ITEM.suite] === suite) &&
      (move < 0 || row[ROW.transition] === move) &&
      (label < 0 || sides(row).some((answer) => answer[ANSWER.labels].includes(label))) &&
      words.every((word) => haystack(row).includes(word)));
    page = 0;
    draw();
  };

  const firstWords = (text) => text.trim().replace(/\s+/g, " ").slice(0, 160) || "(empty)";
  const name = (row) => data.candidates[row[ROW.candidate]];
  const hash = (row) =>
    "#" + new URLSearchParams({ item: itemOf(row)[ITEM.id], candidate: name(row) });

  const draw = () => {
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    const body = element("list").tBodies[0];
    const shown = found.slice(page * PAGE, (page + 1) * PAGE);
    body.replaceChildren(...shown.map((row) => {
      const line = make("tr");
      const [move] = data.transitions[row[ROW.transition]];
      const cell = make("td");
      cell.append(make("a", move.replace("_", " "), { href: hash(row), class: "key " + move }));
      line.append(cell, make("td", data.suites[itemOf(row)[ITEM.suite]][1]), make("td", name(row)));
      line.append(make("td", data.strings[itemOf(row)[ITEM.question]], { dir: "auto" }));
      for (const answer of sides(row)) {
        line.append(make("td", firstWords(lines(answer[ANSWER.text])), { dir: "auto" }));
      }
      if (row === current) line.setAttribute("aria-current", "true");
      line.addEventListener("click", (event) => {
        if (event.target.tagName !== "A") location.hash = hash(row);
      });
      return line;
    }));
    const total = data.rows.length.toLocaleString("en");
    element("count").textContent = `${found.length.toLocaleString("en")} of ${total} answers, changed ones first`;
    element("page").textContent = `page ${page + 1} of ${pages}`;
    element("previous").disabled = page === 0;
    element("next").disabled = page + 1 >= pages;
  };

  // Longest common subsequence over words. Where little is common, marks would only distract.
  const wordDiff = (before, after) => {
    const a = before.match(/\s+|[^\s]+/g) ?? [];
    const b = after.match(/\s+|[^\s]+/g) ?? [];
    if (a.length * b.length > 1e6) return null;
    const width = b.length + 1;
    const common = new Uint16Array((a.length + 1) * width);
    for (let i = a.length - 1; i >= 0; i--) {
      for (let j = b.length - 1; j >= 0; j--) {
        common[i * width + j] = a[i] === b[j] ? common[(i + 1) * width + j + 1] + 1
          : Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
      }
    }
    const left = [], right = [];
    let i = 0, j = 0;
    while (i < a.length || j < b.length) {
      if (i < a.length && j < b.length && a[i] === b[j]) {
        left.push([a[i++], false]);
        right.push([b[j++], false]);
      } else if (j < b.length && (i === a.length || common[i * width + j + 1] >= common[(i + 1) * width + j])) {
        right.push([b[j++], true]);
      } else {
        left.push([a[i++], true]);
      }
    }
    const kept = left.filter(([word, changed]) => !changed && word.trim()).length;
    const words = Math.max(a.length, b.length) / 2;
    return kept >= 0.3 * words ? [left, right] : null;
  };

  const marked = (words, tag) => {
    const node = make("pre", undefined, { dir: "auto" });
    let run = "", isChanged = false;
    const flush = () => { if (run) node.append(isChanged ? make(tag, run) : run); run = ""; };
    for (const [word, changed] of words) {
      if (changed !== isChanged) { flush(); isChanged = changed; }
      run += word;
    }
    flush();
    return node;
  };

  const preformatted = (text, css = "") => make("pre", text || "(empty)", { dir: "auto", class: css });

  const answerBox = (title, answer, text) => {
    const box = make("div", undefined, { class: "answer" });
    const score = answer[ANSWER.score];
    const outcome = OUTCOMES[answer[ANSWER.outcome]] + (score === null || score === 0 || score === 1 ? "" : `, score ${score}`);
    box.append(make("h4", `${title}: ${outcome}${answer[ANSWER.cut] ? ", cut at the length limit" : ""}`), text);
    const facts = make("dl");
    const add = (term, words) => facts.append(make("dt", term), make("dd", words, { dir: "auto" }));
    if (answer[ANSWER.extracted]) add("taken as", lines(answer[ANSWER.extracted]));
    if (answer[ANSWER.labels].length) {
      add("labels", answer[ANSWER.labels].map((index) => `${data.labels[index][1]} (${data.labels[index][0]})`).join(", "));
    }
    if (answer[ANSWER.why].length) add("because", lines(answer[ANSWER.why]));
    box.append(facts);
    if (answer[ANSWER.evidence].length) {
      const evidence = make("details");
      evidence.append(make("summary", "evidence"), preformatted(lines(answer[ANSWER.evidence])));
      box.append(evidence);
    }
    return box;
  };

  const choiceTable = (item, base, tuned) => {
    const choices = item[ITEM.choices];
    if (!choices.length || base[ANSWER.logprobs].length !== choices.length) return null;
    const table = make("table", undefined, { class: "small" });
    const head = table.createTHead().insertRow();
    for (const title of ["Option", "log-probability, base", "log-probability, tuned"]) {
      head.append(make("th", title, { scope: "col" }));
    }
    const body = table.createTBody();
    choices.forEach((choice, index) => {
      const row = body.insertRow();
      const text = data.strings[choice];
      const isWanted = text === lines(item[ITEM.target]);
      row.append(make("td", isWanted ? `${text} (wanted)` : text, { dir: "auto" }));
      for (const answer of [base, tuned]) {
        const isChosen = text === lines(answer[ANSWER.text]);
        const value = String(answer[ANSWER.logprobs][index] ?? "–");
        row.append(make("td", isChosen ? `${value} ← chosen` : value));
      }
    });
    return table;
  };

  const open = (row) => {
    current = row;
    const item = itemOf(row);
    const [base, tuned] = sides(row);
    const [move, words] = data.transitions[row[ROW.transition]];
    const panel = element("item");
    const title = make("h3");
    title.append(make("span", `${words}`, { class: "key " + move }), ` · ${data.suites[item[ITEM.suite]][1]} · ${name(row)}`);
    const place = make("p", `item ${item[ITEM.id]}, document ${item[ITEM.doc]}`, { class: "fine" });
    if (item[ITEM.slices].length) place.append(" · " + item[ITEM.slices].map((index) => data.strings[index]).join(" · "));
    if (item[ITEM.cut]) place.append(` · the first ${item[ITEM.cut].toLocaleString("en")} tokens of its prompt were cut to fit the context`);
    const wanted = make("dl");
    wanted.append(make("dt", "wanted"), make("dd"));
    wanted.lastChild.append(preformatted(lines(item[ITEM.target])));
    const texts = [lines(base[ANSWER.text]), lines(tuned[ANSWER.text])];
    const diff = texts[0] && texts[1] ? wordDiff(...texts) : null;
    const answers = make("div", undefined, { class: "answers" });
    answers.append(
      answerBox("base", base, diff ? marked(diff[0], "del") : preformatted(texts[0])),
      answerBox("tuned", tuned, diff ? marked(diff[1], "ins") : preformatted(texts[1])));
    const close = make("button", "Close", { type: "button" });
    close.addEventListener("click", shut);
    panel.replaceChildren(title, place, preformatted(lines(item[ITEM.prompt]), "prompt"), wanted, answers);
    const table = choiceTable(item, base, tuned);
    if (table) panel.append(table);
    panel.append(close);
    panel.hidden = false;
    const index = found.indexOf(row);
    if (index >= 0) page = Math.floor(index / PAGE);
    draw();
    panel.scrollIntoView({ block: "nearest" });
    panel.focus({ preventScroll: true });
  };

  const shut = () => {
    element("item").hidden = true;
    current = null;
    if (location.hash.includes("=")) history.replaceState(null, "", "#items");
    draw();
  };

  const route = () => {
    const raw = location.hash.slice(1);
    const target = raw && !raw.includes("=") && document.getElementById(raw);
    if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); }
    if (!raw.includes("=")) return;
    const wanted = new URLSearchParams(raw);
    const id = wanted.get("item");
    if (id !== null) {
      const candidate = data.candidates.indexOf(wanted.get("candidate") ?? "");
      const row = data.rows.find((one) =>
        itemOf(one)[ITEM.id] === id && (candidate < 0 || one[ROW.candidate] === candidate));
      if (row) {
        if (!found.includes(row)) { element("filters").reset(); search(); }
        open(row);
      } else {
        element("count").textContent = `no item ${id} in this report`;
      }
      return;
    }
    for (const [key, control] of Object.entries(controls)) control.value = wanted.get(key) ?? "";
    search();
    element("items").scrollIntoView();
  };

  const step = (by) => {
    const index = found.indexOf(current) + by;
    if (index >= 0 && index < found.length) location.hash = hash(found[index]);
  };
  const turn = (by) => { page += by; draw(); element("list").scrollIntoView({ block: "nearest" }); };

  let timer = 0;
  controls.q.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(search, 120); });
  for (const key of ["candidate", "suite", "show", "label"]) controls[key].addEventListener("change", search);
  element("filters").addEventListener("submit", (event) => event.preventDefault());
  element("filters").addEventListener("reset", () => setTimeout(search, 0));
  element("previous").addEventListener("click", () => turn(-1));
  element("next").addEventListener("click", () => turn(1));
  addEventListener("hashchange", route);
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && !element("item").hidden) return shut();
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    if (event.key === "/") { event.preventDefault(); controls.q.focus(); }
    if (event.key === "j") step(1);
    if (event.key === "k") step(-1);
  });
  addEventListener("beforeprint", () => {
    for (const node of document.querySelectorAll("details.comparison")) node.open = true;
  });

  search();
  route();
})();
