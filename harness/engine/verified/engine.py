"""Verified bf16: a first pass in bf16, and float32 for every item whose verdict could flip.

What is promised is verdicts, not numbers. The best choice of an item, by log-likelihood and by that
per character or byte, and every text generated greedily, are float32's; the log-likelihoods
themselves carry bf16's rounding errors wherever these cannot change which choice is best. What
another kind of score is made of is answered in float32 from the start: rolling and single
log-likelihoods, choices with contexts of their own, sampled texts, and suites whose metric is not
decided by a best choice or a text.

1. Calibrate (`calibration`), once for each arm and kind: both precisions answer a probe, and the
   largest error seen there, times a declared factor, is the bound. The probe is drawn by hash from
   all that is planned, so it depends neither on the order of work nor on what an earlier,
   interrupted run has answered already.
2. Answer in bf16. An answer whose margin (`margins`) exceeds the bound is accepted. Where less than
   half of the probe exceeded it, a first pass would not pay and is left out.
3. Answer the rest in float32, with bf16's texts as drafts, and compare: an error beyond the bound
   becomes a note.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.engine.adapters.switch import AdapterSwitch
from harness.engine.model import Engine
from harness.engine.verified import calibration
from harness.engine.verified.calibration import ErrorBound
from harness.engine.verified.margins import (
    TokenIds,
    by_item,
    choice_margin,
    is_choice,
    items_sharing_requests,
    margin_error,
    token_ids,
)
from harness.models.fingerprint import BaseIdentity, text_hash
from harness.models.protocols import PretrainedTokenizer
from harness.records import (
    AnswerBatch,
    Answers,
    Drafts,
    ItemKey,
    Request,
    RequestKey,
    Response,
)
from harness.study import VERIFIED

log = logging.getLogger("harness.engine")

RequestsByItem = dict[ItemKey, list[Request]]
"""Requests by the item that they belong to."""


@dataclass(slots=True)
class Float32Pass:
    """What is left for float32: requests, drafts for them, and what bf16 answered."""

    requests: list[Request] = field(default_factory=list)
    drafts: dict[RequestKey, Sequence[str]] = field(default_factory=dict)
    bf16: Answers = field(default_factory=dict)


@dataclass(slots=True)
class VerifiedEngine:
    """Two engines on one base that answer as one; has all that `harness.engine.Engine` offers.

    Attributes:
        exact: The float32 engine.
        planned: All that will be asked, where that is known.
        numeric_suites: Suites in it that are answered in float32 alone.
        bounds: What was measured for the ``choices`` and ``texts`` of each arm.
        largest_error: Per arm, the largest error of choices that float32 has answered since.
        accepted: Items whose bf16 answers stood.
        rechecked: Items whose bf16 answers did not, so that float32 answered them again.
    """

    exact: Engine
    planned: Sequence[Request] = ()
    numeric_suites: Sequence[str] = ()
    bounds: dict[tuple[str, str], ErrorBound] = field(default_factory=dict)
    largest_error: dict[str, float] = field(default_factory=dict)
    accepted: int = 0
    rechecked: int = 0
    _items: RequestsByItem = field(init=False)
    _float32_items: set[ItemKey] = field(init=False)
    _probe_answers: dict[str, dict[TokenIds, Response]] = field(default_factory=dict)
    _bf16_engine: Engine | None = None

    def __post_init__(self) -> None:
        self._items = by_item(self.planned)
        numeric = {item for item in self._items if item.suite in self.numeric_suites}
        self._float32_items = numeric | items_sharing_requests(self._items)

    @property
    def tokenizer(self) -> PretrainedTokenizer:
        """The base's tokenizer."""
        return self.exact.tokenizer

    @property
    def switch(self) -> AdapterSwitch:
        """The float32 base and its arms, for whoever needs a model itself."""
        return self.exact.switch

    @property
    def ends(self) -> frozenset[int]:
        """The tokens that end an answer."""
        return self.exact.ends

    @property
    def context(self) -> int:
        """How many tokens fit the base's context."""
        return self.exact.context

    @property
    def max_length(self) -> int:
        """How many tokens fit the context of every arm, virtual tokens of adapters counted in."""
        return self.exact.max_length

    @property
    def ties(self) -> int:
        """How many tokens were chosen between two nearly equal logits; accepted texts have none."""
        return self.exact.ties

    @property
    def identity(self) -> BaseIdentity:
        """What can change an answer of the float32 base."""
        return self.exact.identity

    @property
    def notes(self) -> list[str]:
        """What a person should know: of both precisions, and the bounds that were measured."""
        notes = list(self.exact.notes)
        if self._bf16_engine is not None:
            notes += [f"in bf16: {note}" for note in self._bf16_engine.notes if note not in notes]
        if self.numeric_suites:
            notes.append(
                f"answered in float32 alone: {', '.join(self.numeric_suites)}, whose metric is not "
                "decided by a best choice or a text"
            )
        notes += [_bound_note(*name, bound) for name, bound in sorted(self.bounds.items())]
        for arm, error in sorted(self.largest_error.items()):
            if error > self.bounds[arm, "choices"].value:
                notes.append(
                    f"{arm}: bf16 was off by {error:.3g} nats per root token, more than its bound; "
                    "score it with dtype float32"
                )
        if total := self.accepted + self.rechecked:
            notes.append(f"{self.rechecked} of {total} bf16 answers were rechecked in float32")
        return notes

    @property
    def identical(self) -> frozenset[str]:
        """The candidates that are proven to give the base's own logits; see `Engine.identical`."""
        return self.exact.identical

    def fingerprint(self, arm: str) -> str:
        """Return the sha256 of everything that can change an answer of this arm.

        The bounds are no part of it: whatever they were, a stored answer has float32's verdict.
        """
        return verified_fingerprint(self.exact.fingerprint(arm), self.numeric_suites)

    def attach(self, name: str, path: Path, *, allow_identical: bool = False) -> str:
        """Attach a candidate to both; see `Engine.attach`."""
        weights = self.exact.attach(name, path, allow_identical=allow_identical)
        if self._bf16_engine is not None:
            self._bf16_engine.attach(name, path, allow_identical=True)
        return weights

    def answer(
        self, arm: str, requests: Sequence[Request], *, drafts: Drafts | None = None
    ) -> Iterator[AnswerBatch]:
        """Answer requests of any kinds, yielding batches as they are done, in no set order.

        See `Engine.answer`. An item of ``planned`` of which only some choices are asked for is
        answered whole, because its verdict is to come from one pass; other items belong whole into
        one call.
        """
        float32 = Float32Pass(drafts=dict(drafts or {}))
        choices, texts = self._sort(requests, float32)
        if choices:
            yield from self._answer_choices(arm, choices, float32)
        if texts:
            yield from self._answer_texts(arm, texts, float32)
        if float32.requests:
            yield from self._answer_in_float32(arm, float32)

    def _sort(
        self, requests: Iterable[Request], float32: Float32Pass
    ) -> tuple[RequestsByItem, list[Request]]:
        """Pick out choices and greedy texts; the others are left to float32."""
        choices: RequestsByItem = {}
        texts: list[Request] = []
        for item, group in by_item(requests).items():
            if item in self._float32_items:
                float32.requests += group
            elif is_choice(whole := self._items.get(item, group)):
                choices[item] = whole
            else:
                for request in group:
                    greedy = calibration.is_greedy_text(request)
                    (texts if greedy else float32.requests).append(request)
        return choices, texts

    def _answer_choices(
        self, arm: str, items: RequestsByItem, float32: Float32Pass
    ) -> Iterator[AnswerBatch]:
        """Answer choices in bf16 and leave to float32 those whose verdict could flip."""
        # 1. The probe has float32's answers already.
        bound, probed = self._choice_bound(arm, items), self._probe_answers.get(arm, {})
        left: list[Request] = []
        for group in items.values():
            if all(token_ids(request) in probed for request in group):
                yield [(request, probed[token_ids(request)]) for request in group]
            else:
                left += group
        if not bound.is_worth_it:
            float32.requests += left
            return
        # 2. An item is decided with the last of its choices.
        open_choices = Counter(request.item for request in left)
        for batch in self._bf16().answer(arm, left):
            done: AnswerBatch = []
            for request, response in batch:
                float32.bf16[request.key] = response
                open_choices[request.item] -= 1
                if not open_choices[request.item]:
                    done += self._accepted_answers(items[request.item], bound, float32)
            if done:
                yield done

    def _accepted_answers(
        self, group: Sequence[Request], bound: ErrorBound, float32: Float32Pass
    ) -> AnswerBatch:
        """Return an item's bf16 answers if they stand, and none if float32 must be asked."""
        answers = [(request, float32.bf16[request.key]) for request in group]
        if any(response.unscored for _, response in answers):
            return answers
        if choice_margin(group, float32.bf16) > bound.value:
            self.accepted += 1
            return answers
        self.rechecked += 1
        float32.requests += group
        return []

    def _answer_texts(
        self, arm: str, requests: Sequence[Request], float32: Float32Pass
    ) -> Iterator[AnswerBatch]:
        """Generate in bf16 and leave to float32 the texts of which a token could be another."""
        bound = self._text_bound(arm, requests)
        if not bound.is_worth_it:
            float32.requests += requests
            return
        for batch in self._bf16().answer(arm, requests, drafts=float32.drafts):
            done: AnswerBatch = []
            for request, response in batch:
                if response.unscored or (response.gap is not None and response.gap > bound.value):
                    self.accepted += not response.unscored
                    done.append((request, response))
                else:
                    self.rechecked += 1
                    float32.requests.append(request)
                    float32.drafts[request.key] = (response.text or "",)
            if done:
                yield done

    def _answer_in_float32(self, arm: str, float32: Float32Pass) -> Iterator[AnswerBatch]:
        """Answer what is left, and see whether choices differ by no more than the bound says."""
        exact: Answers = {}
        for batch in self.exact.answer(arm, float32.requests, drafts=float32.drafts):
            exact.update({request.key: response for request, response in batch})
            yield batch
        for group in by_item(float32.requests).values():
            if all(r.key in float32.bf16 and not exact[r.key].unscored for r in group):
                error = margin_error(group, float32.bf16, exact)
                self.largest_error[arm] = max(self.largest_error.get(arm, 0.0), error)

    def _choice_bound(self, arm: str, items: RequestsByItem) -> ErrorBound:
        """Calibrate choices, once for each arm."""
        name = (arm, "choices")
        if name not in self.bounds:
            planned = self._sort(self.planned, Float32Pass())[0] or items
            probe = calibration.draw_probe(planned, calibration.PROBE_CHOICES)
            self.bounds[name], exact = calibration.calibrate_choices(
                self._bf16(), self.exact, arm, probe
            )
            self._probe_answers[arm] = {
                token_ids(request): exact[request.key]
                for group in probe
                for request in group
                if request.key in exact
            }
            log.info("%s", _bound_note(*name, self.bounds[name]))
        return self.bounds[name]

    def _text_bound(self, arm: str, texts: Sequence[Request]) -> ErrorBound:
        """Calibrate texts, once for each arm."""
        name = (arm, "texts")
        if name not in self.bounds:
            planned = self._sort(self.planned, Float32Pass())[1] or texts
            probe = calibration.draw_probe(by_item(planned), calibration.PROBE_TEXTS)
            self.bounds[name] = calibration.calibrate_texts(
                self._bf16(), self.exact, arm, [group[0] for group in probe]
            )
            log.info("%s", _bound_note(*name, self.bounds[name]))
        return self.bounds[name]

    def _bf16(self) -> Engine:
        """Load the bf16 copy of the base at its first use."""
        if self._bf16_engine is None:
            origin = self.exact.switch.origin
            self._bf16_engine = Engine.from_base(
                origin.model_copy(update={"dtype": "bfloat16"}), origin.model
            )
            for name, arm in self.exact.switch.arms.items():
                if arm.folder is not None:
                    self._bf16_engine.attach(name, arm.folder.path, allow_identical=True)
        return self._bf16_engine


def verified_fingerprint(exact: str, numeric: Iterable[str]) -> str:
    """Return the fingerprint of an arm of verified bf16.

    Args:
        exact: The arm's fingerprint in float32.
        numeric: The suites that are answered in float32 alone.
    """
    rule = [
        calibration.CHOICE_FACTOR, calibration.TEXT_FACTOR, calibration.MIN_CLEAR_SHARE,
        calibration.PROBE_CHOICES, calibration.PROBE_TEXTS, calibration.PROBE_TOKENS,
    ]  # fmt: skip
    return text_hash([exact, VERIFIED, [*rule, *sorted(numeric)]])


def _bound_note(arm: str, kind: str, bound: ErrorBound) -> str:
    """Say in a sentence what a bound came to."""
    unit = "logits" if kind == "texts" else "nats per root token"
    clear = f"{bound.clear} of {bound.probed} in the probe exceed {bound.value:.3g} {unit}"
    if bound.is_worth_it:
        return f"{arm}: bf16 {kind} are accepted where their margin exceeds the bound: {clear}"
    return f"{arm}: {kind} are answered in float32 alone, which is faster here: {clear}"
