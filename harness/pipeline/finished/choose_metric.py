"""Choose what two sets of logged scores are compared by: metric, direction, scale and filter.

A metric is never guessed: it is named on the command line, declared beside the samples or by the
built-in suite, or so well known that its direction is certain.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from statistics import fmean
from typing import NamedTuple

from harness.errors import ComparisonError, DataError, StudyError
from harness.records import Suite
from harness.store import OWN, LoggedItem, LoggedSuite, ScoredItem
from harness.suites.catalogue import builtin_suites

PLAIN = "score"
"""What the one score of a file is called that names no metric."""

_HIGHER = (
    "acc", "acc_norm", "acc_bytes", "acc_mutual_info", "accuracy", "exact_match", "em", "squad_em",
    "f1", "pass@1", "pass_at_1", "mc1", "mc2", "bleu", "chrf", "rouge1", "rouge2", "rougeL",
    "rougeLsum", "recall", "precision", "execution_accuracy", "robust_execution_accuracy",
    "strict_execution_accuracy",
)  # fmt: skip
_LOWER = (
    "bits_per_byte", "brier_score", "cer", "likelihood_diff", "mae", "mse", "pct_stereotype", "ter",
    "wer",
)  # fmt: skip
_KNOWN = dict.fromkeys(_HIGHER, True) | dict.fromkeys(_LOWER, False)


class Wanted(NamedTuple):
    """What the user asks for; None where the files are to say."""

    metric: str | None = None
    lower_is_better: bool = False
    scale: tuple[float, float] | None = None
    filter_name: str | None = None
    margin: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricChoice:
    """A suite as it is compared, both sides' items with their scores in [0, 1], and notes."""

    suite: Suite
    base: Sequence[ScoredItem]
    tuned: Sequence[ScoredItem]
    notes: tuple[str, ...] = ()


class _Sides(NamedTuple):
    """Both sides of a suite, seen through one filter."""

    name: str
    filter: str
    base: LoggedSuite
    tuned: LoggedSuite

    def items(self) -> tuple[tuple[str, list[LoggedItem]], ...]:
        """Return each side's name and items."""
        found = (("base", self.base), ("tuned", self.tuned))
        return tuple((side, suite.by_filter[self.filter]) for side, suite in found)

    def metrics(self) -> tuple[str, ...]:
        """Return the metrics that either side has, in the order of the files."""
        both = (*self.base.metrics(self.filter), *self.tuned.metrics(self.filter))
        return tuple(dict.fromkeys(both))

    def direction(self, metric: str) -> bool | None:
        """Return what the files' makers declared; None where neither did."""
        sides = [side.declared.directions.get(metric) for side in (self.base, self.tuned)]
        said = set(sides) - {None}
        if len(said) > 1:
            raise ComparisonError(
                f"both sides need the same metric: for {metric} of {self.name} higher is better "
                "on one side and lower on the other"
            )
        return said.pop() if said else None


def choose(name: str, base: LoggedSuite, tuned: LoggedSuite, wanted: Wanted) -> MetricChoice:
    """Choose a suite's metric and filter, and read both sides' scores by it.

    Raises:
        ComparisonError: If one side lacks the metric or the filter.
        DataError: If a score lies outside the metric's scale.
        StudyError: If nothing says which metric decides, or which way is better, or neither side
            has what is wanted.
    """
    sides = _Sides(name, _filter(name, base, tuned, wanted.filter_name), base, tuned)
    metric = _metric(sides, wanted)
    suite = _suite(sides, metric, wanted)
    scored = [
        _scored(sides.name, side, items, metric, suite, given=wanted.scale)
        for side, items in sides.items()
    ]
    return MetricChoice(
        suite=suite, base=scored[0], tuned=scored[1], notes=_notes(sides, metric, wanted)
    )


