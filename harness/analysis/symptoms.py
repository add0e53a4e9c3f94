"""Warnings: a score that measures something else, or a model that has collapsed."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import compress
from typing import NamedTuple

from harness.analysis.choice_patterns import CHOSEN, choice_groups, letters, sureness
from harness.analysis.form import has_form, is_generated
from harness.analysis.transitions import answer_text, target_text
from harness.records import Comparison, Finding, ItemKey, Pair, Sample
from harness.scoring.answer_languages import language_of
from harness.scoring.near_answers import GARBLED
from harness.scoring.response_faults import abstains

NOTABLE = 0.10
"""Change of a share of items from which a symptom is worth a line."""

SCREENED = 1_000
"""Pairs on which a share is looked at before all are counted."""

MIN_ITEMS = 10
"""Below this many items a share is noise."""


def symptoms(comparison: Comparison) -> tuple[Finding, ...]:
    """Check for broken answers, one answer to all, identical answers, and false sureness.

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
        _leans(comparison),
        _too_sure(comparison),
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


def _declines(sample: Sample) -> bool:
    return sample.verdict.outcome != "correct" and abstains(answer_text(sample))


def _speaks_otherwise(sample: Sample) -> bool:
    """Say whether an answer is in another language than what was wanted."""
    said, wanted = answer_text(sample), f"{target_text(sample.item)} {sample.item.prompt[-500:]}"
    if sample.verdict.outcome == "correct" or not said.strip():
        return False
    return language_of("", said) != language_of("", wanted)


def _is_nearly(sample: Sample) -> bool:
    """Say whether a wrong answer is a garbled or cut copy of the wanted one."""
    said = (sample.verdict.answer or answer_text(sample)).strip().lower()
    wanted = target_text(sample.item).strip().lower()
    if sample.verdict.outcome == "correct" or said == wanted or not 5 <= len(wanted) <= 200:
        return False
    matcher = SequenceMatcher(None, said, wanted, autojunk=False)
    return (
        matcher.real_quick_ratio() >= GARBLED
        and matcher.quick_ratio() >= GARBLED
        and matcher.ratio() >= GARBLED
    )


class _Share(NamedTuple):
    """A symptom that answers show or not; ``fewer`` is None where fewer is no news.

    Nothing is said of it in suites of the judge ``but``, whose causes say it better.
    """

    title: str
    shows: Callable[[Sample], bool]
    more: str
    fewer: str | None = None
    but: str = ""


_FORM = _Share(
    "answers that are not in the form asked for",
    lambda sample: not has_form(sample),
    more="its score may say little about what the tuned model knows",
)
"""Said only where nothing more exact is."""

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
    _Share(
        "wrong answers that decline",
        _declines,
        more="the tuned model refuses what the base answers: look for refusals in its rows",
        but="refusal",
    ),
    _Share(
        "wrong answers in another language",
        _speaks_otherwise,
        more="look for rows of that language, or for a template of another model",
    ),
    _Share(
        "garbled or cut copies of the wanted answer",
        _is_nearly,
        more="the tuned model knows the answer and cannot write it: look at its tokenizer, at the "
        "learning rate, and at rows that are garbled themselves",
        but="summary",
    ),
    _FORM,
)


def _changed_shares(comparison: Comparison) -> list[Finding | None]:
    pairs = [pair for pair in comparison.pairs if is_generated(pair)]
    if len(pairs) < MIN_ITEMS:
        return []
    found: list[Finding | None] = []
    for share in _SHARES:
        if share.but == comparison.suite.judge or not _is_worth_counting(share, pairs):
            continue
        base = [share.shows(pair.base) for pair in pairs]
        tuned = [share.shows(pair.tuned) for pair in pairs]
        change = (sum(tuned) - sum(base)) / len(pairs)
        meaning = share.more if change > 0 else share.fewer
        if abs(change) < NOTABLE or meaning is None or (share is _FORM and found):
            continue
        text = f"{sum(base)} before, {sum(tuned)} after, of {len(pairs)}: {meaning}"
        sides = [_keys(compress(pairs, shown)) for shown in (base, tuned)]
        warned = _warning(comparison, share.title, text, *sides, total=len(pairs))
        found.append(replace(warned, delta=change))
    return found


def _warning(
    comparison: Comparison,
    title: str,
    text: str,
    base: tuple[ItemKey, ...] = (),
    tuned: tuple[ItemKey, ...] = (),
    *,
    total: int = 0,
) -> Finding:
    """Warn of something that an arm's answers to these items show, of so many looked at."""
    return Finding(
        kind="warning",
        candidate=comparison.candidate,
        suite=comparison.suite.name,
        title=title,
        text=text,
        base_count=len(base),
        tuned_count=len(tuned),
        total=total,
        base_keys=base,
        tuned_keys=tuned,
    )


