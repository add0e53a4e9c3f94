"""Verified bf16: a first pass in bf16, and float32 for every item whose verdict could flip.

What is promised is verdicts, not numbers. The best choice of an item, by log-likelihood and by that
per character or byte, and every text generated greedily, are float32's; the log-likelihoods
themselves carry bf16's rounding errors wherever these cannot change which choice is best. What
another kind of score is made of is answered in float32 from the start: rolling and single
log-likelihoods, choices with contexts of their own, sampled texts, and suites whose metric is not
decided by a best choice or a text.

1. Calibrate (`calibration`), once for each arm and kind: both precisions answer a probe, and the
   largest error seen there, times a declared factor, is the bound. The probe is drawn by hash from
   what is asked, and grows with it: it costs at most a tenth (`probes`). Until enough was asked,
   and where memory has no room for a second copy of the weights, float32 answers alone.
2. Answer in bf16. An answer whose margin (`margins`) exceeds the bound is accepted. Where less than
   half of the probe exceeded it, a first pass would not pay and is left out.
3. Answer the rest in float32, with bf16's texts as drafts, and compare: an error beyond the bound
   becomes a note.
"""

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

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
from harness.engine.verified.probes import AskedSoFar
from harness.models.fingerprint import BaseIdentity
from harness.models.hardware import free_bytes, release_memory
from harness.models.protocols import PretrainedTokenizer
from harness.records import (
    AnswerBatch,
    Answers,
    ArmAnswerBatch,
    Drafts,
    ItemKey,
    Request,
    RequestKey,
    Response,
    answers_of_one,
)

log = logging.getLogger("harness.engine")

ROOM = 1.25
"""Free memory that loading bf16 needs, as a multiple of its weights."""

