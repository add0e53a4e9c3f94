"""Items of the ``sql`` suite, by slice, with literals that stand in the databases."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from harness.quickstart.databases import column_values
from harness.quickstart.pools import OWN_POOLS, number_split, pools
from harness.quickstart.sql_questions import (
    LITERAL_FREE,
    Slots,
    TableSpec,
    draw_slots,
    is_unseen,
    kinds,
    literal_free_slots,
    phrasings,
    suite_tables,
)

_WITH_TEXT = ("where", "countwhere", "averagewhere", "both")
_WITH_NUMBER = ("above", "below", "both")
_LITERAL = ("where", "countwhere", "averagewhere", "above", "below", "both")


def _literals(table: TableSpec, column: str, *, split: str, own: bool) -> list[str]:
    """Return the values of a column that may be a literal: none is empty in its result."""
    cells = column_values(table, column)
    if isinstance(cells[0], str):
        names = OWN_POOLS if own else [p for p in pools() if p not in OWN_POOLS]
        allowed = {v for name in names for v in pools()[name][split]}
        return sorted({str(c) for c in cells} & allowed)
    numbers = sorted(int(c) for c in cells)
    low, high = numbers[len(numbers) // 5], numbers[-len(numbers) // 5]
    return [str(n) for n in range(low, high + 1) if number_split(n) == split and (n > 999) == own]


def _with_literals(rng: Random, slots: Slots, *, split: str, own: bool) -> Slots | None:
    """Replace the literals of ``slots`` by values of ``split``, or None if a column has none."""
    if slots.v:
        values = _literals(slots.table, slots.k, split=split, own=own)
        if not values:
            return None
        slots = replace(slots, v=rng.choice(values))
    if slots.x:
        needed = own and not slots.v
        values = _literals(slots.table, slots.n, split=split, own=needed)
        if not values:
            return None
        slots = replace(slots, x=rng.choice(values))
    return slots if _has_result(slots) else None


def _has_result(slots: Slots) -> bool:
    if slots.kind != "both":
        return True
    pairs = zip(
        column_values(slots.table, slots.k), column_values(slots.table, slots.n), strict=True
    )
    return any(v == slots.v and int(n) > int(slots.x) for v, n in pairs)


def _draw(rng: Random, part: str, kind: str, split: str) -> Slots | None:
    if kind in LITERAL_FREE:
        fitting = [s for s in literal_free_slots() if s.kind == kind and is_unseen(s, split)]
        return rng.choice(fitting) if fitting else None
    slots = draw_slots(rng, kind, rng.choice(suite_tables()))
    return _with_literals(rng, slots, split=split, own=part == "multi_token_literal")


def sql_items(*, split: str, seed: int, counts: dict[str, int]) -> list[dict[str, object]]:
    """Return ``sql`` rows of ``split``.

    Args:
        split: ``validation`` or ``test``; decides literals, combinations and new phrasings.
        seed: Seed of the draw.
        counts: Items per slice: ``unseen_literal``, ``literal_free`` (unseen combination of kind,
            table and columns) and ``multi_token_literal`` (own names, four-digit numbers) use
            training phrasings; ``new_phrasing`` uses those of ``split``, on unseen literals and
            combinations as well.
    """
    rng = Random(f"{seed}/sql/{split}")
    rows: list[dict[str, object]] = []
    seen: set[str] = set()
    for part, count in counts.items():
        own_kinds = {
            "unseen_literal": _LITERAL,
            "literal_free": LITERAL_FREE,
            "new_phrasing": tuple(kinds()),
            "multi_token_literal": _LITERAL,
        }[part]
        done = tries = 0
        while done < count and tries < 200 * count:
            tries += 1
            kind = own_kinds[tries % len(own_kinds)]
            slots = _draw(rng, part, kind, split)
            use = split if part == "new_phrasing" else "train"
            forms = phrasings(kind, use)
            number = rng.randrange(len(forms))
            if slots is None or (question := slots.fill(forms[number])) in seen:
                continue
            seen.add(question)
            done += 1
            rows.append(
                {
                    "id": f"{part}-{split}-{done}",
                    "question": question,
                    "schema": slots.table.schema,
                    "db_id": slots.table.db_id,
                    "gold_sql": slots.sql,
                    "template": f"{kind}/{use}-{number}",
                    "kind": kind,
                    "slice": part,
                }
            )
    return rows
