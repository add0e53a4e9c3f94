"""A whole dialogue: which of its probes a model keeps, and why it does not keep the others.

The score is the share of probes kept, in [0, 1]; where a row has none it is the mean fit of the
answers (`harness.scoring.dialogue`). A probe that is not kept has one cause: what is wrong with the
answer whatever was asked (empty, a loop, its own earlier turn again), else what its kind says.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from harness.records import Verdict
from harness.scoring.dialogue import ECHO, THRESHOLDS, coherence, metric_of
from harness.scoring.dialogues.probe_checks import Failure, Heard, failure
from harness.scoring.dialogues.scripted_dialogue import KINDS, Probe, ScriptedDialogue
from harness.scoring.normalize import words
from harness.scoring.relevance import Relevance
from harness.scoring.response_faults import abstains, jaccard, visible_text

KEPT = "kept"
"""The name of the score where rows have probes."""

_REMEMBERED = {"forgot", "correction_ignored", "contradicts_itself"}
"""Causes beside which "I don't know" says that something was forgotten."""

_FAULTS = ("empty", "repetition", "self_echo", "role_confusion")
"""What is wrong with an answer whatever was asked, gravest first."""

_COULD_FOLLOW = {"wanted", "again"}
"""Checks that an answer might have passed had it not been cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answered:
    """One turn as it was answered: what is shown of it, its measures, and what it fails."""

    said: str
    fit: Verdict
    overlap: float
    cut: bool
    failed: tuple[tuple[Probe, Failure], ...]
    probes: int

    @property
    def faults(self) -> list[str]:
        found = {name for name in _FAULTS if self.fit.metrics[name]} - {"self_echo"}
        if self.overlap > ECHO and len(words(self.said)) > 3:
            found.add("self_echo")
        return [name for name in _FAULTS if name in found]

    def causes(self) -> list[str]:
        """Return the cause of each probe that is not kept."""
        return [self._cause(probe, failed) for probe, failed in self.failed]

    def _cause(self, probe: Probe, failed: Failure) -> str:
        cause = KINDS[probe.kind]
        if cause in _REMEMBERED and self.said and abstains(self.said):
            return "forgot"
        if self.faults:
            return self.faults[0]
        if self.cut and failed.check in _COULD_FOLLOW:
            return "truncated"
        if cause == "correction_ignored" and failed.check != "avoided":
            return "forgot"
        if failed.check == "before":
            return "unanswered"
        return "forgot" if failed.check == "again" else cause


def conversation(
    dialogue: ScriptedDialogue,
    responses: Sequence[str],
    *,
    finishes: Sequence[str | None] = (),
    near: Sequence[Relevance | None] = (),
) -> Verdict:
    """Judge a dialogue by a model's answers to all of its turns.

    Args:
        dialogue: What was declared.
        responses: The raw answers, one a turn.
        finishes: By turn ``length`` where the answer was cut at its limit.
        near: By turn, how near the answer is to the conversation by vectors.

    Returns:
        A verdict whose ``metrics`` are ``kept``, the fit of the answers (``coherence_…``, the mean,
        and ``fit_turn_1`` and so on), ``contradiction`` (the share of questions asked twice whose
        second answer is another than the first), ``own_overlap`` (the mean word overlap of an
        answer with the nearest own one before), ``self_echo``, ``empty`` and ``ended`` (shares of
        turns). Labels are causes, the most frequent first.

    >>> from harness.scoring.dialogues.scripted_dialogue import read_dialogue
    >>> row = {"turns": ["I live in Oslo.", {"user": "Where do I live?",
    ...     "probes": [{"kind": "memory", "says": ["Oslo"]}]}]}
    >>> conversation(read_dialogue(row), ["Nice!", "I am not sure."]).labels
    ('forgot',)
    """
    answered = _answered(dialogue, responses, finishes, near)
    measure = str(answered[0].fit.details["measure"])
    fits = [one.fit.score or 0.0 for one in answered]
    metrics = {metric_of(measure): round(fmean(fits), 6), **_columns(dialogue, answered)}
    metrics |= {f"fit_turn_{n}": fit for n, fit in enumerate(fits, start=1)}
    details = {"measure": KEPT if dialogue.probes else measure, "turns": _told(answered)}
    if dialogue.probes:
        return _kept(dialogue, answered, metrics, details)
    return _fitting(answered, metrics[metric_of(measure)], metrics, details)


