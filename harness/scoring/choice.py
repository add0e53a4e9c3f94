r"""Free-text answers to a multiple-choice question: which choice does the response declare?

A choice is read from what is declared, never guessed:

1. What follows an invented next question, or another role, is not the answer.
2. The last declaration wins: "the (final, correct, best, closest ...) answer, choice or option is",
   ``\\boxed{}``, "I would choose", or a line that ends in "is:" and the next one that holds words.
   "Not listed" names none; two labels are ``ambiguous``; a label beside the text of another choice
   ("B. London" where London is C) is a ``conflict``.
3. Where nothing is declared: a label at the very start ("B", "(B) Rome"), one choice that is said
   to be right ("option B is the best"), a closing "... is (B).", a line among the last three that
   is a label, or a short reply that is, or comes to, the text of one choice.

No label is taken out of running prose, and no text of a choice out of a long reply. "A" and "I" at
the start of a sentence are words, not labels. A loop does not undo what was stated.
"""

import re
from collections.abc import Sequence

from harness.records import Verdict
from harness.scoring import abstention, choice_forms, choice_texts, response_faults
from harness.scoring.answer_languages import CONCLUSION
from harness.scoring.answer_region import sentences
from harness.scoring.choice_forms import Reading
from harness.scoring.normalize import comparable, find, words
from harness.scoring.wordlists import NEGATIONS

_NEXT_QUESTION = re.compile(
    r"^[^\S\n]*(?:#+\s*)?(?:(?:next |new |another )?question|q|problem|example|exercise|frage"
    r"|aufgabe|pregunta|问题|题目)\s*\d*\s*[:：.]"
    r"|^[^\S\n]*(?:user|human|assistant|student|teacher)\s*:",
    re.IGNORECASE | re.MULTILINE,
)
_ANSWER_TAG = re.compile(r"<(?:final_)?answer>")
_TAG = re.compile(r"</?(?:b|i|p|u|em|strong|br|span|div|code|answer|final_answer)\s*/?>")
_THEREFORE = re.compile(
    r"(?:(?:so|thus|hence|therefore|definitely|probably|certainly|surely|clearly|ok|okay|well|then"
    r"|i\s+(?:think|believe|guess|would\s+say)|my\s+guess|daher|also|donc|por\s+tanto)\b[,:]?\s+)+"
    r"|(?:因此|所以)[，,]?",
    re.IGNORECASE,
)
"""Words before a label that is the whole reply, or a line of its own."""

_PRAISE = re.compile(
    r"(?:(?:[(\[（]|\b(?i:option|choice|answer|statement)\s+[(\[（]?)(?P<marked>\w{1,2})[)\]）]?"
    r"(?![\w'’])(?:[.:)]?\s[^.\n]{0,120}?)?"
    r"|(?:^|(?<=[.!?,]\s)|(?<=\n))(?P<bare>[A-Z0-9])(?![\w'’])(?:[.:)]\s[^.\n]{0,120}?)?)"
    r"\s*\b(?:is|seems|looks|would\s+be|must\s+be|appears\s+to\s+be"
    r"|remains|stands\s+out\s+as)"
    r"\s+(?:(?:clearly|indeed|therefore|thus|probably|likely|also|the|our|my)\s+)*"
    r"(?:correct|right|best|answer|closest|most\s+(?:appropriate|likely|accurate|suitable|plausible))\b",
)
_CLOSING = re.compile(r"\b(?:is|be|are|ist|es|est)\s*:?\s*[(\[（]\s*(\w{1,2})\s*[)\]）]")
_AT_END = re.compile(r"(?<=\s)[(\[](?P<marked>\w{1,2})[)\]]\W*$")
_IT_IS = re.compile(
    r"(?:(?:so|then|thus|hence|therefore|i\s+(?:think|believe|guess))\b,?\s*)*(?:it|that|this)"
    r"(?:\s+is|['’]s|\s+must\s+be|\s+would\s+be|\s+should\s+be)\s+(?:option\s+)?(?P<label>\w{1,2})\W*$",
    re.IGNORECASE,
)
_CUE = (
    r"(?:^|[:：]|\b(?:is|it['’]s|so|be|are|therefore|thus|by|in|say|think|ist|es|est|also|donc)\b"
    r"|[是为])"
)
_GOOD = frozenset(("best", "right", "correct", "answer", "most"))
_PART = 4000
"""Characters at either end of a response in which an undeclared answer is looked for."""

