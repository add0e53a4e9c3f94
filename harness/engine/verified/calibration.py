"""How far bf16 is from float32: measured on a few items that are drawn by hash."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.engine.model import Engine
from harness.engine.verified import margins
from harness.models.fingerprint import text_hash
from harness.records import ItemKey, Request, Response

CHOICES, TEXTS, TOKENS = 64, 32, 64
"""Items of each kind in a probe, and how many tokens of each of its texts are looked at."""

CHOICE_FACTOR, TEXT_FACTOR = 4.0, 2.0
"""How many times the largest error seen on the probe an answer must be clear of.

A few hundred differences of choices are seen, and their errors have long tails: 3.7 times the
largest of a probe was found among 1,761 items of a random adapter. Of tokens thousands are seen.
"""

WORTH = 0.5
"""Share of the probe that must be clear, for less would cost more than float32 alone."""

Found = dict[tuple[ItemKey, int], Response]
"""Answers by item and request index."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What a bf16 answer must be clear of: ``clear`` of the ``drawn`` answers of the probe were.

    ``value`` is in the unit of `leads.error` for choices and in logits for texts; it is infinite
    where nothing could be measured.
    """

    value: float
    clear: int
    drawn: int

    @classmethod
    def of(cls, errors: Sequence[float], distances: Sequence[float], factor: float) -> "Bound":
        """Set a bound by the largest error, and count the distances that are clear of it."""
        value = factor * max(errors, default=math.inf)
        return cls(value, sum(distance > value for distance in distances), len(distances))

    @property
    def is_worth_it(self) -> bool:
        """Whether bf16 settles enough to be asked first."""
        return self.clear > 0 and self.clear >= WORTH * self.drawn


def draw(items: Mapping[ItemKey, list[Request]], count: int) -> list[list[Request]]:
    """Draw items by the hash of what they are, in turn from each suite."""
    suites: dict[str, list[tuple[str, ItemKey]]] = {}
    for item in items:
        suites.setdefault(item.suite, []).append((text_hash(item), item))
    ranked = sorted(
        (rank, mark, item)
        for drawn in suites.values()
        for rank, (mark, item) in enumerate(sorted(drawn))
    )
    return [items[item] for _, _, item in ranked[:count]]


def answers(engine: Engine, arm: str, requests: Sequence[Request]) -> Found:
    """Return an arm's answers, those that could not be had left out."""
    return {
        (request.item, request.index): response
        for batch in engine.answer(arm, requests)
        for request, response in batch
        if response.unscored is None
    }


def of_choices(
    fast: Engine, exact: Engine, arm: str, drawn: Sequence[Sequence[Request]]
) -> tuple[Bound, Found]:
    """Measure by how much leads are off (see `leads.error`); return float32's answers as well."""
    requests = [request for group in drawn for request in group]
    found, truth = answers(fast, arm, requests), answers(exact, arm, requests)
    both = found.keys() & truth.keys()
    groups = [group for group in drawn if all((r.item, r.index) in both for r in group)]
    errors = [margins.error(group, found, truth) for group in groups]
    distances = [margins.lead(group, found) for group in groups]
    return Bound.of(errors, distances, CHOICE_FACTOR), truth


def of_texts(fast: Engine, exact: Engine, arm: str, drawn: Sequence[Request]) -> Bound:
    """Measure by how much the distance of a token's logit from the best other one's is off.

    Both are asked for the next token at every place of what bf16 says, read as given, so that they
    are compared on the same prefixes.
    """
    said = answers(fast, arm, drawn)
    asked: list[Request] = []
    for place, request in enumerate(drawn):
        response = said.get((request.item, request.index))
        if response is not None:
            asked += _steps(request, response.text or "", place, fast)
    found, truth = answers(fast, arm, asked), answers(exact, arm, asked)
    errors = [_error(found[name], truth[name]) for name in found.keys() & truth.keys()]
    return Bound.of(errors, [response.gap or 0.0 for response in said.values()], TEXT_FACTOR)


def is_greedy_text(request: Request) -> bool:
    """Say whether a request is for a text without randomness."""
    return request.kind == "generate_until" and not request.settings.get("do_sample")


def _steps(request: Request, text: str, place: int, engine: Engine) -> Iterable[Request]:
    """Ask for the one token that follows each of the first tokens of a text."""
    ids = tuple(engine.tokenizer.encode(text, add_special_tokens=False))[:TOKENS]
    room = engine.max_length - len(request.context_ids) - 1
    return [
        replace(
            request,
            item=ItemKey("probe", "none", str(place), 0),
            index=length,
            context_ids=request.context_ids + ids[:length],
            settings={"until": [], "max_new_tokens": 1},
        )
        for length in range(min(len(ids), room) + 1)
    ]


def _error(found: Response, truth: Response) -> float:
    """Return by how much the lead of bf16's token over the best other one is off."""
    if found.gap is None or truth.gap is None:
        return math.inf
    same = (found.text, found.finish) == (truth.text, truth.finish)
    return abs(found.gap - truth.gap) if same else found.gap + truth.gap
