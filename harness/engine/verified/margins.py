"""By how much a choice leads, and how far two precisions differ about that: pure arithmetic.

lm-eval picks a choice by its log-likelihood, or by that per character or byte (``acc``,
``acc_norm``, ``acc_bytes``). A rounding error of a sum over n tokens grows with the root of n, so
errors and bounds are measured in that unit; it fits better than errors per choice or per token.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from harness.records import ItemKey, Request, Response

Answered = Mapping[tuple[ItemKey, int], Response]
"""Answers by item and request index."""


def by_item(requests: Iterable[Request]) -> dict[ItemKey, list[Request]]:
    """Group requests by the item that they belong to."""
    items: dict[ItemKey, list[Request]] = defaultdict(list)
    for request in requests:
        items[request.item].append(request)
    return dict(items)


def is_choice(requests: Sequence[Request]) -> bool:
    """Say whether an item asks for the best of several continuations of one context."""
    return (
        len(requests) > 1
        and all(request.kind == "loglikelihood" for request in requests)
        and len({request.context_ids for request in requests}) == 1
    )


def entangled(items: Mapping[ItemKey, Sequence[Request]]) -> set[ItemKey]:
    """Return the items that share a request with an item that asks for anything else as well.

    Such items are not to be mixed from two precisions when their answers are read back from a
    store, where a request has one answer.
    """
    asked = {key: frozenset(map(ids_of, group)) for key, group in items.items()}
    owners: dict[object, set[object]] = defaultdict(set)
    for group in asked.values():
        for ids in group:
            owners[ids].add(group)
    return {key for key, group in asked.items() if any(len(owners[ids]) > 1 for ids in group)}


def lead(requests: Sequence[Request], found: Answered) -> float:
    """Return how far an item's best choice leads the next, in the unit of `error`.

    It is the smallest lead over all ways to pick a choice, 0 on a tie, and not a number where an
    answer is not.
    """
    leads = []
    for sizes in _ways(requests):
        values = [_logprob(found, r) / size for r, size in zip(requests, sizes, strict=True)]
        if any(map(math.isnan, values)):
            return math.nan
        best = max(range(len(values)), key=values.__getitem__)
        leads += [
            (values[best] - values[other]) / _unit(requests, sizes, best, other)
            for other in range(len(values))
            if other != best
        ]
    return min(leads)


def error(requests: Sequence[Request], found: Answered, truth: Answered) -> float:
    """Return the largest error of a difference between two choices of an item.

    Its unit is nats per root of the tokens of both, or the same per character or byte.
    """
    largest = 0.0
    for sizes in _ways(requests):
        off = [
            (_logprob(found, request) - _logprob(truth, request)) / size
            for request, size in zip(requests, sizes, strict=True)
        ]
        for a, b in combinations(range(len(off)), 2):
            difference = abs(off[a] - off[b]) / _unit(requests, sizes, a, b)
            largest = math.inf if math.isnan(difference) else max(largest, difference)
    return largest


def _ways(requests: Sequence[Request]) -> Iterator[tuple[int, ...]]:
    """Yield what log-likelihoods are divided by: 1, characters, bytes.

    lm-eval counts a choice without the blank before it, which may or may not be part of the choice.
    """
    whole = [request.continuation for request in requests]
    bare = [text.strip() for text in whole]
    counts = [
        [1] * len(whole),
        *(list(map(len, texts)) for texts in (whole, bare)),
        *([len(text.encode()) for text in texts] for texts in (whole, bare)),
    ]
    yield from dict.fromkeys(tuple(max(1, count) for count in row) for row in counts)


def _unit(requests: Sequence[Request], sizes: Sequence[int], a: int, b: int) -> float:
    """Return what a rounding error of one per root token makes of a difference."""
    return math.hypot(
        *(math.sqrt(max(1, len(requests[i].continuation_ids))) / sizes[i] for i in (a, b))
    )


def _logprob(found: Answered, request: Request) -> float:
    logprob = found[request.item, request.index].logprob
    return math.nan if logprob is None else logprob


def ids_of(request: Request) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return what a log-likelihood depends on."""
    return request.context_ids, request.continuation_ids