_NEAR = 3
_BRIEF = 20
"""Words beside a choice's own up to which a reply is short."""


def choice(
    choices: Sequence[str],
    answer: int,
    response: str,
    *,
    labels: Sequence[str] | None = None,
    finish: str | None = None,
) -> Verdict:
    """Judge a free-text answer to a multiple-choice question.

    Args:
        choices: The texts of the choices, in order.
        answer: The index of the right one.
        response: The raw model text.
        labels: What the choices were called in the prompt; A, B, C, ... by default.
        finish: ``length`` where the generation was cut at its limit.

    Returns:
        A verdict with score 0 or 1 and ``details["chosen"]``, an index or None. Labels of a wrong
        answer: empty, repetition, abstained, conflict, ambiguous, truncated, no_answer,
        wrong_choice.

    >>> choice(["Paris", "Rome"], 1, "I'd say (B), Rome.").details["chosen"]
    1
    >>> choice(["Paris", "Rome"], 1, "Paris or Rome").labels
    ('ambiguous',)
    """
    names = list(labels or (chr(ord("A") + i) for i in range(len(choices))))
    if not 0 <= answer < len(choices):
        return Verdict(
            outcome="unscored",
            score=None,
            labels=("no_accepted_answer",),
            explanation=f"the right answer is choice {answer} of {len(choices)}",
            details={"chosen": None},
        )
    chosen, problem = read_choice(choices, names, response)
    right = chosen == answer
    if right:
        causes: tuple[str, ...] = ()
    elif problem == "no_answer" and finish == "length":
        causes = ("truncated",)
    else:
        causes = (problem or "wrong_choice",)
    return Verdict(
        outcome="correct" if right else "incorrect",
        score=float(right),
        labels=causes,
        answer=None if chosen is None else names[chosen],
        explanation=_explain(choices, names, chosen, answer, causes),
        metrics={"acc": float(right), "answered": float(chosen is not None)},
        details={"chosen": chosen},
    )


def read_choice(
    choices: Sequence[str], labels: Sequence[str], response: str
) -> tuple[int | None, str | None]:
    """Return the index of the choice that a response declares, or None and why not."""
    said = _own_words(response)
    if not choice_forms.HAS_WORDS(said):
        return None, "empty"
    for reading in choice_forms.declarations(choices, labels, said):
        if reading.index is not None:
            return reading.index, None
        if reading.problem in _PROBLEMS:
            return None, _PROBLEMS[reading.problem]
    for read in (_whole, _praised, _closing, _label_line, _short):
        reading = read(choices, labels, said)
        if reading.index is not None or reading.problem:
            return reading.index, reading.problem
    if response_faults.is_repetitive(said):
        return None, "repetition"
    return None, "abstained" if abstention.declines(sentences(said)) else "no_answer"


_PROBLEMS = {"ambiguous": "ambiguous", "conflict": "conflict", "none": "no_answer"}


def _own_words(response: str) -> str:
    """Return what answers the question that was asked: nothing after an invented next one."""
    said = response_faults.visible_text(response_faults.both_ends(response))
    said = _TAG.sub("", _ANSWER_TAG.sub("\nAnswer: ", said))
    said = response_faults.strip_markdown(choice_forms.without_latex(said))
    for match in _NEXT_QUESTION.finditer(said):
        if choice_forms.HAS_WORDS(said, 0, match.start()):
            return said[: match.start()].strip()
    return said


def _whole(choices: Sequence[str], labels: Sequence[str], said: str) -> Reading:
    """Read a label at the very start, where no other line begins with another label."""
    said = _after_therefore(said)
    found = choice_forms.leading_label(choices, labels, said, declared=False)
    if found is None:
        return Reading(None)
    form = choice_forms.label_form(tuple(labels))
    for line in said.split("\n")[1:]:
        match = form.match(line)
        other = match is not None and match["label"] in {*labels} - {labels[found[0]]}
        if match and other and (match["close"] or match["mark"] or not match["rest"]):
            return Reading(None)
    reading = choice_forms.name_of(choices, labels, said, declared=False)
    return Reading(None) if reading.problem == "denied" else reading


