"""The decision at a glance: candidates by suites, and those that pass beside each other."""

from collections.abc import Mapping
from dataclasses import dataclass

from harness.analysis.looked_at import FLIPS
from harness.analysis.several_candidates import candidates_of, gravest
from harness.records import BASE, ArmScore, Comparison, GateVerdict, Result, Suite
from harness.report.costs_view import is_longer
from harness.report.headline import Check, check, status
from harness.report.item_links import items_link
from harness.report.wording import VERDICT_SYMBOLS, percent, suite_title

LEAST_BASE = 0.1
"""Base score from which a share of it says something."""
MANY = 3
"""Candidates beyond which the matrix stands in the place of a card each."""

Scores = Mapping[tuple[str, str], ArmScore]
"""Scores by arm and suite."""

_ORDER: tuple[GateVerdict, ...] = ("pass", "inconclusive", "fail", "invalid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One suite: what it measures, and the base's score with its interval."""

    title: str
    name: str
    metric: str
    is_target: bool
    goal: str
    base: str
    base_extent: str
    length: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixCell:
    """One candidate on one suite; ``retention`` is its score as a share of the base's, in words.

    ``length`` says how long its answers are. ``moved`` are the items lost and gained: how many,
    which, and the address of exactly these.
    """

    check: Check
    score: str
    retention: str
    length: str
    moved: tuple[tuple[int, str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixRow:
    """One candidate: its verdict, and a cell per suite (None where it was not compared)."""

    name: str
    verdict: GateVerdict
    symbol: str
    words: str
    is_best: bool
    cells: tuple[MatrixCell | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """All candidates by all suites: target suites and the candidate to ship come first."""

    columns: tuple[Column, ...]
    rows: tuple[MatrixRow, ...]

    @property
    def is_dense(self) -> bool:
        """Whether there are more candidates than cards can be read for."""
        return len(self.rows) > MANY


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """Another candidate that passes, against the one to ship: a check per suite, or None."""

    name: str
    cells: tuple[Check | None, ...]


def matrix(result: Result) -> Matrix:
    """Tabulate every comparison."""
    suites = _suites(result)
    rows = [_row(name, suites, result) for name in candidates_of(result.comparisons)]
    rows.sort(key=lambda row: (not row.is_best, _ORDER.index(row.verdict)))
    return Matrix(columns=tuple(_column(suite, result) for suite in suites), rows=tuple(rows))


def rivals(result: Result) -> tuple[Rival, ...]:
    """Tabulate the other candidates that pass against the one to ship."""
    found = {(c.candidate, c.suite.name): check(c) for c in result.rivals}
    return tuple(
        Rival(name=name, cells=tuple(found.get((name, s.name)) for s in _suites(result)))
        for name in candidates_of(result.rivals)
    )


def _suites(result: Result) -> list[Suite]:
    return sorted(result.suites, key=lambda suite: not suite.target)


def _column(suite: Suite, result: Result) -> Column:
    base = next((s for s in result.scores if (s.arm, s.suite) == (BASE, suite.name)), None)
    compared = (c.base for c in result.comparisons if c.suite.name == suite.name)
    extent = ""
    if base and base.ci_low is not None and base.ci_high is not None:
        extent = f"{percent(base.ci_low)} to {percent(base.ci_high)}"
    return Column(
        title=suite_title(suite),
        name=suite.name,
        metric=suite.metric,
        is_target=suite.target,
        goal="" if suite.at_least is None else f"goal {percent(suite.at_least)}",
        base=percent(base.mean if base else next(compared, None)),
        base_extent=extent,
        length=_length(base),
    )


def _row(name: str, suites: list[Suite], result: Result) -> MatrixRow:
    found = {c.suite.name: c for c in result.comparisons if c.candidate == name}
    verdict = gravest(list(found.values()))
    scores = {(score.arm, score.suite): score for score in result.scores}
    return MatrixRow(
        name=name,
        verdict=verdict,
        symbol=VERDICT_SYMBOLS[verdict],
        words=status(name, result),
        is_best=name == result.recommended,
        cells=tuple(_cell(found[s.name], scores) if s.name in found else None for s in suites),
    )


def _length(score: ArmScore | None, base: ArmScore | None = None) -> str:
    """Word how long answers are; many times the base's length stands out."""
    if score is None or score.length is None:
        return ""
    mine, theirs = score.length, base.length if base else None
    said = f"{mine.characters:.0f} characters"
    if theirs and theirs.characters >= 1 and is_longer(mine, theirs):
        said += f", {mine.characters / theirs.characters:.1f} × base"
    return said


def _cell(comparison: Comparison, scores: Scores) -> MatrixCell:
    base, tuned, suite = comparison.base, comparison.tuned, comparison.suite
    retention = ""
    is_share = suite.higher_is_better and suite.scale == (0.0, 1.0)
    if is_share and base is not None and tuned is not None and base >= LEAST_BASE:
        retention = f"{tuned / base:.0%} of base"
    length = _length(scores.get((comparison.candidate, suite.name)), scores.get((BASE, suite.name)))
    return MatrixCell(
        check=check(comparison),
        score=percent(tuned),
        retention=retention,
        length=length,
        moved=_moved(comparison),
    )


def _moved(comparison: Comparison) -> tuple[tuple[int, str, str], ...]:
    counts = comparison.counts
    place = (comparison.candidate, comparison.suite.name)
    return tuple(
        (counts[name], name, items_link(*place, show=name)) for name in FLIPS if counts.get(name)
    )
