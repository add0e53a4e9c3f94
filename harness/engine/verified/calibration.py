"""Calibration of bf16 against float32: both answer a probe, whose errors set what is trusted.

An `ErrorBound` is the largest error seen on the probe times a declared factor; a bf16 answer stands
if its margin exceeds the bound. Which items a probe has is said in `probes`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.engine.model import Engine
from harness.engine.verified.margins import choice_margin, margin_error
from harness.engine.verified.probes import (
    MAX_SHARE,
    MIN_PROBE,
    PROBE_CHOICES,
    PROBE_TEXTS,
    TOO_FEW,
    AskedSoFar,
    affordable,
)
from harness.models.fingerprint import text_hash
from harness.records import Answers, ItemKey, Request, Response
from harness.study import VERIFIED

PROBE_TOKENS = 64
"""How many tokens of each text of a probe are compared."""

CHOICE_FACTOR, TEXT_FACTOR = 4.0, 2.0
"""How many times the largest error of a whole probe an answer's margin must exceed.

A few hundred differences of choices are seen, and their errors have long tails: 3.7 times the
largest of a probe was found among 1,761 items of a random adapter. Of tokens thousands are seen.
"""

SMALLER_PROBE = 0.25
"""A probe of a share s of a whole one has its factor divided by s to this power.

