"""Free-text answers to a question: is an accepted answer what the response says?

The rule, in the order in which it is applied:

1. The *answer region* is what is said to the user (no hidden reasoning, nothing after a leaked
   role, nothing that is taken back): the clause after the last "the answer is", or else the last
   sentence that draws a conclusion ("Therefore, ..."), the first two statements and the last.
2. The response is correct where a statement of the region states an accepted answer, unnegated and
   not as one of several alternatives: as the same date, number (in the same unit), person or words
   (`stated_answer`). ``yes``, ``no``, ``true``, ``false`` and ``maybe`` must lead a statement.
3. A response that declines is ``abstained``: correct where an accepted answer says that there is
   none, and only there.
4. An accepted answer that stands only between the statements of the region is ``over_verbose``:
   incorrect, because a reader had to search for it.

So "Vienna", "In Vienna." and "The office is in Vienna, near the river." count alike, and a model
is not punished for its manners; "Vienna or Graz" and "not Vienna" do not count. The strict rule of
SQuAD and its token F1 stand beside the score as ``squad_em`` and ``f1``, over the whole response.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.records import Verdict
from harness.scoring import abstention, answer_region, response_faults, stated_facts
from harness.scoring.accepted_answer import Accepted, Sentence, forms, normal
from harness.scoring.answer_languages import ENGLISH, Language, language_of
from harness.scoring.near_answers import nearly
from harness.scoring.normalize import content, find, normalize, token_f1, words

PARTIAL = 0.5
"""Token F1 with an accepted answer of several words from which a wrong one is partial."""

_REASONS = {
    "empty": "the response is empty",
    "format": "the response holds no words outside markup",
    "repetition": "the response is caught in a loop",
    "abstained": "the response declines to answer",
    "missed_abstention": "the response answers what should have been declined",
    "hedged": "the response offers alternatives instead of one answer",
    "negated": "the response denies the accepted answer",
    "over_verbose": "the accepted answer comes only outside the answer region",
    "truncated": "the response was cut at its length limit before an accepted answer",
    "echo": "the response only repeats the question",
}


def qa(
    question: str,
    answers: Sequence[str],
    response: str,
    *,
    context: str | None = None,
    finish: str | None = None,
) -> Verdict:
    """Judge a free-text answer.

    Args:
        question: What was asked; its words are not part of an answer, and it may name the scale
            of a number ("in millions").
        answers: Every accepted answer. One that reads as an abstention ("I don't know",
            "unanswerable") makes any abstention correct.
        response: The raw model text.
        context: The passage the answer should come from, for telling another span of it
            (``wrong_supported``) from something that it does not say (``hallucinated``), and for
            naming what a response adds to it (``ungrounded``).
        finish: ``length`` where the generation was cut at its limit.

    Returns:
        A verdict with score 0 or 1; metrics ``exact_match`` (the score), ``squad_em``, ``f1``.
        Labels of a wrong answer: empty, format, repetition, abstained, missed_abstention, hedged,
        negated, over_verbose, truncated, echo, near_miss, partial, wrong_supported, hallucinated,
        wrong_answer. Labels beside others: abstained (of a right answer), truncated,
        role_confusion, ungrounded (``details`` names what the context lacks),
        language_not_covered.

    >>> qa("Where is the office?", ["Vienna"], "The office is in Vienna.").score
    1.0
    >>> qa("Where is the office?", ["Vienna"], "The office is in Graz.").labels
    ('wrong_answer',)
    """
    wanted = [answer for answer in answers if answer.strip()]
    if not wanted:
        return Verdict(
            outcome="unscored",
            score=None,
            labels=("no_accepted_answer",),
            explanation="the item has no accepted answer to compare with",
        )
    reading = _read(question, wanted, response_faults.both_ends(response))
    fault, answer = _fault(reading, response)
    declined = fault == "abstained" or (fault is None and not answer)
    if fault is not None or not answer:
        answer = answer_region.extract(question, [sentence.text for sentence in reading.stated])
    if fault == "absent":
        fault = _cause(reading, answer, context, finish)
    added = [] if declined or not context else _added(reading, context)
    return Verdict(
        outcome="incorrect" if fault else "correct",
        score=float(fault is None),
        labels=_labels(reading, fault, declined, bool(added), response, finish),
        answer=answer or None,
        explanation=_explain(fault, answer, declined, wanted),
        metrics={
            "exact_match": float(fault is None),
            "squad_em": float(normalize(reading.said) in map(normal, wanted)),
            "f1": token_f1(wanted, reading.said),
        },
        details={"ungrounded": added} if added else {},
    )


@dataclass(frozen=True)
class _Reading:
    """A response beside the accepted answers, both read."""

    question: str
    golds: tuple[Accepted, ...]
    said: str
    stated: tuple[Sentence, ...]
    language: Language | None

    @property
    def rules(self) -> Language:
        """The language by whose rules it is judged."""
        return self.language or ENGLISH


def _read(question: str, answers: Sequence[str], response: str) -> _Reading:
    said = response_faults.visible_text(response)
    language = language_of(question, said)
    code = (language or ENGLISH).code
    golds = tuple(form for answer in answers for form in forms(answer, code))
    stated = tuple(Sentence(part, code) for part in answer_region.region(said))
    return _Reading(question, golds, said, stated, language)


def _added(reading: _Reading, context: str) -> list[str]:
    """Return the numbers and names that a response adds to its source."""
    found = (
        stated_facts.not_in_source(context, reading.question, sentence.text)
        for sentence in reading.stated
    )
    return list(dict.fromkeys(text for texts in found for text in texts))


def _fault(reading: _Reading, response: str) -> tuple[str | None, str]:
    """Return why a response is not correct (None: it is), and the accepted answer it states."""
    said = reading.said
    if not words(said):
        return ("format" if response.strip() else "empty"), ""
    whole = normalize(said)
    for gold in reading.golds:
        if gold.normal == whole and not gold.abstains:
            return None, gold.text
    if response_faults.is_repetitive(said):
        return "repetition", ""
    problem = "absent"
    for gold in reading.golds:
        if gold.abstains:
            continue
        found = answer_region.objection_of(gold, reading.stated, reading.question, reading.rules)
        if found is None:
            return None, gold.text
        problem = found if problem == "absent" else problem
    may_abstain = any(gold.abstains for gold in reading.golds)
    if abstention.declines(answer_region.statements_of(said)):
        return (None, "") if may_abstain else ("abstained", "")
    return "missed_abstention" if may_abstain else problem, ""


def _cause(reading: _Reading, extracted: str, context: str | None, finish: str | None) -> str:
    """Say why no accepted answer stands in the answer region."""
    said, question = reading.said, reading.question
    if finish == "length":
        return "truncated"
    if len(words(said)) > 2 and set(content(said)) <= set(content(question)):
        return "echo"
    if len(reading.golds) <= _MANY and _stated_later(reading):
        return "over_verbose"
    if any(nearly(gold, reading.stated, question) for gold in reading.golds):
        return "near_miss"
    golds = [gold.text for gold in reading.golds if len(gold.words) > 1]
    if token_f1(golds, extracted) >= PARTIAL:
        return "partial"
    if context:
        inside = find(content(extracted), content(context)) >= 0
        return "wrong_supported" if inside else "hallucinated"
    return "wrong_answer"


_MANY = 100
_SEARCHED = 40
"""Statements in which an accepted answer outside the region is looked for."""


def _stated_later(reading: _Reading) -> bool:
    parts = answer_region.statements_of(reading.said)[:_SEARCHED]
    if len(parts) <= len(reading.stated):
        return False
    rest = [Sentence(part[: answer_region.LONGEST], reading.rules.code) for part in parts]
    return any(
        answer_region.objection_of(gold, rest, reading.question, reading.rules) is None
        for gold in reading.golds
    )


def _labels(
    reading: _Reading,
    fault: str | None,
    declined: bool,
    added: bool,
    response: str,
    finish: str | None,
) -> tuple[str, ...]:
    if fault in {"empty", "format"}:
        return (fault,)
    flags = {
        "abstained": declined,
        "truncated": finish == "length",
        "role_confusion": response_faults.leaks_role(response),
        "ungrounded": added and fault != "hallucinated",
        "language_not_covered": reading.language is None,
    }
    primary = [fault] if fault else []
    return (*primary, *(name for name, holds in flags.items() if holds and name != fault))


def _explain(fault: str | None, answer: str, declined: bool, answers: Sequence[str]) -> str:
    if fault is None:
        return "declines, as it should" if declined else f"states the accepted answer {answer!r}"
    wanted = " or ".join(repr(answer) for answer in answers[:3])
    return f"{_REASONS.get(fault) or f'says {answer!r}'}; accepted: {wanted}"