def _filter(name: str, base: LoggedSuite, tuned: LoggedSuite, wanted: str | None) -> str:
    chosen = wanted or base.filters[0]
    if chosen in base.by_filter and chosen in tuned.by_filter:
        return chosen
    is_mistyped = chosen not in base.by_filter and chosen not in tuned.by_filter
    raise (StudyError if is_mistyped else ComparisonError)(
        f"both sides need the same filter of {name}: {chosen!r} is not in both; base has "
        f"{', '.join(base.filters) or 'none'}; tuned has {', '.join(tuned.filters) or 'none'}"
    )


def _metric(sides: _Sides, wanted: Wanted) -> str:
    """Return the name in the files of what decides."""
    names = sides.metrics()
    own = all(any(OWN in item.scores for item in items) for _, items in sides.items())
    if wanted.metric is not None:
        is_own = own and (wanted.metric == PLAIN or [wanted.metric] == _own(sides))
        metric = OWN if is_own else wanted.metric
        _require(sides, metric)
        return metric
    known = builtin_suites().get(sides.name)
    if own and (known or _own(sides) or names == (OWN,)):
        _require_one_scorer(sides)
        metric = OWN
    else:
        metric = _declared(sides, known)
    _require(sides, metric)
    return metric


def _require_one_scorer(sides: _Sides) -> None:
    if len(_own(sides)) > 1:
        raise ComparisonError(
            f"both sides need the same metric: {sides.name} was scored by "
            f"{' in base and by '.join(_own(sides))} in tuned"
        )
    if sides.base.declared.scale != sides.tuned.declared.scale:
        raise ComparisonError(f"both sides need the same scale: {sides.name} has two")


def _own(sides: _Sides) -> list[str]:
    """Return by what runs of ours scored the two sides: one name where they agree."""
    found = (side.declared.own for side in (sides.base, sides.tuned))
    return list(dict.fromkeys(name for name in found if name))


def _declared(sides: _Sides, known: Suite | None) -> str:
    """Return the first metric that is declared with its direction, else the first known one."""
    names = [name for name in sides.metrics() if name != OWN]
    if known and known.metric in names:
        return known.metric
    declared = (*_own(sides), *sides.base.declared.directions, *sides.tuned.declared.directions)
    for name in declared:
        if name in names and (sides.direction(name) is not None or name in _KNOWN):
            return name
    if not any(name in names for name in declared):
        for name in names:
            if name in _KNOWN:
                return name
    raise StudyError(
        f"the metric that decides must be known: neither results beside the samples of "
        f"{sides.name} nor a well-known name says whether higher or lower is better of "
        f"{', '.join(names) or 'what is logged'}; give --metric NAME, and --lower-is-better where "
        "it is so"
    )


def _require(sides: _Sides, metric: str) -> None:
    """Refuse a metric that some items lack; one that none has was mistyped (exit code 2)."""
    is_mistyped = not any(item.has(metric) for _, items in sides.items() for item in items)
    for side, items in sides.items():
        lacking = sum(not item.has(metric) for item in items)
        if lacking:
            shown = ", ".join(name or PLAIN for name in sides.metrics())
            raise (StudyError if is_mistyped else ComparisonError)(
                f"both sides need {metric or PLAIN} for every item of {sides.name}: {lacking} of "
                f"{len(items)} lack it in {side}; the files have {shown}: name another with "
                "--metric"
            )


