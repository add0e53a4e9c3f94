"""Pretrain the built-in base from scratch: ``python -m harness.quickstart.pretrain --out DIR``.

Two phases: repeated random sequences until the induction heads work, then the corpus mixed with a
falling share of copy sequences. Deterministic on one machine, not bit for bit across processors,
which is why the weights are shipped with their sha256.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from harness.files import write_text
from harness.quickstart.circuit import build_model
from harness.quickstart.pretraining_text import corpus_documents
from harness.quickstart.tokenizer import SPECIALS, build_tokenizer, vocabulary

if TYPE_CHECKING:
    import numpy as np
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

IGNORED = -100  # label that cross-entropy ignores
SHARD = 20_000  # documents
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Hyperparameters of a build; the defaults are those of the shipped weights."""

    seed: int = 11
    steps: int = 3600
    documents: int = 380_000
    vocabulary_documents: int = 60_000
    rows: int = 20
    length: int = 160
    learning_rate: float = 3e-3
    warmup: int = 100
    copy_steps: int = 100
    copy_stop: float = 0.3
    copy_share: tuple[float, float] = (0.22, 0.08)
    threads: int = 2


def repeated_rows(
    rng: np.random.Generator, count: int, length: int, vocab: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return ids and labels of random sequences that repeat with a period, (count, length) each.

    Labels are set only where the repeat can be predicted. A third of the rows uses few distinct
    tokens, so that one token of context is not enough.
    """
    import numpy as np

    first = len(SPECIALS)
    ids = np.empty((count, length), dtype=np.int64)
    labels = np.full((count, length), IGNORED, dtype=np.int64)
    for row in range(count):
        period = int(rng.integers(4, min(60, length // 2)))
        known = 1
        if rng.random() < 0.33:
            period = max(period, 10)
            letters = rng.integers(first, vocab, size=max(4, period // 2))
            unit, known = rng.choice(letters, size=period), 2
        else:
            unit = rng.integers(first, vocab, size=period)
        ids[row] = np.tile(unit, length // period + 1)[:length]
        labels[row, period + known :] = ids[row, period + known :]
    return ids, labels


def pair_rows(
    rng: np.random.Generator, count: int, length: int, vocab: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return key-value pairs, then the same ones reordered, (count, length); labels on values."""
    import numpy as np

    first = len(SPECIALS)
    ids = np.empty((count, length), dtype=np.int64)
    labels = np.full((count, length), IGNORED, dtype=np.int64)
    for row in range(count):
        number = int(rng.integers(3, 20))
        pairs = rng.integers(first, vocab, size=(number, 2))
        parts = [pairs]
        while sum(p.size for p in parts) < length:
            parts.append(pairs[rng.permutation(number)])
        ids[row] = np.concatenate(parts).ravel()[:length]
        values = np.arange(length) % 2 == 1
        values[: 2 * number] = False
        labels[row, values] = ids[row, values]
    return ids, labels


def pack(documents: Iterator[list[int]], length: int, separator: int) -> np.ndarray:
    """Pack documents into rows of ``length``; each starts at a document and truncates its last."""
    import numpy as np

    rows: list[list[int]] = []
    row: list[int] = []
    for ids in documents:
        row += [*ids, separator]
        if len(row) >= length:
            rows.append(row[:length])
            row = []
    return np.asarray(rows, dtype=np.uint16)


def encode_corpus(tokenizer: PreTrainedTokenizerFast, recipe: Recipe) -> np.ndarray:
    """Generate, tokenize and pack the corpus; returns token ids, (rows, length)."""

    def encoded() -> Iterator[list[int]]:
        for shard in range(math.ceil(recipe.documents / SHARD)):
            count = min(SHARD, recipe.documents - shard * SHARD)
            texts = list(corpus_documents(count, seed=recipe.seed, shard=shard))
            for encoding in tokenizer.backend_tokenizer.encode_batch(
                texts, add_special_tokens=False
            ):
                yield encoding.ids

    separator = tokenizer.convert_tokens_to_ids("</s>")
    return pack(encoded(), recipe.length, separator)


def make_tokenizer(recipe: Recipe) -> PreTrainedTokenizerFast:
    """Return the tokenizer, its vocabulary counted on the first shard of the corpus."""
    texts = corpus_documents(recipe.vocabulary_documents, seed=recipe.seed)
    return build_tokenizer(vocabulary(texts))


def _optimizer(model: LlamaForCausalLM, rate: float) -> torch.optim.Optimizer:
    import torch

    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), fused=True)


