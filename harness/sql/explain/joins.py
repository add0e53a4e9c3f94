"""What differs in the tables that two queries read, and in how they join them."""

from collections import Counter
from collections.abc import Iterable

from sqlglot import exp

from harness.sql.explain.difference import Difference
from harness.sql.parse.clauses import (
    conditions,
    has_only_inner_joins,
    is_equi_join,
    sources,
    text_of,
)


def tables(gold: exp.Select, pred: exp.Select) -> Iterable[Difference]:
    """Name tables that are wrong, missing or too many; where they agree, how they are joined."""
    wanted, given = (Counter(_table_names(query)) for query in (gold, pred))
    missing, extra = sorted((wanted - given).elements()), sorted((given - wanted).elements())
    shown = [", ".join(sorted(side)) for side in (wanted.elements(), given.elements())]
    if missing or extra:
        everywhere = [{t.name for t in query.find_all(exp.Table)} for query in (gold, pred)]
        label = (
            "table_wrong" if missing and extra else "table_missing" if missing else "table_extra"
        )
        if not given:
            label = "constant_answer"
        elif everywhere[0] == everywhere[1] or _has_derived(gold) != _has_derived(pred):
            label = "nesting"
        yield Difference(label=label, clause="from", gold=shown[0], pred=shown[1])
    elif not has_only_inner_joins(gold) or not has_only_inner_joins(pred):
        yield from _outer_joins(gold, pred)
    else:
        yield from _links(gold, pred)


def _table_names(query: exp.Select) -> list[str]:
    return [s.name if isinstance(s, exp.Table) else "a subquery" for s in sources(query)]


def _has_derived(query: exp.Select) -> bool:
    return any(not isinstance(source, exp.Table) for source in sources(query))


def _outer_joins(gold: exp.Select, pred: exp.Select) -> Iterable[Difference]:
    kinds = [[_join_kind(j) for j in query.args.get("joins") or ()] for query in (gold, pred)]
    texts = [[text_of(j) for j in query.args.get("joins") or ()] for query in (gold, pred)]
    if sorted(kinds[0]) != sorted(kinds[1]):
        yield Difference(label="join_type", clause="from",
                         gold=", ".join(kinds[0]), pred=", ".join(kinds[1]))  # fmt: skip
    elif sorted(texts[0]) != sorted(texts[1]):
        yield Difference(label="join_condition", clause="from",
                         gold=" ".join(texts[0]), pred=" ".join(texts[1]))  # fmt: skip


def _join_kind(join: exp.Join) -> str:
    return f"{join.method} {join.side}".strip().upper() or "INNER"


def _links(gold: exp.Select, pred: exp.Select) -> Iterable[Difference]:
    wanted, given = (
        {
            frozenset((text_of(c.this), text_of(c.expression)))
            for c in conditions(q)
            if is_equi_join(c)
        }
        for q in (gold, pred)
    )
    if wanted == given or _connected(wanted) == _connected(given):
        return
    label = "missing_join" if given < wanted else "join_condition"
    shown = [
        " AND ".join(sorted(" = ".join(sorted(pair)) for pair in side)) for side in (wanted, given)
    ]
    yield Difference(label=label, clause="from", gold=shown[0], pred=shown[1])


def _connected(links: Iterable[frozenset[str]]) -> set[frozenset[str]]:
    groups: list[set[str]] = []
    for link in sorted(links, key=sorted):
        joined = set(link)
        for group in [g for g in groups if g & joined]:
            joined |= group
            groups.remove(group)
        groups.append(joined)
    return {frozenset(group) for group in groups}