def _suite(sides: _Sides, metric: str, wanted: Wanted) -> Suite:
    """Return what is declared about the suite, with the metric that was chosen."""
    found = builtin_suites().get(sides.name) or Suite(name=sides.name, metric=PLAIN)
    own = _own(sides)
    named = (own[0] if own else found.metric) if metric == OWN else metric
    if named != found.metric:
        found = Suite(name=sides.name, metric=named, margin=found.margin, title=found.title)
    declared = sides.direction(named)
    if declared is None and named == found.metric and sides.name in builtin_suites():
        declared = found.higher_is_better
    if declared is None:
        declared = _KNOWN.get(named)
    if wanted.lower_is_better and declared:
        raise StudyError(
            f"a metric has one direction: higher {named} of {sides.name} is better, but "
            "--lower-is-better is given; leave it out, or name another with --metric"
        )
    higher = not wanted.lower_is_better if declared is None else declared
    margin = _margin(sides, wanted.margin, by_own=metric == OWN)
    if metric == OWN and sides.base.declared.margin is not None:
        run = sides.base.declared
        found = replace(found, cluster=run.cluster, strata=run.strata)
    return replace(
        found,
        higher_is_better=higher,
        scale=_scale(sides, metric, wanted.scale),
        margin=found.margin if margin is None else margin,
    )


def _margin(sides: _Sides, given: float | None, *, by_own: bool) -> float | None:
    """Return the margin that was given, else what runs declared for their own metric, else None."""
    if given is not None or not by_own:
        return given
    declared = {side.declared.margin for side in (sides.base, sides.tuned)} - {None}
    if len(declared) > 1:
        low, high = sorted(margin for margin in declared if margin is not None)
        raise StudyError(
            f"a suite has one margin: the runs of {sides.name} declare {low:g} and {high:g}; say "
            "with --margin which holds"
        )
    return declared.pop() if declared else None


def _scale(sides: _Sides, metric: str, given: tuple[float, float] | None) -> tuple[float, float]:
    if given is None:
        return sides.base.declared.scale if metric == OWN else (0.0, 1.0)
    if metric == OWN and sides.filter:
        raise StudyError(
            f"a run's own scores are shares of their scale: leave --scale out for {sides.name}"
        )
    low, high = given
    if not (low < high and isfinite(high - low)):
        raise StudyError(f"a scale runs from a number to a larger one: found {low:g} {high:g}")
    return given


def _scored(
    name: str,
    side: str,
    items: Sequence[LoggedItem],
    metric: str,
    suite: Suite,
    *,
    given: tuple[float, float] | None,
) -> list[ScoredItem]:
    """Return one side's items with their scores as shares of the scale."""
    is_share = metric == OWN and given is None
    scored = []
    for item in items:
        value = item.scores.get(metric)
        score = None
        if value is not None:
            inside = value if 0.0 <= value <= 1.0 else None
            score = inside if is_share else suite.share_of_scale(value)
            if score is None:
                low, high = (0.0, 1.0) if is_share else suite.scale
                raise DataError(
                    f"a score must lie between {low:g} and {high:g}: {suite.metric} of item "
                    f"{'/'.join(item.key)[:60]} of {name} is {value:g} in {side}; say with "
                    "--scale LOW HIGH what it lies between, or name another metric with --metric"
                )
        scored.append(ScoredItem(item.key, score, item.cluster, item.prompt_hash))
    return scored


def _notes(sides: _Sides, metric: str, wanted: Wanted) -> tuple[str, ...]:
    """Say what else the files have: other metrics, and other filters with their means."""
    notes = []
    others = [name for name in sides.metrics() if name not in (OWN, metric)]
    if metric != OWN and others and wanted.metric is None:
        notes.append(
            f"{sides.name} is compared by {metric}; {', '.join(others)} can be with --metric."
        )
    filters = [n for n in sides.base.filters if n in sides.tuned.filters and n != sides.filter]
    if filters:
        means = ", ".join(_means(sides._replace(filter=name), metric) for name in filters)
        notes.append(
            f"{sides.name} is compared by its filter {sides.filter}; not decided: {means} "
            "(--filter)."
        )
    return tuple(notes)


def _means(sides: _Sides, metric: str) -> str:
    values = [
        [value for item in items if (value := item.scores.get(metric)) is not None]
        for _, items in sides.items()
    ]
    if not all(values):
        return sides.filter
    return f"{sides.filter} {fmean(values[0]):.4g} → {fmean(values[1]):.4g}"
