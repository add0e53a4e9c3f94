"""One turn of a conversation: does the response remember what was said, and does it fit?

Two questions, never mixed:

* **Recall** (where accepted answers are given; the primary metric of the ``coherence`` suite): 0/1,
  an accepted answer stands in the response as whole words, unnegated, and no listed distractor
  does. What the conversation said is known, so this needs no judge.
* **Coherence proxy** (where they are not; `harness rate coherence`): a graded score in [0, 1],
  ``relevance * distinct_2``, set to 0 by a gate (empty, loop, role leak, echo of the user, repeat
  of an own turn, contradiction, cut off). Its constants are fixed and were fitted to nothing. It
  is a weak proxy of what people mean by coherence: the suite's card has its measured agreement
  with human ratings. It never depends on an optional package.

Every component is a column of its own beside the score.
"""

from collections.abc import Mapping, Sequence

from harness.records import Message, Verdict
from harness.scoring import relevance, response_faults, stated_facts
from harness.scoring.answer_region import objection
from harness.scoring.normalize import comparable, find, words

THRESHOLD = 0.4
"""The proxy from which a response counts as coherent, where a suite declares no other.

A response that shares no word with its context has 0.5: below the threshold are gated responses
and those that repeat a fifth of their word pairs.
"""

ECHO = 0.8
"""Jaccard overlap of words from which a response counts as a copy of an earlier turn."""

Turn = Message | Mapping[str, object] | str


def coherence(
    turns: Sequence[Turn],
    response: str,
    *,
    answers: Sequence[str] | None = None,
    distractors: Sequence[str] = (),
    finish: str | None = None,
    threshold: float = THRESHOLD,
) -> Verdict:
    """Judge a response in its conversation.

    Args:
        turns: What was said before, oldest first: messages with ``role`` and ``content``, or plain
            texts that alternate and end with the user's.
        response: The raw model text.
        answers: The accepted answers to the last turn, where what was said decides; None asks for
            the graded proxy.
        distractors: Answers that contradict the conversation.
        finish: ``length`` where the generation was cut at its limit.
        threshold: The proxy from which the verdict is ``correct``.

    Returns:
        A verdict whose ``metrics`` are the components. Labels: empty, repetition, role_confusion,
        echo, self_echo, contradiction, truncated, refusal, hedged, other_value, forgot.

    >>> said = ["I have a dog called Rex.", "Nice!", "What is my dog called?"]
    >>> coherence(said, "Your dog is called Rex.", answers=["Rex"]).score
    1.0
    >>> coherence(said, "Your dog is called Bello.", answers=["Rex"]).labels
    ('contradiction', 'forgot')
    """
    history = messages(turns)
    said = response_faults.visible_text(response)
    parts = components(history, response, finish=finish)
    faults = [name for name in GATES if parts[name]]
    parts["coherence_proxy"] = 0.0 if faults else parts["relevance"] * parts["distinct_2"]
    if answers is None:
        return _proxy(parts, faults, said, threshold)
    accepted = [answer for answer in answers if answer.strip()]
    if not accepted:
        return Verdict(
            outcome="unscored",
            score=None,
            labels=("no_accepted_answer",),
            explanation="the item has no accepted answer to compare with",
            metrics=parts,
        )
    return _recall(history, said, accepted, distractors, parts, faults)


def messages(turns: Sequence[Turn]) -> list[Message]:
    """Return turns as messages; plain texts alternate, and the last one is the user's."""
    found = []
    for index, turn in enumerate(turns):
        if isinstance(turn, Message):
            found.append(turn)
        elif isinstance(turn, Mapping):
            found.append(Message(role=str(turn["role"]), content=str(turn["content"])))
        else:
            users = (len(turns) - 1 - index) % 2 == 0
            found.append(Message(role="user" if users else "assistant", content=str(turn)))
    return found


