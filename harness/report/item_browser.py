"""Every item of a run as one compact JSON block, for the item browser.

Texts that repeat (a schema in every prompt, the base's answer beside each candidate) are stored
once: every text is a list of lines, every line an index into one list of strings.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from markupsafe import Markup

from harness.analysis import (
    TRANSITIONS,
    answer_text,
    asked_text,
    choices,
    led,
    plain,
    script_of,
    target_text,
    thought_text,
)
from harness.analysis.looked_at import FLIPS, hashed_place
from harness.analysis.several_candidates import candidates_of
from harness.display_text import clip, visible
from harness.records import (
    Comparison,
    Document,
    Item,
    ItemKey,
    Pair,
    Result,
    Sample,
    Verdict,
)
from harness.report.evidence_tables import TABLES, EvidenceTable, evidence_tables
from harness.report.item_links import pair_groups
from harness.report.outline import outline
from harness.report.packed_texts import packed
from harness.report.wording import TRANSITION_WORDS

BrowserRow = Sequence[object]
"""One item or answer by place, as ``item.js`` reads it."""

MOST_ROWS = 60_000
"""Answers up to which a page holds all of them."""

SAMPLE, CHANGED = 40_000, 30_000
"""Answers that a page of more of them holds, and how many of these may be changed ones."""

PLAIN = 2_500_000
"""Characters of texts up to which a page holds them uncompressed."""

_OUTCOMES = ("correct", "incorrect", "refused", "unscored")


_SHOWN_ELSEWHERE = {
    *("chosen", "choices", "expected", "extracted_sql"),
    *("base_match", "robust_match", "repaired_by", "differences"),  # in labels and explanation
    *("turns", "lost_turn"),  # beside each turn of a dialogue
}


class _Strings:
    """Strings by index, each once."""

    def __init__(self) -> None:
        self.index: dict[str, int] = {}

    def line(self, text: str) -> int:
        return self.index.setdefault(text, len(self.index))

    def known(self, line: str) -> int:
        """Place a line for a list: whole where it is there already, else its beginning."""
        return self.line(line if line in self.index else clip(line, 300))

    def text(self, text: str) -> tuple[int, ...]:
        return tuple([self.line(line) for line in visible(text).split("\n")])


def item_id(key: ItemKey) -> str:
    """Return a short, stable name of an item, for links.

    >>> item_id(ItemKey("sql", "none", "0123456789abcdef", 0))
    'sql.0123456789'
    """
    parts = [visible(key.suite), key.doc_hash[:10]]
    if key.occurrence:
        parts.append(str(key.occurrence))
    if key.filter not in ("", "none"):
        parts.append(key.filter)
    return ".".join(parts)


def item_data(result: Result) -> Document:
    """Collect what the item browser shows.

    Returns:
        ``strings`` (lines), ``suites``, ``candidates``, ``transitions``, ``labels`` (each with
        plain words), ``items``, ``answers``, and ``rows``: per candidate and item the transition
        the two answers, and where there are any the groups that only this pair is in, in the order
        in which a person wants to read them.
    """
    share = _Held.of(result)
    block = _Block(result)
    rows = [
        block.row(comparison, pair, groups.get(pair.base.item.key, ()))
        for comparison in _in_reading_order(result, block.suites)
        for groups in [pair_groups(comparison, result.findings)]
        for pair in filter(share.holds, comparison.shown)
    ]
    rows.sort(key=_transition)
    return {
        "strings": list(block.strings.index),
        "suites": [
            (visible(suite.name), visible(suite.heading), suite.higher_is_better, suite.judge or "")
            for suite in result.suites
        ],
        "candidates": block.candidates,
        "transitions": [[name, TRANSITION_WORDS[name]] for name in TRANSITIONS],
        "labels": [[label, plain(label)] for label in block.labels.index],
        "items": block.items,
        "answers": block.answers,
        "rows": rows,
    }


def _transition(row: BrowserRow) -> int:
    place = row[2]
    assert isinstance(place, int)
    return place


class _Block:
    """Items and answers of a run, each once, in the order in which rows first name them."""

    def __init__(self, result: Result) -> None:
        self.strings, self.labels = _Strings(), _Strings()
        self.items: list[BrowserRow] = []
        self.answers: list[BrowserRow] = []
        self.candidates = candidates_of(result.comparisons)
        self.suites = {suite.name: place for place, suite in enumerate(result.suites)}
        self._groups = result.groups
        self._item_places: dict[ItemKey, int] = {}
        self._answer_places: dict[tuple[str, ItemKey], int] = {}

    def row(self, comparison: Comparison, pair: Pair, groups: Sequence[str]) -> BrowserRow:
        """Return candidate, item, transition, both answers, and groups if any, by their places."""
        places = tuple([self.strings.line(visible(name)) for name in groups])
        row = (
            self.candidates.index(comparison.candidate),
            self._item(pair.base.item, self.suites[comparison.suite.name]),
            TRANSITIONS.index(pair.transition),
            self._answer(pair.base),
            self._answer(pair.tuned),
        )
        return (*row, places) if places else row

    def _item(self, item: Item, suite: int) -> int:
        place = self._item_places.setdefault(item.key, len(self.items))
        if place == len(self.items):
            groups = self._groups.get(item.key, ())
            self.items.append(_item(item, suite, groups, self.strings))
        return place

    def _answer(self, sample: Sample) -> int:
        name = (sample.arm, sample.item.key)
        place = self._answer_places.setdefault(name, len(self.answers))
        if place == len(self.answers):
            self.answers.append(_answer(sample, self.strings, self.labels))
        return place


class _Held(NamedTuple):
    """How many answers a run has, how many flipped, and up to which place a page holds either."""

    total: int
    flips: int
    changed: float
    rest: float

    @classmethod
    def of(cls, result: Result) -> "_Held":
        """Share a page out: to what changed first, most of it; to what did not, what is left."""
        total = sum(comparison.items for comparison in result.comparisons)
        flips = sum(c.counts.get(name, 0) for c in result.comparisons for name in FLIPS)
        if total <= MOST_ROWS:
            return cls(total, flips, 1.0, 1.0)
        places: dict[bool, list[float]] = {True: [], False: []}
        for pair in chain(*(c.shown for c in result.comparisons)):
            places[pair.transition in FLIPS].append(hashed_place(pair.base.item.key.doc_hash))
        changed = min(len(places[True]), CHANGED)
        limits = _limit(places[True], changed), _limit(places[False], SAMPLE - changed)
        return cls(total, flips, *limits)

    def holds(self, pair: Pair) -> bool:
        """Decide by the hash of the document, so that it depends on no order."""
        limit = self.changed if pair.transition in FLIPS else self.rest
        return limit == 1.0 or hashed_place(pair.base.item.key.doc_hash) < limit


def _limit(places: list[float], count: int) -> float:
    """Return below which place there are so many."""
    return sorted(places)[count] if count < len(places) else 1.0


def left_out(result: Result) -> str:
    """Say that a page has a sample only, and what it shows; empty where it has every item."""
    held = _Held.of(result)
    if held.total <= MOST_ROWS:
        return ""
    shown = [p.transition in FLIPS for c in result.comparisons for p in c.shown if held.holds(p)]
    changed, rest = sum(shown), len(shown) - sum(shown)
    flips = f"all {held.flips:,}" if changed == held.flips else f"{changed:,} of {held.flips:,}"
    return (
        f"This page has {flips} answers that changed between right and wrong, and {rest:,} of the "
        f"other {held.total - held.flips:,}, drawn by the items' hashes. {looked_at_words(result)}"
        "The samples beside this file have every answer."
    )


def looked_at_words(result: Result) -> str:
    """Say which figures of a report are of which items."""
    parts = [c for c in result.comparisons if c.moved]
    if not parts:
        return "Every figure above is of all of them. "
    pairs, items = sum(len(c.pairs) for c in parts), sum(c.items for c in parts)
    return (
        "Verdicts, scores, their intervals and how many items were lost and gained are of all of "
        f"them; causes, groups, warnings and what else is said of texts are of {pairs:,} of "
        f"{items:,}, drawn so, whatever was answered. "
    )


def _in_reading_order(result: Result, suites: Mapping[str, int]) -> list[Comparison]:
    """Put the comparisons that failed first; sorting the rows is stable."""
    return sorted(result.comparisons, key=lambda c: (c.verdict != "fail", suites[c.suite.name]))


def _item(item: Item, suite: int, groups: Sequence[str], table: _Strings) -> BrowserRow:
    return (
        item_id(item.key),
        suite,
        item.doc_id,
        table.text(item.prompt),
        table.text(target_text(item)),
        tuple([table.line(visible(name)) for name in groups]),
        tuple([table.line(visible(text)) for text in choices(item)]),
        table.known(question(item)),
        item.cut,
        tuple([(visible(role), table.text(text)) for role, text in _turns(item)]),
    )


def _turns(item: Item) -> list[tuple[str, str]]:
    """Return a conversation's turns: role and text; none where a document has no plain turns."""
    script = script_of(item)
    if script is not None:
        first = [("user", script.turns[0].user)]
        return [("system", script.system), *first] if script.system else first
    turns = item.doc.get("messages")
    found = []
    for turn in turns if isinstance(turns, list | tuple) else ():
        content = turn.get("content") if isinstance(turn, Mapping) else None
        if not isinstance(content, str):
            return []
        found.append((str(turn.get("role", "")), content))
    return found


