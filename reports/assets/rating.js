"use strict";
// The rating page: one pair of answers at a time; what is rated is kept before anything else happens.
(() => {
  const root = document.documentElement;
  const element = (id) => document.getElementById(id);
  root.classList.add("has-script");
  const packet = JSON.parse(element("packet").textContent);

  const make = (name, text, attributes = {}) => {
    const node = document.createElement(name);
    if (text !== undefined) node.textContent = text;
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  };

  // ---- what is kept ------------------------------------------------------------------------
  const FORMAT = "harness-ratings/1";
  const place = `${FORMAT} ${packet.draw} ${packet.rater}`;  // no two packets ever mix
  const rows = packet.sheets.flatMap((sheet) => sheet.rows.map((row) => ({ ...row, sheet })));
  const known = new Map(rows.map((row, index) => [row.id, index]));
  const empty = (row) => ({ row, choice: "", score_a: null, score_b: null, tags_a: [], tags_b: [], comment: "" });
  const ratings = new Map(rows.map((row) => [row.id, empty(row.id)]));
  const pending = new Map();  // row -> its revision, where a server has not confirmed it
  const times = new Map();  // row -> when it was changed here, in milliseconds
  let current = 0, seen = [], canKeep = true, revision = 0, downloaded = true;

  const isRated = (rating) => rating.choice !== "" || (rating.score_a !== null && rating.score_b !== null);
  const words = (list, allowed) => (Array.isArray(list) ? allowed.filter((one) => list.includes(one)) : []);
  const score = (value) => (packet.scores.includes(value) ? value : null);
  const accept = (found) => {
    for (const one of Array.isArray(found) ? found : []) {
      const row = rows[known.get(one?.row)];
      if (!row) continue;
      const { sheet } = row;
      const allowed = sheet.form === "direct" ? [packet.cannot_judge] : packet.choices;
      ratings.set(row.id, {
        row: row.id,
        choice: allowed.includes(one.choice) ? one.choice : "",
        score_a: sheet.form === "direct" ? score(one.score_a) : null,
        score_b: sheet.form === "direct" ? score(one.score_b) : null,
        tags_a: words(one.tags_a, sheet.tags), tags_b: words(one.tags_b, sheet.tags),
        comment: typeof one.comment === "string" ? one.comment : "",
      });
    }
  };
  const file = (some) => ({ format: FORMAT, draw: packet.draw, rater: packet.rater, ratings: some });

  const keep = () => {
    const state = { ...file([...ratings.values()]), place: rows[current]?.id, seen, pending: [...pending.keys()], times: [...times] };
    try { localStorage.setItem(place, JSON.stringify(state)); canKeep = true; } catch { canKeep = false; }
    warn();
  };
  const newer = (state) => {  // take over what another tab, or an earlier visit, changed later than we did
    const theirs = new Map(Array.isArray(state.times) ? state.times.filter(Array.isArray) : []);
    const later = (row) => (theirs.get(row) || 0) > (times.get(row) || 0);
    const found = (Array.isArray(state.ratings) ? state.ratings : []).filter((one) => later(one?.row));
    accept(found);
    for (const one of found) times.set(one.row, theirs.get(one.row));
    return { found, isBehind: [...times].some(([row, time]) => time > (theirs.get(row) || 0)) };
  };
  const resume = () => {
    let state = null;
    try { state = JSON.parse(localStorage.getItem(place)); localStorage.setItem(`${place} try`, "1"); localStorage.removeItem(`${place} try`); }
    catch (error) { canKeep = error instanceof SyntaxError; }
    accept(packet.saved);
    if (state?.format !== FORMAT || state.draw !== packet.draw || state.rater !== packet.rater) return;
    if (packet.served) {  // the server knows the rest better
      const mine = words(state.pending, [...known.keys()]);
      state.ratings = (Array.isArray(state.ratings) ? state.ratings : []).filter((one) => mine.includes(one?.row));
      for (const row of mine) pending.set(row, ++revision);
    }
    newer(state);
    current = known.get(state.place) ?? 0;
    seen = words(state.seen, packet.sheets.map((sheet) => sheet.name));
  };
  addEventListener("storage", (event) => {  // the same page in another tab
    if (event.key !== place || !event.newValue) return;
    let state = null;
    try { state = JSON.parse(event.newValue); } catch { return; }
    if (state?.draw !== packet.draw || state.rater !== packet.rater) return;
    const { found, isBehind } = newer(state);
    if (isBehind) keep();
    if (found.length) draw();
  });

  // ---- a server, where there is one ----------------------------------------------------------
  let sending = false, failed = false, timer = 0;
  const send = async () => {
    if (!packet.served || sending || !pending.size) return;
    sending = true;
    const batch = [...pending].slice(0, 100);
    try {
      const answer = await fetch(`${location.pathname}/ratings`, {
        method: "PUT", headers: { "Content-Type": "application/json" }, credentials: "omit",
        body: JSON.stringify(file(batch.map(([row]) => ratings.get(row)))),
      });
      if (!answer.ok) throw new Error(String(answer.status));
      for (const [row, at] of batch) if (pending.get(row) === at) pending.delete(row);
      failed = false;
    } catch { failed = true; }
    sending = false;
    keep();
    if (pending.size) later(failed ? 2000 : 0);
  };
  const later = (wait) => { clearTimeout(timer); timer = setTimeout(send, wait); };

  const saved = (wait = 0) => {
    const rating = ratings.get(rows[current].id);
    if (packet.served) { pending.set(rating.row, ++revision); later(wait); }
    times.set(rating.row, Math.max(Date.now(), (times.get(rating.row) || 0) + 1));
    downloaded = false;
    keep();
    count();
  };
  const warn = () => {
    element("no-storage").hidden = canKeep || packet.served;
    element("no-server").hidden = !failed;
    element("state").textContent = packet.served ? (pending.size ? "saving …" : "all saved")
      : canKeep ? "kept in this browser" : "not kept";
  };
  addEventListener("beforeunload", (event) => {
    if (packet.served ? pending.size : !canKeep && !downloaded) event.preventDefault();
  });

  // ---- one pair ------------------------------------------------------------------------------
  const here = () => rows[current];
  const rating = () => ratings.get(here().id);
  const say = (text) => { element("live").textContent = ""; requestAnimationFrame(() => { element("live").textContent = text; }); };

  const count = () => {
    const done = [...ratings.values()].filter(isRated).length;
    element("bar").max = rows.length;
    element("bar").value = done;
    element("count").textContent = `${done} of ${rows.length} rated`;
    element("download").textContent = `Download ratings (${done})`;
    element("download").classList.toggle("main", done === rows.length && !packet.served);
    element("unrated").disabled = done === rows.length;
    element("finished").hidden = done < rows.length;
  };

  const turns = (row) => row.turns.map(([who, text]) => {
    const turn = make("div", undefined, { class: `turn ${who.toLowerCase()}` });
    if (who && row.turns.length > 1) turn.append(make("b", who));
    turn.append(make("div", text, { class: "text", dir: "auto" }));
    return turn;
  });
  const chips = (side, row) => row.sheet.tags.map((tag) => {
    const label = make("label", undefined, { class: "chip", title: packet.meanings[tag] ?? "" });
    const box = make("input", undefined, { type: "checkbox" });
    box.checked = rating()[`tags_${side}`].includes(tag);
    box.addEventListener("change", () => {
      const chosen = new Set(rating()[`tags_${side}`]);
      if (box.checked) chosen.add(tag); else chosen.delete(tag);
      rating()[`tags_${side}`] = row.sheet.tags.filter((one) => chosen.has(one));
      saved();
    });
    label.append(box, tag);
    return label;
  });

  const KEYS = ["a", "s", "d", "j", "k", "l"];
  const option = (text, key, isChosen, choose) => {
    const button = make("button", text, { type: "button", "aria-pressed": isChosen });
    if (key) { button.append(" ", make("kbd", key, { "aria-hidden": "true" })); }
    button.addEventListener("click", choose);
    return button;
  };
  const options = () => {
    const { form } = here().sheet;
    element("scale").hidden = form === "direct";
    element("scores").hidden = form !== "direct";
    element("asked").textContent = form === "direct" ? "How good is each answer?" : "Which answer is better?";
    const points = packet.choices.filter((one) => one !== packet.cannot_judge);
    element("scale").replaceChildren(...points.map((point, index) =>
      option(point, KEYS[index], rating().choice === point, () => choose(point))));
    for (const side of ["a", "b"]) {
      element(`scores-${side}`).replaceChildren(...packet.scores.map((value) => {
        const button = option(String(value), "", rating()[`score_${side}`] === value, () => give(side, value));
        button.setAttribute("aria-label", `${value} of ${packet.scores.length} for answer ${side.toUpperCase()}`);
        return button;
      }));
      element(`side-${side}`).classList.toggle("active", side === turn);
    }
    element("cannot").setAttribute("aria-pressed", rating().choice === packet.cannot_judge);
  };
  const focused = (change) => {  // the buttons are made anew: focus stays on the same one
    const groups = ["scale", "scores-a", "scores-b"].map(element);
    const group = groups.find((one) => one.contains(document.activeElement));
    const index = group ? [...group.children].indexOf(document.activeElement) : -1;
    change();
    if (group) group.children[index]?.focus({ preventScroll: true });
  };

  let turn = "a";  // the answer that the next number is for, where each gets one
  const choose = (choice) => {
    const isSame = rating().choice === choice;
    Object.assign(rating(), { choice: isSame ? "" : choice, score_a: null, score_b: null });
    focused(options);
    saved();
    say(isSame ? "rating taken back" : `rated: ${choice}`);
  };
  const give = (side, value) => {
    const field = `score_${side}`;
    rating()[field] = rating()[field] === value ? null : value;
    rating().choice = "";
    turn = side === "a" ? "b" : "a";
    focused(options);
    saved();
    say(rating()[field] === null ? `answer ${side.toUpperCase()}: taken back` : `answer ${side.toUpperCase()}: ${value}`);
  };

  const draw = () => {
    const row = here();
    if (!row) { element("nothing").hidden = false; element("pair").hidden = true; return; }
    const { sheet } = row;
    element("place").replaceChildren(`Item ${current + 1} of ${rows.length} `, make("span", sheet.title, { class: "soft" }));
    element("question").replaceChildren(...turns(row));
    element("question-name").textContent = row.turns.length > 1 ? "Conversation" : "Question";
    element("wanted-box").hidden = !row.reference;
    element("wanted").textContent = row.reference;
    for (const side of ["a", "b"]) {
      element(`text-${side}`).textContent = row[`answer_${side}`];
      element(`text-${side}`).classList.toggle("code", sheet.kind === "sql" || sheet.kind === "tools");
      element(`tags-${side}`).replaceChildren(...chips(side, row));
    }
    element("wanted").classList.toggle("code", sheet.kind === "sql" || sheet.kind === "tools");
    element("comment").value = rating().comment;
    element("previous").disabled = current === 0;
    element("next").disabled = current + 1 === rows.length;
    options();
    count();
    warn();
  };
  const go = (index) => {
    if (index < 0 || index >= rows.length || index === current) return;
    current = index;
    turn = "a";
    draw();
    keep();
    scrollTo(0, 0);
    element("place").focus({ preventScroll: true });
    introduce();
  };
  const unrated = () => {
    const order = [...rows.keys()].map((step) => (current + 1 + step) % rows.length);
    const next = order.find((index) => !isRated(ratings.get(rows[index].id)));
    if (next === undefined) say("every item is rated"); else go(next);
  };

  // ---- instructions, settings, download ----------------------------------------------------------
  const guide = (name) => {
    for (const one of document.querySelectorAll("#guide .guide")) one.hidden = one.id !== `guide-${name}`;
    element("guide").setAttribute("aria-label", `How to rate: ${packet.sheets.find((sheet) => sheet.name === name).title}`);
    element("guide").showModal();
    element("guide").scrollTop = 0;
  };
  const introduce = () => {  // once for each kind of question
    const { kind, form } = here().sheet;
    const same = packet.sheets.filter((sheet) => sheet.kind === kind && sheet.form === form).map((sheet) => sheet.name);
    if (same.some((name) => seen.includes(name))) return;
    seen.push(here().sheet.name);
    keep();
    guide(here().sheet.name);
  };
  for (const dialog of document.querySelectorAll("dialog")) {
    for (const button of dialog.querySelectorAll(".close")) button.addEventListener("click", () => dialog.close());
  }
  element("guide").addEventListener("close", () => element("place").focus({ preventScroll: true }));
  element("instructions").addEventListener("click", () => guide(here().sheet.name));
  element("settings-open").addEventListener("click", () => element("settings").showModal());

  const LOOK = "harness-rating look";
  const look = { theme: "", size: "", keys: true };
  try { Object.assign(look, JSON.parse(localStorage.getItem(LOOK))); } catch { /* no storage */ }
  const show = () => {
    for (const name of ["theme", "size"]) {
      element(name).value = look[name];
      if (look[name]) root.dataset[name] = look[name]; else delete root.dataset[name];
    }
    element("keys").checked = look.keys;
    root.classList.toggle("without-keys", !look.keys);
  };
  for (const name of ["theme", "size", "keys"]) {
    element(name).addEventListener("change", (event) => {
      look[name] = name === "keys" ? event.target.checked : event.target.value;
      try { localStorage.setItem(LOOK, JSON.stringify(look)); } catch { /* only until the page is closed */ }
      show();
    });
  }

  element("download").addEventListener("click", () => {
    const text = `${JSON.stringify(file([...ratings.values()]), null, 1)}\n`;
    const link = make("a", undefined, { download: `ratings-${packet.draw}-rater-${packet.rater}.json` });
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    downloaded = true;
    const left = rows.length - [...ratings.values()].filter(isRated).length;
    element("file-name").textContent = link.download;
    element("left").textContent = left ? `${left} of ${rows.length} items are not rated yet: you can go on and download again; the newest file has everything.` : "Every item is rated.";
    element("sent").showModal();
  });

  // ---- hands ---------------------------------------------------------------------------------------
  element("previous").addEventListener("click", () => go(current - 1));
  element("next").addEventListener("click", () => go(current + 1));
  element("unrated").addEventListener("click", unrated);
  element("cannot").addEventListener("click", () => choose(packet.cannot_judge));
  element("comment").addEventListener("input", (event) => { rating().comment = event.target.value; saved(500); });

  const step = (...points) => choose(rating().choice === points[0] ? points[1] : points[0]);
  const [muchA, slightlyA, good, bad, slightlyB, muchB] = packet.choices;
  const preference = {
    1: () => step(slightlyA, muchA), 2: () => step(slightlyB, muchB), 0: () => step(good, bad),
    ...Object.fromEntries(KEYS.map((key, index) => [key, () => choose(packet.choices[index])])),
  };
  const direct = {
    ...Object.fromEntries(packet.scores.map((value) => [value, () => give(turn, value)])),
    a: () => { turn = "a"; options(); }, b: () => { turn = "b"; options(); },
  };
  const always = {
    x: () => choose(packet.cannot_judge), n: unrated, c: () => element("comment").focus(),
    "?": () => guide(here().sheet.name), ArrowLeft: () => go(current - 1), ArrowRight: () => go(current + 1),
  };
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && event.target === element("comment")) { element("place").focus(); return; }
    if (!look.keys || !here() || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest("dialog[open], textarea, select, input:not([type=checkbox])")) return;
    const act = always[event.key] ?? (here().sheet.form === "direct" ? direct : preference)[event.key.toLowerCase()];
    if (!act || event.repeat && !event.key.startsWith("Arrow")) return;
    event.preventDefault();
    act();
  });

  resume();
  show();
  draw();
  if (here()) introduce();
  later(0);
})();
