"""Choosing the next token: greedy, or temperature, top-k and nucleus (top-p) sampling.

One rule for packed and padded batches alike. Nucleus sampling is that of Holtzman et al. 2020; the
filters follow each other as in transformers.
"""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from harness.thoughts import ThoughtForm, opened_by


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """How one request is generated.

    Attributes:
        max_new_tokens: Where an answer is cut.
        thinking_tokens: Where a thought before it is cut; 0: both together at ``max_new_tokens``.
        opened: The form of the thought that the prompt has opened.
        stop: Strings that end an answer.
        do_sample: Draw tokens; greedy otherwise.
        temperature: Divides the logits.
        top_k: Keep this many of the most likely tokens; 0 keeps all.
        top_p: Keep the most likely tokens up to this probability; 0 keeps all.
        seed: Of what is drawn.
        repeat: Which of several samples of the same request this is.
    """

    max_new_tokens: int
    thinking_tokens: int = 0
    opened: ThoughtForm | None = None
    stop: tuple[str, ...] = ()
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 0.0
    seed: int = 0
    repeat: int = 0

    @property
    def most_tokens(self) -> int:
        """How many tokens are generated at most, those of a thought included."""
        return self.max_new_tokens + self.thinking_tokens

    @classmethod
    def of(cls, settings: Mapping[str, Any], prompt: str = "") -> "SamplingParams":
        """Read a request's settings; its prompt may leave a thought open."""
        return cls(
            max_new_tokens=int(settings["max_new_tokens"]),
            thinking_tokens=int(settings.get("thinking_tokens") or 0),
            opened=opened_by(prompt),
            stop=tuple(stop for stop in settings.get("until") or () if stop),
            do_sample=bool(settings.get("do_sample")),
            temperature=float(settings.get("temperature", 1.0)),
            top_k=int(settings.get("top_k") or 0),
            top_p=float(settings.get("top_p") or 0.0),
            seed=settings.get("seed", 0),
            repeat=settings.get("repeat", 0),
        )


class NextToken(NamedTuple):
    """A chosen token, and how far its logit is above the second best (infinite if drawn)."""

    token: int
    gap: float


def greedy_tokens(logits: Tensor) -> list[NextToken]:
    """Return the most likely token of each row of ``(R, V)``.

    A GPU is waited for once: token and gap come back as one tensor.
    """
    values, tokens = logits.float().topk(2, dim=-1)  # (R, 2)
    if logits.device.type == "mps":  # which has no float64
        tokens, values = tokens.cpu(), values.cpu()
    both = torch.stack((tokens[:, 0].double(), (values[:, 0] - values[:, 1]).double()))  # (2, R)
    return [NextToken(int(token), gap) for token, gap in zip(*both.tolist(), strict=True)]


def sample_token(logits: Tensor, params: SamplingParams, context: Sequence[int], step: int) -> int:
    """Draw a token by temperature, then top-k, then top-p, as transformers orders them.

    The randomness depends on the seed, the repeat, the context and the step alone, so that neither
    batch mates nor the order of work nor an interruption change an answer.

    Args:
        logits: One row, ``(V,)``.
        params: Of the request.
        context: Token ids of the prompt.
        step: How many tokens have been generated already.
    """
    # 1. Probabilities (V,), most likely first.
    exact = (logits.cpu() if logits.device.type == "mps" else logits).double()
    probs, order = (exact / params.temperature).sort(descending=True, stable=True)
    probs = probs.softmax(dim=-1)
    # 2. Filters.
    if params.top_k:
        probs[params.top_k :] = 0
        probs /= probs.sum()
    if params.top_p:
        probs[(probs.cumsum(0) - probs) >= params.top_p] = 0
    # 3. A uniform number that belongs to this token of this request.
    key = json.dumps([params.seed, params.repeat, list(context), step])
    u = random.Random(hashlib.sha256(key.encode()).digest()).random()
    # 4. Inverse transform sampling.
    cdf = probs.cumsum(0)
    rank = torch.searchsorted(cdf, u * cdf[-1:], right=True)  # (1,)
    return int(order[torch.minimum(rank, (probs > 0).sum() - 1)])  # a GPU is waited for here alone
