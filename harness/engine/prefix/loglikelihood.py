"""Log-likelihoods over shared prefixes."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from harness.engine.prefix.prefill import OutOfMemoryError, Runner, Swept, sweep
from harness.engine.prefix.trie import Trie, build, chunks, units
from harness.records import Response

_ROWS = 512

Pair = tuple[tuple[int, ...], tuple[int, ...]]
"""Token ids of a context and of the continuation that is scored."""

Need = tuple[int, int, int]
"""Offset within a node, target token, index of the request that asks."""


def score(runner: Runner, pairs: Sequence[Pair]) -> Iterator[list[tuple[int, Response]]]:
    """Score continuations of contexts; yield ``(index, response)`` as batches finish.

    The log-probability is the float32 log-softmax summed over the continuation; ``is_greedy`` says
    whether every token of it was the most likely one.
    """
    inputs = [context + continuation[:-1] for context, continuation in pairs]
    for chunk in chunks(inputs, tokens=runner.chunk):
        trie = build([inputs[index] for index in chunk])
        yield from _score_trie(runner, trie, [pairs[index] for index in chunk], chunk)


def _score_trie(
    runner: Runner,
    trie: Trie,
    pairs: Sequence[Pair],
    names: Sequence[int],
) -> Iterator[list[tuple[int, Response]]]:
    needs = _needs(trie, pairs)
    left = [len(continuation) for _, continuation in pairs]
    total = [0.0] * len(pairs)
    greedy = [True] * len(pairs)
    wanted = {node: [offset for offset, _, _ in asked] for node, asked in needs.items()}
    for swept in sweep(runner, trie, wanted):
        done: list[tuple[int, Response]] = []
        if isinstance(swept, OutOfMemoryError):
            for request in _asking(trie, swept, needs):
                if left[request] > 0:
                    left[request] = -1
                    done.append((names[request], Response(unscored="out of memory")))
        else:
            for request, logprob, best in _read(swept, needs):
                total[request] += logprob
                greedy[request] &= best
                left[request] -= 1
                if left[request] == 0:
                    done.append((names[request], _response(total, greedy, pairs, request)))
        if done:
            yield done


def _response(
    total: list[float],
    greedy: list[bool],
    pairs: Sequence[Pair],
    request: int,
) -> Response:
    return Response(
        logprob=total[request], is_greedy=greedy[request], tokens=len(pairs[request][1])
    )


def _needs(trie: Trie, pairs: Sequence[Pair]) -> dict[int, list[Need]]:
    """Say at which places of the trie which next token's probability is asked for."""
    needs: dict[int, list[Need]] = defaultdict(list)
    for request, (context, continuation) in enumerate(pairs):
        first = len(context) - 1
        last = first + len(continuation)
        for index in trie.path(trie.leaf[request]):
            node = trie.nodes[index]
            if node.end <= first:
                break
            for position in range(max(node.start, first), min(node.end, last)):
                target = continuation[position - first]
                needs[index].append((position - node.start, target, request))
    return needs


def _read(swept: Swept, needs: dict[int, list[Need]]) -> Iterator[tuple[int, float, bool]]:
    """Yield ``(request, log-probability, is the most likely)`` for each token asked for."""
    row_of = {place: row for row, place in enumerate(swept.rows)}
    asked = [
        (row_of[node, offset], target, request)
        for node in {node for node, _ in swept.rows}
        for offset, target, request in needs[node]
    ]
    if not asked:
        return
    rows, targets, requests = zip(*asked, strict=True)
    device = swept.logits.device
    logprobs, best = token_logprobs(
        swept.logits, torch.tensor(rows, device=device), torch.tensor(targets, device=device)
    )
    yield from zip(requests, logprobs.tolist(), best.tolist(), strict=True)


def token_logprobs(logits: Tensor, rows: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the float32 log-probability of each target in its row, and whether it is the top.

    ``logits`` is ``[places, vocabulary]``; several targets may ask for one row. Works in slices, so
    that no second array of the logits' size is needed.
    """
    norms = torch.empty(len(logits), dtype=torch.float32, device=logits.device)
    tops = torch.empty(len(logits), dtype=torch.long, device=logits.device)
    for start in range(0, len(logits), _ROWS):
        part = logits[start : start + _ROWS].float()
        norms[start : start + _ROWS] = torch.logsumexp(part, dim=-1)
        tops[start : start + _ROWS] = part.argmax(dim=-1)
    return logits[rows, targets].float() - norms[rows], tops[rows] == targets


def _asking(trie: Trie, lost: OutOfMemoryError, needs: dict[int, list[Need]]) -> list[int]:
    """Return the requests that needed a place which could not be computed."""
    plan = units(trie)
    return [
        request
        for index in lost.units
        for node in plan[index].nodes
        for _, _, request in needs.get(node, ())
    ]
