"""Where in a response the answer stands, and whether the response stands by it."""

import re
from collections.abc import Sequence
from functools import lru_cache

from harness.scoring import abstention, response_faults
from harness.scoring.accepted_answer import Accepted, Sentence, accepted
from harness.scoring.answer_languages import (
    CONCLUSION,
    ENGLISH,
    EXPLICIT,
    POLAR,
    RETRACTION,
    Language,
)
from harness.scoring.answer_words import answer_words, stems
from harness.scoring.normalize import words
from harness.scoring.stated_answer import SHARE, occurrence
from harness.scoring.wordlists import BEFORE_POLAR, LEAD_IN

_STATEMENTS = 2
LONGEST = 1500
"""Characters of a statement that are read."""

_TITLES = ("[A-Z]", "Mr", "Ms", "Dr", "St", "No", "vs", "Mrs", "Prof", "e\\.g", "i\\.e")
_SENTENCE = re.compile(
    "".join(rf"(?<!\b{title}\.)" for title in _TITLES)
    + r"(?<=[.!?])[\"')\]]*\s+|(?<=[。！？])|\n\s*\n|\n(?![a-z])"
)
_BULLET = re.compile(r"^[ \t]*(?:[-*•–]|\(?\d{1,2}[.)])[ \t]+", re.MULTILINE)
_ITEM = "‣"
_BEFORE_TRUE = frozenset(("that", "this", "is", "statement"))
_SHORT = 12
"""Words of a sentence up to which an "or" offers two answers."""

_UNSURE = re.compile(
    r"\b(?:either|maybe|perhaps|possibly|might|could|may|probably|likely|unsure|sure|think|guess"
    r"|entweder|vielleicht|quiz[aá]s?|tal vez|peut-[eê]tre|soit)\b|可能|也许",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"\b(?:called|known as|named|termed|nicknamed|genannt|llamad[oa]|appel[ée])\b", re.IGNORECASE
)
"""Before two names of one thing, not before two answers."""
_CLOSING = re.compile(
    r"^\W*(?:let me know|i hope|hope this|is there anything|feel free|please (?:let|feel)|if you"
    r"|thank|note(?: that)?:?|source|reference|for more)\b",
    re.IGNORECASE,
)
_DENIALS = frozenset(
    (verb, word)
    for verb in ("is", "was", "are", "were", "ist", "es", "est")
    for word in ("not", "wrong", "incorrect", "false", "nicht", "falsch", "pas")
) | {("isnt",), ("wasnt",), ("isn",), ("wasn",), ("n", "est"), ("no", "es"), ("不", "对")}
_TAG = re.compile(
    r",\s*(?:isn|wasn|aren|weren|doesn|didn)['’]?t (?:it|he|she|they|that|this)\s*\?\W*$",
    re.IGNORECASE,
)
"""A question that asks to be agreed with, and denies nothing: "Vienna, isn't it?"."""
_AFTER_COMMA = re.compile(
    r"^[^.!?]{0,200}?,\s*(?=(?:yes|no|ja|nein|si|sí|oui|non)\b[\s,.;:!]|(?:yes|no)$)", re.IGNORECASE
)


def region(said: str) -> list[str]:
    r"""Return the statements of a response in which its answer is looked for.

    The clause after the last "the answer is" (or in ``\boxed{}``); else the last sentence that
    begins with "Therefore", "So" or the like, the first two statements and the last. What is taken
    back ("Actually no, ...") is no part of it, nor are questions.

    >>> region("Good question! It is in Graz. Graz is big. More on that. Say the word, please.")
    ['Good question!', 'It is in Graz.', 'Say the word, please.']
    >>> region("First think. So the answer is: **Graz**. Bye.")
    ['Graz.']
    """
    text = standing(_unmarked(said))
    clause = _explicit(text)
    if clause is not None:
        return [clause[:LONGEST]]
    statements = [part for part in sentences(text) if not part.endswith(("?", "？"))]
    if len(statements) <= _STATEMENTS:
        return [part[:LONGEST] for part in statements]
    closing = [part for part in statements if not _CLOSING.match(part)] or statements
    drawn = [part for part in statements if CONCLUSION.match(part)]
    chosen = dict.fromkeys([*drawn[-1:], *statements[:_STATEMENTS], closing[-1]])
    return [part[:LONGEST] for part in chosen]


