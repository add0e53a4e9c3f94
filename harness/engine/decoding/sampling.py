"""Drawing tokens: the one rule of sampled decoding, for packed and plain batches alike."""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def draw(logits: Tensor, settings: Mapping[str, Any], context: Sequence[int], step: int) -> int:
    """Draw a token by temperature, then top-k, then top-p, as transformers orders them.

    The randomness depends on the seed, the repeat, the context and the step alone, so that neither
    batch mates nor the order of work nor an interruption change an answer.

    Args:
        logits: One row, ``[vocabulary]``.
        settings: ``temperature``, ``top_k``, ``top_p``, ``seed`` and ``repeat`` of the request.
        context: Token ids of the prompt.
        step: How many tokens have been generated already.
    """
    shares, order = (logits.double() / float(settings.get("temperature", 1.0))).sort(
        descending=True, stable=True
    )
    shares = shares.softmax(dim=-1)
    if settings.get("top_k"):
        shares[int(settings["top_k"]) :] = 0
        shares /= shares.sum()
    if settings.get("top_p"):
        shares[(shares.cumsum(0) - shares) >= float(settings["top_p"])] = 0
    key = json.dumps([settings.get("seed", 0), settings.get("repeat", 0), list(context), step])
    fraction = random.Random(hashlib.sha256(key.encode()).digest()).random()
    heap = shares.cumsum(0)
    found = int(torch.searchsorted(heap, fraction * float(heap[-1]), right=True))
    return int(order[min(found, int((shares > 0).sum()) - 1)])
