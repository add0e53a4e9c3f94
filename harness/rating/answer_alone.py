"""Responses of reasoning models: the thought apart from the answer, and thoughts without answers.

Judges see the answer alone, whatever the suite.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from harness.records import Response, Verdict
from harness.thoughts import (
    ANSWER_TOKENS,
    ONLY_THOUGHT,
    THINKING_TOKENS,
    UNTIL_LIMIT,
    opened_by,
    split_thought,
)

_WORDS = {
    UNTIL_LIMIT: "the model thought until its limit and gave no answer",
    ONLY_THOUGHT: "the model ended after its thought and gave no answer",
}


def without_thought(
    response: Response, *, prompt: str = "", count: Callable[[str], int] | None = None
) -> Response:
    """Return a response with its thought apart from its text.

    A thought without an end was cut, unless the response says that the model ended by itself.

    Args:
        response: As a model gave it; one whose thought is apart already comes back as it is.
        prompt: What it answers, which may have opened the thought.
        count: Counts the tokens of a thought that an answer follows; a thought alone has them all.
    """
    if response.text is None or response.thought is not None:
        return response
    split = split_thought(response.text, opened=opened_by(prompt))
    if split.thought is None:
        return response if split.answer == response.text else replace(response, text=split.answer)
    tokens = response.tokens
    if split.closed and count is not None:
        thought = count(response.text[: split.start])
        tokens = min(thought, tokens) if tokens else thought
    finish = response.finish or (None if split.closed else "length")
    return replace(
        response, text=split.answer, finish=finish, thought=split.thought, thought_tokens=tokens
    )


def with_token_counts(
    verdicts: Sequence[Verdict], given: Sequence[Sequence[Response]]
) -> list[Verdict]:
    """Return verdicts with the tokens of thoughts and answers as columns, if an arm ever thought.

    Args:
        verdicts: One arm's, of one suite.
        given: The responses that each is of.
    """
    if not any(one.thought is not None for responses in given for one in responses):
        return list(verdicts)
    counted = []
    for verdict, responses in zip(verdicts, given, strict=True):
        thought = sum(one.thought_tokens for one in responses)
        answer = sum(one.tokens for one in responses) - thought
        columns = {THINKING_TOKENS: float(thought), ANSWER_TOKENS: float(max(0, answer))}
        scored = verdict.outcome != "unscored"
        counted.append(
            replace(verdict, metrics={**verdict.metrics, **columns}) if scored else verdict
        )
    return counted


def cause_without_answer(responses: Sequence[Response]) -> str | None:
    """Return why a model that thought gave no answer, None where one of its responses is one."""
    if any(one.thought is None or (one.text or "").strip() for one in responses):
        return None
    return UNTIL_LIMIT if any(one.finish == "length" for one in responses) else ONLY_THOUGHT


def never_answered(
    verdict: Verdict, responses: Sequence[Response], *, worst: float = 0.0
) -> Verdict:
    """Return a verdict that is wrong where a model thought and never answered.

    Nothing that was said can be right, also where saying nothing would be: no call where none is
    wanted, no help where none is due.

    Args:
        verdict: Of the empty answer.
        responses: To the item's requests.
        worst: The score that nothing is worse than.
    """
    cause = cause_without_answer(responses)
    if cause is None or verdict.outcome == "unscored":
        return verdict
    right = verdict.outcome == "correct"
    return replace(
        verdict,
        outcome="incorrect",
        score=worst,
        labels=(cause,),
        answer=None,
        explanation=_WORDS[cause],
        metrics=dict.fromkeys(verdict.metrics, worst) if right else verdict.metrics,
    )
