r"""Free-text answers to a multiple-choice question: which choice does the response name?

Reading the letter is the most fragile step of free-text multiple choice, so the rule is ordered
from explicit to implicit, and a response that names two choices names none:

1. the last explicit statement ("the answer is B", ``\boxed{B}``, "Answer: (B)");
2. a label at the very start ("B", "(B)", "B. Paris", "**B)** Paris");
3. the whole response is the text of a choice;
4. the text of exactly one choice stands in the response as whole words, unnegated;
5. exactly one label stands in brackets, after "option" or "choice", or ends a phrase such as
   "I would choose B".

A label and a text that point at different choices ("B. London" where London is C) are a
``conflict``. "A" and "I" at the start of a sentence are words, not labels.
"""

import re
from collections.abc import Sequence

from harness.records import Verdict
from harness.scoring import response_faults
from harness.scoring.normalize import comparable, find, words

_EXPLICIT = re.compile(
    r"\\boxed\{(?:\\text\{)?(?P<boxed>[^{}]*)\}"
    r"|\b(?:final |correct |right |best )?(?:answer|option|choice)\b"
    r"(?:\s+(?:is|would be|must be)\b|\s*[:=])",
    re.IGNORECASE,
)
_AFTER_LABEL = r"(?:[)\].:,;]|\s*$|(?=\s))\s*"
_SAYS = re.compile(r"(?:is|because|since|as|would|seems|-|–)\b|$")
_ALTERNATIVE = re.compile(r"(?:or|and|/)\s*[(\[]?(?P<label>\w+)")
_NEGATIONS = frozenset({"not", "isnt", "never", "neither", "nor", "except", "wrong", "incorrect"})
_CHOOSE = r"\b(?i:is|be|it['’]s|choose|pick|select|take|say|with)"
_WORDS = frozenset({"A", "I"})


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
        answer: empty, repetition, refusal, conflict, ambiguous, truncated, no_answer, wrong_choice.

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
    """Return the index of the choice that a response names, or None and why not."""
    said = response_faults.strip_markdown(response_faults.visible_text(response))
    if not words(said):
        return None, "empty"
    if response_faults.is_repetitive(said):
        return None, "repetition"
    for text, explicit in [*_statements(said)[-1:], (said, False)]:
        found, problem = _named(choices, labels, text, explicit=explicit)
        if found is not None or problem in {"conflict", "ambiguous"}:
            return found, problem
    return None, "refusal" if response_faults.abstains(said) else "no_answer"


def _statements(said: str) -> list[tuple[str, bool]]:
    """Return what follows each "the answer is", to the end of its line."""
    found = [
        m["boxed"] if m["boxed"] is not None else said[m.end() :].partition("\n")[0]
        for m in _EXPLICIT.finditer(said)
    ]
    return [(text.strip(), True) for text in found if words(text)]


def _named(
    choices: Sequence[str], labels: Sequence[str], text: str, *, explicit: bool
) -> tuple[int | None, str | None]:
    index, rest = _leading_label(choices, labels, text, explicit=explicit)
    by_text = _by_text(choices, text)
    if index is not None:
        other = _ALTERNATIVE.match(rest)
        if other is not None and other["label"] in labels:
            return None, "ambiguous"
        begun = [i for i in _by_text(choices, rest) if _begins(choices[i], rest)]
        return (index, None) if not begun or index in begun else (None, "conflict")
    if len(by_text) == 1:
        return by_text[0], None
    bracketed = _bracketed(labels, text)
    if len(bracketed) == 1 and (not by_text or bracketed[0] in by_text):
        return bracketed[0], None
    return None, "ambiguous" if by_text or bracketed else "no_answer"


def _leading_label(
    choices: Sequence[str], labels: Sequence[str], text: str, *, explicit: bool
) -> tuple[int | None, str]:
    """Return the label that a text begins with and what follows it; None where it has none.

    A bare "A" or "I" before another word is a word, unless the text says that it is the answer.
    """
    for index, label in enumerate(labels):
        forms = {label, label.lower()} if len(label) == 1 else {label}
        match = re.match(rf"[(\[]?(?P<label>{'|'.join(map(re.escape, forms))}){_AFTER_LABEL}", text)
        if match is None:
            continue
        rest = text[match.end() :]
        if any(comparable(c) == comparable(text) and words(c) != [label.lower()] for c in choices):
            continue
        bare = bool(rest) and match.group().strip() == match["label"]
        capital = match["label"] == label
        certain = not bare or (capital and (explicit or label not in _WORDS))
        said = _begins(choices[index], rest) or (capital and bool(_SAYS.match(rest)))
        if (certain or said) and not _denied(rest):
            return index, rest
    return None, ""


def _begins(choice_text: str, rest: str) -> bool:
    return find(comparable(choice_text), comparable(rest)) == 0


def _denied(rest: str) -> bool:
    start = words(rest)[:2]
    return start[:1] == ["isnt"] or (
        start[:1] == ["is"] and start[1:] in (["not"], ["wrong"], ["incorrect"], ["false"])
    )


def _by_text(choices: Sequence[str], text: str) -> list[int]:
    """Return the choices whose text stands in a response, the longest where they overlap."""
    given = comparable(text)
    equal = [i for i, c in enumerate(choices) if comparable(c) == given]
    if equal:
        return [i for i in equal if choices[i].strip(" .") == text.strip(" .")] or equal
    spans: list[tuple[int, int, int]] = []
    for index, wanted in ((i, comparable(c)) for i, c in enumerate(choices)):
        start = find(wanted, given)
        if start >= 0 and not _NEGATIONS.intersection(given[max(0, start - 2) : start]):
            spans.append((start, start + len(wanted), index))
    found = [
        index
        for low, high, index in spans
        if not any(a <= low and high <= b and (b - a) > (high - low) for a, b, _ in spans)
    ]
    if len({tuple(comparable(choices[index])) for index in found}) == 1:  # rr, Rr and RR
        exact = [i for i in found if re.search(rf"(?<!\w){re.escape(choices[i])}(?!\w)", text)]
        return exact or found
    return found


def _bracketed(labels: Sequence[str], text: str) -> list[int]:
    """Return the choices whose label stands where only a label can."""
    found = []
    for index, name in enumerate(re.escape(label) for label in labels):
        marked = rf"[(\[]{name}[)\]]|\b(?i:option|choice) {name}\b"
        if re.search(rf"{marked}|{_CHOOSE} {name}[.!]?$", text):
            found.append(index)
    return found


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