def question(item: Item) -> str:
    """Return an item's question on one line.

    That is its document's question or last turn, else the end of its prompt.

    A prompt often ends in a bare cue such as ``Answer:``, which asks nothing.
    """
    asked = asked_text(item)
    if asked is None:
        lines = [line.strip() for line in item.prompt.splitlines() if line.strip()]
        asked = next((line for line in reversed(lines) if len(line.split()) > 1), item.prompt)
    return " ".join(visible(asked).split())


def _evidence(verdict: Verdict, *, beside_tables: bool) -> list[str]:
    """Return what only this judge knows as lines; ``beside_tables``: but for what these show."""
    elsewhere = _SHOWN_ELSEWHERE | (TABLES if beside_tables else set())
    details = {
        name: value
        for name, value in verdict.details.items()
        if value is not None and name not in elsewhere
    }
    return [visible(line) for line in outline(details)] if details else []


def _answer(sample: Sample, table: _Strings, labels: _Strings) -> BrowserRow:
    verdict, text = sample.verdict, answer_text(sample)
    extracted = verdict.answer if verdict.answer not in (None, text) else None
    logprobs = [response.logprob for response in sample.responses]
    tables = evidence_tables(verdict)
    turns = _led(sample, table)
    row = (
        table.text(text),
        None if extracted is None else table.text(extracted),
        None if verdict.score is None else round(verdict.score, 4),
        tuple([labels.line(visible(label)) for label in verdict.labels]),
        table.text(verdict.explanation) if verdict.explanation else (),
        tuple([None if p is None else round(p, 2) for p in logprobs]) if any(logprobs) else (),
        int(any(response.finish == "length" for response in sample.responses)),
        _OUTCOMES.index(verdict.outcome),
        tuple([table.line(line) for line in _evidence(verdict, beside_tables=bool(tables))]),
        tuple([_table(shown, table) for shown in tables]),
        table.text(thought) if (thought := thought_text(sample)) else (),
    )
    return (*row, turns) if turns else row


