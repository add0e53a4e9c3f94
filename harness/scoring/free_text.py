"""Free-text answers to a question: is an accepted answer what the response says?

The rule, in the order in which it is applied:

1. The *answer region* is what is said to the user (no hidden reasoning, nothing after a leaked
   role): the clause after the last "the answer is", or else the first two statements.
2. The response is correct if the region equals an accepted answer after `normalize`, or contains
   it as whole words, unnegated and not as one of several alternatives. ``yes``, ``no``, ``true``,
   ``false`` and ``maybe`` must lead the region, since they stand in too many other sentences.
3. An accepted answer that comes later than the region is ``over_verbose``: incorrect, because a
   reader had to search for it.

So "Vienna", "In Vienna." and "The office is in Vienna, near the river." count alike, and a model
is not punished for its manners; "Vienna or Graz" and "not Vienna" do not count. The strict rule of
SQuAD and its token F1 stand beside the score as ``squad_em`` and ``f1``, over the whole response.
"""

from collections.abc import Sequence

from harness.records import Verdict
from harness.scoring import answer_region, response_faults
from harness.scoring.normalize import comparable, content, find, normalize, token_f1, words

PARTIAL = 0.5
"""Token F1 with an accepted answer of several words from which a wrong one is partial."""

_REASONS = {
    "empty": "the response is empty",
    "format": "the response holds no words outside markup",
    "repetition": "the response is caught in a loop",
    "refusal": "the response declines to answer",
    "missed_abstention": "the response answers what should have been declined",
    "hedged": "the response offers alternatives instead of one answer",
    "negated": "the response denies the accepted answer",
    "over_verbose": "the accepted answer comes only after the answer region",
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
        question: What was asked; its words are not part of an extracted answer.
        answers: Every accepted answer. One that reads as an abstention ("I don't know",
            "unanswerable") makes any abstention correct.
        response: The raw model text.
        context: The passage the answer should come from, for telling another span of it
            (``wrong_supported``) from something that it does not say (``hallucinated``).
        finish: ``length`` where the generation was cut at its limit.

    Returns:
        A verdict with score 0 or 1; metrics ``exact_match`` (the score), ``squad_em``, ``f1``.
        Labels of a wrong answer: empty, format, repetition, refusal, missed_abstention, hedged,
        negated, over_verbose, truncated, echo, partial, wrong_supported, hallucinated,
        wrong_answer.

    >>> qa("Where is the office?", ["Vienna"], "The office is in Vienna.").score
    1.0
    >>> qa("Where is the office?", ["Vienna"], "The office is in Graz.").labels
    ('wrong_answer',)
    """
    accepted = [answer for answer in answers if answer.strip()]
    if not accepted:
        return Verdict(
            outcome="unscored",
            score=None,
            labels=("no_accepted_answer",),
            explanation="the item has no accepted answer to compare with",
        )
    said = response_faults.visible_text(response)
    stated = answer_region.region(said)
    fault, answer = _fault(accepted, response, stated)
    if fault is not None:
        answer = answer_region.extract(question, stated)
    if fault == "absent":
        fault = _cause(question, accepted, said, answer, context, finish)
    return Verdict(
        outcome="incorrect" if fault else "correct",
        score=float(fault is None),
        labels=_labels(fault, response, finish),
        answer=answer or None,
        explanation=_explain(fault, answer, accepted),
        metrics={
            "exact_match": float(fault is None),
            "squad_em": float(any(normalize(a) == normalize(said) for a in accepted)),
            "f1": token_f1(accepted, said),
        },
    )


def _fault(accepted: Sequence[str], response: str, stated: str) -> tuple[str | None, str]:
    """Return why a response is not correct (None: it is), and the accepted answer it states."""
    said = response_faults.visible_text(response)
    if not words(said):
        return ("format" if response.strip() else "empty"), ""
    if response_faults.is_repetitive(said):
        return "repetition", ""
    whole = comparable(said)
    objections = {
        answer: None if comparable(answer) == whole else answer_region.objection(answer, stated)
        for answer in accepted
    }
    for answer, objection in objections.items():
        if objection is None:
            return None, answer
    may_abstain = any(response_faults.abstains(answer) for answer in accepted)
    if response_faults.abstains(stated):
        return (None, stated) if may_abstain else ("refusal", "")
    if may_abstain:
        return "missed_abstention", ""
    return next((found for found in objections.values() if found != "absent"), "absent"), ""


def _cause(
    question: str,
    accepted: Sequence[str],
    said: str,
    extracted: str,
    context: str | None,
    finish: str | None,
) -> str:
    """Say why no accepted answer stands in the answer region."""
    if any(answer_region.objection(answer, said) is None for answer in accepted):
        return "over_verbose"
    if finish == "length":
        return "truncated"
    if len(words(said)) > 2 and set(content(said)) <= set(content(question)):
        return "echo"
    if token_f1([a for a in accepted if len(content(a)) > 1], extracted) >= PARTIAL:
        return "partial"
    if context:
        inside = find(content(extracted), content(context)) >= 0
        return "wrong_supported" if inside else "hallucinated"
    return "wrong_answer"


def _labels(fault: str | None, response: str, finish: str | None) -> tuple[str, ...]:
    if fault in {"empty", "format"}:
        return (fault,)
    flags = {
        "truncated": finish == "length",
        "role_confusion": response_faults.leaks_role(response),
    }
    primary = [fault] if fault else []
    return (*primary, *(name for name, holds in flags.items() if holds and name != fault))


def _explain(fault: str | None, answer: str, accepted: Sequence[str]) -> str:
    if fault is None:
        return f"states the accepted answer {answer!r}"
    wanted = " or ".join(repr(answer) for answer in accepted[:3])
    return f"{_REASONS.get(fault) or f'says {answer!r}'}; accepted: {wanted}"
