// One question with every arm's answer.
// Columns of the data, as harness/report/item_browser.py writes them.
const ROW = { candidate: 0, item: 1, transition: 2, base: 3, tuned: 4, groups: 5 };
const ITEM = { id: 0, suite: 1, doc: 2, prompt: 3, target: 4, slices: 5, choices: 6, question: 7, cut: 8, turns: 9 };
const ANSWER = { text: 0, extracted: 1, score: 2, labels: 3, why: 4, logprobs: 5, cut: 6, outcome: 7, evidence: 8, tables: 9, thought: 10, turns: 11 };
const SUITE = { name: 0, title: 1, higherIsBetter: 2, judge: 3 };
const OUTCOMES = ["right", "wrong", "wrong: asked for something not allowed", "without a score"];

// Where chat templates begin a turn, and what else of them is no text.
const TURN = /<\|im_start\|>\s*(\w+)\n|<\|start_header_id\|>\s*(\w+)\s*<\|end_header_id\|>\s*|<start_of_turn>(\w+)\n|<[|｜](user|assistant|system|tool)[|｜]>\n?|(\[INST\])|(\[\/INST\])/gi;
const TEMPLATE = /<\|(?:im_end|eot_id|eom_id|end|begin_of_text|endoftext)\|>|<end_of_turn>|<\/?s>|<bos>|<eos>|<｜[^｜\n]{1,30}｜>/g;
const turnsIn = (prompt) => {
  const turns = [];
  let role = "", start = 0;
  const close = (end) => {
    const text = prompt.slice(start, end).replace(TEMPLATE, "").trim();
    if (text) turns.push([role || "before the first turn", text]);
  };
  for (const found of prompt.matchAll(TURN)) {
    close(found.index);
    role = found[5] ? "user" : found[6] ? "assistant" : found.slice(1, 5).find(Boolean).toLowerCase();
    start = found.index + found[0].length;
  }
  if (role) close(prompt.length);
  return turns;
};

const promptOf = (prompt, turns) => {
  const box = make("div", undefined, { class: "prompt-box", tabindex: "0", role: "region", "aria-label": "Prompt" });
  const raw = preformatted(prompt, "prompt");
  const told = turns.length ? turns : turnsIn(prompt);
  if (!told.length) { box.append(raw); return box; }
  for (const [role, text] of told) {
    box.append(within("div", [make("b", role), preformatted(text)], { class: "turn " + (/^(assistant|model)$/.test(role) ? "assistant" : "") }));
  }
  box.append(within("details", [make("summary", "the prompt as the models saw it"), raw]));
  return box;
};

const resultTable = ([title, columns, rows, only]) => {
  const table = make("table", undefined, { class: "small result" });
  table.append(make("caption", title));
  const head = table.createTHead().insertRow();
  for (const column of columns) head.append(make("th", column, { scope: "col" }));
  const body = table.createTBody();
  rows.forEach((cells, index) => {
    const row = body.insertRow();
    if (only.includes(index)) row.className = "only";
    cells.forEach((cell, place) => row.append(make("td", only.includes(index) && place === 0 ? `≠ ${cell}` : cell, { dir: "auto" })));
  });
  if (!rows.length) body.insertRow().append(make("td", "(no rows)", { colspan: Math.max(1, columns.length) }));
  return scrolling(table, title);
};

const copyButton = (label, text) => {
  const button = make("button", label, { type: "button" });
  button.addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(text); button.textContent = "copied"; }
    catch {
      const field = make("textarea", undefined, { "aria-label": label, rows: "3" });
      button.replaceWith(field);
      field.value = text;
    }
  });
  return button;
};

