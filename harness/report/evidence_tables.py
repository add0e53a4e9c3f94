"""The rows that tell two queries apart, as the judge left them, as tables for a page."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from harness.display_text import visible
from harness.records import Verdict

TABLES = {"results", "witness"}
"""The details of a verdict that become tables."""

_MOST_ROWS = 50


class EvidenceTable(NamedTuple):
    """A table of texts; ``only`` are the places of rows that its counterpart lacks."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    only: tuple[int, ...] = ()


def evidence_tables(verdict: Verdict) -> tuple[EvidenceTable, ...]:
    """Return both results of a wrong query, or the database on which they differ and both there.

    Details of another shape, as of a judge of one's own, give no table.
    """
    results, witness = verdict.details.get("results"), verdict.details.get("witness")
    if isinstance(results, Mapping):
        return tuple(_both(results, ""))
    if isinstance(witness, Mapping):
        tables = witness.get("tables")
        rows = tables.items() if isinstance(tables, Mapping) else ()
        made_up = "{} in a made-up database on which they differ"
        shown = [_table(content, made_up.format(visible(str(name)))) for name, content in rows]
        return (*filter(None, shown), *_both(witness, " there"))
    return ()


def _both(results: Mapping[str, object], where: str) -> Iterator[EvidenceTable]:
    for side, title in (("gold", "the wanted query returns"), ("pred", "this answer returns")):
        table = _table(results.get(side), title + where)
        if table:
            yield table


def _table(content: object, title: str) -> EvidenceTable | None:
    if not isinstance(content, Mapping):
        return None
    columns, rows, only = (content.get(name, ()) for name in ("columns", "rows", "only"))
    if not all(map(_is_list, (columns, rows, only))) or not all(map(_is_list, rows)):
        return None
    shown, total = rows[:_MOST_ROWS], content.get("total", len(rows))
    count = "" if total == len(shown) else f" ({total} rows, {len(shown)} shown)"
    return EvidenceTable(
        title=title + count,
        columns=tuple(map(_text, columns)),
        rows=tuple(tuple(map(_text, row)) for row in shown),
        only=tuple(place for place in only if isinstance(place, int)),
    )


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _text(value: object) -> str:
    return "NULL" if value is None else " ".join(visible(str(value)).split())