Its largest error is likely smaller. Of 8,000 draws of 100 to 480 of those 1,761 items, with and
without that adapter, and of 8 to 44 of them as a probe, none had an error beyond the bound; with
one factor for all 147 had (``tests/bench/verified.py``). In neither case could a verdict flip.
"""

MIN_CLEAR_SHARE = 0.5
"""Share of the probe that must be clear of the bound, or bf16 would cost more than it saves."""


@dataclass(frozen=True, slots=True)
class ErrorBound:
    """What the margin of a bf16 answer must exceed for the answer to stand.

    ``value`` is in the unit of `margins.margin_error` for choices and in logits for texts; it is
    infinite where nothing could be measured. ``clear`` of the ``probed`` answers exceeded it.
    """

    value: float
    clear: int
    probed: int

    @classmethod
    def of(
        cls, errors: Sequence[float], margins: Sequence[float], factor: float, share: float
    ) -> "ErrorBound":
        """Set a bound by the largest error, and count the margins that exceed it.

        Args:
            errors: As seen on the probe.
            margins: Of the probe's items in bf16.
            factor: What a whole probe's largest error is multiplied by.
            share: Of a whole probe, what the errors are of; in (0, 1] where there are any.
        """
        value = factor * share**-SMALLER_PROBE * max(errors) if errors else math.inf
        return cls(value, sum(margin > value for margin in margins), len(margins))

    @property
    def is_worth_it(self) -> bool:
        """Whether bf16 settles enough to be run first."""
        return self.clear > 0 and self.clear >= MIN_CLEAR_SHARE * self.probed


def scored_answers(engine: Engine, asked: Mapping[str, Sequence[Request]]) -> dict[str, Answers]:
    """Return the answers of some arms, unscored ones left out."""
    found: dict[str, Answers] = {arm: {} for arm in asked}
    for batch in engine.answer_arms(asked):
        for arm, request, response in batch:
            if response.unscored is None:
                found[arm][request.key] = response
    return found


def calibrate_choices(
    bf16: Engine, float32: Engine, probes: Mapping[str, Sequence[Sequence[Request]]]
) -> dict[str, tuple[ErrorBound, Answers]]:
    """Measure `margins.margin_error` on each arm's probe; return float32's answers as well."""
    # 1. Both precisions answer.
    requests = {arm: [r for group in probe for r in group] for arm, probe in probes.items()}
    bf16_answers = scored_answers(bf16, requests)
    float32_answers = scored_answers(float32, requests)
    # 2. Items that both answered whole are compared.
    found = {}
    for arm, probe in probes.items():
        half, full = bf16_answers[arm], float32_answers[arm]
        both = half.keys() & full.keys()
        groups = [group for group in probe if all(request.key in both for request in group)]
        errors = [margin_error(group, half, full) for group in groups]
        margins = [choice_margin(group, half) for group in groups]
        share = len(groups) / PROBE_CHOICES
        found[arm] = ErrorBound.of(errors, margins, CHOICE_FACTOR, share), full
    return found


def calibrate_texts(
    bf16: Engine,
    float32: Engine,
    probes: Mapping[str, Sequence[Request]],
    asked: AskedSoFar,
) -> dict[str, tuple[ErrorBound, Answers]]:
    """Measure by how much the gap between a token's logit and the best other one is off.

    Args:
        bf16: Generates the probe, whose texts are answers like any other.
        float32: Reads with bf16 as many of them again as the work pays for.
        probes: By arm.
        asked: What pays for that.

    Returns:
        By arm the bound, and what bf16 generated.
    """
    # 1. bf16 generates.
    generated = scored_answers(bf16, probes)
    # 2. Both choose the next token after every prefix of that text, so that they are compared on
    #    the same prefixes.
    steps: dict[str, list[Request]] = {}
    shares: dict[str, float] = {}
    for arm, probe in probes.items():
        texts = [
            list(_next_token_requests(request, answer.text or "", number, bf16))
            for number, request in enumerate(probe)
            if (answer := generated[arm].get(request.key))
        ]
        written = [answer.tokens or 0 for answer in generated[arm].values()]
        length = sum(written) / max(1, len(written))
        work = asked.tokens[arm, "texts"] + length * asked.items[arm, "texts"]
        paid = affordable([[text[-1].context_ids] for text in texts], work)
        steps[arm] = [step for text in texts[:paid] for step in text]
        shares[arm] = paid / PROBE_TEXTS
    bf16_answers = scored_answers(bf16, steps)
    float32_answers = scored_answers(float32, steps)
    # 3. The gaps are compared.
    found = {}
    for arm in probes:
        half, full = bf16_answers[arm], float32_answers[arm]
        errors = [_gap_error(half[key], full[key]) for key in half.keys() & full.keys()]
        gaps = [response.gap or 0.0 for response in generated[arm].values() if errors]
        found[arm] = ErrorBound.of(errors, gaps, TEXT_FACTOR, shares[arm]), generated[arm]
    return found


def is_greedy_text(request: Request) -> bool:
    """Say whether a request is for a text without randomness."""
    return request.kind == "generate_until" and not request.settings.get("do_sample")


def _next_token_requests(
    request: Request, text: str, number: int, engine: Engine
) -> Iterable[Request]:
    """Ask for the one token that follows each of the first tokens of a text."""
    ids = tuple(engine.tokenizer.encode(text, add_special_tokens=False))[:PROBE_TOKENS]
    fitting = engine.max_length - len(request.context_ids) - 1
    return [
        replace(
            request,
            item=ItemKey("probe", "none", str(number), 0),
            index=length,
            context_ids=request.context_ids + ids[:length],
            settings={"until": [], "max_new_tokens": 1},
        )
        for length in range(min(len(ids), fitting) + 1)
    ]


def _gap_error(bf16: Response, float32: Response) -> float:
    """Return by how much bf16 is off about its token's logit minus the best other one."""
    if bf16.gap is None or float32.gap is None:
        return math.inf
    same = (bf16.text, bf16.finish) == (float32.text, float32.finish)
    return abs(bf16.gap - float32.gap) if same else bf16.gap + float32.gap


def verified_fingerprint(exact: str, numeric: Iterable[str]) -> str:
    """Return the fingerprint of an arm of verified bf16.

    Args:
        exact: The arm's fingerprint in float32.
        numeric: The suites that are answered in float32 alone.
    """
    rule = [
        CHOICE_FACTOR, TEXT_FACTOR, SMALLER_PROBE, MIN_CLEAR_SHARE,
        PROBE_CHOICES, PROBE_TEXTS, PROBE_TOKENS, MIN_PROBE, MAX_SHARE,
    ]  # fmt: skip
    return text_hash([exact, VERIFIED, [*rule, *sorted(numeric)]])


def bound_note(arm: str, kind: str, bound: ErrorBound) -> str:
    """Say in a sentence what a bound came to."""
    if not bound.probed:
        return f"{arm}: {kind} are answered in float32 alone: {TOO_FEW}"
    unit = "logits" if kind == "texts" else "nats per root token"
    clear = f"{bound.clear} of {bound.probed} in the probe exceed {bound.value:.3g} {unit}"
    if bound.is_worth_it:
        return f"{arm}: bf16 {kind} are accepted where their margin exceeds the bound: {clear}"
    return f"{arm}: {kind} are answered in float32 alone, which is faster here: {clear}"
