"""What differs in what two queries show: columns, aggregates, expressions."""

from collections import Counter
from collections.abc import Iterable, Sequence

from sqlglot import exp

from harness.sql.explain.difference import Difference
from harness.sql.parse.clauses import text_of


def projection(gold: exp.Select, pred: exp.Select) -> Iterable[Difference]:
    """Name what is wrong with the columns that a query shows; their order is no difference."""
    wanted, given = ([item.unalias() for item in query.expressions] for query in (gold, pred))
    missing, extra = _without(wanted, given), _without(given, wanted)
    stars = [any(item.is_star for item in query.expressions) for query in (gold, pred)]
    label = ""
    if stars[0] != stars[1]:
        label = "select_extra" if stars[1] else "select_missing"
    elif len(pred.expressions) > len(gold.expressions) and not missing:
        label = "select_extra"
    elif len(pred.expressions) < len(gold.expressions) and not extra:
        label = "select_missing"
    elif missing or extra:
        label = _item_label(missing, extra, gold, pred)
    if label:
        yield Difference(
            label=label,
            clause="select",
            gold=", ".join(text_of(item) for item in gold.expressions),
            pred=", ".join(text_of(item) for item in pred.expressions),
        )


def _without(
    items: Sequence[exp.Expression], others: Sequence[exp.Expression]
) -> list[exp.Expression]:
    """Return the items that the others do not have, as bags."""
    left = Counter(map(text_of, others))
    remaining = []
    for item in items:
        if left[text_of(item)]:
            left[text_of(item)] -= 1
        else:
            remaining.append(item)
    return remaining


_KINDS: tuple[tuple[str, tuple[type[exp.Expression], ...]], ...] = (
    ("window", (exp.Window,)),
    ("case_expression", (exp.Case, exp.If)),
    ("cast", (exp.Cast, exp.TryCast)),
    ("rounding", (exp.Round, exp.Floor, exp.Ceil)),
    ("date_function", (exp.TimeToStr, exp.Date, exp.Extract, exp.StrToTime, exp.CurrentDate)),
    ("string_function", (exp.Substring, exp.Upper, exp.Lower, exp.Trim, exp.DPipe, exp.Concat)),
    ("math", (exp.Binary, exp.Abs)),
)  # fmt: skip


def _item_label(
    missing: Sequence[exp.Expression],
    extra: Sequence[exp.Expression],
    gold: exp.Select,
    pred: exp.Select,
) -> str:
    """Name the difference of projections that are no mere superset of each other."""
    if len(pred.expressions) != len(gold.expressions):
        return "select_extra" if len(pred.expressions) > len(gold.expressions) else "select_missing"
    for left, right in zip(missing, extra, strict=False):
        calls = [next(iter(side.find_all(exp.AggFunc)), None) for side in (left, right)]
        if calls[0] is not None and calls[1] is not None:
            label = _aggregate_label(calls[0], calls[1])
            if label:
                return label
        elif (calls[0] is None) != (calls[1] is None):
            return "aggregate_function"
        label = _kind_label(left, right)
        if label:
            return label
    return "select_wrong_column"


def _aggregate_label(left: exp.Expression, right: exp.Expression) -> str:
    if type(left) is not type(right):
        return "aggregate_function"
    arguments = [side.this for side in (left, right)]
    distinct = [isinstance(argument, exp.Distinct) for argument in arguments]
    if distinct[0] != distinct[1]:
        return "distinct_in_aggregate"
    return "aggregate_argument" if text_of(arguments[0]) != text_of(arguments[1]) else ""


def _kind_label(left: exp.Expression, right: exp.Expression) -> str:
    """Name the first kind of expression of which the two sides have different ones."""
    division = [{text_of(part) for part in side.find_all(exp.Div)} for side in (left, right)]
    if division[0] and division[1] and division[0] != division[1]:
        return "int_division"
    for label, kinds in _KINDS:
        texts = [Counter(text_of(part) for part in side.find_all(*kinds)) for side in (left, right)]
        if texts[0] != texts[1]:
            return label
    return ""
