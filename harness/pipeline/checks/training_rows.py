"""Test items in training rows: found, left out of the decision, or refused before training.

Also in the held-out rows of a sweep: its winner is judged by items that did not choose it.
"""

from collections.abc import Sequence

from harness import corpus
from harness.errors import DataError
from harness.records import Copy, Example, Item
from harness.study import CandidateSection
from harness.training import TrainingRows


def copies(examples: Sequence[Example], items: Sequence[Item]) -> tuple[Copy, ...]:
    """List the items that occur in training rows: their question, or question and gold answer."""
    texts = [corpus.text_of(example) for example in examples]
    asked = [_question(item) for item in items]
    whole = [f"{question}\n{item.target}" for question, item in zip(asked, items, strict=True)]
    found: dict[int, corpus.Overlap] = {}
    for hit in corpus.overlap(texts, [*asked, *whole]):
        number = hit.item % len(items)
        if number not in found or _STRENGTH[hit.kind] < _STRENGTH[found[number].kind]:
            found[number] = hit
    return tuple(
        Copy(
            item=items[number].key,
            kind=hit.kind,
            origin=examples[hit.text].origin,
            shared=hit.shared[:200],
        )
        for number, hit in sorted(found.items())
    )


def refuse_copies(candidate: str, found: Sequence[Copy], total: int) -> None:
    """Refuse training rows that hold test items, where a study says ``overlap: refuse``.

    Raises:
        DataError: If there are any, with the first of them.
    """
    if not found:
        return
    first = found[0]
    raise DataError(
        f"test items must not be in the training rows (data: overlap: refuse): {len(found)} of "
        f"{total} items are in those of {candidate!r}, the first of suite {first.item[0]!r} in "
        f"{first.origin} ({first.shared[:60]!r}); take these rows out"
    )


def check_sweep_leakage(
    candidate: CandidateSection, rows: TrainingRows, items: Sequence[Item], *, exclude: bool
) -> None:
    """Refuse a sweep whose held-out rows, which choose the winner, contain items that judge it.

    Args:
        candidate: Nothing is checked unless it has a ``sweep``.
        rows: Its rows.
        items: The items of all suites.
        exclude: Whether items in training rows are left out of the decision: rows split off the
            training rows may then be copies.

    Raises:
        DataError: If they do, with the first of them.
    """
    if candidate.sweep is None or (rows.validation is None and exclude):
        return
    found = copies(rows.held_out_examples, items)
    if found:
        first = found[0]
        raise DataError(
            f"the sweep of candidate {candidate.name!r} must be judged by items that did not "
            f"choose its winner: {len(found)} of {len(items)} items are in the held-out rows, "
            f"the first of suite {first.item[0]!r} in {first.origin}; take these rows out, or "
            "set 'data: overlap: exclude'"
        )


_STRENGTH = {"exact": 0, "ngram": 1, "near": 2}


def _question(item: Item) -> str:
    """Return what is specific to an item: its question, or all it shows where it has none.

    A system prompt, tools and what is to be done with a text are those of many items, and of the
    rows that teach them.
    """
    question = item.doc.get("question")
    turns = item.doc.get("messages")
    if isinstance(turns, list):
        said = [turn for turn in turns if turn.get("role") != "system"]
        if item.doc.get("tools") or len(said) < len(turns):
            return "\n".join(str(turn.get("content") or "") for turn in said)
    if isinstance(question, str) and "messages" not in item.doc:
        return question
    about = (item.doc.get(name) for name in ("text", "document"))
    shown = (value for value in about if isinstance(value, str) and value in item.prompt)
    return next(shown, item.prompt)
