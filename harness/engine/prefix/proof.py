"""Proof at load that packed attention gives a model's own log-likelihoods."""

import logging
from collections.abc import Sequence
from typing import Any

import torch

from harness.engine import padded
from harness.engine.prefix import attention
from harness.engine.prefix.attention import UnsupportedAttentionError
from harness.engine.prefix.prefill import Runner
from harness.models.load_model import sliding_window

log = logging.getLogger("harness.engine")

_AGREE = 2e-3
"""Largest difference of a log-likelihood, per token, at which packing is taken to be right."""

_PROBE_TEXT = "The quick brown fox jumps over the lazy dog, 0 1 2 3 times; is that so?\n"


def probe_ids(tokenizer: Any, vocabulary: int) -> list[int]:
    """Return a short prompt that also shows special tokens, to tell two models apart."""
    ids = tokenizer.encode(_PROBE_TEXT) + list(tokenizer.all_special_ids)[:32]
    return [token for token in ids if token < vocabulary][:128]


def pack_or_say_why(model: Any, runner: Runner, probe: Sequence[int]) -> str | None:
    """Switch a model to packed attention; on any doubt switch back and return the reason.

    The proof is that a branching trie gives the plain forward pass's log-likelihoods.
    """
    if runner.like.device.type == "meta":
        return "the model is not on one device"
    before = model.config._attn_implementation
    probe = probe[: (sliding_window(model) or 128) // 2]
    expected = plain_scores(model, probe)
    reason = None
    try:
        model.set_attn_implementation(attention.NAME)
        if not packs_like(expected, runner, probe):
            reason = "packed log-likelihoods differ from those of the plain forward pass"
    except (UnsupportedAttentionError, TypeError, ValueError, AttributeError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    except (RuntimeError, IndexError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
    if reason is not None:
        model.set_attn_implementation(before)
        log.warning("scoring in plain batches, which is slower: %s", reason)
    return reason


def plain_scores(model: Any, probe: Sequence[int]) -> dict[int, float]:
    """Return the log-likelihoods that plain forward passes give on a probe."""
    answered = _flat(padded.score(model, _probe_pairs(probe), budget=4096, pad=0))
    return {index: response.logprob for index, response in answered}


def packs_like(expected: dict[int, float], runner: Runner, probe: Sequence[int]) -> bool:
    """Tell whether packed scoring gives the same log-likelihoods on a probe, token for token."""
    from harness.engine.prefix.loglikelihood import score

    pairs = _probe_pairs(probe)
    found = {index: response.logprob for index, response in _flat(score(runner, pairs))}
    worst = max(abs(found[i] - expected[i]) / len(pairs[i][1]) for i in expected)
    return bool(worst <= (_AGREE if runner.like.dtype == torch.float32 else 0.15))


def _probe_pairs(probe: Sequence[int]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Make contexts that share stems, each with branching continuations."""
    ids = tuple(probe)
    if len(ids) < 8:
        ids = ids * (8 // max(1, len(ids)) + 1)
    half, turned = len(ids) // 2, ids[::-1]
    contexts = [ids[:half], ids, ids[:half] + turned[:half], turned]
    return [(c, tail) for c in contexts for tail in (turned[:3], ids[:2], turned[:1], ids[-4:])]


def _flat(batches: Any) -> Any:
    return (answer for batch in batches for answer in batch)
