"""Compare two sets of scores that exist already: runs of ours, plain scores, lm-eval's samples."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness.analysis.decisions import compare_scores, result_of, settle
from harness.errors import ComparisonError
from harness.records import BASE, Arm, Gate, Result, Suite
from harness.store import ScoredItem, read_scores
from harness.suites.catalogue import builtin_suites

TUNED = "tuned"


def compare(
    base: Path,
    tuned: Path,
    *,
    margin: float | None = None,
    alpha: float = 0.05,
    beta: float = 0.05,
    max_unscored: float = 0.05,
) -> Result:
    """Compare two score files or folders, item by item.

    Args:
        base: A JSONL of ``id``, ``score`` and optionally ``cluster``; lm-eval's ``samples_*.jsonl``
            (a file, or the folder that holds them); or an arm's folder in a run of ours.
        tuned: The same for the tuned model.
        margin: Largest acceptable drop in score units; by default what the suite declares.
        alpha: One-sided false-alarm rate.
        beta: One-sided false-pass rate at the margin.
        max_unscored: Share of unscored items above which a suite is invalid.

    Returns:
        The result, without the texts behind it.

    Raises:
        ComparisonError: If the two sides do not hold the same suites and items.
        DataError: If a file is not in one of the three formats.
    """
    left, right = read_scores(base), read_scores(tuned)
    if left.keys() != right.keys():
        raise ComparisonError(
            "both sides need the same suites: "
            f"base has {', '.join(sorted(left))}; tuned has {', '.join(sorted(right))}"
        )
    known = builtin_suites()
    gate = Gate(alpha=alpha, beta=beta, max_unscored=max_unscored)
    comparisons = []
    for name in sorted(left):
        suite = known.get(name, Suite(name=name, metric="score"))
        suite = replace(suite, margin=margin or suite.margin)
        rows, unscored = pair_scores(name, left[name], right[name])
        comparisons.append(compare_scores(TUNED, suite, rows, gate, unscored=unscored))
    return result_of(
        settle(comparisons, gate),
        study=f"{base.name} against {tuned.name}",
        base_model=str(base),
        arms=(Arm(name=BASE, path=str(base)), Arm(name=TUNED, path=str(tuned))),
        suites=[comparison.suite for comparison in comparisons],
        gate=gate,
    )


def pair_scores(
    suite: str,
    base: Sequence[ScoredItem],
    tuned: Sequence[ScoredItem],
) -> tuple[list[tuple[float, float, str]], int]:
    """Join two arms' scores on the items' keys.

    Returns:
        ``(base score, tuned score, cluster)`` of the items scored on both sides, and how many were
        left out because one side is unscored.

    Raises:
        ComparisonError: If an item stands on one side only, or its prompt differs.
    """
    others: Mapping[object, ScoredItem] = {item.key: item for item in tuned}
    missing = [item.key for item in base if item.key not in others]
    if missing or len(base) != len(tuned):
        extra = len(tuned) - (len(base) - len(missing))
        raise ComparisonError(
            f"both sides need the same items of {suite}: {len(missing)} only in base, {extra} only "
            f"in tuned{f'; for example {missing[0]}' if missing else ''}"
        )
    rows, unscored, differ = [], 0, 0
    for item in base:
        other = others[item.key]
        differ += item.prompt_hash != other.prompt_hash
        if item.score is None or other.score is None:
            unscored += 1
        else:
            rows.append((item.score, other.score, item.cluster))
    if differ:
        raise ComparisonError(
            f"both sides need the same prompts: {differ} of {len(base)} differ in {suite}"
        )
    return rows, unscored
