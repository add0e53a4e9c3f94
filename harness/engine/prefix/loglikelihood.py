"""Log-likelihoods of continuations by prefill alone: no token is decoded.

A request is read as ``context + continuation[:-1]``; the logits at the last token of the context
and at each token of the continuation but the last predict the continuation (lm-eval's
``loglikelihood``). Choices of one question share its context, few-shot prompts their examples.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from harness.engine.prefix.prefill import OutOfMemoryError, PrefillBatch, Runner, prefill
from harness.engine.prefix.trie import (
    PrefillUnit,
    Trie,
    TrieToken,
    build_trie,
    plan_units,
    token_chunks,
)
from harness.records import Response

_SLICE = 512
"""Rows of logits that are turned to float32 at a time."""

TokenPair = tuple[tuple[int, ...], tuple[int, ...]]
"""Token ids of a context and of the continuation that is scored."""


class Target(NamedTuple):
    """A token whose log-probability a request asks for, after the token at an offset of a node."""

    offset: int
    token: int
    request: int


def score(
    runner: Runner, pairs: Sequence[TokenPair], arms: Sequence[int] = ()
) -> Iterator[list[tuple[int, Response]]]:
    """Score continuations of contexts; yield ``(index, response)`` as batches finish.

    The log-probability is the float32 log-softmax summed over the continuation; ``is_greedy`` says
    whether every token of it was the most likely one.

    Args:
        runner: The model.
        pairs: Contexts and continuations.
        arms: The number of the arm that each is for, where several share the model.
    """
    inputs = [context + continuation[:-1] for context, continuation in pairs]
    owner = arms or [0] * len(pairs)
    for chunk in token_chunks(inputs, owner, max_tokens=runner.prefill_chunk_tokens):
        trie = build_trie([inputs[index] for index in chunk], [owner[index] for index in chunk])
        for batch in _score_trie(runner, trie, [pairs[index] for index in chunk]):
            yield [(chunk[request], response) for request, response in batch]


def _score_trie(
    runner: Runner, trie: Trie, pairs: Sequence[TokenPair]
) -> Iterator[list[tuple[int, Response]]]:
    """Score the requests of one trie; a request is done with its last token."""
    targets = _targets(trie, pairs)
    wanted = {node: [target.offset for target in of_node] for node, of_node in targets.items()}
    tokens_left = [len(continuation) for _, continuation in pairs]
    logprob = [0.0] * len(pairs)
    is_greedy = [True] * len(pairs)
    units = plan_units(trie)
    for batch in prefill(runner, trie, units, wanted):
        done: list[tuple[int, Response]] = []
        if isinstance(batch, OutOfMemoryError):
            for request in _requests_without(units, batch, targets):
                if tokens_left[request] > 0:
                    tokens_left[request] = -1
                    done.append((request, Response(unscored="out of memory")))
        else:
            for request, token_logprob, is_top in _scored_tokens(batch, targets):
                logprob[request] += token_logprob
                is_greedy[request] &= is_top
                tokens_left[request] -= 1
                if tokens_left[request] == 0:
                    response = Response(
                        logprob=logprob[request],
                        is_greedy=is_greedy[request],
                        tokens=len(pairs[request][1]),
                    )
                    done.append((request, response))
        if done:
            yield done


def _targets(trie: Trie, pairs: Sequence[TokenPair]) -> Mapping[int, list[Target]]:
    """Return the continuations' tokens by the node whose logits predict them."""
    targets: dict[int, list[Target]] = defaultdict(list)
    for request, (context, continuation) in enumerate(pairs):
        first = len(context) - 1  # the position that predicts the first token
        last = first + len(continuation)
        for index in trie.path(trie.leaf[request]):
            node = trie.nodes[index]
            if node.end <= first:
                break
            for position in range(max(node.start, first), min(node.end, last)):
                token = continuation[position - first]
                targets[index].append(Target(position - node.start, token, request))
    return targets


def _scored_tokens(
    batch: PrefillBatch, targets: Mapping[int, list[Target]]
) -> Iterator[tuple[int, float, bool]]:
    """Yield ``(request, log-probability, is the most likely)`` for each target of a batch."""
    row_of = {token: row for row, token in enumerate(batch.tokens)}
    asked = [
        (row_of[TrieToken(node, offset)], token, request)
        for node in {token.node for token in batch.tokens}
        for offset, token, request in targets[node]
    ]
    if not asked:
        return
    rows, tokens, requests = zip(*asked, strict=True)
    device = batch.logits.device
    logprobs, is_top = token_logprobs(
        batch.logits, torch.tensor(rows, device=device), torch.tensor(tokens, device=device)
    )
    yield from zip(requests, logprobs.tolist(), is_top.tolist(), strict=True)


def token_logprobs(logits: Tensor, rows: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the float32 log-probability of each target in its row, and whether it is the top.

    Works in slices, so that no second array of the logits' size is needed.

    Args:
        logits: ``(L, V)``, of any dtype.
        rows: ``(T,)``; several targets may ask for one row.
        targets: ``(T,)`` token ids.
    """
    logsumexp = torch.empty(len(logits), dtype=torch.float32, device=logits.device)  # (L,)
    top = torch.empty(len(logits), dtype=torch.long, device=logits.device)  # (L,)
    for start in range(0, len(logits), _SLICE):
        part = logits[start : start + _SLICE].float()
        logsumexp[start : start + _SLICE] = torch.logsumexp(part, dim=-1)
        top[start : start + _SLICE] = part.argmax(dim=-1)
    return logits[rows, targets].float() - logsumexp[rows], top[rows] == targets


def _requests_without(
    units: Sequence[PrefillUnit], lost: OutOfMemoryError, targets: Mapping[int, list[Target]]
) -> list[int]:
    """Return the requests with a target that could not be computed."""
    return [
        target.request
        for index in lost.units
        for node in units[index].nodes
        for target in targets.get(node, ())
    ]
