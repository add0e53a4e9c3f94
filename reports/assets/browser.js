// The item browser: filters over all items, one page of rows in the document at a time.
const PAGE = 20;

const start = (data) => {
  const { line, holding } = data.texts;
  const view = itemView(data);
  const itemOf = (row) => data.items[row[ROW.item]];
  const sides = (row) => [data.answers[row[ROW.base]], data.answers[row[ROW.tuned]]];
  const name = (row) => data.candidates[row[ROW.candidate]];
  const loss = (row) => {
    const [base, tuned] = sides(row).map((answer) => answer[ANSWER.score]);
    const better = data.suites[itemOf(row)[ITEM.suite]][SUITE.higherIsBetter] ? 1 : -1;
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
  const scored = data.transitions.map(([move]) => move).filter((move) => move !== "unscored");
  const several = new Map([["scored", scored], ["right-before", ["both_right", "lost"]], ["right-now", ["both_right", "gained"]]]);
  fill(controls.show, [...data.transitions, ["scored", "anything with a score"], ["right-before", "all that was right before"], ["right-now", "all that is right now"]]);
  // A wrong answer to a scored item counts under its first label alone, as in the tables of causes
  // above; what is said of others is apart, so that a figure opens exactly its items.
  const unscored = data.transitions.findIndex(([move]) => move === "unscored");
  const labelled = (row, arm) => {
    const answer = sides(row)[arm];
    const found = answer[ANSWER.labels].map((index) => data.labels[index][0]);
    const outcome = OUTCOMES[row[ROW.transition] === unscored ? 3 : answer[ANSWER.outcome]];
    return outcome.startsWith("wrong") ? [found[0] ?? "unlabelled"] : found.map((label) => `${outcome}: ${label}`);
  };
  const named = new Set();
  for (const row of data.rows) for (const arm of [0, 1]) for (const one of labelled(row, arm)) named.add(one);
  const inWords = new Map(data.labels);
  fill(controls.label, [...named].sort((a, b) => a.includes(":") - b.includes(":")).map((one) => {
    const [label, outcome] = one.split(": ").reverse();
    return [one, `${outcome ? outcome + ", " : ""}${inWords.get(label) ?? "no cause found"} (${label})`];
  }));
  const groups = new Map();  // a group's name -> the number of its line
  for (const item of data.items) for (const index of item[ITEM.slices]) groups.set(index, true);
  for (const row of data.rows) for (const index of row[ROW.groups] ?? []) groups.set(index, true);
  const slices = new Map([...groups.keys()].map((index) => [line(index), index]));
  const first = [...slices.keys()].sort().slice(0, 500).map((one) => [one, one]);
  for (const select of [controls.slice, controls.and]) fill(select, first);

  const matching = (word) => {
    const has = holding(word);
    const some = (indexes) => indexes.some((index) => has[index] === 1);
    const items = data.items.map((item) => item[ITEM.id].toLowerCase().includes(word) ||
      some(item[ITEM.prompt]) || some(item[ITEM.target]) || has[item[ITEM.question]] === 1);
    const answers = data.answers.map((answer) => some(answer[ANSWER.text]));
    return (row) => items[row[ROW.item]] || answers[row[ROW.base]] || answers[row[ROW.tuned]];
  };

  let found = [], page = 0, current = null;

  const search = () => {
    // null: any; what the report does not know is -1, which nothing has
    const place = (control, names) => control.value === "" ? null : names.indexOf(control.value);
    const firsts = (pairs) => pairs.map(([one]) => one);
    const candidate = place(controls.candidate, data.candidates);
    const suite = place(controls.suite, firsts(data.suites));
    const move = controls.show.value;
    const moves = move && data.transitions.map(([one]) => (several.get(move) ?? [move]).includes(one));
    const label = controls.label.value;
    const wanted = [controls.slice.value, controls.and.value].filter(Boolean).map((one) => slices.get(one) ?? -1);
    const [base, tuned] = [0, 1].map((arm) => (row) => labelled(row, arm).includes(label));
    const shows = {
      base, tuned, "base-alone": (row) => base(row) && !tuned(row), "tuned-alone": (row) => tuned(row) && !base(row),
    }[controls.arm.value] ?? ((row) => base(row) || tuned(row));
    const words = controls.q.value.toLowerCase().split(/\s+/).filter(Boolean).map(matching);
    found = data.rows.filter((row) =>
      (candidate === null || row[ROW.candidate] === candidate) &&
      (suite === null || itemOf(row)[ITEM.suite] === suite) &&
      (!moves || moves[row[ROW.transition]]) &&
      (!label || shows(row)) &&
      wanted.every((group) => itemOf(row)[ITEM.slices].includes(group) || row[ROW.groups]?.includes(group)) &&
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

  const firstWords = (indexes) => indexes.slice(0, 20).map(line).join(" ").trim().replace(/\s+/g, " ").slice(0, 160) || "(empty)";
  const hash = (row) =>
    "#" + new URLSearchParams({ item: itemOf(row)[ITEM.id], candidate: name(row) });

  const draw = () => {
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    const shown = found.slice(page * PAGE, (page + 1) * PAGE);
    element("list").tBodies[0].replaceChildren(...shown.map((row) => {
      const entry = make("tr");
      const [move] = data.transitions[row[ROW.transition]];
      entry.append(within("td", [make("a", move.replace("_", " "), { href: hash(row), class: "key " + move })]));
      entry.append(make("td", data.suites[itemOf(row)[ITEM.suite]][SUITE.title]), make("td", name(row)));
      entry.append(make("td", line(itemOf(row)[ITEM.question]).slice(0, 300), { dir: "auto" }));
      for (const answer of sides(row)) {
        entry.append(make("td", firstWords(answer[ANSWER.text]), { dir: "auto", class: "answer-cell" }));
      }
      if (row === current) entry.setAttribute("aria-current", "true");
      entry.addEventListener("click", (event) => {
        if (event.target.tagName !== "A") visit(row);
      });
      return entry;
    }));
    const total = data.rows.length.toLocaleString("en");
    const order = controls.sort.value === "loss" ? "largest losses first" : "changed ones first";
    element("count").textContent = `${found.length.toLocaleString("en")} of ${total} answers, ${order}`;
    element("page").textContent = `page ${page + 1} of ${pages}`;
    element("previous").disabled = page === 0;
    element("next").disabled = page + 1 >= pages;
  };

  const hide = () => {
    element("item").hidden = true;
    element("browser").classList.remove("with-item");
    current = null;
  };

  const open = (row) => {
    current = row;
    const others = ofItem.get(row[ROW.item]).filter((one) => one !== row);
    const arms = [["base", sides(row)[0]], ...[row, ...others].map((one) => [name(one), sides(one)[1]])];
    const panel = element("item");
    panel.replaceChildren(...view(itemOf(row), row[ROW.transition], name(row), arms, shut));
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
    hide();
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
      if (control.options && ![...control.options].some((one) => one.value === value)) control.append(new Option(value, value));
      control.value = value;
    }
    hide();
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

readData(element("data")).then(start);