def _led(sample: Sample, table: _Strings) -> BrowserRow:
    """Return the turns of a dialogue: role, text, and what was judged of an own answer."""
    judged = sample.verdict.details.get("turns")
    notes = iter(judged if isinstance(judged, list | tuple) else ())
    return tuple(
        [
            (visible(role), table.text(text), table.text(str(next(notes, ""))))
            if role == "assistant"
            else (visible(role), table.text(text), ())
            for role, text in led(sample)
            if role != "system"
        ]
    )


def _table(shown: EvidenceTable, table: _Strings) -> BrowserRow:
    return [
        table.line(shown.title),
        [table.line(column) for column in shown.columns],
        [[table.line(cell) for cell in row] for row in shown.rows],
        list(shown.only),
    ]


def json_block(data: object) -> str:
    r"""Write data as JSON that can stand inside a ``<script>`` element.

    Nothing in it can end the element or start a comment, whatever the strings say.

    >>> json_block("</script>")
    '"\\u003c/script\\u003e"'
    """
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    escapes = {"<": "003c", ">": "003e", "&": "0026", "\u2028": "2028", "\u2029": "2029"}
    for char, code in escapes.items():
        text = text.replace(char, f"\\u{code}")
    return text


def embedded(data: Document) -> tuple[str, Markup]:
    """Return the type and content of the script element that holds the items.

    That is JSON, escaped for its place; a large one is compressed, which any browser can undo.
    """
    strings = data["strings"]
    if isinstance(strings, list) and sum(map(len, strings)) > PLAIN:
        return "application/octet-stream", Markup(packed(data, "strings"))
    return "application/json", Markup(json_block(data))