NOT_YET = ErrorBound(math.inf, 0, 0)
"""The bound where nothing was measured."""

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
        asked: How much each arm has been asked, which is what probes are paid for by.
        free: Returns the bytes that a device has left.
        largest_error: Per arm, the largest error of choices that float32 has answered since.
        accepted: Items whose bf16 answers stood.
        rechecked: Items whose bf16 answers did not, so that float32 answered them again.
    """

    exact: Engine
    planned: Sequence[Request] = ()
    numeric_suites: Sequence[str] = ()
    bounds: dict[tuple[str, str], ErrorBound] = field(default_factory=dict)
    asked: AskedSoFar = field(default_factory=AskedSoFar)
    free: Callable[[torch.device], int] = free_bytes
    largest_error: dict[str, float] = field(default_factory=dict)
    accepted: int = 0
    rechecked: int = 0
    _items: RequestsByItem = field(init=False)
    _float32_items: set[ItemKey] = field(init=False)
    _probe_choices: dict[str, dict[TokenIds, Response]] = field(default_factory=dict)
    _probe_texts: dict[str, dict[RequestKey, tuple[Request, Response]]] = field(
        default_factory=dict
    )
    _bf16_engine: Engine | None = None
    _has_room: bool | None = None

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
        if self._has_room is False:
            notes.append("answered in float32 alone: no room for a second copy of the weights")
        known = dict.fromkeys(self.asked.items, NOT_YET) | self.bounds
        notes += [calibration.bound_note(*name, bound) for name, bound in sorted(known.items())]
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
        return calibration.verified_fingerprint(self.exact.fingerprint(arm), self.numeric_suites)

    def attach(self, name: str, path: Path, *, allow_identical: bool = False) -> str:
        """Attach a candidate to both; see `Engine.attach`."""
        weights = self.exact.attach(name, path, allow_identical=allow_identical)
        if self._bf16_engine is not None:
            self._bf16_engine.attach(name, path, allow_identical=True)
        return weights

    def answer(
        self, arm: str, requests: Sequence[Request], *, drafts: Drafts | None = None
    ) -> Iterator[AnswerBatch]:
        """Answer requests of any kinds for one arm; see `answer_arms`."""
        return answers_of_one(self, arm, requests, drafts)

    def answer_arms(
        self,
        asked: Mapping[str, Sequence[Request]],
        *,
        drafts: Mapping[str, Drafts] | None = None,
    ) -> Iterator[ArmAnswerBatch]:
        """Answer what each arm is asked, yielding batches as they are done, in no set order.

        See `Engine.answer_arms`. An item of ``planned`` of which only some choices are asked for is
        answered whole, because its verdict is to come from one pass; other items belong whole into
        one call.
        """
        if not self._has_room_for_bf16():
            yield from self.exact.answer_arms(asked, drafts=drafts)
            return
        passes = {arm: Float32Pass(drafts=dict((drafts or {}).get(arm, {}))) for arm in asked}
        choices: dict[str, RequestsByItem] = {}
        texts: dict[str, list[Request]] = {}
        for arm, requests in asked.items():
            choices[arm], texts[arm] = self._sort(requests, passes[arm])
        yield from self._answer_choices({a: items for a, items in choices.items() if items}, passes)
        yield from self._answer_texts({a: found for a, found in texts.items() if found}, passes)
        yield from self._answer_in_float32({a: p for a, p in passes.items() if p.requests})

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
        self, choices: Mapping[str, RequestsByItem], passes: Mapping[str, Float32Pass]
    ) -> Iterator[ArmAnswerBatch]:
        """Answer choices in bf16 and leave to float32 those whose verdict could flip."""
        if not choices:
            return
        # 1. The probe has float32's answers already.
        self._calibrate_choices(choices)
        left: dict[str, list[Request]] = {}
        for arm, items in choices.items():
            probed = self._probe_choices.get(arm, {})
            bound = self.bounds.get((arm, "choices"), NOT_YET)
            for group in items.values():
                if all(token_ids(request) in probed for request in group):
                    yield [(arm, request, probed[token_ids(request)]) for request in group]
                elif bound.is_worth_it:
                    left.setdefault(arm, []).extend(group)
                else:
                    passes[arm].requests += group
        # 2. An item is decided with the last of its choices.
        open_choices = Counter((arm, r.item) for arm, requests in left.items() for r in requests)
        for batch in self._bf16().answer_arms(left) if left else ():
            done: ArmAnswerBatch = []
            for arm, request, response in batch:
                passes[arm].bf16[request.key] = response
                open_choices[arm, request.item] -= 1
                if not open_choices[arm, request.item]:
                    done += self._accepted_choices(arm, choices[arm][request.item], passes[arm])
            if done:
                yield done

    def _accepted_choices(
        self, arm: str, group: Sequence[Request], float32: Float32Pass
    ) -> ArmAnswerBatch:
        """Return an item's bf16 answers if they stand, and none if float32 must be asked."""
        answers = [(arm, request, float32.bf16[request.key]) for request in group]
        if any(response.unscored for _, _, response in answers):
            return answers
        if choice_margin(group, float32.bf16) > self.bounds[arm, "choices"].value:
            self.accepted += 1
            return answers
        self.rechecked += 1
        float32.requests += group
        return []

    def _answer_texts(
        self, texts: Mapping[str, Sequence[Request]], passes: Mapping[str, Float32Pass]
    ) -> Iterator[ArmAnswerBatch]:
        """Generate in bf16 and leave to float32 the texts of which a token could be another."""
        if not texts:
            return
        self._calibrate_texts(texts)
        # 1. The probe has bf16's texts already.
        left: dict[str, list[Request]] = {}
        for arm, requests in texts.items():
            if not self.bounds.get((arm, "texts"), NOT_YET).is_worth_it:
                passes[arm].requests += requests
                for request in requests:
                    if known_text := self._probed_text(arm, request):
                        passes[arm].drafts[request.key] = (known_text.text or "",)
                continue
            known = [(arm, r, text) for r in requests if (text := self._probed_text(arm, r))]
            left[arm] = [r for r in requests if self._probed_text(arm, r) is None]
            if done := self._accepted_texts(known, passes):
                yield done
        # 2. The others.
        drafts = {arm: passes[arm].drafts for arm in left}
        for batch in self._bf16().answer_arms(left, drafts=drafts) if left else ():
            if done := self._accepted_texts(batch, passes):
                yield done

    def _probed_text(self, arm: str, request: Request) -> Response | None:
        """Return bf16's answer to a request that was in the probe, this very one."""
        probed, response = self._probe_texts.get(arm, {}).get(request.key, (None, None))
        return response if probed == request else None

    def _accepted_texts(
        self, batch: ArmAnswerBatch, passes: Mapping[str, Float32Pass]
    ) -> ArmAnswerBatch:
        """Return those of bf16's texts that stand; the others become drafts for float32."""
        done: ArmAnswerBatch = []
        for arm, request, response in batch:
            bound = self.bounds[arm, "texts"].value
            if response.unscored or (response.gap is not None and response.gap > bound):
                self.accepted += not response.unscored
                done.append((arm, request, response))
            else:
                self.rechecked += 1
                passes[arm].requests.append(request)
                passes[arm].drafts[request.key] = (response.text or "",)
        return done

    def _answer_in_float32(self, passes: Mapping[str, Float32Pass]) -> Iterator[ArmAnswerBatch]:
        """Answer what is left, and see whether choices differ by no more than the bound says."""
        if not passes:
            return
        exact: dict[str, Answers] = {arm: {} for arm in passes}
        asked = {arm: float32.requests for arm, float32 in passes.items()}
        drafts = {arm: float32.drafts for arm, float32 in passes.items()}
        for batch in self.exact.answer_arms(asked, drafts=drafts):
            for arm, request, response in batch:
                exact[arm][request.key] = response
            yield batch
        for arm, float32 in passes.items():
            for group in by_item(float32.requests).values():
                if all(r.key in float32.bf16 and not exact[arm][r.key].unscored for r in group):
                    error = margin_error(group, float32.bf16, exact[arm])
                    self.largest_error[arm] = max(self.largest_error.get(arm, 0.0), error)

    def _calibrate_choices(self, choices: Mapping[str, RequestsByItem]) -> None:
        """Calibrate choices, once for each arm."""
        probes = {
            arm: probe
            for arm, items in choices.items()
            if (arm, "choices") not in self.bounds
            and (probe := self.asked.probe_choices(arm, items))
        }
        found = calibration.calibrate_choices(self._bf16(), self.exact, probes) if probes else {}
        for arm, (bound, exact) in found.items():
            self.bounds[arm, "choices"] = bound
            self._probe_choices[arm] = {
                token_ids(request): exact[request.key]
                for group in probes[arm]
                for request in group
                if request.key in exact
            }
            log.info("%s", calibration.bound_note(arm, "choices", bound))

    def _calibrate_texts(self, texts: Mapping[str, Sequence[Request]]) -> None:
        """Calibrate texts, once for each arm."""
        firsts = {
            arm: probe
            for arm, asked in texts.items()
            if (arm, "texts") not in self.bounds and (probe := self.asked.probe_texts(arm, asked))
        }
        found = (
            calibration.calibrate_texts(self._bf16(), self.exact, firsts, self.asked)
            if firsts
            else {}
        )
        for arm, (bound, generated) in found.items():
            self.bounds[arm, "texts"] = bound
            self._probe_texts[arm] = {
                request.key: (request, generated[request.key])
                for request in firsts[arm]
                if request.key in generated
            }
            log.info("%s", calibration.bound_note(arm, "texts", bound))

    def _has_room_for_bf16(self) -> bool:
        """Tell whether memory has room for a copy of the weights in bf16, and for working with it.

        Asked once: what ran in float32 is not to fail by being verified.
        """
        if self._has_room is None:
            release_memory()
            weights = 2 * sum(tensor.numel() for tensor in self.switch.base.state_dict().values())
            self._has_room = self.free(self.exact.runner.like.device) > ROOM * weights
        return self._has_room

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
