"""One turn of a conversation: does the response remember what was said, and does it fit?

Two questions, never mixed:

* **Recall** (where accepted answers are given; the primary metric of the ``coherence`` suite): 0/1,
  an accepted answer stands in the response as whole words, unnegated, and no listed distractor
  does. What the conversation said is known, so this needs no judge.
* **Fit** (where they are not; `harness rate coherence`): a graded score in [0, 1],

      distinct_2 * said_once * max(0, relevance - 0.6 * last_overlap + 0.1)

  set to 0 by a gate (empty, loop, role leak, echo of the user, repeat of an own turn,
  contradiction, cut off). ``relevance`` comes from vectors of sentences or words
  (`harness.rating.embedding`), by the measure that the score is named after; the two constants
  were chosen on Topical-Chat alone.
  Without vectors the score is ``relevance * distinct_2`` by shared words, the measure ``words``.
  The suite's card has how far each measure agrees with people.

Every component is a column of its own beside the score.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from harness.records import Message, Verdict
from harness.scoring import relevance as lexical
from harness.scoring import response_faults, stated_facts
from harness.scoring.answer_region import objection
from harness.scoring.normalize import comparable, find, words
from harness.scoring.relevance import WORDS, Relevance
from harness.scoring.wordlists import COMMON

THRESHOLDS = {"minilm": 0.25, "wordllama": 0.2, WORDS: 0.4}
"""The score, by measure, from which a response counts as coherent.

The first two tell the quarter of Topical-Chat that people rate best from the one they rate worst
(91 % and 80 % of the best are above, 34 % and 40 % of the worst); the third only finds gated and
repetitive responses, since one that shares no word with its context has 0.5.
"""

COPYING = 0.6
"""What a word taken over from the last turn costs: the meaning is near then without an answer."""

BASE = 0.1
"""What a response has whose meaning is far from its context: "Sounds great!" fits, too."""

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
    near: Relevance | None = None,
) -> Verdict:
    """Judge a response in its conversation.

    Args:
        turns: What was said before, oldest first: messages with ``role`` and ``content``, or plain
            texts that alternate and end with the user's.
        response: The raw model text.
        answers: The accepted answers to the last turn, where what was said decides; None asks for
            the graded score.
        distractors: Answers that contradict the conversation.
        finish: ``length`` where the generation was cut at its limit.
        near: How near the response is to the last turns by their vectors; None counts the words
            that they share.

    Returns:
        A verdict whose ``metrics`` are the components and whose ``details`` name the ``measure``
        (``recall``, or what ``near`` was measured by). Labels: empty, repetition, role_confusion,
        echo, self_echo, contradiction, truncated, off_topic, refusal, hedged, other_value, forgot.

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
    if answers is None:
        return _graded(parts, faults, said, near)
    parts[metric_of(WORDS)] = 0.0 if faults else _fit(parts, None)
    accepted = [answer for answer in answers if answer.strip()]
    if not accepted:
        return Verdict(
            outcome="unscored",
            score=None,
            labels=("no_accepted_answer",),
            explanation="the item has no accepted answer to compare with",
            metrics=parts,
            details={"measure": RECALL},
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
    ``relevance`` their mean lifted to the neutral point; ``distinct_2``, ``seq_rep_4`` and
    ``said_once`` (the share of its different words, common ones left out, that occur once) are
    repetition inside the response; ``last_overlap`` is the word overlap with the last turn,
    ``user_overlap`` the largest one with a user turn and ``own_overlap`` with an own earlier turn;
    the rest are 0 or 1.
    """
    said = response_faults.visible_text(response)
    given = words(said)
    overlaps = [response_faults.jaccard(given, words(turn.content)) for turn in history]
    of = {
        role: max(
            (o for o, t in zip(overlaps, history, strict=True) if t.role == role), default=0.0
        )
        for role in ("user", "assistant")
    }
    return {
        **lexical.of([turn.content for turn in history], said),
        "distinct_2": response_faults.distinct_n(said),
        "seq_rep_4": response_faults.seq_rep_n(said),
        "said_once": said_once(given),
        "last_overlap": overlaps[-1] if overlaps else 0.0,
        "user_overlap": of["user"],
        "own_overlap": of["assistant"],
        "words": float(len(given)),
        "empty": float(not given),
        "repetition": float(response_faults.is_repetitive(said)),
        "role_confusion": float(response_faults.leaks_role(response)),
        "echo": float(of["user"] > ECHO and len(given) > 3),
        "self_echo": float(of["assistant"] > ECHO and len(given) > 3),
        "contradiction": float(stated_facts.contradicts(history, said)),
        "truncated": float(finish == "length"),
    }


def said_once(given: Sequence[str]) -> float:
    """Return the share of the different words, common ones left out, that occur once; 1 of none.

    >>> said_once("the cat and the dog saw a cat".split())
    0.6666666666666666
    """
    counts = Counter(word for word in given if word not in COMMON)
    return sum(count == 1 for count in counts.values()) / len(counts) if counts else 1.0


def metric_of(measure: str) -> str:
    """Return the name of the graded score by a measure.

    >>> metric_of("minilm")
    'coherence_minilm'
    """
    return f"coherence_{measure}"


RECALL = "recall"

GATES = (
    "empty",
    "repetition",
    "role_confusion",
    "echo",
    "self_echo",
    "contradiction",
    "truncated",
)
"""The components that set the graded score to 0, in the order in which they name the cause."""


def _fit(parts: Mapping[str, float], near: Relevance | None) -> float:
    """Return the graded score of a response without faults, in [0, 1]."""
    if near is None:
        return parts["relevance"] * parts["distinct_2"]
    fits = near.value - COPYING * parts["last_overlap"] + BASE
    return parts["distinct_2"] * parts["said_once"] * min(1.0, max(0.0, fits))


def _graded(
    parts: dict[str, float], faults: Sequence[str], said: str, near: Relevance | None
) -> Verdict:
    measure = near.measure if near else WORDS
    if near:
        parts = {**parts, "relevance": near.value}
    score = round(0.0 if faults else _fit(parts, near), 6)
    right = score >= THRESHOLDS[measure]
    labels = tuple(faults) if faults or right else (_weakness(parts, THRESHOLDS[measure]),)
    return Verdict(
        outcome="correct" if right else "incorrect",
        score=score,
        labels=labels,
        answer=said or None,
        explanation=(
            f"{labels[0] if labels else 'no fault found'}; by {measure}: relevance "
            f"{parts['relevance']:.2f}, overlap with the last turn {parts['last_overlap']:.2f}, "
            f"distinct bigrams {parts['distinct_2']:.2f}, words said once {parts['said_once']:.2f}"
        ),
        metrics={metric_of(measure): score, **parts},
        details={"measure": measure},
    )


def _weakness(parts: Mapping[str, float], threshold: float) -> str:
    """Name what keeps the score of a response without faults below the threshold."""
    if parts["relevance"] + BASE < threshold:
        return "off_topic"
    copied = parts["relevance"] - COPYING * parts["last_overlap"] + BASE < threshold
    return "echo" if copied else "repetition"


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
        details={"measure": RECALL},
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
