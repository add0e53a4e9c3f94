"""What items can be grouped by: declared fields, other short ones, lengths, a query's clauses."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from harness.analysis.transitions import target_text
from harness.records import Item, ItemKey, Suite

Facets = Mapping[ItemKey, tuple[tuple[str, str], ...]]
"""Of each item, the groups that it is in: pairs of a name and a value."""

MIN_ITEMS = 10
"""A group with fewer items has no interval: it would be noise."""

MOST_VALUES = 60
"""Different values beyond which a field is not something to group by."""

_SHORT = 60
"""Characters up to which a value can be the name of a group."""

PROMPT, WANTED, TURNS, CLAUSES = (
    "prompt length",
    "length of the wanted answer",
    "turns",
    "wanted query has",
)
MADE_NAMES = frozenset({PROMPT, WANTED, TURNS, CLAUSES})
"""Groups that are counted from the rows, so that their values say nothing of a row's text."""

_CLAUSES = (
    ("a join", r"\bjoin\b"),
    ("GROUP BY", r"\bgroup\s+by\b"),
    ("HAVING", r"\bhaving\b"),
    ("ORDER BY", r"\border\s+by\b"),
    ("LIMIT", r"\blimit\b"),
    ("DISTINCT", r"\bdistinct\b"),
    ("WHERE", r"\bwhere\b"),
    ("a subquery", r"\(\s*select\b"),
    ("a set operation", r"\b(?:union|intersect|except)\b"),
    ("an aggregate", r"\b(?:count|sum|avg|min|max)\s*\("),
)


def named(group: tuple[str, str]) -> str:
    """Return a group's name as the item browser knows it.

    >>> named(("topic", "boats"))
    'topic: boats'
    """
    return f"{group[0]}: {group[1]}"


def facets(suite: Suite, items: Sequence[Item]) -> Facets:
    """Find the groups of a suite's items.

    Every declared field counts. So does any other field of the rows that has few short values
    (database, difficulty, source, language, ...), the cluster where items share one, thirds by the
    length of the prompt, of the wanted answer and of a conversation, and the clauses of a wanted
    query. Of names that part the items alike, the first stands.

    Args:
        suite: What the suite declares.
        items: All its items.

    Returns:
        The groups of every item, in one order of names.
    """
    names = dict.fromkeys(name for item in items for name in item.slices)
    columns: list[Column] = [(name, [item.slices.get(name) for item in items]) for name in names]
    seen = {_parting(values) for _, values in columns}
    found = [*_fields(items, names), *_cluster(suite, items)]
    found += _clauses(items) if suite.judge == "sql" else []
    for name, values in (*found, *_lengths(items)):
        parting = _parting(values)
        if parting not in seen:
            seen.add(parting)
            columns.append((name, values))
    return {
        item.key: tuple(
            (name, value) for name, values in columns if (value := values[place]) is not None
        )
        for place, item in enumerate(items)
    }


Column = tuple[str, Sequence[str | None]]
"""A name, and the value of every item (None: it has none)."""


def _parting(values: Iterable[str | None]) -> tuple[int, ...]:
    """Return how a column parts the items, whatever its values are called."""
    numbers: dict[str | None, int] = {}
    return tuple(numbers.setdefault(value, len(numbers)) for value in values)


def _fields(items: Sequence[Item], declared: Iterable[str]) -> list[Column]:
    names = dict.fromkeys(name for item in items for name in item.doc)
    columns = ((name, [_short(item.doc.get(name)) for item in items]) for name in names)
    return [(name, values) for name, values in columns if name not in declared and _groups(values)]


def _short(value: object) -> str | None:
    is_plain = isinstance(value, str | bool | int) and len(text := str(value).strip()) <= _SHORT
    return text if is_plain and text else None


def _groups(values: Sequence[str | None]) -> bool:
    """Say whether values part the items into few groups that are mostly large enough."""
    counts = Counter(value for value in values if value is not None)
    if not 2 <= len(counts) <= MOST_VALUES or counts.total() < len(values) / 2:
        return False
    large = sum(count for count in counts.values() if count >= MIN_ITEMS)
    return large >= counts.total() / 2


def _cluster(suite: Suite, items: Sequence[Item]) -> list[Column]:
    values = [item.cluster for item in items]
    name = suite.cluster or suite.strata or "cluster"
    return [(name, values)] if _groups([_short(value) for value in values]) else []


def _lengths(items: Sequence[Item]) -> list[Column]:
    def words(text: Callable[[Item], str]) -> list[int]:
        return [len(text(item).split()) for item in items]

    found = [
        (PROMPT, words(lambda item: item.prompt), "word"),
        (WANTED, words(target_text), "word"),
        (TURNS, [_turns(item) for item in items], "turn"),
    ]
    return [
        (name, values) for name, sizes, unit in found if (values := thirds(sizes, unit)) is not None
    ]


def _turns(item: Item) -> int:
    turns = item.doc.get("messages")
    return len(turns) if isinstance(turns, list | tuple) else 0


def thirds(sizes: Sequence[int], unit: str) -> list[str] | None:
    """Name the third of all sizes that each belongs to; None where they do not part the items.

    >>> thirds([2, 6, 9], "word")
    ['up to 2 words', '3 to 6 words', 'over 6 words']
    """
    if not sizes or min(sizes) == max(sizes):
        return None
    ordered = sorted(sizes)
    cuts = {ordered[(len(ordered) - 1) // 3], ordered[2 * (len(ordered) - 1) // 3]}
    low, *high = sorted(cut for cut in cuts if cut < ordered[-1]) or [ordered[-1] - 1]

    def third(size: int) -> str:
        if size <= low:
            return f"up to {_count(low, unit)}"
        if high and size <= high[0]:
            return f"{low + 1} to {_count(high[0], unit)}"
        return f"over {_count(high[0] if high else low, unit)}"

    return [third(size) for size in sizes]


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def _clauses(items: Sequence[Item]) -> list[Column]:
    """Say which clauses each wanted query has: one name, which an item bears for each of them."""
    queries = [target_text(item).lower() for item in items]
    found: list[Column] = []
    for words, pattern in _CLAUSES:
        has = [re.search(pattern, query) is not None for query in queries]
        if any(has) and not all(has):
            found.append((CLAUSES, [words if one else None for one in has]))
    return found
