"""Two candidates beside each other, item by item: the next best, or a form of one and itself."""

from collections.abc import Sequence
from dataclasses import replace

from harness import stats
from harness.analysis.decisions import compare_pairs, settle
from harness.analysis.transitions import pair
from harness.records import Arm, Comparison, Gate, Pair


def beside(
    reference: Sequence[Comparison],
    others: Sequence[Comparison],
    gate: Gate,
    *,
    same_prompts: bool = False,
) -> list[Comparison]:
    """Compare one candidate with another on the items that both answered, not adjusted yet.

    Suites that ended early are left out: where each stopped depends on its own answers.

    Args:
        reference: One candidate's comparisons with the base; it stands in the base's place.
        others: The other's.
        gate: The error rates.
        same_prompts: Both read the same token ids, whatever the base reads.
    """
    mine = {c.suite.name: c for c in reference if c.pairs and not _ended_early(c)}
    found = []
    for theirs in others:
        ours = mine.get(theirs.suite.name)
        if ours is None or not theirs.pairs or _ended_early(theirs):
            continue
        differ = not same_prompts and (ours.prompts_differ or theirs.prompts_differ)
        pairs = _joined(ours, theirs, prompts_differ=differ)
        compared = compare_pairs(theirs.candidate, theirs.suite, pairs, gate)
        found.append(replace(compared, pairs=(), reference=ours.candidate, prompts_differ=differ))
    return found


def compare_forms(
    arms: Sequence[Arm], comparisons: Sequence[Comparison], gate: Gate
) -> tuple[Comparison, ...]:
    """Compare each form that a candidate is served in with that candidate.

    A ``fail`` means that the form lost something beyond chance among its suites (Holm), whatever
    the base scores: that is what merging or quantizing cost.
    """
    found: list[Comparison] = []
    for arm in arms:
        if arm.form_of:
            adapter = [c for c in comparisons if c.candidate == arm.form_of]
            form = [c for c in comparisons if c.candidate == arm.name]
            found += settle(beside(adapter, form, gate, same_prompts=True), gate)
    return tuple(found)


def _joined(ours: Comparison, theirs: Comparison, *, prompts_differ: bool) -> tuple[Pair, ...]:
    mine = {p.tuned.item.key: p.tuned for p in ours.pairs}
    other = [p.tuned for p in theirs.pairs if p.tuned.item.key in mine]
    answered = [mine[sample.item.key] for sample in other]
    return pair(answered, other, theirs.suite, prompts_differ=prompts_differ)


def _ended_early(comparison: Comparison) -> bool:
    decision = comparison.decision
    return isinstance(decision, stats.SequentialDecision) and decision.used < decision.planned