// Builds the pane's content from the data; `name` is the candidate that one came for, `arms` are
// [name, answer] with the base first.
const itemView = (data) => {
  const { line } = data.texts;
  const lines = (indexes) => indexes.map(line).join("\n");

  // `wanted` is what words are marked against; "" where clauses are marked beside it.
  const answerBox = (title, answer, wanted) => {
    const box = make("div", undefined, { class: "answer" });
    const points = answer[ANSWER.score];
    const outcome = OUTCOMES[answer[ANSWER.outcome]] + (points === null || points === 0 || points === 1 ? "" : `, score ${points}`);
    box.append(make("h4", `${title}: ${outcome}${answer[ANSWER.cut] ? ", cut at the length limit" : ""}`));
    if (answer[ANSWER.thought].length) {
      const thought = lines(answer[ANSWER.thought]);
      box.append(within("details", [make("summary", `its thought, ${thought.length.toLocaleString("en")} characters, not judged`), preformatted(thought)], { class: "thought" }));
    }
    if (answer[ANSWER.turns]) {
      for (const [role, text, judged] of answer[ANSWER.turns]) {
        const turn = within("div", [make("b", role), preformatted(lines(text))], { class: "turn " + role });
        if (judged.length) turn.append(make("p", lines(judged), { class: "fine" + (/; kept (\d+) of (?!\1)/.test(lines(judged)) ? " lost" : "") }));
        box.append(turn);
      }
    } else box.append(against(wanted, lines(answer[ANSWER.text])));
    const facts = make("dl");
    const add = (term, words) => facts.append(make("dt", term), make("dd", words, { dir: "auto" }));
    if (answer[ANSWER.extracted]) add("taken as", lines(answer[ANSWER.extracted]));
    if (answer[ANSWER.labels].length) {
      add("labels", answer[ANSWER.labels].map((index) => `${data.labels[index][1]} (${data.labels[index][0]})`).join(", "));
    }
    if (answer[ANSWER.why].length) add("because", lines(answer[ANSWER.why]));
    if (facts.children.length) box.append(facts);
    const evidence = make("details", undefined, answer[ANSWER.outcome] === 1 ? { open: "" } : {});
    evidence.append(make("summary", "evidence"));
    if (answer[ANSWER.evidence].length) evidence.append(preformatted(lines(answer[ANSWER.evidence])));
    const tables = answer[ANSWER.tables].map(([title, columns, rows, only]) =>
      resultTable([line(title), columns.map(line), rows.map((row) => row.map(line)), only]));
    evidence.append(...tables.slice(0, -2));
    if (tables.length) evidence.append(within("div", tables.slice(-2), { class: "both" }));
    if (evidence.children.length > 1) box.append(evidence);
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
      const text = line(choice);
      const isWanted = text === lines(item[ITEM.target]);
      row.append(make("th", isWanted ? `${text} (wanted)` : text, { dir: "auto", scope: "row" }));
      for (const [, answer] of arms) {
        const isChosen = text === lines(answer[ANSWER.text]);
        const value = String(answer[ANSWER.logprobs][index] ?? "–");
        row.append(make("td", isChosen ? `${value} ←` : value));
      }
    });
    return scrolling(table, "Options by arm");
  };

  const tools = (item, shut) => {
    const suite = data.suites[item[ITEM.suite]][SUITE.name];
    const test = { id: item[ITEM.id], suite, prompt: lines(item[ITEM.prompt]), wanted: lines(item[ITEM.target]) };
    const close = make("button", "Close", { type: "button" });
    close.addEventListener("click", shut);
    const required = `must_pass: ["${item[ITEM.id].slice(suite.length + 1).split(".")[0]}"]`;
    return within("p", [copyButton("Copy as a test case", JSON.stringify(test)),
      copyButton("Copy as a must-pass line", required), close], { class: "tools" });
  };

  const place = (item) => {
    const node = make("p", `item ${item[ITEM.id]}, document ${item[ITEM.doc]}`, { class: "fine" });
    for (const index of item[ITEM.slices]) {
      const group = line(index);
      const link = new URLSearchParams({ suite: data.suites[item[ITEM.suite]][SUITE.name], slice: group });
      node.append(" · ", make("a", group, { href: "#" + link }));
    }
    if (item[ITEM.cut]) node.append(` · the first ${item[ITEM.cut].toLocaleString("en")} tokens of its prompt were cut to fit the context`);
    return node;
  };

  return (item, transition, name, arms, shut) => {
    const wanted = lines(item[ITEM.target]);
    const suite = data.suites[item[ITEM.suite]];
    const [move, words] = data.transitions[transition];
    const title = make("h3");
    title.append(make("span", words, { class: "key " + move }), ` · ${suite[SUITE.title]} · ${name}`);
    const goal = wanted && within("dl", [make("dt", "wanted"), within("dd", [preformatted(wanted)])]);
    const queries = arms.map(([arm, answer]) => [arm, lines(answer[ANSWER.extracted] ?? answer[ANSWER.text])]);
    const clauseByClause = suite[SUITE.judge] === "sql" ? clauseTable(wanted, queries) : null;
    const answers = within("div", arms.map(([arm, answer]) => answerBox(arm, answer, clauseByClause ? "" : wanted)), { class: "answers" });
    const turns = item[ITEM.turns].map(([role, text]) => [role, lines(text)]);
    return [title, place(item), promptOf(lines(item[ITEM.prompt]), turns), goal, clauseByClause, answers,
      choiceTable(item, arms), tools(item, shut)].filter(Boolean);
  };
};
