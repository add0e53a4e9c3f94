"""Questions about tables with their SQL: for training rows, suite items and practice schemas."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from functools import cache
from random import Random

from harness.quickstart.pools import content, draw, pools

LITERAL_FREE = ("count", "distinct", "group", "groupaverage", "top", "extreme", "total")
_UNSEEN_SHARE = 5  # one in five literal-free combinations is never trained


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSpec:
    """A table: its database (empty for a practice schema) and columns with value sources."""

    db_id: str
    name: str
    columns: tuple[tuple[str, str], ...]

    @property
    def schema(self) -> str:
        """The compact form shown in the prompt."""
        return f"Table {self.name} ( {' , '.join(c for c, _ in self.columns)} )"

    def sources(self, *, text: bool) -> dict[str, str]:
        """Return ``{column: value source}`` of the text or of the number columns."""
        return {c: s for c, s in self.columns if s[0].isdigit() != text}


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """What fills a question: columns and literals. Unused ones are empty."""

    kind: str
    table: TableSpec
    c: str = ""
    k: str = ""
    n: str = ""
    v: str = ""
    x: str = ""

    def fill(self, template: str) -> str:
        """Fill a question or SQL template."""
        return template.format(t=self.table.name, c=self.c, k=self.k, n=self.n, v=self.v, x=self.x)

    @property
    def sql(self) -> str:
        """The gold SQL."""
        return self.fill(gold_template(self.kind))


@cache
def suite_tables() -> tuple[TableSpec, ...]:
    """Return the tables of the ``sql`` suite."""
    return tuple(
        TableSpec(db_id=db, name=name, columns=tuple(columns.items()))
        for db, tables in content("tables").items()
        for name, columns in tables.items()
    )


def gold_template(kind: str) -> str:
    """Return the template of a kind's gold SQL."""
    return str(content("questions")[kind]["sql"])


def phrasings(kind: str, split: str) -> list[str]:
    """Return the question templates of a kind that ``split`` may use."""
    return list(content("questions")[kind][split])


def kinds() -> list[str]:
    """Return every kind of question."""
    return list(content("questions"))


def practice_table(rng: Random) -> TableSpec:
    """Return a random schema, none of the suite's tables, for pretraining and training rows."""
    words = content("corpus")
    text = rng.sample(sorted(words["columns"]["text"].items()), rng.randint(2, 3))
    numbers = rng.sample(sorted(words["columns"]["number"].items()), rng.randint(1, 3))
    columns = [*text, *numbers]
    rng.shuffle(columns)
    return TableSpec(db_id="", name=rng.choice(words["nouns"]), columns=tuple(columns))


def literal_source(source: str, split: str, own: bool) -> str | None:
    """Return where a literal of a column is drawn from, or None if nothing fits.

    Args:
        source: Value source of the column.
        split: Split that draws.
        own: Draw a value of several tokens: an own name, or a number of four digits.
    """
    if source[0].isdigit():
        high = int(source.split("-")[1])
        if own:
            return "1000-9999" if high >= 1000 else None
        return source
    if own:
        return f"own_{source}" if f"own_{source}" in pools() else None
    return source if pools()[source][split] else None


def draw_slots(rng: Random, kind: str, table: TableSpec, *, split: str = "train") -> Slots:
    """Draw columns and literals for a kind of question on a table."""
    text, numbers = table.sources(text=True), table.sources(text=False)
    usable = [k for k in text if literal_source(text[k], split, own=False)]
    k = rng.choice(usable or sorted(text))
    n = rng.choice(sorted(numbers))
    c = rng.choice([name for name, _ in table.columns if name not in (k, n)])
    if kind in ("distinct", "top"):
        c = k
    used = {
        "where": "ckv",
        "countwhere": "kv",
        "averagewhere": "nkv",
        "above": "cnx",
        "below": "cnx",
        "both": "ckvnx",
        "count": "",
        "distinct": "c",
        "group": "k",
        "groupaverage": "kn",
        "top": "cn",
        "extreme": "n",
        "total": "n",
    }[kind]
    return Slots(
        kind=kind,
        table=table,
        c=c if "c" in used else "",
        k=k if "k" in used else "",
        n=n if "n" in used else "",
        v=draw(rng, text[k], split=split) if "v" in used else "",
        x=draw(rng, numbers[n], split=split) if "x" in used else "",
    )


def literal_free_slots() -> list[Slots]:
    """Return every literal-free combination of kind, suite table and columns."""
    result: list[Slots] = []
    for table in suite_tables():
        text, numbers = table.sources(text=True), table.sources(text=False)
        result.append(Slots(kind="count", table=table))
        result += [Slots(kind="distinct", table=table, c=c) for c in text]
        result += [Slots(kind="group", table=table, k=k) for k in text]
        for k, n in itertools.product(text, numbers):
            result.append(Slots(kind="groupaverage", table=table, k=k, n=n))
            result.append(Slots(kind="top", table=table, c=k, n=n))
        result += [
            Slots(kind=kind, table=table, n=n) for kind in ("extreme", "total") for n in numbers
        ]
    return result


def is_unseen(slots: Slots, split: str) -> bool:
    """Say whether a literal-free combination is held out from training for ``split``."""
    digest = hashlib.sha256(slots.sql.encode()).digest()[0] % (2 * _UNSEEN_SHARE)
    return digest == {"test": 0, "validation": 1}[split] or (split == "test" and digest == 2)


def never_trained(slots: Slots) -> bool:
    """Say whether a combination is held out for validation or test."""
    return slots.kind in LITERAL_FREE and (
        is_unseen(slots, "test") or is_unseen(slots, "validation")
    )


_PARTS = {
    "where": ("show", "whose"),
    "countwhere": ("count", "whose"),
    "averagewhere": ("average", "whose"),
    "above": ("show", "above"),
    "below": ("show", "below"),
    "both": ("show", "whose", "above"),
}


def training_template(rng: Random, kind: str) -> str:
    """Draw a training phrasing: a written one, or one put together from parts."""
    if kind not in _PARTS or rng.random() < 0.5:
        return rng.choice(phrasings(kind, "train"))
    asking, *conditions = (rng.choice(content("question_parts")[part]) for part in _PARTS[kind])
    return str(asking).replace("{s}", " and ".join(conditions))


def prompt_text(slots: Slots, template: str) -> str:
    """Return the user turn: the schema and the question."""
    question = slots.fill(template)
    return f"{slots.table.schema}\n{question}"