def components(
    history: Sequence[Message], response: str, *, finish: str | None = None
) -> dict[str, float]:
    """Measure a response against its conversation; every value is in [0, 1] but ``words``.

    ``relevance_last`` and ``relevance_context`` (last three turns) are `relevance.overlap`,
    ``relevance`` their mean lifted to the neutral point; ``distinct_2`` and ``seq_rep_4`` are
    repetition inside the response; ``user_overlap`` the largest word overlap with a user turn and
    ``own_overlap`` with an own earlier turn; the rest are 0 or 1.
    """
    said = response_faults.visible_text(response)
    own = [turn.content for turn in history if turn.role == "assistant"]
    asked = [turn.content for turn in history if turn.role == "user"]
    given = words(said)
    echo = max((response_faults.jaccard(given, words(turn)) for turn in asked), default=0.0)
    again = max((response_faults.jaccard(given, words(turn)) for turn in own), default=0.0)
    return {
        **relevance.of([turn.content for turn in history], said),
        "distinct_2": response_faults.distinct_n(said),
        "seq_rep_4": response_faults.seq_rep_n(said),
        "user_overlap": echo,
        "own_overlap": again,
        "words": float(len(given)),
        "empty": float(not given),
        "repetition": float(response_faults.is_repetitive(said)),
        "role_confusion": float(response_faults.leaks_role(response)),
        "echo": float(echo > ECHO and len(given) > 3),
        "self_echo": float(again > ECHO and len(given) > 3),
        "contradiction": float(stated_facts.contradicts(history, said)),
        "truncated": float(finish == "length"),
    }


GATES = (
    "empty",
    "repetition",
    "role_confusion",
    "echo",
    "self_echo",
    "contradiction",
    "truncated",
)
"""The components that set the proxy to 0, in the order in which they name the cause."""


def _proxy(parts: dict[str, float], faults: Sequence[str], said: str, threshold: float) -> Verdict:
    score = parts["coherence_proxy"]
    right = score >= threshold
    labels = tuple(faults) if faults or right else ("repetition",)
    why = labels[0] if labels else "no fault found"
    return Verdict(
        outcome="correct" if right else "incorrect",
        score=round(score, 6),
        labels=labels,
        answer=said or None,
        explanation=(
            f"{why}; relevance {parts['relevance']:.2f}, distinct bigrams {parts['distinct_2']:.2f}"
        ),
        metrics=parts,
    )


def _recall(
    history: Sequence[Message],
    said: str,
    accepted: Sequence[str],
    distractors: Sequence[str],
    parts: dict[str, float],
    faults: Sequence[str],
) -> Verdict:
    stated = [answer for answer in accepted if objection(answer, said) is None]
    wrong = [other for other in distractors if _names(said, other, accepted)]
    right = bool(stated) and not wrong and not parts["repetition"]
    if right or (stated and not wrong):
        labels = tuple(faults)
    else:
        labels = _forgetting(history, said, accepted, wrong, faults)
    wanted = " or ".join(repr(answer) for answer in accepted[:3])
    return Verdict(
        outcome="correct" if right else "incorrect",
        score=float(right),
        labels=labels,
        answer=stated[0] if stated else said or None,
        explanation=f"recalls {stated[0]!r}" if right else f"{labels[0]}; accepted: {wanted}",
        metrics={"recall": float(right), **parts},
    )


def _names(said: str, other: str, accepted: Sequence[str]) -> bool:
    """Say whether a response names another value that is no part of an accepted answer."""
    wanted = comparable(other)
    return find(wanted, comparable(said)) >= 0 and not any(
        find(wanted, comparable(answer)) >= 0 for answer in accepted
    )


def _forgetting(
    history: Sequence[Message],
    said: str,
    accepted: Sequence[str],
    wrong: Sequence[str],
    faults: Sequence[str],
) -> tuple[str, ...]:
    """Return why what was said did not come back, primary first."""
    causes = list(faults)
    if wrong and "contradiction" not in causes:
        causes.append("contradiction")
    if not words(said):
        return tuple(causes)
    if response_faults.abstains(said):
        causes.append("refusal")
    elif any(objection(answer, said) in {"negated", "hedged"} for answer in accepted):
        causes.append("hedged")
    elif stated_facts.other_value(history, said):
        causes.append("other_value")
    else:
        causes.append("forgot")
    return tuple(causes)
