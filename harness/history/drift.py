"""Which suite drifted since which release: a run's scores paired with those of earlier releases.

Two sets of scores are paired item by item where the same scorer, in the same version, scored
answers to the same prompts; where not, that is said and nothing is compared.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from scipy.special import ndtri

from harness.analysis.decisions import compare_scores, settle
from harness.errors import StudyError, nearest
from harness.history.entries import HistoryCheck, HistoryRun, KeptItem, SuiteScores, check_of
from harness.records import Comparison

_NO_MEASUREMENT = ("margin", "target", "at_least")
"""What a suite declares that changes no score."""
_SCREEN = 0.8
"""The share of what a test needs, in standard errors, below which an old release is not tested."""

Rows = list[tuple[float, float, str]]
Scores = Callable[[HistoryRun, str], SuiteScores]
"""Reads what a run's candidate scored on a suite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteTrend:
    """A suite over the runs of a study, oldest first.

    ``means`` are the followed candidates', None where a run lacks the suite. ``last`` compares the
    newest run with the release before it, ``worse`` and ``better`` with the latest release that it
    is shown to differ from.
    """

    suite: str
    higher_is_better: bool
    means: tuple[float | None, ...]
    last: HistoryCheck | None
    worse: HistoryCheck | None
    better: HistoryCheck | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyTrend:
    """The runs of one study, oldest first, and what became of its suites."""

    study: str
    runs: tuple[HistoryRun, ...]
    suites: tuple[SuiteTrend, ...]


def against_release(
    run: HistoryRun, release: HistoryRun, scores: Scores
) -> tuple[HistoryCheck, ...]:
    """Compare the suites of a run with those of an earlier release, with Holm over the suites."""
    compared: list[Comparison] = []
    told: dict[str, str] = {}
    for suite in run.means:
        if suite not in release.means:
            told[suite] = f"{release.release} has no such suite"
            continue
        now, then = scores(run, suite), scores(release, suite)
        found = paired(then, now)
        if isinstance(found, str):
            told[suite] = found
            continue
        rows, unscored = found
        compared.append(compare_scores(run.candidate, now.suite, rows, run.gate, unscored=unscored))
        told[suite] = _shared(len(rows) + unscored, len(now.items), len(then.items))
    settled = {found.suite.name: found for found in settle(compared, run.gate)}
    return tuple(
        replace(
            check_of(settled[suite], release.release),
            reason="; ".join(filter(None, (told[suite], settled[suite].reason))),
        )
        if suite in settled
        else HistoryCheck(
            candidate=run.candidate, suite=suite, reference=release.release, reason=told[suite]
        )
        for suite in run.means
    )


def paired(then: SuiteScores, now: SuiteScores) -> tuple[Rows, int] | str:
    """Pair two sets of scores by their items.

    Returns:
        ``(earlier score, score now, cluster)`` of the items that have both, and how many have not;
        or why the two may not be compared.
    """
    if reason := _changed(then, now):
        return reason
    if then.items is now.items:
        both = list(zip(now.items, then.scores, now.scores, strict=True))
    else:
        known = {item.key: (item.prompt, score) for item, score in _scored(then)}
        shared = [
            (item, known[item.key], score) for item, score in _scored(now) if item.key in known
        ]
        others = sum(item.prompt != prompt for item, (prompt, _), _ in shared)
        if others:
            return f"the prompts of {others:,} of {len(shared):,} items are others now"
        both = [(item, earlier, score) for item, (_, earlier), score in shared]
    if not both:
        return "no item is the same"
    rows = [
        (earlier, score, item.cluster or item.key)
        for item, earlier, score in both
        if earlier is not None and score is not None
    ]
    return rows, len(both) - len(rows)


def _scored(kept: SuiteScores) -> list[tuple[KeptItem, float | None]]:
    return list(zip(kept.items, kept.scores, strict=True))


def _changed(then: SuiteScores, now: SuiteScores) -> str:
    keys = sorted((then.declared.keys() | now.declared.keys()) - set(_NO_MEASUREMENT))
    for key in keys:
        before, after = then.declared.get(key), now.declared.get(key)
        if before != after:
            return f"its {key} was {before} and is {after}"
    if then.scorer != now.scorer:
        return f"it was scored by {then.scorer} and is scored by {now.scorer}"
    for kept, when in ((then, "then"), (now, "now")):
        if len(kept.items) < kept.planned:
            return f"it ended early {when}, after {len(kept.items):,} of {kept.planned:,} items"
    return ""