def _step(
    model: LlamaForCausalLM, optimizer: torch.optim.Optimizer, ids: np.ndarray, labels: np.ndarray
) -> float:
    import torch
    from torch.nn.functional import cross_entropy

    inputs, targets = torch.from_numpy(ids), torch.from_numpy(labels)  # (B, T)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.model(input_ids=inputs[:, :-1]).last_hidden_state  # (B, T-1, D)
        targets = targets[:, 1:]
        learned = targets != IGNORED
        logits = model.lm_head(hidden[learned])  # (N, V): only where a label is set
    loss = cross_entropy(logits.float(), targets[learned])
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(loss.item())


def _learn_to_copy(model: LlamaForCausalLM, rng: np.random.Generator, recipe: Recipe) -> int:
    """Phase 1: train on copying; returns the steps until the running loss is below `copy_stop`."""
    optimizer = _optimizer(model, 1.5e-3)
    vocab, running = model.config.vocab_size, 9.0
    for step in range(recipe.copy_steps):
        for group in optimizer.param_groups:
            group["lr"] = 1.5e-3 * min(1.0, (step + 1) / 30)
        loss = _step(model, optimizer, *repeated_rows(rng, 32, 64, vocab))
        running = loss if step == 0 else 0.9 * running + 0.1 * loss
        if step % 25 == 0:
            _log.info("copy step %d loss %.3f", step, loss)
        if running < recipe.copy_stop:
            return step + 1
    return recipe.copy_steps


def _learn_corpus(
    model: LlamaForCausalLM, rng: np.random.Generator, rows: np.ndarray, recipe: Recipe
) -> list[float]:
    """Phase 2: train on corpus and copy sequences, cosine decay; returns the loss of every step."""
    import numpy as np

    optimizer = _optimizer(model, recipe.learning_rate)
    vocab, losses, used, began = model.config.vocab_size, [], 0, time.monotonic()
    order = rng.permutation(len(rows))
    for step in range(recipe.steps):
        done = step / recipe.steps
        scale = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done))
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * scale * min(1.0, (step + 1) / recipe.warmup)
        start, end = recipe.copy_share
        copies = round(recipe.rows * (start + (end - start) * min(1.0, 2 * done)))
        take = order[np.arange(used, used + recipe.rows - copies) % len(rows)]
        used += len(take)
        text = rows[take].astype(np.int64)
        repeated = repeated_rows(rng, copies - copies // 3, recipe.length, vocab)
        pairs = pair_rows(rng, copies // 3, recipe.length, vocab)
        losses.append(
            _step(
                model,
                optimizer,
                np.concatenate([text, repeated[0], pairs[0]]),
                np.concatenate([text, repeated[1], pairs[1]]),
            )
        )
        if step % 100 == 0:
            spent = time.monotonic() - began
            _log.info("step %d loss %.3f %.0fs", step, np.mean(losses[-100:]), spent)
    return losses


def build_base(out: Path, recipe: Recipe) -> dict[str, object]:
    """Build tokenizer and model, write them to ``out`` and return what ``build.json`` records."""
    import numpy as np
    import torch

    torch.set_num_threads(recipe.threads)
    began = time.monotonic()
    tokenizer = make_tokenizer(recipe)
    rows = encode_corpus(tokenizer, recipe)
    _log.info("%d tokens, %d corpus tokens", len(tokenizer), rows.size)
    model = build_model(
        len(tokenizer), eos=tokenizer.eos_token_id, pad=tokenizer.pad_token_id, seed=recipe.seed
    )
    rng = np.random.default_rng(recipe.seed)
    copy_steps = _learn_to_copy(model, rng, recipe)
    losses = _learn_corpus(model, rng, rows, recipe)
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)
    record = {
        "command": f"python -m harness.quickstart.pretrain --out DIR --steps {recipe.steps}",
        "recipe": asdict(recipe),
        "copy_steps": copy_steps,
        "parameters": model.num_parameters(),
        "vocabulary": len(tokenizer),
        "corpus_tokens": int(rows.size),
        "final_loss": round(float(np.mean(losses[-100:])), 4),
        "seconds": round(time.monotonic() - began),
        "versions": {name: version(name) for name in ("torch", "transformers", "tokenizers")},
        "sha256": {
            name: hashlib.sha256((out / name).read_bytes()).hexdigest()
            for name in ("model.safetensors", "tokenizer.json")
        },
    }
    write_text(out / "build.json", json.dumps(record, indent=2) + "\n")
    return record


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and build."""
    parser = argparse.ArgumentParser(description="build the built-in base model")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=Recipe().steps)
    parser.add_argument("--documents", type=int, default=Recipe().documents)
    parser.add_argument("--threads", type=int, default=Recipe().threads)
    args = parser.parse_args(argv)
    recipe = Recipe(steps=args.steps, documents=args.documents, threads=args.threads)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    _log.info(json.dumps(build_base(args.out, recipe), indent=2))


if __name__ == "__main__":
    main()
