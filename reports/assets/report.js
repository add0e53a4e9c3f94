"use strict";
// The item browser: filters over the JSON block, one page of rows in the document at a time.
(() => {
  const root = document.documentElement;
  const element = (id) => document.getElementById(id);
  root.classList.add("has-script");

  const kept = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
  const keep = (key, value) => { try { localStorage.setItem(key, value); } catch { /* private window */ } };

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
    const closed = target && target.closest("details:not([open])");
    if (closed) { closed.open = true; target.scrollIntoView(); }
  };
  addEventListener("hashchange", openTarget);
  openTarget();
  addEventListener("beforeprint", () => {
    for (const node of document.querySelectorAll("details")) node.open = true;
  });

  const make = (name, text, attributes = {}) => {
    const node = document.createElement(name);
    if (text !== undefined) node.textContent = text;
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  };

  // Columns of the JSON block, as harness/report/item_browser.py writes them.
  const ROW = { candidate: 0, item: 1, transition: 2, base: 3, tuned: 4 };
  const ITEM = { id: 0, suite: 1, doc: 2, prompt: 3, target: 4, slices: 5, choices: 6, question: 7, cut: 8, turns: 9 };
  const ANSWER = { text: 0, extracted: 1, score: 2, labels: 3, why: 4, logprobs: 5, cut: 6, outcome: 7, evidence: 8 };
  const OUTCOMES = ["right", "wrong", "wrong: asked for something not allowed", "without a score"];
  const PAGE = 20;

  const start = (data) => {
    const lines = (indexes) => indexes.map((index) => data.strings[index]).join("\n");
    const itemOf = (row) => data.items[row[ROW.item]];
    const sides = (row) => [data.answers[row[ROW.base]], data.answers[row[ROW.tuned]]];
    const name = (row) => data.candidates[row[ROW.candidate]];
    const score = (answer) => answer[ANSWER.score];
    const loss = (row) => {
      const [base, tuned] = sides(row).map(score);
      const better = data.suites[itemOf(row)[ITEM.suite]][2] ? 1 : -1;
      return base === null || tuned === null ? -2 : better * (base - tuned);
    };
    const ofItem = new Map();  // item -> its row of each candidate
    for (const row of data.rows) {
      const rows = ofItem.get(row[ROW.item]);
      if (rows) rows.push(row); else ofItem.set(row[ROW.item], [row]);
    }

    const controls = {
      candidate: element("by-candidate"), suite: element("by-suite"), show: element("by-transition"),
      label: element("by-label"), arm: element("by-arm"), slice: element("by-slice"), and: element("by-other-slice"),
      q: element("by-text"), sort: element("by-order"),
    };
    const fill = (select, pairs) => {
      for (const [value, words] of pairs) select.append(new Option(words, value));
    };
    fill(controls.candidate, data.candidates.map((one) => [one, one]));
    fill(controls.suite, data.suites);
    fill(controls.show, data.transitions);
    fill(controls.label, data.labels.map(([label, words]) => [label, `${words} (${label})`]));
    const slices = [...new Set(data.items.flatMap((item) => item[ITEM.slices]))].map((index) => data.strings[index]);
    slices.sort();
    for (const select of [controls.slice, controls.and]) fill(select, slices.slice(0, 500).map((one) => [one, one]));

    // A word is looked up once in every different line; items and answers then only compare numbers.
    let lowered = null;
    const linesWith = (word) => {
      lowered ??= data.strings.map((text) => text.toLowerCase());
      const has = new Uint8Array(lowered.length);
      for (let i = 0; i < lowered.length; i++) if (lowered[i].includes(word)) has[i] = 1;
      return has;
    };
    const matching = (word) => {
      const has = linesWith(word);
      const some = (indexes) => indexes.some((index) => has[index] === 1);
      const items = data.items.map((item) => item[ITEM.id].toLowerCase().includes(word) ||
        some(item[ITEM.prompt]) || some(item[ITEM.target]) || has[item[ITEM.question]] === 1);
      const answers = data.answers.map((answer) => some(answer[ANSWER.text]));
      return (row) => items[row[ROW.item]] || answers[row[ROW.base]] || answers[row[ROW.tuned]];
    };

    let found = [], page = 0, current = null;

    const search = () => {
      const candidate = data.candidates.indexOf(controls.candidate.value);
      const suite = data.suites.findIndex(([one]) => one === controls.suite.value);
      const move = data.transitions.findIndex(([one]) => one === controls.show.value);
      const label = data.labels.findIndex(([one]) => one === controls.label.value);
      const groups = [controls.slice.value, controls.and.value].filter(Boolean).map((one) => data.strings.indexOf(one));
      const arms = { base: [0], tuned: [1] }[controls.arm.value] ?? [0, 1];
      const words = controls.q.value.toLowerCase().split(/\s+/).filter(Boolean).map(matching);
      found = data.rows.filter((row) =>
        (candidate < 0 || row[ROW.candidate] === candidate) &&
        (suite < 0 || itemOf(row)[ITEM.suite] === suite) &&
        (move < 0 || row[ROW.transition] === move) &&
        (label < 0 || arms.some((arm) => sides(row)[arm][ANSWER.labels].includes(label))) &&
        groups.every((one) => itemOf(row)[ITEM.slices].includes(one)) &&
        words.every((matches) => matches(row)));
      if (controls.sort.value === "loss") found = found.map((row) => [loss(row), row]).sort((a, b) => b[0] - a[0]).map((pair) => pair[1]);
      page = 0;
      draw();
    };

    const address = () => {
      const wanted = new URLSearchParams();
      for (const [key, control] of Object.entries(controls)) if (control.value) wanted.set(key, control.value);
      return wanted.size ? "#" + wanted : "#items";
    };
    const filtered = () => { search(); history.replaceState(null, "", address()); };

    const firstWords = (text) => text.trim().replace(/\s+/g, " ").slice(0, 160) || "(empty)";
    const hash = (row) =>
      "#" + new URLSearchParams({ item: itemOf(row)[ITEM.id], candidate: name(row) });

    const draw = () => {
      const pages = Math.max(1, Math.ceil(found.length / PAGE));
      const shown = found.slice(page * PAGE, (page + 1) * PAGE);
      element("list").tBodies[0].replaceChildren(...shown.map((row) => {
        const line = make("tr");
        const [move] = data.transitions[row[ROW.transition]];
        const cell = make("td");
        cell.append(make("a", move.replace("_", " "), { href: hash(row), class: "key " + move }));
        line.append(cell, make("td", data.suites[itemOf(row)[ITEM.suite]][1]), make("td", name(row)));
        line.append(make("td", data.strings[itemOf(row)[ITEM.question]], { dir: "auto" }));
        for (const answer of sides(row)) {
          line.append(make("td", firstWords(lines(answer[ANSWER.text])), { dir: "auto", class: "answer-cell" }));
        }
        if (row === current) line.setAttribute("aria-current", "true");
        line.addEventListener("click", (event) => {
          if (event.target.tagName !== "A") visit(row);
        });
        return line;
      }));
      const total = data.rows.length.toLocaleString("en");
      const order = controls.sort.value === "loss" ? "largest losses first" : "changed ones first";
      element("count").textContent = `${found.length.toLocaleString("en")} of ${total} answers, ${order}`;
      element("page").textContent = `page ${page + 1} of ${pages}`;
      element("previous").disabled = page === 0;
      element("next").disabled = page + 1 >= pages;
    };

    // Longest common subsequence over words. Where little is common, marks would only distract.
    const wordDiff = (wanted, text) => {
      const a = wanted.match(/\s+|[^\s]+/g) ?? [];
      const b = text.match(/\s+|[^\s]+/g) ?? [];
      if (a.length * b.length > 1e6) return null;
      const width = b.length + 1;
      const common = new Uint16Array((a.length + 1) * width);
      for (let i = a.length - 1; i >= 0; i--) {
        for (let j = b.length - 1; j >= 0; j--) {
          common[i * width + j] = a[i] === b[j] ? common[(i + 1) * width + j + 1] + 1
            : Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
        }
      }
      const parts = [];
      let i = 0, j = 0, same = 0;
      while (i < a.length || j < b.length) {
        if (i < a.length && j < b.length && a[i] === b[j]) {
          if (a[i].trim()) same++;
          parts.push(["", a[i++]]);
          j++;
        } else if (i < a.length && (j === b.length || common[(i + 1) * width + j] >= common[i * width + j + 1])) {
          parts.push(["del", a[i++]]);
        } else {
          parts.push(["ins", b[j++]]);
        }
      }
      return same >= 0.3 * Math.max(a.length, b.length) / 2 ? parts : null;
    };

    const preformatted = (text, css = "") => make("pre", text || "(empty)", { dir: "auto", class: css });

    const against = (wanted, text) => {
      const parts = wanted && text && wanted !== text ? wordDiff(wanted, text) : null;
      if (!parts) return preformatted(text);
      const node = make("pre", undefined, { dir: "auto" });
      let tag = "", run = "";
      const flush = () => {
        if (run) node.append(tag ? make(tag, run, { title: tag === "del" ? "wanted, not answered" : "answered, not wanted" }) : run);
        run = "";
      };
      for (const [kind, word] of parts) {
        if (kind !== tag) { flush(); tag = kind; }
        run += word;
      }
      flush();
      return node;
    };

    const answerBox = (title, answer, wanted) => {
      const box = make("div", undefined, { class: "answer" });
      const points = score(answer);
      const outcome = OUTCOMES[answer[ANSWER.outcome]] + (points === null || points === 0 || points === 1 ? "" : `, score ${points}`);
      const head = make("h4", `${title}: ${outcome}${answer[ANSWER.cut] ? ", cut at the length limit" : ""}`);
      box.append(head, against(wanted, lines(answer[ANSWER.text])));
      const facts = make("dl");
      const add = (term, words) => facts.append(make("dt", term), make("dd", words, { dir: "auto" }));
      if (answer[ANSWER.extracted]) add("taken as", lines(answer[ANSWER.extracted]));
      if (answer[ANSWER.labels].length) {
        add("labels", answer[ANSWER.labels].map((index) => `${data.labels[index][1]} (${data.labels[index][0]})`).join(", "));
      }
      if (answer[ANSWER.why].length) add("because", lines(answer[ANSWER.why]));
      box.append(facts);
      if (answer[ANSWER.evidence].length) {
        const evidence = make("details", undefined, answer[ANSWER.outcome] === 1 ? { open: "" } : {});
        evidence.append(make("summary", "evidence"), preformatted(lines(answer[ANSWER.evidence])));
        box.append(evidence);
      }
      return box;
    };

    const choiceTable = (item, arms) => {
      const choices = item[ITEM.choices];
      if (!choices.length || arms[0][1][ANSWER.logprobs].length !== choices.length) return null;
      const table = make("table", undefined, { class: "small" });
      table.append(make("caption", "log-probability of each option, by arm; ← chosen"));
      const head = table.createTHead().insertRow();
      for (const title of ["Option", ...arms.map(([arm]) => arm)]) head.append(make("th", title, { scope: "col" }));
      const body = table.createTBody();
      choices.forEach((choice, index) => {
        const row = body.insertRow();
        const text = data.strings[choice];
        const isWanted = text === lines(item[ITEM.target]);
        row.append(make("th", isWanted ? `${text} (wanted)` : text, { dir: "auto", scope: "row" }));
        for (const [, answer] of arms) {
          const isChosen = text === lines(answer[ANSWER.text]);
          const value = String(answer[ANSWER.logprobs][index] ?? "–");
          row.append(make("td", isChosen ? `${value} ←` : value));
        }
      });
      const frame = make("div", undefined, { class: "wide", tabindex: "0", role: "region", "aria-label": "Options by arm, scrolls sideways" });
      frame.append(table);
      return frame;
    };

    const promptOf = (item) => {
      const box = make("div", undefined, { class: "prompt-box" });
      const raw = preformatted(lines(item[ITEM.prompt]), "prompt");
      if (!item[ITEM.turns].length) { box.append(raw); return box; }
      for (const [role, text] of item[ITEM.turns]) {
        const turn = make("div", undefined, { class: "turn " + (role === "assistant" ? "assistant" : "") });
        turn.append(make("b", role), preformatted(lines(text)));
        box.append(turn);
      }
      const details = make("details");
      details.append(make("summary", "the prompt as the models saw it"), raw);
      box.append(details);
      return box;
    };

    const copy = (label, text) => {
      const button = make("button", label, { type: "button" });
      button.addEventListener("click", async () => {
        try { await navigator.clipboard.writeText(text); button.textContent = "copied"; }
        catch { button.replaceWith(make("textarea", undefined, { "aria-label": label, rows: "3" })); element("item").querySelector("textarea").value = text; }
      });
      return button;
    };

    const tools = (item) => {
      const line = make("p", undefined, { class: "tools" });
      const [suite] = data.suites[item[ITEM.suite]];
      const test = { id: item[ITEM.id], suite, prompt: lines(item[ITEM.prompt]), wanted: lines(item[ITEM.target]) };
      const close = make("button", "Close", { type: "button" });
      close.addEventListener("click", shut);
      line.append(copy("Copy as a test case", JSON.stringify(test)),
        copy("Copy as a must-pass line", `must_pass: ["${item[ITEM.id].slice(suite.length + 1).split(".")[0]}"]`), close);
      return line;
    };

    const open = (row) => {
      current = row;
      const item = itemOf(row);
      const wanted = lines(item[ITEM.target]);
      const [move, words] = data.transitions[row[ROW.transition]];
      const panel = element("item");
      const title = make("h3");
      title.append(make("span", words, { class: "key " + move }), ` · ${data.suites[item[ITEM.suite]][1]} · ${name(row)}`);
      const place = make("p", `item ${item[ITEM.id]}, document ${item[ITEM.doc]}`, { class: "fine" });
      for (const index of item[ITEM.slices]) {
        const group = data.strings[index];
        const link = new URLSearchParams({ suite: data.suites[item[ITEM.suite]][0], slice: group });
        place.append(" · ", make("a", group, { href: "#" + link }));
      }
      if (item[ITEM.cut]) place.append(` · the first ${item[ITEM.cut].toLocaleString("en")} tokens of its prompt were cut to fit the context`);
      const goal = make("dl");
      goal.append(make("dt", "wanted"), make("dd"));
      goal.lastChild.append(preformatted(wanted));
      const others = ofItem.get(row[ROW.item]).filter((one) => one !== row);
      const arms = [["base", sides(row)[0]], ...[row, ...others].map((one) => [name(one), sides(one)[1]])];
      const answers = make("div", undefined, { class: "answers" });
      answers.append(...arms.map(([arm, answer]) => answerBox(arm, answer, wanted)));
      panel.replaceChildren(title, place, promptOf(item), goal, answers);
      const table = choiceTable(item, arms);
      if (table) panel.append(table);
      panel.append(tools(item));
      panel.hidden = false;
      element("browser").classList.add("with-item");
      const index = found.indexOf(row);
      if (index >= 0) page = Math.floor(index / PAGE);
      draw();
      panel.scrollTop = 0;
      element("items").scrollIntoView({ block: "nearest" });
      panel.focus({ preventScroll: true });
      panel.scrollIntoView({ block: "nearest" });
    };

    const shut = () => {
      const row = current;
      element("item").hidden = true;
      element("browser").classList.remove("with-item");
      current = null;
      history.replaceState(null, "", address());
      draw();
      const link = row && [...element("list").querySelectorAll("a")].find((one) => one.getAttribute("href") === hash(row));
      if (link) link.focus();
    };

    // Items that follow each other replace the address, so that Back leads to where one came from.
    const visit = (row) => {
      if (current) { history.replaceState(null, "", hash(row)); route(); } else location.hash = hash(row);
    };

    const route = () => {
      const raw = location.hash.slice(1);
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
      for (const [key, control] of Object.entries(controls)) {
        const value = wanted.get(key) ?? "";
        if ((key === "slice" || key === "and") && value && !slices.slice(0, 500).includes(value)) control.append(new Option(value, value));
        control.value = value;
      }
      element("item").hidden = true;
      element("browser").classList.remove("with-item");
      current = null;
      search();
      element("items").scrollIntoView();
    };

    const step = (by) => {
      const index = found.indexOf(current) + by;
      if (index >= 0 && index < found.length) visit(found[index]);
    };
    const turn = (by) => { page += by; draw(); element("list").scrollIntoView({ block: "nearest" }); };

    let timer = 0;
    controls.q.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(filtered, 120); });
    for (const control of Object.values(controls)) if (control !== controls.q) control.addEventListener("change", filtered);
    element("filters").addEventListener("submit", (event) => event.preventDefault());
    element("filters").addEventListener("reset", () => setTimeout(filtered, 0));
    element("previous").addEventListener("click", () => turn(-1));
    element("next").addEventListener("click", () => turn(1));
    const shortcuts = element("shortcuts");
    shortcuts.checked = kept("shortcuts") !== "off";
    shortcuts.addEventListener("change", () => keep("shortcuts", shortcuts.checked ? "on" : "off"));
    addEventListener("hashchange", route);
    addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "Escape" && !element("item").hidden) return shut();
      if (!shortcuts.checked || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
      if (event.key === "/") { event.preventDefault(); controls.q.focus(); }
      if (event.key === "j") step(1);
      if (event.key === "k") step(-1);
    });

    search();
    route();
  };

  const block = element("data");
  if (block.type === "application/json") { start(JSON.parse(block.textContent)); return; }
  const letters = atob(block.textContent);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  new Response(stream).json().then(start);
})();
