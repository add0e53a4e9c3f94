"""What a judge model is shown of a draw, and what its replies come to.

A judge sees each pair in both orders and several times in each. An order's verdict is what more
than half of the replies that can be read say, else a tie; the pair's is what both orders say of
the answers, not of the sides. Where they do not agree, it is a tie.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from harness.analysis import shown_text, target_text
from harness.display_text import visible
from harness.errors import DataError
from harness.inputs import first_problem, parse_json, read_input
from harness.records import Comparison, ItemKey, Judged, JudgedPair, Pair, Winner
from harness.review.blind import asked_of
from harness.review.draw import clean
from harness.review.key import Key, KeyRow
from harness.review.summary import answers_hash

JUDGED = "judge.json"

TUNED_FIRST, BASE_FIRST = "tuned first", "base first"
ORDERS = (TUNED_FIRST, BASE_FIRST)

_PLACES = re.compile(r"\{(question|reference|a|b)\}")
_SIDES: tuple[Winner, ...] = (1, -1, 0)
_OTHER: Mapping[Winner, Winner] = {1: -1, -1: 1, 0: 0}
_CHOICES = ("answer A is better", "answer B is better", "equally good or equally bad")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairToJudge:
    """One pair of a draw with its texts, as raters see them."""

    set_name: str
    item: ItemKey
    stratum: str
    answers: str
    question: str
    reference: str
    base: str
    tuned: str

    def prompt(self, order: str, form: str) -> str:
        """Return what the judge is asked; braces in the texts are theirs."""
        a, b = (self.tuned, self.base) if order == TUNED_FIRST else (self.base, self.tuned)
        shown = {
            "question": self.question,
            "reference": self.reference or "(none)",
            "a": a or "(empty)",
            "b": b or "(empty)",
        }
        return _PLACES.sub(lambda place: shown[place[1]], form)

    def judged(self, replies: Mapping[str, Sequence[str]]) -> JudgedPair:
        """Return what the judge's replies to both orders come to."""
        return JudgedPair(
            set_name=self.set_name,
            item=self.item,
            stratum=self.stratum,
            answers=self.answers,
            preference=preference(*(read_order(replies[order], order) for order in ORDERS)),
        )


def pairs_to_judge(key: Key, comparisons: Sequence[Comparison]) -> list[PairToJudge]:
    """Return every pair of a draw whose answers the run still has, once."""
    known = {
        (comparison.candidate, pair.base.item.key): pair
        for comparison in comparisons
        for pair in comparison.pairs
    }
    found: dict[tuple[str, ItemKey], PairToJudge] = {}
    for name, entry in key["sets"].items():
        for row in entry["rows"].values():
            suite, filter_, doc_hash, occurrence = row["item"]
            item = ItemKey(str(suite), str(filter_), str(doc_hash), int(occurrence))
            pair = known.get((entry["candidate"], item))
            if pair and (shown := _shown(name, item, row, pair)):
                found[name, item] = shown
    return list(found.values())


def _shown(name: str, item: ItemKey, row: KeyRow, pair: Pair) -> PairToJudge | None:
    base, tuned = clean(shown_text(pair.base)), clean(shown_text(pair.tuned))
    answers = answers_hash(base, tuned)
    if row.get("answers", answers) != answers:
        return None
    return PairToJudge(
        set_name=name,
        item=item,
        stratum=row["stratum"],
        answers=answers,
        question=asked_of(pair.base.item),
        reference=visible(target_text(pair.base.item)).strip(),
        base=base,
        tuned=tuned,
    )


def read_order(replies: Sequence[str], order: str) -> Winner | None:
    """Return what an order's replies say: 1 for tuned, -1 for base, 0 for a tie, None if nothing.

    >>> read_order(["A", "The better answer is A.", "B"], TUNED_FIRST)
    1
    >>> read_order(["A", "B"], BASE_FIRST), read_order(["?"], BASE_FIRST)
    (0, None)
    """
    from harness.scoring import read_choice

    read = (read_choice(_CHOICES, "ABC", reply)[0] for reply in replies)
    said = [_SIDES[index] for index in read if index is not None]
    if not said:
        return None
    side, count = Counter(said).most_common(1)[0]
    winner: Winner = side if 2 * count > len(said) else 0
    return winner if order == TUNED_FIRST else _OTHER[winner]


def preference(tuned_first: Winner | None, base_first: Winner | None) -> Winner | None:
    """Join both orders: what they agree on, else a tie; None where one could not be read."""
    if tuned_first is None or base_first is None:
        return None
    return tuned_first if tuned_first == base_first else 0


def judged_text(judged: Judged) -> str:
    """Return what ``judge.json`` holds."""
    return TypeAdapter(Judged).dump_json(judged, indent=1).decode() + "\n"


def read_judged(path: Path) -> Judged:
    """Read what a judge model said of a draw.

    Raises:
        DataError: If it is broken.
    """
    try:
        return TypeAdapter(Judged).validate_python(parse_json(read_input(path)))
    except (OSError, ValueError) as error:
        reason = first_problem(error)
    raise DataError(
        f"judgements must be as `harness review judge` writes them: {path}: {reason}; delete the "
        "file and judge again, what was answered is kept"
    )


def differences(declared: Judged, kept: Judged) -> Iterator[str]:
    """Yield in what a judge differs from the one that a draw has."""
    for name in ("model", "prompt", "samples", "seed", "temperature", "max_new_tokens"):
        if getattr(declared, name) != getattr(kept, name):
            yield name
    if declared.fingerprint != kept.fingerprint and declared.model == kept.model:
        yield "weights or settings"