def _unmarked(said: str) -> str:
    return response_faults.strip_markdown(_BULLET.sub(f"{_ITEM} ", said))


def statements_of(said: str) -> list[str]:
    """Return all the sentences of a response, without markup."""
    return sentences(_unmarked(said))


def standing(text: str) -> str:
    """Return a text from where it takes back what it said before."""
    taken_back = list(RETRACTION.finditer(text))
    if not taken_back:
        return text
    rest = text[taken_back[-1].end() :].lstrip(" ,.;:—-")
    return rest if len(words(rest[:LONGEST])) > 0 else text


def _explicit(text: str) -> str | None:
    for match in reversed(list(EXPLICIT.finditer(text))):
        if match["boxed"] is not None:
            return match["boxed"].strip()
        after = text[match.end() : match.end() + LONGEST].partition("\n\n")[0]
        found = sentences(after)
        if found:
            return found[0].strip(" :=：\t")
    return None


def sentences(text: str) -> list[str]:
    r"""Split text into sentences; the lines of a list belong to the sentence before it.

    >>> sentences("Ask Dr. J. Doe. Not me!\n‣ or him\n‣ or her")
    ['Ask Dr. J. Doe.', 'Not me!\n‣ or him\n‣ or her']
    """
    found: list[list[str]] = []
    for part in _SENTENCE.split(text):
        if not part or not words(part):
            continue
        if found and part.lstrip().startswith(_ITEM):
            found[-1].append(part.strip())
        else:
            found.append([part.strip()])
    return ["\n".join(parts) for parts in found]


def extract(question: str, stated: Sequence[str]) -> str:
    """Return the shortest answer in a region: its first sentence without the question's words.

    >>> extract("Where is the head office?", ["The head office is in New York."])
    'New York'
    """
    if not stated:
        return ""
    tokens = stated[0].split()
    idle = {*words(question), *LEAD_IN}
    low, high = 0, len(tokens)
    while low < high and idle.issuperset(words(tokens[low])):
        low += 1
    while high > low and idle.issuperset(words(tokens[high - 1])):
        high -= 1
    return " ".join(tokens[low:high]).strip(" \t.,;:!?\"'()[]") or stated[0]


def objection(answer: str, stated: str) -> str | None:
    """Say why a text does not state an answer; None where it does.

    ``absent``, ``negated`` ("not Vienna"), ``hedged`` ("Vienna or Graz") or ``abstained``
    ("I don't know whether it is Vienna").

    >>> objection("Vienna", "It is in Vienna."), objection("Vienna", "Vienna or Graz.")
    (None, 'hedged')
    """
    read = [Sentence(part, ENGLISH.code) for part in sentences(stated)]
    return objection_of(accepted(answer), read, "", ENGLISH)


@lru_cache(maxsize=4096)
def _asked(question: str) -> frozenset[str]:
    return frozenset(stems(answer_words(question)))


def objection_of(
    gold: Accepted, stated: Sequence[Sentence], question: str, language: Language
) -> str | None:
    """Say why no sentence states an accepted answer; None where one does (`objection`)."""
    if gold.polar:
        found = [_polarity(gold.polar, sentence) for sentence in stated[:2]]
        return None if None in found else next((f for f in found if f != "absent"), "absent")
    problem: str | None = "absent"
    for sentence in stated:
        place = occurrence(gold, sentence, question, _asked(question))
        if place is not None:
            problem = _stance(gold, sentence, place, language)
            if problem is None:
                return None
    if problem == "absent" and len(gold.telling) > 1 and not (gold.person or gold.number):
        return _across(gold, stated, question, language)
    return problem