def _answered(
    dialogue: ScriptedDialogue,
    responses: Sequence[str],
    finishes: Sequence[str | None],
    near: Sequence[Relevance | None],
) -> list[_Answered]:
    shown = [visible_text(response) for response in responses]
    found = []
    for number, (turn, response) in enumerate(zip(dialogue.turns, responses, strict=True)):
        earlier, said = shown[:number], shown[number]
        finish = finishes[number] if number < len(finishes) else None
        heard = Heard(earlier, [one.user for one in dialogue.turns[: number + 1]])
        failed = ((probe, failure(probe, said, heard)) for probe in turn.probes)
        found.append(
            _Answered(
                said=said,
                fit=coherence(
                    dialogue.messages(earlier),
                    response,
                    finish=finish,
                    near=near[number] if number < len(near) else None,
                ),
                overlap=max((jaccard(words(said), words(own)) for own in earlier), default=0.0),
                cut=finish == "length",
                failed=tuple((probe, why) for probe, why in failed if why is not None),
                probes=len(turn.probes),
            )
        )
    return found


def _columns(dialogue: ScriptedDialogue, answered: Sequence[_Answered]) -> dict[str, float]:
    columns = {
        "own_overlap": fmean([one.overlap for one in answered[1:]] or [0.0]),
        "self_echo": fmean("self_echo" in one.faults for one in answered),
        "empty": fmean("empty" in one.faults for one in answered),
        "ended": fmean(not one.cut for one in answered),
    }
    twice = sum(probe.agrees_with is not None for _, probe in dialogue.probes)
    if twice:
        flips = sum(why.check == "other" for one in answered for _, why in one.failed)
        columns["contradiction"] = flips / twice
    return columns


def _told(answered: Sequence[_Answered]) -> list[str]:
    """Return one line for a person about each turn."""
    lines = []
    for number, one in enumerate(answered, start=1):
        parts = [f"turn {number}: fit {one.fit.score or 0.0:.2f}"]
        if one.probes:
            parts.append(f"kept {one.probes - len(one.failed)} of {one.probes}")
        parts += [why.text for _, why in one.failed]
        lines.append("; ".join(parts))
    return lines


def _kept(
    dialogue: ScriptedDialogue,
    answered: Sequence[_Answered],
    metrics: Mapping[str, float],
    details: Mapping[str, object],
) -> Verdict:
    causes = [cause for one in answered for cause in one.causes()]
    total = len(dialogue.probes)
    score = (total - len(causes)) / total
    order = [cause for cause, _ in Counter(causes).most_common()]
    others = [fault for one in answered for fault in (*one.faults, *["truncated"] * one.cut)]
    first = next(
        ((n, why.text) for n, one in enumerate(answered, start=1) for _, why in one.failed), None
    )
    if first is not None:
        details = {**details, "lost_turn": first[0]}
    told = f"keeps {total - len(causes)} of {total}"
    return Verdict(
        outcome="correct" if score == 1.0 else "incorrect",
        score=score,
        labels=tuple(dict.fromkeys([*order, *others])),
        explanation=told if first is None else f"{told}; the answer of turn {first[0]} {first[1]}",
        metrics={KEPT: score, **metrics},
        details=details,
    )


def _fitting(
    answered: Sequence[_Answered],
    score: float,
    metrics: Mapping[str, float],
    details: Mapping[str, object],
) -> Verdict:
    """Judge a dialogue without probes: by how its answers fit."""
    wrong = Counter(label for one in answered for label in one.fit.labels)
    right = score >= THRESHOLDS[str(details["measure"])]
    return Verdict(
        outcome="correct" if right else "incorrect",
        score=score,
        labels=tuple(label for label, _ in wrong.most_common()),
        explanation=f"the answers fit by {score:.2f} on average",
        metrics=metrics,
        details=details,
    )