def _keys(pairs: Iterable[Pair]) -> tuple[ItemKey, ...]:
    return tuple(pair.base.item.key for pair in pairs)


def _is_worth_counting(share: _Share, pairs: Sequence[Pair]) -> bool:
    """Look at evenly spaced pairs of a large suite first: a share that hardly moves is no news."""
    few = pairs[:: 1 + len(pairs) // SCREENED]
    moved = sum(share.shows(pair.tuned) - share.shows(pair.base) for pair in few) / len(few)
    return len(few) == len(pairs) or abs(moved) >= NOTABLE / 2


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
    pairs = [pair for pair in comparison.pairs if pair.transition != "unscored"]
    same = [pair for pair in pairs if _is_same(pair)]
    total = len(pairs)
    if total < MIN_ITEMS or len(same) < 0.99 * total:
        return None
    return _warning(
        comparison,
        "both arms answer the same",
        f"{len(same)} of {total} answers are identical: check that the adapter is applied",
        _keys(same),
        _keys(same),
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
    before = [pair for pair in pairs if answer_text(pair.base).strip() == answer]
    after = [pair for pair in pairs if answer_text(pair.tuned).strip() == answer]
    shown = answer if len(answer) <= 40 else answer[:39] + "…"
    return _warning(
        comparison,
        "one answer to everything",
        f"the tuned model says {shown!r} to {count} of {len(pairs)} different questions",
        _keys(before),
        _keys(after),
        total=len(pairs),
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
    base, tuned = (
        _keys(compress(comparison.pairs, [one == place for one in arm]))
        for arm in zip(*chosen, strict=True)
    )
    if count < len(chosen) / 2 or count - len(base) < 2 * NOTABLE * len(chosen):
        return None
    return _warning(
        comparison,
        "one position whatever it says",
        f"the tuned model chooses option {place + 1} for {count} of {len(chosen)} questions, "
        f"the base for {len(base)}",
        base,
        tuned,
        total=len(chosen),
    )


def _leans(comparison: Comparison) -> Finding | None:
    """Detect a lean towards one letter that is short of choosing nothing else."""
    found = letters(comparison)
    favoured = found.favoured if found else None
    if found is None or favoured is None:
        return None
    return _warning(
        comparison,
        "leans towards one letter",
        f"the tuned model chooses {favoured.name} for {favoured.tuned} of {found.total} "
        f"questions, the base for {favoured.base}, and it is right for {favoured.gold}",
        *(_choosing(comparison, name, favoured.name) for name in CHOSEN),
        total=found.total,
    )


def _choosing(comparison: Comparison, name: str, letter: str) -> tuple[ItemKey, ...]:
    return tuple(key for key, group in choice_groups(comparison) if group == (name, letter))


TOO_SURE = 0.10
"""Rise of the expected calibration error that is worth a line."""


def _too_sure(comparison: Comparison) -> Finding | None:
    """Detect that confidence and being right have come apart."""
    both = sureness(comparison)
    if both is None or both[1].reliability.ece - both[0].reliability.ece < TOO_SURE:
        return None
    base, tuned = both
    how = "more sure than right" if tuned.confidence > tuned.right else "less sure than right"
    warned = _warning(
        comparison,
        "confidence that means less",
        f"the tuned model is {how}: {tuned.confidence:.0%} sure and {tuned.right:.0%} right; "
        f"its calibration error is {tuned.reliability.ece:.2f}, the base's "
        f"{base.reliability.ece:.2f}",
    )
    return replace(warned, delta=tuned.reliability.ece - base.reliability.ece)


def _unscored(comparison: Comparison) -> Finding | None:
    missing = [pair for pair in comparison.pairs if pair.transition == "unscored"]
    if not missing:
        return None
    reasons = Counter(_reason(pair) for pair in missing)
    listed = ", ".join(f"{reason} ({count})" for reason, count in sorted(reasons.items()))
    base = [pair for pair in missing if pair.base.verdict.outcome == "unscored"]
    tuned = [pair for pair in missing if pair.tuned.verdict.outcome == "unscored"]
    return _warning(
        comparison,
        "items without a score",
        f"{len(missing)} of {len(comparison.pairs)} items count for neither arm: {listed}",
        _keys(base),
        _keys(tuned),
        total=len(comparison.pairs),
    )


def _reason(pair: Pair) -> str:
    sample = pair.base if pair.base.verdict.outcome == "unscored" else pair.tuned
    reasons = [response.unscored for response in sample.responses if response.unscored]
    return (reasons or [sample.verdict.explanation or "no reason given"])[0]