def _across(
    gold: Accepted, stated: Sequence[Sentence], question: str, language: Language
) -> str | None:
    """Look for the words of an answer in all statements together: a list told over several."""
    held = {word for sentence in stated for word in sentence.stems}
    if len(stated) < 2 or sum(word in held for word in gold.telling) < SHARE * len(gold.telling):
        return "absent"
    whole = Sentence(" ".join(sentence.text for sentence in stated), language.code)
    place = occurrence(gold, whole, question, _asked(question))
    return "absent" if place is None else _stance(gold, whole, place, language)


def _polarity(wanted: str, sentence: Sentence) -> str | None:
    leads = next((word for word in sentence.words if word not in BEFORE_POLAR), "") in POLAR
    text = sentence.text if leads else _AFTER_COMMA.sub("", sentence.text)
    given = words(text) if text.isascii() else answer_words(text)
    if sentence.code == "zh":
        lead = next((m for m in sorted(POLAR, key=len, reverse=True) if text.startswith(m)), None)
        return None if lead and POLAR[lead] == wanted else "absent"
    idle = BEFORE_POLAR | _BEFORE_TRUE if wanted in {"true", "false"} else BEFORE_POLAR
    first = next((i for i, word in enumerate(given) if word not in idle), None)
    if first is None or POLAR.get(given[first]) != wanted:
        return "absent"
    joined, other = [*given[first + 1 : first + 3], "", ""][:2]
    both = joined in {"and", "or", "und", "oder", "y", "o", "et", "ou"}
    return "hedged" if both and POLAR.get(other, wanted) != wanted else None


def _stance(gold: Accepted, sentence: Sentence, place: int, language: Language) -> str | None:
    """Say what speaks against an occurrence of the answer in a sentence."""
    given = sentence.words
    end = place + max(1, len(gold.words))
    clause = _clause_before(sentence, place)
    after = given[end : end + 2]
    refused = abstention.refusal(sentence.text)
    declined = refused is not None and len(answer_words(sentence.text[:refused])) <= place
    denied = any(tuple(after[:n]) in _DENIALS for n in (1, 2)) and not _TAG.search(sentence.text)
    if _negates(clause[-3:], gold, language) or denied:
        return "abstained" if declined else "negated"
    options = language.alternatives - set(gold.words)
    if options.intersection([*given[max(0, place - 2) : place], *after]) and _offers(sentence):
        return "hedged"
    if _lists(gold, sentence):
        return "hedged"
    return "abstained" if declined else None


def _clause_before(sentence: Sentence, place: int) -> list[str]:
    """Return the words before a place, back to the last comma or the like."""
    if not place:
        return []
    upto = sentence.starts[place] if place < len(sentence.starts) else len(sentence.plain)
    begun = max(map(sentence.plain[:upto].rfind, (", ", ";", ": ", "—", "，", "(")))
    return [
        word
        for word, start in zip(sentence.words[:place], sentence.starts, strict=False)
        if start > begun
    ]


def _negates(before: Sequence[str], gold: Accepted, language: Language) -> bool:
    found = language.negations.intersection(before) - set(gold.words)
    if found == {"not"} and "only" in before:
        return False
    return bool(found - {"than"}) or ("than" in found and "rather" in before)


def _offers(sentence: Sentence) -> bool:
    """Say whether an "or" offers two answers, and not two names of one thing."""
    if _NAMED.search(sentence.text):
        return False
    return len(sentence.words) <= _SHORT or _UNSURE.search(sentence.text) is not None


def _lists(gold: Accepted, sentence: Sentence) -> bool:
    """Say whether a sentence is a bare list of three or more short answers, this among them."""
    if gold.items or not re.search(r"[,;/]", sentence.text):
        return False
    parts = [answer_words(part) for part in re.split(r"[,;/]| and | or ", sentence.text[:400])]
    parts = [part for part in parts if part]
    return len(parts) > 2 and all(len(part) <= 4 for part in parts) and list(gold.words) in parts
