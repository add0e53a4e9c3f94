// What differs between the wanted answer and another: words of texts, clauses of queries.

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

// A query's clauses by name: split at keywords outside of quotes and brackets; joins stay with FROM.
const SQL_PART = /'(?:[^']|'')*'?|"(?:[^"]|"")*"?|`[^`]*`?|[()]|\b(?:with|select|from|where|group\s+by|having|order\s+by|limit|union(?:\s+all)?|intersect|except)\b|;\s*$/gi;
const clauses = (sql) => {
  const found = new Map();
  let depth = 0, name = "", start = 0, query = 1;
  const close = (end) => { if (name) found.set(name, sql.slice(start, end).trim()); };
  for (const part of sql.matchAll(SQL_PART)) {
    const word = part[0].toUpperCase().replace(/\s+/g, " ");
    if (word === "(") depth++;
    else if (word === ")") depth--;
    else if (depth === 0 && /^[A-Z;]/.test(word)) {
      close(part.index);
      if (/^(UNION|INTERSECT|EXCEPT)/.test(word)) query++;
      name = word[0] === ";" ? "" : query > 1 ? `${word} (${query})` : word;
      start = part.index + part[0].length;
    }
  }
  close(sql.length);
  return [...found.keys()].some((one) => one.startsWith("SELECT")) ? found : new Map();
};
const sameClause = (a, b) => {
  const plain = (sql) => sql.replace(/('(?:[^']|'')*')|\s*([(),=<>!+*/-]+)\s*|(\s+)|([^'\s]+?)/g, (_, quoted, sign, gap, rest) =>
    quoted ?? sign ?? (gap ? " " : rest.toLowerCase())).trim();
  return plain(a) === plain(b);
};

const scrolling = (node, name) =>
  within("div", [node], { class: "wide", tabindex: "0", role: "group", "aria-label": `${name}, scrolls sideways` });

// Clause by clause, the wanted query beside each arm's; what differs is marked by a sign, too.
const clauseTable = (wanted, arms) => {
  const goal = clauses(wanted);
  if (!goal.size) return null;
  const others = arms.map(([arm, sql]) => [arm, clauses(sql)]);
  const names = new Set([...goal.keys(), ...others.flatMap(([, found]) => [...found.keys()])]);
  const order = [...goal.keys(), ...[...names].filter((one) => !goal.has(one))];
  const table = make("table", undefined, { class: "small clauses" });
  table.append(make("caption", "clause by clause; ≠ differs from the wanted query"));
  const head = table.createTHead().insertRow();
  for (const title of ["Clause", "wanted", ...others.map(([arm]) => arm)]) head.append(make("th", title, { scope: "col" }));
  const body = table.createTBody();
  for (const name of order) {
    const row = body.insertRow();
    const mine = goal.get(name);
    row.append(make("th", name, { scope: "row" }), within("td", [mine === undefined ? "–" : preformatted(mine)]));
    for (const [, found] of others) {
      const theirs = found.get(name);
      const cell = make("td");
      if (!found.size) cell.append("no query");
      else if (theirs === undefined) cell.append(mine === undefined ? "–" : make("b", "≠ missing"));
      else if (mine === undefined) cell.append(make("b", "≠ not wanted"), preformatted(theirs));
      else if (sameClause(mine, theirs)) cell.append(preformatted(theirs));
      else cell.append(make("b", "≠"), against(mine, theirs));
      if (cell.querySelector("b")) cell.className = "differs";
      row.append(cell);
    }
  }
  return scrolling(table, "Clauses by arm");
};
