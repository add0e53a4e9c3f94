"""Warnings: a score that measures something else, or a model that has collapsed."""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from harness.analysis.transitions import answer_text, target_text
from harness.records import Comparison, Finding, Pair, Sample

NOTABLE = 0.10
"""Change of a share of items from which a symptom is worth a line."""

MIN_ITEMS = 10
"""Below this many items a share is noise."""


def symptoms(comparison: Comparison) -> tuple[Finding, ...]:
    """Check for truncation, repetition, empty answers, one answer to all, and identical answers.

    Args:
        comparison: Base against one candidate on one suite.

    Returns:
        One warning per symptom that changed by at least ten points of the items, or that puts the
        measurement in doubt; empty when all is well.
    """
    found = [
        *_changed_shares(comparison),
        _sameness(comparison),
        _one_answer(comparison),
        _one_position(comparison),
        _unscored(comparison),
    ]
    return tuple(finding for finding in found if finding is not None)


def is_looping(text: str) -> bool:
    """Tell whether a text repeats itself: fewer than half of its four-word runs are distinct.

    >>> is_looping("yes it is " * 10)
    True
    >>> is_looping("the ferry to the island leaves twice a day from the old pier in summer")
    False
    """
    words = text.split()
    runs = [tuple(words[i : i + 4]) for i in range(len(words) - 3)]
    return len(runs) >= 8 and len(set(runs)) < len(runs) / 2


def _is_truncated(sample: Sample) -> bool:
    return any(response.finish == "length" for response in sample.responses)


def _is_generated(pair: Pair) -> bool:
    return any(response.text is not None for response in pair.base.responses)


class _Share(NamedTuple):
    """A symptom that answers show or not; ``fewer`` is None where fewer is no news."""

    title: str
    shows: Callable[[Sample], bool]
    more: str
    fewer: str | None = None


_SHARES = (
    _Share(
        "answers cut at the length limit",
        _is_truncated,
        more="the tuned model does not end its turn and is scored on a fragment",
        fewer="the tuned model learnt to end its turn, so part of a gain is about stopping, "
        "not about knowing",
    ),
    _Share(
        "answers that repeat themselves",
        lambda sample: is_looping(answer_text(sample)),
        more="loops are a sign of too much training or too high a learning rate",
    ),
    _Share(
        "empty answers",
        lambda sample: not answer_text(sample).strip(),
        more="look at the raw text before reading anything into the score",
    ),
)


def _changed_shares(comparison: Comparison) -> list[Finding | None]:
    pairs = [pair for pair in comparison.pairs if _is_generated(pair)]
    if len(pairs) < MIN_ITEMS:
        return []
    found: list[Finding | None] = []
    for share in _SHARES:
        base = [share.shows(pair.base) for pair in pairs]
        tuned = [share.shows(pair.tuned) for pair in pairs]
        change = (sum(tuned) - sum(base)) / len(pairs)
        meaning = share.more if change > 0 else share.fewer
        if abs(change) < NOTABLE or meaning is None:
            continue
        keys = [p.base.item.key for p, b, t in zip(pairs, base, tuned, strict=True) if b != t]
        found.append(
            Finding(
                kind="warning",
                candidate=comparison.candidate,
                suite=comparison.suite.name,
                title=share.title,
                text=f"{sum(base)} before, {sum(tuned)} after, of {len(pairs)}: {meaning}",
                base_count=sum(base),
                tuned_count=sum(tuned),
                total=len(pairs),
                delta=change,
                keys=tuple(keys),
            )
        )
    return found


def _is_same(pair: Pair) -> bool:
    if answer_text(pair.base) != answer_text(pair.tuned):
        return False
    both = zip(pair.base.responses, pair.tuned.responses, strict=False)
    return all(
        abs(base.logprob - tuned.logprob) <= 1e-6
        for base, tuned in both
        if base.logprob is not None and tuned.logprob is not None
    )


def _sameness(comparison: Comparison) -> Finding | None:
    same = [pair for pair in comparison.pairs if _is_same(pair)]
    total = len(comparison.pairs)
    if total < MIN_ITEMS or len(same) < 0.99 * total:
        return None
    return Finding(
        kind="warning",
        candidate=comparison.candidate,
        suite=comparison.suite.name,
        title="both arms answer the same",
        text=f"{len(same)} of {total} answers are identical: check that the adapter is applied",
        base_count=len(same),
        tuned_count=len(same),
        total=total,
    )


def _one_answer(comparison: Comparison) -> Finding | None:
    pairs = comparison.pairs
    if len(pairs) < MIN_ITEMS:
        return None
    answer, count = Counter(answer_text(pair.tuned).strip() for pair in pairs).most_common(1)[0]
    targets = Counter(target_text(pair.base.item).strip() for pair in pairs)
    allowed = max(targets.most_common(1)[0][1], targets[answer])
    if not answer or count < len(pairs) / 2 or count < 2 * allowed:
        return None
    before = sum(answer_text(pair.base).strip() == answer for pair in pairs)
    shown = answer if len(answer) <= 40 else answer[:39] + "…"
    return Finding(
        kind="warning",
        candidate=comparison.candidate,
        suite=comparison.suite.name,
        title="one answer to everything",
        text=f"the tuned model says {shown!r} to {count} of {len(pairs)} different questions",
        base_count=before,
        tuned_count=count,
        total=len(pairs),
        keys=tuple(p.base.item.key for p in pairs if answer_text(p.tuned).strip() == answer),
    )


def _one_position(comparison: Comparison) -> Finding | None:
    """Detect position bias: one option is chosen whatever it contains."""
    chosen = [
        (pair.base.verdict.details.get("chosen"), pair.tuned.verdict.details.get("chosen"))
        for pair in comparison.pairs
    ]
    places = Counter(tuned for _, tuned in chosen if isinstance(tuned, int))
    if places.total() < MIN_ITEMS:
        return None
    place, count = places.most_common(1)[0]
    before = sum(base == place for base, _ in chosen)
    if count < len(chosen) / 2 or count - before < 2 * NOTABLE * len(chosen):
        return None
    return Finding(
        kind="warning",
        candidate=comparison.candidate,
        suite=comparison.suite.name,
        title="one position whatever it says",
        text=f"the tuned model chooses option {place + 1} for {count} of {len(chosen)} questions, "
        f"the base for {before}",
        base_count=before,
        tuned_count=count,
        total=len(chosen),
    )


def _unscored(comparison: Comparison) -> Finding | None:
    missing = [pair for pair in comparison.pairs if pair.transition == "unscored"]
    if not missing:
        return None
    reasons = Counter(_reason(pair) for pair in missing)
    listed = ", ".join(f"{reason} ({count})" for reason, count in sorted(reasons.items()))
    sides = [
        sum(getattr(p, side).verdict.outcome == "unscored" for p in missing)
        for side in ("base", "tuned")
    ]
    return Finding(
        kind="warning",
        candidate=comparison.candidate,
        suite=comparison.suite.name,
        title="items without a score",
        text=f"{len(missing)} of {len(comparison.pairs)} items count for neither arm: {listed}",
        base_count=sides[0],
        tuned_count=sides[1],
        total=len(comparison.pairs),
        keys=tuple(pair.base.item.key for pair in missing),
    )


def _reason(pair: Pair) -> str:
    sample = pair.base if pair.base.verdict.outcome == "unscored" else pair.tuned
    reasons = [response.unscored for response in sample.responses if response.unscored]
    return (reasons or [sample.verdict.explanation or "no reason given"])[0]
