"""Wrong answers that nearly are right: a garbled or cut copy, or the right number in another unit.

They stay wrong. The label tells "has learnt it, but cannot write it" from "does not know it", which
is what training for longer, or a longer limit, mends.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher

from harness.scoring.accepted_answer import Accepted, Sentence
from harness.scoring.stated_answer import other_unit

GARBLED = 0.8
"""The share of letters in common, in order, from which a text is a garbled copy."""

_LEAST = 5
"""Letters of an accepted answer below which a copy cannot be told from another word."""

_LONGEST = 80


def nearly(gold: Accepted, stated: Sequence[Sentence], question: str = "") -> bool:
    """Say whether a statement holds a garbled or cut copy of an answer, or its number elsewise.

    >>> from harness.scoring.accepted_answer import accepted
    >>> nearly(accepted("Pemberton"), [Sentence("It is Pembreton.", "en")])
    True
    >>> nearly(accepted("$3"), [Sentence("It costs 3 euros.", "en")])
    True
    """
    if gold.number is not None:
        return any(other_unit(gold, sentence, question) for sentence in stated)
    wanted = "".join(gold.words)
    if not _LEAST <= len(wanted) <= _LONGEST or not wanted.isalpha():
        return False
    return any(_copies(wanted, len(gold.words), sentence.words) for sentence in stated)


def _copies(wanted: str, count: int, given: Sequence[str]) -> bool:
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(wanted)
    for start in range(len(given)):
        for size in {max(1, count - 1), count, count + 1}:
            text = "".join(given[start : start + size])
            if abs(len(text) - len(wanted)) > len(wanted) // 3 or text[:1] != wanted[0]:
                continue
            matcher.set_seq1(text)
            if matcher.real_quick_ratio() >= GARBLED and matcher.ratio() >= GARBLED:
                return True
    return False
