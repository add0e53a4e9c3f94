"""Proof at load that packed attention gives a model's own log-likelihoods, or back to padding.

No list of supported architectures: a branching trie of a probe is scored both ways. Where the two
differ, or the model's attention takes what packing does not know, the model keeps its own attention
and is run in padded batches.
"""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.engine import padded
from harness.engine.prefix import attention
from harness.engine.prefix.attention import UnsupportedAttentionError
from harness.engine.prefix.loglikelihood import TokenPair, score
from harness.engine.prefix.prefill import OutOfMemoryError, Runner, prefill
from harness.engine.prefix.trie import TrieToken, build_trie, plan_units
from harness.models.load_model import sliding_window
from harness.records import Response

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger("harness.engine")

MAX_DIFFERENCE = 2e-3
"""Largest difference of a log-likelihood, in nats per token, that float32 rounding explains."""

MAX_DIFFERENCE_HALF = 0.15
"""The same where weights have half precision or less."""

_PROBE_TEXT = "The quick brown fox jumps over the lazy dog, 0 1 2 3 times; is that so?\n"


def probe_ids(tokenizer: "PreTrainedTokenizerBase", vocab_size: int) -> list[int]:
    """Return a short prompt that also shows special tokens, to tell two models apart."""
    ids = tokenizer.encode(_PROBE_TEXT) + list(tokenizer.all_special_ids)[:32]
    return [token for token in ids if token < vocab_size][:128]


def use_packed_attention(
    model: "PreTrainedModel", runner: Runner, probe: Sequence[int]
) -> str | None:
    """Switch a model to packed attention; on any doubt switch back and return the reason."""
    if runner.like.device.type == "meta":
        return "the model is not on one device"
    # 1. Log-likelihoods of the model's own attention.
    own_attention = model.config._attn_implementation
    probe = probe[: (sliding_window(model) or 128) // 2]
    expected = padded_logprobs(model, probe)
    # 2. The same by packed attention.
    reason = None
    try:
        model.set_attn_implementation(attention.NAME)
        if not packed_logprobs_match(expected, runner, probe):
            reason = "packed log-likelihoods differ from those of the plain forward pass"
    except (UnsupportedAttentionError, TypeError, ValueError, AttributeError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    except (RuntimeError, IndexError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
    # 3. Back, if they are not the same.
    if reason is not None:
        model.set_attn_implementation(own_attention)
        log.warning("scoring in plain batches, which is slower: %s", reason)
    return reason


def padded_logprobs(model: "PreTrainedModel", probe: Sequence[int]) -> dict[int, float]:
    """Return the log-likelihoods that plain forward passes give on a probe."""
    return _logprobs(padded.score(model, _probe_pairs(probe), budget=4096, pad=0))


def packed_logprobs_match(
    expected: Mapping[int, float], runner: Runner, probe: Sequence[int]
) -> bool:
    """Tell whether packed scoring gives the same log-likelihoods on a probe, token for token."""
    pairs = _probe_pairs(probe)
    found = _logprobs(score(runner, pairs))
    limit = largest_difference(runner)
    return all(
        abs(found[i] - expected[i]) / len(continuation) <= limit
        for i, (_, continuation) in enumerate(pairs)
    )


def largest_difference(runner: Runner) -> float:
    """Return how far rounding alone may set two logits, or log-likelihoods of a token, apart."""
    return MAX_DIFFERENCE if runner.like.dtype == torch.float32 else MAX_DIFFERENCE_HALF


def packed_logits(runner: Runner, probe: Sequence[int], *, arms: int) -> Tensor:
    """Return the float32 logits ``(arms, T, V)`` that arms which share a pass give on a probe."""
    trie = build_trie([tuple(probe)] * arms, range(arms))
    everywhere = {node: range(len(trie.nodes[node].tokens)) for node in trie.leaf}
    logits: dict[TrieToken, Tensor] = {}
    for batch in prefill(runner, trie, plan_units(trie), everywhere):
        if isinstance(batch, OutOfMemoryError):
            raise batch
        logits.update(zip(batch.tokens, batch.logits.float(), strict=True))
    return torch.stack(
        [
            torch.stack([logits[TrieToken(leaf, offset)] for offset in everywhere[leaf]])
            for leaf in trie.leaf
        ]
    )


def _probe_pairs(probe: Sequence[int]) -> list[TokenPair]:
    """Make contexts that share prefixes, each with branching continuations."""
    ids = tuple(probe)
    if len(ids) < 8:
        ids = ids * (8 // max(1, len(ids)) + 1)
    half, turned = len(ids) // 2, ids[::-1]
    contexts = [ids[:half], ids, ids[:half] + turned[:half], turned]
    return [(context, tail) for context in contexts for tail in (turned[:3], ids[-4:])]


def _logprobs(batches: Iterable[list[tuple[int, Response]]]) -> dict[int, float]:
    """Return log-likelihoods by index; one that could not be had is not a number."""
    return {
        index: math.nan if response.logprob is None else response.logprob
        for batch in batches
        for index, response in batch
    }
