"""By how much an item's best choice wins, and how far two precisions differ about that.

lm-eval picks a choice by its log-likelihood, or by that per character or byte (``acc``,
``acc_norm``, ``acc_bytes``). Rounding errors of the tokens of a sum add up like independent ones,
with the root of their number n, so margins and errors are measured in nats per ``sqrt(n)``; it fits
better than errors per choice or per token. Pure arithmetic.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from harness.records import Answers, ItemKey, Request

TokenIds = tuple[tuple[int, ...], tuple[int, ...]]
"""A context and a continuation: all that a log-likelihood depends on."""


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


def items_sharing_requests(items: Mapping[ItemKey, Sequence[Request]]) -> set[ItemKey]:
    """Return the items that share a request with an item that asks for anything else as well.

    Such items are not to be mixed from two precisions when their answers are read back from a
    store, where a request has one answer.
    """
    asked = {key: frozenset(map(token_ids, group)) for key, group in items.items()}
    owners: dict[TokenIds, set[frozenset[TokenIds]]] = defaultdict(set)
    for group in asked.values():
        for ids in group:
            owners[ids].add(group)
    return {key for key, group in asked.items() if any(len(owners[ids]) > 1 for ids in group)}


def choice_margin(requests: Sequence[Request], answers: Answers) -> float:
    """Return by how much an item's best choice beats the next, in the unit of `margin_error`.

    It is the smallest margin over all ways to pick a choice, 0 on a tie, and not a number where an
    answer is not.
    """
    margins = []
    for lengths in _normalizers(requests):
        values = [_logprob(answers, r) / n for r, n in zip(requests, lengths, strict=True)]
        if any(map(math.isnan, values)):
            return math.nan
        best = max(range(len(values)), key=values.__getitem__)
        margins += [
            (values[best] - values[other]) / _unit(requests, lengths, best, other)
            for other in range(len(values))
            if other != best
        ]
    return min(margins)


def margin_error(requests: Sequence[Request], bf16: Answers, float32: Answers) -> float:
    """Return the largest error of a difference between two choices of an item.

    Its unit is nats per root of the tokens of both, or the same per character or byte.
    """
    largest = 0.0
    for lengths in _normalizers(requests):
        errors = [
            (_logprob(bf16, request) - _logprob(float32, request)) / length
            for request, length in zip(requests, lengths, strict=True)
        ]
        for a, b in combinations(range(len(errors)), 2):
            difference = abs(errors[a] - errors[b]) / _unit(requests, lengths, a, b)
            largest = math.inf if math.isnan(difference) else max(largest, difference)
    return largest


def _normalizers(requests: Sequence[Request]) -> Iterator[tuple[int, ...]]:
    """Yield what log-likelihoods are divided by: 1, characters, bytes.

    lm-eval counts a choice without the blank before it, which may or may not be part of the choice.
    """
    texts = [request.continuation for request in requests]
    stripped = [text.strip() for text in texts]
    counts = [
        [1] * len(texts),
        *(list(map(len, form)) for form in (texts, stripped)),
        *([len(text.encode()) for text in form] for form in (texts, stripped)),
    ]
    yield from dict.fromkeys(tuple(max(1, count) for count in row) for row in counts)


def _unit(requests: Sequence[Request], lengths: Sequence[int], a: int, b: int) -> float:
    """Return what a rounding error of one per root token makes of a difference."""
    return math.hypot(
        *(math.sqrt(max(1, len(requests[i].continuation_ids))) / lengths[i] for i in (a, b))
    )


def _logprob(answers: Answers, request: Request) -> float:
    logprob = answers[request.key].logprob
    return math.nan if logprob is None else logprob


def token_ids(request: Request) -> TokenIds:
    """Return what a log-likelihood depends on."""
    return request.context_ids, request.continuation_ids
