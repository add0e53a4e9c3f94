"""Where in a response the answer stands, and whether the response stands by it."""

import re
from collections.abc import Sequence

from harness.scoring import response_faults
from harness.scoring.normalize import comparable, find, words
from harness.scoring.wordlists import BEFORE_POLAR, LEAD_IN, NEGATIONS, POLAR

_STATEMENTS = 2
_TITLES = ("[A-Z]", "Mr", "Ms", "Dr", "St", "No", "vs", "Mrs", "Prof", "e\\.g", "i\\.e")
_SENTENCE = re.compile(
    "".join(rf"(?<!\b{title}\.)" for title in _TITLES)
    + r"(?<=[.!?])[\"')\]]*\s+|\n\s*\n|\n(?![a-z])"
)
_EXPLICIT = re.compile(
    r"\\boxed\{(?P<boxed>[^{}]*)\}"
    r"|\b(?:final |correct |right |best |short )?answer\b(?: to [^.:\n]{0,80}?)?"
    r"(?:\s+is\b|\s*[:=])",
    re.IGNORECASE,
)
_DENIALS = (
    ("is", "not"),
    ("was", "not"),
    ("isnt",),
    ("wasnt",),
    ("is", "wrong"),
    ("is", "incorrect"),
    ("is", "false"),
)


def region(said: str) -> str:
    r"""Return the part of a response that states the answer.

    The clause after the last "the answer is" (or in ``\boxed{}``); else the first two sentences
    that are no questions.

    >>> region("Good question! It is in Graz. Graz is big. More on that later.")
    'Good question! It is in Graz.'
    >>> region("First think. So the answer is: **Graz**. Bye.")
    'Graz.'
    """
    text = response_faults.strip_markdown(said)
    explicit = [match for match in _EXPLICIT.finditer(text) if _names_something(text, match)]
    if explicit:
        last = explicit[-1]
        if last["boxed"] is not None:
            return last["boxed"].strip()
        return sentences(text[last.end() :])[0].strip(" :=\t")
    statements = [sentence for sentence in sentences(text) if not sentence.endswith("?")]
    return " ".join(statements[:_STATEMENTS])


def _names_something(text: str, match: re.Match[str]) -> bool:
    return match["boxed"] is not None or bool(words(text[match.end() :].partition("\n\n")[0]))


def sentences(text: str) -> list[str]:
    r"""Split text into sentences and lines that hold at least one word.

    >>> sentences("Ask Dr. J. Doe. Not me!\n- or him")
    ['Ask Dr. J. Doe.', 'Not me!', '- or him']
    """
    return [part.strip() for part in _SENTENCE.split(text) if part and words(part)]


def extract(question: str, stated: str) -> str:
    """Return the shortest answer in a region: its first sentence without the question's words.

    >>> extract("Where is the head office?", "The head office is in New York.")
    'New York'
    """
    found = sentences(stated)
    if not found:
        return ""
    tokens = found[0].split()
    idle = {*words(question), *LEAD_IN}
    low, high = 0, len(tokens)
    while low < high and idle.issuperset(words(tokens[low])):
        low += 1
    while high > low and idle.issuperset(words(tokens[high - 1])):
        high -= 1
    return " ".join(tokens[low:high]).strip(" \t.,;:!?\"'()[]") or found[0]


def objection(answer: str, stated: str) -> str | None:
    """Say why a region does not state an answer; None where it does.

    ``absent``, ``negated`` ("not Vienna"), ``hedged`` ("Vienna or Graz") or ``refusal``
    ("I don't know whether it is Vienna").

    >>> objection("Vienna", "It is in Vienna."), objection("Vienna", "Vienna or Graz.")
    (None, 'hedged')
    """
    wanted = comparable(answer)
    if wanted == comparable(stated):
        return None
    if len(wanted) == 1 and wanted[0] in POLAR:
        return _polarity(wanted[0], words("".join(sentences(stated)[:1])))
    problem: str | None = "absent"
    for sentence in [stated] if len(sentences(answer)) > 1 else sentences(stated):
        given = comparable(sentence)
        for start in _occurrences(wanted, given):
            problem = _stance(wanted, given, start, sentence)
            if problem is None:
                return None
    return problem


def _occurrences(wanted: Sequence[str], given: Sequence[str]) -> list[int]:
    return [i for i in range(len(given)) if find(wanted, given[i : i + len(wanted)]) == 0]


def _polarity(wanted: str, given: Sequence[str]) -> str | None:
    first = next((i for i, word in enumerate(given) if word not in BEFORE_POLAR), None)
    if first is None or given[first] != wanted:
        return "absent"
    joined, other = [*given[first + 1 : first + 3], "", ""][:2]
    return "hedged" if joined in {"and", "or"} and other in POLAR - {wanted} else None


def _stance(wanted: list[str], given: list[str], start: int, sentence: str) -> str | None:
    """Say what speaks against an occurrence of the answer in a sentence."""
    end = start + len(wanted)
    before, after = given[max(0, start - 3) : start], given[end : end + 2]
    if NEGATIONS.intersection(before) or any(
        tuple(after[: len(denial)]) == denial for denial in _DENIALS
    ):
        return "refusal" if response_faults.abstains(sentence) else "negated"
    if "or" in before[-2:] or "or" in after or "either" in before or _lists(wanted, sentence):
        return "hedged"
    if response_faults.abstains(sentence) and not {"but", "think", "guess"}.intersection(given):
        return "refusal"
    return None


def _lists(wanted: list[str], sentence: str) -> bool:
    """Say whether a sentence is a bare list of three or more short answers, this among them."""
    parts = [comparable(part) for part in re.split(r"[,;/]| and | or ", sentence) if words(part)]
    return len(parts) > 2 and all(len(part) <= 4 for part in parts) and wanted in parts