def _shared(shared: int, now: int, then: int) -> str:
    if shared == now == then:
        return ""
    return f"on the {shared:,} items that both have (of {then:,} then and {now:,} now)"


def trends(
    runs: Sequence[HistoryRun], scores: Scores, *, suite: str = ""
) -> tuple[StudyTrend, ...]:
    """Return what became of every study's suites.

    Args:
        runs: Every run of a history, in the order in which they were added.
        scores: Reads the scores that are needed.
        suite: The only one to return; corrections stay those for all.

    Raises:
        StudyError: If no run has the suite.
    """
    known = {name for run in runs for name in run.means}
    if suite and suite not in known:
        raise StudyError(f"no run in the history has a suite {suite!r}{nearest(suite, known)}")
    by_study: dict[str, list[HistoryRun]] = {}
    for run in runs:
        by_study.setdefault(run.study, []).append(run)
    found = (_study(of_one, scores, suite) for of_one in by_study.values())
    return tuple(trend for trend in found if trend.suites)


def _study(runs: Sequence[HistoryRun], scores: Scores, only: str) -> StudyTrend:
    newest, releases = runs[-1], [run for run in runs[:-1] if run.release]
    steps = against_release(newest, releases[-1], scores) if releases else ()
    last = {check.suite: check for check in steps}
    found = []
    for suite in dict.fromkeys(suite for run in reversed(runs) for suite in run.means):
        if only not in ("", suite):
            continue
        now = scores(newest, suite) if suite in newest.means else None
        worse, better = _since(newest, releases, suite, scores) if now else (None, None)
        any_run = next(run for run in reversed(runs) if suite in run.means)
        found.append(
            SuiteTrend(
                suite=suite,
                higher_is_better=scores(any_run, suite).suite.higher_is_better,
                means=tuple(run.means.get(suite) for run in runs),
                last=last.get(suite),
                worse=worse,
                better=better,
            )
        )
    return StudyTrend(study=runs[0].study, runs=tuple(runs), suites=tuple(found))


def _since(
    newest: HistoryRun, releases: Sequence[HistoryRun], suite: str, scores: Scores
) -> tuple[HistoryCheck | None, HistoryCheck | None]:
    """Find the latest release that the newest run is shown to be worse, and better, than.

    So many releases and suites are looked at, so p-values are multiplied by their number
    (Bonferroni).
    """
    looks = len(releases) * len(newest.means)
    found: dict[bool, HistoryCheck] = {}
    for release in reversed(releases):
        if suite not in release.means or len(found) == 2:
            continue
        now, then = scores(newest, suite), scores(release, suite)
        both = paired(then, now)
        if isinstance(both, str) or not both[0]:
            continue
        sign = _screened(both[0], newest.gate.alpha / looks) * (
            1 if now.suite.higher_is_better else -1
        )
        is_worse = sign < 0
        if not sign or is_worse in found:
            continue
        rows, unscored = both
        turned = rows if is_worse else [(after, before, cluster) for before, after, cluster in rows]
        tested = compare_scores(suite, now.suite, turned, newest.gate, unscored=unscored)
        if tested.p_adjusted is None or tested.verdict == "invalid":
            continue
        if tested.p_adjusted * looks <= newest.gate.alpha:
            compared = compare_scores(
                newest.candidate, now.suite, rows, newest.gate, unscored=unscored
            )
            found[is_worse] = replace(
                check_of(compared, release.release),
                reason=_shared(len(rows) + unscored, len(now.items), len(then.items)),
            )
    return found.get(True), found.get(False)


def _screened(rows: Rows, alpha: float) -> int:
    """Return the sign of a change that a test at ``alpha`` might show, else 0: a test costs more.

    It is never larger evidence than that of independent items, which is reckoned with here.
    """
    changes = [after - before for before, after, _ in rows]
    n, mean = len(changes), sum(changes) / len(changes)
    spread = math.sqrt(max(sum(c * c for c in changes) / n - mean * mean, 0.0) / n)
    needed = -float(ndtri(min(alpha, 0.5)))
    if not mean or abs(mean) < _SCREEN * needed * spread:
        return 0
    return 1 if mean > 0 else -1
