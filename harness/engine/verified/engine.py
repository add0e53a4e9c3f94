"""Verified bf16: a first pass in bf16, and float32 for every item whose verdict could flip.

What is promised is verdicts, not numbers. The best choice of an item, by log-likelihood and by that
per character or byte, and every text generated greedily, are float32's; the log-likelihoods
themselves carry bf16's rounding errors wherever these cannot change which choice is best. What
another kind of score is made of is answered in float32 from the start: rolling and single
log-likelihoods, choices with contexts of their own, sampled texts, and suites whose metric is not
decided by a best choice or a text.

The promise rests on a bound that is measured for every arm: both precisions answer a probe, and the
largest difference seen there, times a declared factor, is what an answer must be clear of to need
no second look. The probe is drawn by hash from all that will be asked, so it depends neither on the
order of work nor on what an earlier, interrupted run has answered already. Where less than half of
the probe is clear of the bound, a first pass would not pay, and float32 answers alone.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.engine.model import Answers, Drafts, Engine
from harness.engine.verified import calibration, margins
from harness.engine.verified.calibration import Bound
from harness.models.fingerprint import text_hash
from harness.records import ItemKey, Request, Response
from harness.study import VERIFIED

log = logging.getLogger("harness.engine")

Items = dict[ItemKey, list[Request]]
"""Requests by the item that they belong to."""


@dataclass(slots=True)
class Second:
    """What the second pass has to do: requests, drafts for them, and what bf16 found."""

    requests: list[Request] = field(default_factory=list)
    guesses: dict[tuple[ItemKey, int], Sequence[str]] = field(default_factory=dict)
    found: calibration.Found = field(default_factory=dict)


@dataclass(slots=True)
class VerifiedEngine:
    """Two engines on one base that answer as one; has all that `harness.engine.Engine` offers.

    ``work`` is all that will be asked, where that is known; ``numeric`` are suites in it that are
    answered in float32 alone. ``bounds`` has what was measured for the ``choices`` and ``texts`` of
    each arm, ``worst`` the largest error of choices that float32 has looked at since. ``accepted``
    and ``rechecked`` count items by what became of their bf16 answers.
    """

    exact: Engine
    work: Sequence[Request] = ()
    numeric: Sequence[str] = ()
    bounds: dict[tuple[str, str], Bound] = field(default_factory=dict)
    worst: dict[str, float] = field(default_factory=dict)
    accepted: int = 0
    rechecked: int = 0
    _items: Items = field(init=False)
    _exactly: set[ItemKey] = field(init=False)
    _truth: dict[str, dict[object, Response]] = field(default_factory=dict)
    _fast: Engine | None = None

    def __post_init__(self) -> None:
        self._items = margins.by_item(self.work)
        alone = {item for item in self._items if item.suite in self.numeric}
        self._exactly = alone | margins.entangled(self._items)

    @property
    def tokenizer(self) -> Any:
        """The base's tokenizer."""
        return self.exact.tokenizer

    @property
    def switch(self) -> Any:
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
    def known(self) -> dict[str, Any]:
        """What can change an answer: float32's, and the rule by which bf16 stands in for it."""
        rule = [calibration.CHOICE_FACTOR, calibration.TEXT_FACTOR, calibration.WORTH]
        rule += [calibration.CHOICES, calibration.TEXTS, calibration.TOKENS]
        return self.exact.known | {"dtype": VERIFIED, "verified": [*rule, *sorted(self.numeric)]}

    @property
    def notes(self) -> list[str]:
        """What a person should know: of both precisions, and the bounds that were measured."""
        notes = list(self.exact.notes)
        if self._fast is not None:
            notes += [f"in bf16: {note}" for note in self._fast.notes if note not in notes]
        if self.numeric:
            notes.append(
                f"answered in float32 alone: {', '.join(self.numeric)}, whose metric is not "
                "decided by a best choice or a text"
            )
        notes += [_said(*name, bound) for name, bound in sorted(self.bounds.items())]
        for arm, worst in sorted(self.worst.items()):
            if worst > self.bounds[arm, "choices"].value:
                notes.append(
                    f"{arm}: bf16 was off by {worst:.3g} nats per root token, more than its bound; "
                    "score it with dtype float32"
                )
        if total := self.accepted + self.rechecked:
            notes.append(f"{self.rechecked} of {total} bf16 answers were asked again in float32")
        return notes

    def fingerprint(self, arm: str) -> str:
        """Return the sha256 of everything that can change an answer of this arm.

        The bounds are no part of it: whatever they were, a stored answer has float32's verdict.
        """
        return text_hash([self.exact.fingerprint(arm), VERIFIED, self.known["verified"]])

    def attach(self, name: str, path: Path, *, allow_identical: bool = False) -> str:
        """Attach a candidate to both; see `Engine.attach`."""
        weights = self.exact.attach(name, path, allow_identical=allow_identical)
        if self._fast is not None:
            self._fast.attach(name, path, allow_identical=True)
        return weights

    def answer(
        self, arm: str, requests: Sequence[Request], *, drafts: Drafts | None = None
    ) -> Iterator[Answers]:
        """Answer requests of any kinds, yielding batches as they are done, in no set order.

        See `Engine.answer`. An item of ``work`` of which only some choices are asked for is
        answered whole, because its verdict is to come from one pass; other items belong whole into
        one call.
        """
        second = Second(guesses=dict(drafts or {}))
        choices, texts = self._sorted(requests, second)
        if choices:
            yield from self._choices(arm, choices, second)
        if texts:
            yield from self._texts(arm, texts, second)
        if second.requests:
            yield from self._again(arm, second)

    def _sorted(self, requests: Iterable[Request], second: "Second") -> tuple[Items, list[Request]]:
        """Pick out choices and greedy texts; the others are left for the second pass."""
        choices: Items = {}
        texts: list[Request] = []
        for item, group in margins.by_item(requests).items():
            if item in self._exactly:
                second.requests += group
            elif margins.is_choice(whole := self._items.get(item, group)):
                choices[item] = whole
            else:
                for request in group:
                    (texts if calibration.is_greedy_text(request) else second.requests).append(
                        request
                    )
        return choices, texts

    def _choices(self, arm: str, items: Items, second: "Second") -> Iterator[Answers]:
        """Answer choices in bf16 and keep back those whose verdict could flip."""
        bound, truth = self._choice_bound(arm, items), self._truth.get(arm, {})
        left: list[Request] = []
        for group in items.values():
            if all(margins.ids_of(request) in truth for request in group):
                yield [(request, truth[margins.ids_of(request)]) for request in group]
            else:
                left += group
        if not bound.is_worth_it:
            second.requests += left
            return
        waiting = Counter(request.item for request in left)
        for batch in self._bf16().answer(arm, left):
            done: Answers = []
            for request, response in batch:
                second.found[request.item, request.index] = response
                waiting[request.item] -= 1
                if not waiting[request.item]:
                    done += self._stand(items[request.item], bound, second)
            if done:
                yield done

    def _stand(self, group: Sequence[Request], bound: Bound, second: "Second") -> Answers:
        """Return an item's bf16 answers if they stand, and none if it must be asked again."""
        answers = [(request, second.found[request.item, request.index]) for request in group]
        if any(response.unscored for _, response in answers):
            return answers
        if margins.lead(group, second.found) > bound.value:
            self.accepted += 1
            return answers
        self.rechecked += 1
        second.requests += group
        return []

    def _texts(self, arm: str, requests: Sequence[Request], second: "Second") -> Iterator[Answers]:
        """Generate in bf16 and keep back the texts of which a token could be another."""
        bound = self._text_bound(arm, requests)
        if not bound.is_worth_it:
            second.requests += requests
            return
        for batch in self._bf16().answer(arm, requests, drafts=second.guesses):
            done: Answers = []
            for request, response in batch:
                if response.unscored or (response.gap is not None and response.gap > bound.value):
                    self.accepted += not response.unscored
                    done.append((request, response))
                else:
                    self.rechecked += 1
                    second.requests.append(request)
                    second.guesses[request.item, request.index] = (response.text or "",)
            if done:
                yield done

    def _again(self, arm: str, second: "Second") -> Iterator[Answers]:
        """Answer in float32, and see whether choices differ by no more than the bound says."""
        truth: dict[tuple[ItemKey, int], Response] = {}
        for batch in self.exact.answer(arm, second.requests, drafts=second.guesses):
            truth.update({(r.item, r.index): response for r, response in batch})
            yield batch
        for group in margins.by_item(second.requests).values():
            names = [(request.item, request.index) for request in group]
            if all(name in second.found and not truth[name].unscored for name in names):
                error = margins.error(group, second.found, truth)
                self.worst[arm] = max(self.worst.get(arm, 0.0), error)

    def _choice_bound(self, arm: str, items: Items) -> Bound:
        """Measure how far choices' leads may be off, once for each arm."""
        name = (arm, "choices")
        if name not in self.bounds:
            everything = self._sorted(self.work, Second())[0] or items
            drawn = calibration.draw(everything, calibration.CHOICES)
            self.bounds[name], truth = calibration.of_choices(self._bf16(), self.exact, arm, drawn)
            self._truth[arm] = {
                margins.ids_of(request): truth[request.item, request.index]
                for group in drawn
                for request in group
                if (request.item, request.index) in truth
            }
            log.info("%s", _said(*name, self.bounds[name]))
        return self.bounds[name]

    def _text_bound(self, arm: str, texts: Sequence[Request]) -> Bound:
        """Measure how far the lead of a text's token may be off, once for each arm."""
        name = (arm, "texts")
        if name not in self.bounds:
            everything = self._sorted(self.work, Second())[1] or texts
            drawn = calibration.draw(margins.by_item(everything), calibration.TEXTS)
            asked = [group[0] for group in drawn]
            self.bounds[name] = calibration.of_texts(self._bf16(), self.exact, arm, asked)
            log.info("%s", _said(*name, self.bounds[name]))
        return self.bounds[name]

    def _bf16(self) -> Engine:
        """Load the bf16 copy of the base at its first use."""
        if self._fast is None:
            self._fast = Engine.load(**{**self.exact.switch.origin, "dtype": "bfloat16"})
            for name, arm in self.exact.switch.arms.items():
                if arm.folder is not None:
                    self._fast.attach(name, arm.folder.path, allow_identical=True)
        return self._fast


def _said(arm: str, kind: str, bound: Bound) -> str:
    """Say what a bound came to."""
    unit = "logits" if kind == "texts" else "nats per root token"
    clear = f"{bound.clear} of {bound.drawn} in a probe were clear by {bound.value:.3g} {unit}"
    if bound.is_worth_it:
        return f"{arm}: bf16 {kind} are kept where they are clear of the bound: {clear}"
    return f"{arm}: {kind} are answered in float32 alone, which is faster here: {clear}"
