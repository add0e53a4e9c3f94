"""Compare two sets of scores that exist already: runs of ours, plain scores, other tools' logs."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from harness.analysis.decisions import compare_scores, settle
from harness.analysis.run_result import result_of
from harness.errors import ComparisonError, HarnessError, StudyError
from harness.pipeline.finished.choose_metric import MetricChoice, Wanted, choose
from harness.records import BASE, Arm, Comparison, Gate, Result
from harness.store import LoggedSuite, ScoredItem, read_scores
from harness.store.run_folder import RunFolder
from harness.versions import sql_differences

TUNED = "tuned"


def compare(  # noqa: PLR0913 - one keyword per declaration
    base: Path,
    tuned: Path,
    *,
    margin: float | None = None,
    alpha: float = 0.05,
    beta: float = 0.05,
    max_unscored: float = 0.05,
    metric: str | None = None,
    lower_is_better: bool = False,
    scale: tuple[float, float] | None = None,
    filter_name: str | None = None,
    cluster: str | None = None,
) -> Result:
    """Compare two score files or folders, item by item.

    Args:
        base: A JSONL of ``id``, ``score`` and optionally ``cluster``; lm-eval's samples, Every Eval
            Ever's, or logs of Inspect (a file, or the folder that holds them); or an arm's folder
            in a run of ours.
        tuned: The same for the tuned model.
        margin: Largest acceptable drop in score units; by default what the suite declares.
        alpha: One-sided false-alarm rate.
        beta: One-sided false-pass rate at the margin.
        max_unscored: Share of unscored items above which a suite is invalid.
        metric: What to compare by; by default what the results beside the samples, the built-in
            suite or a well-known name say.
        lower_is_better: A rise of the metric is a loss.
        scale: What the metric's values lie between, by default 0 and 1; the margin is a share of
            it.
        filter_name: Which of a task's filters decides, or of the reducers of its epochs; by default
            its first.
        cluster: The field that items share where they are not independent.

    Returns:
        The result, without the texts behind it.

    Raises:
        ComparisonError: If the two sides do not hold the same suites, items and metrics.
        DataError: If a file is in none of the formats, or a score lies outside the scale.
        StudyError: If nothing says which metric decides, or what is said contradicts itself.
    """
    left, right = (read_scores(side, cluster=cluster) for side in (base, tuned))
    if left.keys() != right.keys():
        raise ComparisonError(
            "both sides need the same suites: "
            f"base has {', '.join(sorted(left))}; tuned has {', '.join(sorted(right))}"
        )
    gate = Gate(alpha=alpha, beta=beta, max_unscored=max_unscored)
    wanted = Wanted(metric, lower_is_better, scale, filter_name, margin)
    if cluster is not None:
        _require_groups(cluster, [*left.values(), *right.values()])
    chosen = [choose(name, left[name], right[name], wanted) for name in sorted(left)]
    comparisons = settle([_compared(choice, gate) for choice in chosen], gate)
    return result_of(
        comparisons,
        study=f"{base.name} against {tuned.name}",
        base_model=str(base),
        arms=(Arm(name=BASE, path=str(base)), Arm(name=TUNED, path=str(tuned))),
        suites=[comparison.suite for comparison in comparisons],
        gate=gate,
        notes=[
            *(note for choice in chosen for note in choice.notes),
            *_rejudged(base, tuned, left.keys()),
        ],
    )


def _rejudged(base: Path, tuned: Path, suites: Collection[str]) -> list[str]:
    """Say where two runs of ours had SQL judged by other releases."""
    others = sql_differences(_sql_versions(base, suites), _sql_versions(tuned, suites))
    told = f"SQL was judged by {', '.join(others)}, first for {base.name}, then for {tuned.name}"
    return [f"{told}: a query may give other rows; run one of the two again"] if others else []


def _sql_versions(side: Path, suites: Collection[str]) -> Mapping[str, str]:
    """Return what judged SQL in the run that scores lie in; none where there is none."""
    place = side.absolute()
    for folder in (place, *place.parents[:3]):  # RUN/samples/<arm>/samples_<suite>.jsonl
        with suppress(HarnessError):
            lock = RunFolder(folder).read_lock()
            declared = lock.declared.suites if lock and lock.declared else {}
            if lock and any(declared[name].judge == "sql" for name in declared.keys() & suites):
                return lock.versions
    return {}


def _require_groups(field: str, suites: Sequence[LoggedSuite]) -> None:
    items = (item for suite in suites for found in suite.by_filter.values() for item in found)
    if all(item.cluster in (":".join(item.key[1:]), item.key[0]) for item in items):
        raise StudyError(
            f"items can be grouped only by a field that they have: no item has {field!r}; leave "
            "--cluster out, or name another"
        )


def _compared(choice: MetricChoice, gate: Gate) -> Comparison:
    rows, unscored = pair_scores(choice.suite.name, choice.base, choice.tuned)
    return compare_scores(TUNED, choice.suite, rows, gate, unscored=unscored)


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
        ComparisonError: If an item stands on one side only, or its prompt or cluster differs.
    """
    others: Mapping[object, ScoredItem] = {item.key: item for item in tuned}
    missing = [item.key for item in base if item.key not in others]
    if missing or len(base) != len(tuned):
        extra = len(tuned) - (len(base) - len(missing))
        example = f"; for example {':'.join(map(str, missing[0]))}" if missing else ""
        raise ComparisonError(
            f"both sides need the same items of {suite}: {len(missing)} only in base, {extra} only "
            f"in tuned{example}"
        )
    rows, unscored, differ = [], 0, 0
    for item in base:
        other = others[item.key]
        differ += item.prompt_hash != other.prompt_hash
        if item.score is None or other.score is None:
            unscored += 1
        else:
            rows.append((item.score, other.score, _cluster(suite, item, other)))
    if differ:
        raise ComparisonError(
            f"both sides need the same prompts: {differ} of {len(base)} differ in {suite}"
        )
    return rows, unscored


def _cluster(suite: str, base: ScoredItem, tuned: ScoredItem) -> str:
    """Return an item's cluster, which may stand on one side alone: the other has the item's own."""
    own = ":".join(base.key[1:]) or base.key[0]
    given = {item.cluster for item in (base, tuned)} - {own}
    if len(given) > 1:
        raise ComparisonError(
            f"both sides need the same clusters: in {suite} item {base.key} is of {base.cluster!r} "
            f"in base and of {tuned.cluster!r} in tuned; give each item one cluster"
        )
    return given.pop() if given else base.cluster