def _after_therefore(text: str) -> str:
    drawn = _THEREFORE.match(text)
    return text[drawn.end() :] if drawn else text


def _praised(_: Sequence[str], labels: Sequence[str], said: str) -> Reading:
    """Read "option B is the best": one choice that is said to be right."""
    named = set()
    for match in _PRAISE.finditer(said):
        mark = match["marked"] or match["bare"]
        if mark in labels:
            named.add(list(labels).index(mark))
    return (
        Reading(named.pop()) if len(named) == 1 else Reading(None, "ambiguous" if named else None)
    )


def _closing(_: Sequence[str], labels: Sequence[str], said: str) -> Reading:
    """Read "... is (X)" near the end, or a conclusion that ends in a label."""
    last = sentences(said[-_PART:])[-_NEAR:]
    for part in reversed(last):
        named = [mark for mark in _CLOSING.findall(part) if mark in labels]
        if named:
            return Reading(list(labels).index(named[-1]))
    end = _AT_END.search(last[-1]) if last and CONCLUSION.match(last[-1]) else None
    mark = end["marked"] if end else None
    return Reading(list(labels).index(mark) if mark and mark in labels else None)


def _label_line(choices: Sequence[str], labels: Sequence[str], said: str) -> Reading:
    """Read a line that is a label, alone or with its choice's text, among the last three."""
    found = set()
    for line in [line for line in said[-_PART:].split("\n") if choice_forms.HAS_WORDS(line)][
        -_NEAR:
    ]:
        text = _after_therefore(line.strip())
        label = choice_forms.leading_label(choices, labels, text, declared=False)
        if label is not None and (
            not words(label[1]) or comparable(label[1]) == comparable(choices[label[0]])
        ):
            found.add(label[0])
    return Reading(found.pop()) if len(found) == 1 else Reading(None)


def _short(choices: Sequence[str], labels: Sequence[str], said: str) -> Reading:
    """Read the text of one choice that a short reply is, or comes to."""
    if len(said) > _PART or len(said.split()) > _BRIEF + max(len(c.split()) for c in choices):
        return Reading(None)
    plain = _IT_IS.match(said)
    if plain is not None and plain["label"] in labels:
        return Reading(list(labels).index(plain["label"]))
    equal = choice_texts.by_text(choices, said, start=False)
    if equal:
        return Reading(equal[0]) if len(equal) == 1 else Reading(None, "ambiguous")
    given = comparable(said)
    named = [
        index
        for index in choice_texts.contained(choices, said)
        if not _denied(comparable(choices[index]), given)
    ]
    if len(named) > 1:
        return Reading(None, "ambiguous")
    return Reading(named[0]) if named and _stands(choices[named[0]], said, given) else Reading(None)


def _denied(wanted: Sequence[str], given: Sequence[str]) -> bool:
    start = find(wanted, given)
    after = given[start + len(wanted) : start + len(wanted) + 2]
    return bool(
        NEGATIONS.intersection(given[max(0, start - 2) : start])
        or {"wrong", "incorrect", "out", "false"}.intersection(after)
        or after[:2] == ["is", "not"]
    )


def _stands(choice_text: str, said: str, given: Sequence[str]) -> bool:
    """Say whether the text of a choice is what a short reply comes to, not a word in passing."""
    wanted = choice_texts.choice_words(choice_text)
    after = given[find(wanted, given) + len(wanted) :]
    if after[:1] == ["is"] and _GOOD.intersection(after[1:3]):
        return True
    text = re.escape(choice_text.strip(" .")).replace(r"\ ", r"\s+")
    cued = rf"{_CUE}\W*(?:the\s+|an?\s+)?{text}\W*(?:$|[.,;!\n]|because\b|since\b|as\b|is\b)"
    return re.search(cued, said, re.IGNORECASE) is not None


def _explain(
    choices: Sequence[str],
    labels: Sequence[str],
    chosen: int | None,
    answer: int,
    causes: Sequence[str],
) -> str:
    right = f"{labels[answer]} ({choices[answer]})"
    if chosen is None:
        return f"no single choice can be read from the response ({causes[0]}); right is {right}"
    return f"chose {labels[chosen]} ({choices[chosen]}); right is {right}"
