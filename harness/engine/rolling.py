"""Rolling log-likelihood: perplexity windows no longer than the context, as lm-eval makes them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from harness.records import Response

Asker = TypeVar("Asker")

Pair = tuple[tuple[int, ...], tuple[int, ...]]


def rolling_windows(ids: Sequence[int], prefix_token: int, max_length: int) -> list[Pair]:
    """Split a text into disjoint (context, continuation) windows that score every token once."""
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

    cut = get_rolling_token_windows(
        token_list=list(ids), prefix_token=prefix_token, max_seq_len=max_length, context_len=1
    )
    return [(tuple(before), tuple(scored)) for before, scored in map(make_disjoint_window, cut)]


def sum_windows(
    requests: Sequence[Asker],
    counts: Sequence[int],
    batches: Iterable[list[tuple[int, Response]]],
) -> Iterator[list[tuple[Asker, Response]]]:
    """Add up the windows of each request; a request is done with its last window."""
    owner = [number for number, count in enumerate(counts) for _ in range(count)]
    left = dict(enumerate(counts))
    parts: dict[int, list[Response]] = defaultdict(list)
    empty = [request for request, count in zip(requests, counts, strict=True) if not count]
    if empty:
        yield [(request, Response(logprob=0.0)) for request in empty]
    for batch in batches:
        done = []
        for window, response in batch:
            number = owner[window]
            parts[number].append(response)
            left[number] -= 1
            if left[number] == 0:
                done.append((requests[number], _sum(parts.pop(number))))
        if done:
            yield done


def _sum(parts: Sequence[Response]) -> Response:
    unscored = next((part.missing for part in parts if part.missing), None)
    if unscored:
        return Response(unscored=unscored)
    return Response(
        logprob=sum(part.logprob for part in parts if part.logprob is not None),
        tokens=sum(part.tokens for part in parts),
    )
