"""Which items changed from right to wrong, and which the other way."""

from collections.abc import Mapping, Sequence

from harness.errors import ComparisonError
from harness.records import Item, ItemKey, Pair, Sample, Suite, Transition

TRANSITIONS: tuple[Transition, ...] = ("lost", "gained", "both_wrong", "both_right", "unscored")
"""Every transition, in the order in which a person wants to read the items."""


def pair(
    base: Sequence[Sample], tuned: Sequence[Sample], suite: Suite, *, prompts_differ: bool = False
) -> tuple[Pair, ...]:
    """Put the two answers to each item side by side.

    Args:
        base: The base arm's samples of one suite, in any order.
        tuned: The candidate's samples of the same suite, in any order.
        suite: The suite that both answered.
        prompts_differ: Each side has a template and tokenizer of its own, as declared.

    Returns:
        One pair per item, in the order of ``base``. A pair is ``unscored`` if either side is.

    Raises:
        ComparisonError: An item belongs to another suite, occurs twice, is missing from one
            side, or was shown as different token ids to the two arms.
    """
    base_samples = _by_key(base, suite, "base")
    tuned_samples = _by_key(tuned, suite, "tuned")
    _require_same_items(base_samples, tuned_samples, suite)
    if not prompts_differ:
        _require_same_prompts(base_samples, tuned_samples, suite)
    return tuple(
        Pair(base=sample, tuned=tuned_samples[key], transition=_move(sample, tuned_samples[key]))
        for key, sample in base_samples.items()
    )


def answer_text(sample: Sample) -> str:
    """Return what an arm answered, for people: its text, else the choice it preferred."""
    texts = [response.text for response in sample.responses if response.text is not None]
    return "\n".join(texts) if texts else sample.verdict.answer or ""


def thought_text(sample: Sample) -> str:
    """Return what an arm thought before its answer, empty where it did not."""
    return "\n\n".join(filter(None, (response.thought for response in sample.responses)))


def right_counts(pairs: Sequence[Pair]) -> tuple[int, int]:
    """Return how many items the base answered right, and how many the candidate did."""
    base = sum(pair.base.verdict.outcome == "correct" for pair in pairs)
    tuned = sum(pair.tuned.verdict.outcome == "correct" for pair in pairs)
    return base, tuned


def asked_text(item: Item) -> str | None:
    """Return what a document asks; None if that is no text.

    That is what its user says last, else its question, its text that has a label, or the document
    that is to be summarised.
    """
    has_label = isinstance(item.doc.get("labels"), list | tuple)
    fields = ("question", *(("text",) if has_label else ()), "document")
    asked = next((item.doc[name] for name in fields if item.doc.get(name)), None)
    turns = item.doc.get("messages")
    if isinstance(turns, list | tuple) and turns and isinstance(turns[-1], Mapping):
        said = [turn for turn in turns if isinstance(turn, Mapping) and turn.get("role") == "user"]
        asked = (said or turns)[-1].get("content")
    script = item.doc.get("turns")
    if isinstance(script, list | tuple) and script:
        asked = script[-1].get("user") if isinstance(script[-1], Mapping) else script[-1]
    return asked if isinstance(asked, str) else None


def choices(item: Item) -> tuple[str, ...]:
    """Return the options of a multiple-choice document, in either shape that data sets use.

    That is a list, or texts beside labels; empty for other documents.
    """
    found = item.doc.get("choices")
    if isinstance(found, Mapping):
        found = found.get("text")
    return tuple(str(choice) for choice in found) if isinstance(found, list | tuple) else ()


def target_text(item: Item) -> str:
    """Return the wanted answer for people: the option where the target is its number."""
    options = choices(item)
    is_number = item.target.isdecimal() and int(item.target) < len(options)
    return options[int(item.target)] if is_number else item.target


def _by_key(samples: Sequence[Sample], suite: Suite, role: str) -> dict[ItemKey, Sample]:
    found: dict[ItemKey, Sample] = {}
    for sample in samples:
        key = sample.item.key
        if key.suite != suite.name:
            raise ComparisonError(
                f"every item must belong to suite {suite.name!r}: {role} has one of "
                f"{key.suite!r}; compare one suite at a time"
            )
        if key in found:
            raise ComparisonError(
                f"an item may occur once per arm: {role} has {_name(key)} twice; "
                "give repeated documents an occurrence number"
            )
        found[key] = sample
    return found


def _require_same_items(
    base: dict[ItemKey, Sample], tuned: dict[ItemKey, Sample], suite: Suite
) -> None:
    only_base = [key for key in base if key not in tuned]
    only_tuned = [key for key in tuned if key not in base]
    if not only_base and not only_tuned:
        return
    found = "; ".join(
        f"{len(keys)} only in {role} (such as {', '.join(map(_name, keys[:2]))})"
        for role, keys in (("base", only_base), ("tuned", only_tuned))
        if keys
    )
    raise ComparisonError(
        f"both arms must answer the same items of suite {suite.name!r}: {found}, "
        f"{len(base) - len(only_base)} in both; score both arms from one set of items"
    )


def _require_same_prompts(
    base: dict[ItemKey, Sample], tuned: dict[ItemKey, Sample], suite: Suite
) -> None:
    differing = [
        key
        for key, sample in base.items()
        if sample.item.prompt_hash != tuned[key].item.prompt_hash
    ]
    if differing:
        raise ComparisonError(
            f"both arms must see the same token ids: {len(differing)} of {len(base)} items of "
            f"suite {suite.name!r} differ (such as {_name(differing[0])}); score both arms with "
            "one template and tokenizer"
        )


def _move(base: Sample, tuned: Sample) -> Transition:
    if "unscored" in (base.verdict.outcome, tuned.verdict.outcome):
        return "unscored"
    match base.verdict.outcome == "correct", tuned.verdict.outcome == "correct":
        case True, True:
            return "both_right"
        case True, False:
            return "lost"
        case False, True:
            return "gained"
        case _:
            return "both_wrong"


def _name(key: ItemKey) -> str:
    return f"{key.doc_hash[:10]}#{key.occurrence}"
