"""Which of several values an answer of a dialogue gives, and which it only tells of.

An answer may rightly name what does not hold: "on Thursday, not on Tuesday", "grey, now that yellow
is out", "the cactus; the fern is for the bathroom". It is read in pieces, cut where one value gives
way to another; a piece with a word for what was ("first", "instead of", "from") gives nothing.
"""

import re
from collections.abc import Collection, Sequence

from harness.scoring.answer_region import objection, standing, statements_of
from harness.scoring.answer_words import stems
from harness.scoring.normalize import comparable, find, words
from harness.scoring.wordlists import COMMON, POLAR

_BUT = re.compile(r",?\s+(?:but|however|though|although)\b,?\s*|;\s+|\s+[—–]\s+", re.IGNORECASE)
_REPLACED = re.compile(r"\breplac(?:ed|ing|es?)\s+(?=(?:by|with)\b)", re.IGNORECASE)
_CUT = re.compile(
    r"(?:[.!?;:(),\n]|\s[—–-]+\s|→|\b(?=(?:instead of|rather than|in place of|replac\w+"
    r"|from(?! (?:before|earlier|the start))|to|into|not|now|but|so|and|because|since|after"
    r"|which|whereas|while|over|than|with|by)\b))\s*",
    re.IGNORECASE,
)
"""Where one value may give way to another: signs are cut out, words begin a piece."""
_CLAUSE = re.compile(r"[.!?;:,\n]|\s[—–-]+\s|\b(?:and|but|while|whereas)\b", re.IGNORECASE)
_GONE = (
    r"instead of|rather than|in place of|replac\w+|from|over|than|no longer|original|originally"
    r"|initial|initially|at first|first|previous|previously|formerly|earlier|before|used to"
    r"|any ?more|against|drop\w*|isnt|wasnt|doesnt|dont|didnt|wont|cant"
)
_NO_LONGER = re.compile(rf"\b(?:{_GONE})\b")
_PAST = re.compile(
    rf"\A(?:since|because)\b|\b(?:{_GONE}|was|were|been|had|youd|wed|id|old|out|off|wrong|wrongly|incorrect|mistake\w*"
    r"|typo|mix\w*|chang\w+|mov\w+|switch\w+|swap\w+|updat\w+|correct\w+|leav\w+|without)\b"
)
"""Words by which an answer tells what held before, or why; the first are as good as a denial."""


def named(options: Sequence[str], said: str) -> list[str]:
    """Return the options that an answer states.

    >>> named(["red", "blue"], "Not red: I take blue.")
    ['blue']
    >>> named(["red"], "I have no favourite, but you said red.")
    ['red']
    """
    parts = [said, *_BUT.split(said)]
    return [one for one in options if any(objection(one, part) is None for part in parts)]


def chosen(options: Sequence[str], said: str) -> list[str]:
    """Return the options that an answer decides for: of several that it names, the first alone.

    >>> chosen(["winter", "summer"], "Winter. I find summer too hot.")
    ['winter']
    >>> chosen(["yes", "no"], "Yes. No doubt about it.")
    ['yes']
    """
    text = standing(said)
    found = named(options, text)
    if len(found) < 2:
        return found
    parts = [part for one in statements_of(text) for part in _BUT.split(one)]
    if not {option.casefold() for option in options} <= POLAR:
        parts += [piece for part in parts for piece in _pieces(part)]
    alone = (named(options, part) for part in parts)
    return next((one for one in alone if len(one) == 1), found)


def gives(right: Sequence[str], said: str, wrong: Sequence[str]) -> bool:
    """Say whether an answer that names a right value and wrong ones stands by the right one.

    >>> gives(["grey"], "Grey is no longer wanted; buy yellow.", ["yellow"])
    False
    """
    pieces = [piece for piece in _pieces(said) if named(right, piece)]
    return not (pieces and named(wrong, said)) or any(map(_holds, pieces))


def given(wrong: str, said: str, right: Sequence[str], asked: str, heard: Collection[str]) -> bool:
    """Say whether an answer gives a wrong value, and does not only tell of it.

    Args:
        wrong: A value that is not the answer, which the text names.
        said: The answer.
        right: The values that are.
        asked: The user's question.
        heard: Words that the user said before; what is told of a wrong value in them, and is not
            what was asked, gives it its own place ("the fern is for the bathroom").
    """
    topic = set(stems(words(asked))) - set(stems(COMMON))
    others = set(stems(heard)) - set(stems([*words(wrong), *COMMON])) - topic
    for clause in _CLAUSE.split(said):
        there = set(stems(words(clause)))
        if there & others and not there & topic and not named(right, clause):
            said = said.replace(clause, "")  # its own place
    pieces = [piece for piece in _pieces(said) if objection(wrong, piece) is None]
    if not pieces:
        return objection(wrong, said) is None and not _past(said)
    return not all(map(_past, pieces))


def part_of(wrong: str, right: Sequence[str]) -> bool:
    """Say whether a wrong value is only a part of a right one, as 2 May is of 12 May."""
    return any(find(comparable(wrong), comparable(one)) >= 0 for one in right)


def _pieces(text: str) -> list[str]:
    cut = _CUT.split(_REPLACED.sub("changed ", text.replace("’", "'")))
    return [piece for piece in cut if piece.strip()]


def _past(piece: str) -> bool:
    return _PAST.search(" ".join(words(piece))) is not None


def _holds(piece: str) -> bool:
    return not _NO_LONGER.search(" ".join(words(piece)))
