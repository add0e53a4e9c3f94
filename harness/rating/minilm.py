"""all-MiniLM-L6-v2 (Wang et al. 2020) in plain numpy: a text's vector from a folder of its weights.

Written out rather than left to torch for three reasons: a text's vector does not depend on what it
is batched with, since a batch holds texts of one length and nothing is padded; nothing of what
loads seconds of libraries is needed; and it takes half of sentence-transformers' processor time.
All arithmetic is float32: bfloat16 would be twice as fast where a processor has it, and a score
would then depend on the machine.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

HEADS: Final = 12
LONGEST: Final = 256
"""Tokens of a text that are read, its two marks included; sentence-transformers' setting."""
_TOKENS_AT_ONCE: Final = 2048
_ROWS_AT_ONCE: Final = 32
_EPSILON: Final = 1e-12

# Numerator (odd powers, 13 to 1) and denominator (even powers, 8 to 0) of a rational function that
# is erf within 3e-7 on [-4, 4], and +-1 in float32 beyond: Eigen's `generic_fast_erf_float`.
_OVER: Final = (
    -2.72614225801306e-10, 2.77068142495902e-08, -2.10102402082508e-06, -5.69250639462346e-05,
    -7.34990630326855e-04, -2.95459980854025e-03, -1.60960333262415e-02,
)  # fmt: skip
_UNDER: Final = (
    -1.45660718464996e-05, -2.13374055278905e-04, -1.68282697438203e-03, -7.37332916720468e-03,
    -1.42647390514189e-02,
)  # fmt: skip


class MiniLM:
    """The encoder: six layers of width 384, mean-pooled and normalised to length one."""

    def __init__(self, folder: Path) -> None:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        weights: dict[str, Array] = load_file(folder / "model.safetensors")
        self._words = weights["embeddings.word_embeddings.weight"]
        self._places = (
            weights["embeddings.position_embeddings.weight"]
            + (weights["embeddings.token_type_embeddings.weight"][0])
        )
        self._first_norm = _norm_of(weights, "embeddings.LayerNorm")
        count = len({name.split(".")[2] for name in weights if name.startswith("encoder.layer.")})
        self._layers = [_Layer(weights, f"encoder.layer.{number}.") for number in range(count)]

    def encode(self, texts: Sequence[str], *, keep_end: bool = False) -> Array:
        """Return the vectors of texts, ``(len(texts), 384)``, in order.

        Args:
            texts: Texts of any length; of a long one `LONGEST` tokens count.
            keep_end: Whether those are the last ones, not the first.
        """
        tokens = [self._trim(found.ids, keep_end) for found in self._tokenizer.encode_batch(texts)]
        vectors = np.empty((len(texts), self._words.shape[1]), np.float32)
        for batch in _batches([len(ids) for ids in tokens]):
            vectors[batch] = self._forward(np.array([tokens[number] for number in batch]))
        return vectors

    @staticmethod
    def _trim(ids: list[int], keep_end: bool) -> list[int]:
        if len(ids) <= LONGEST:
            return ids
        return [ids[0], *ids[1 - LONGEST :]] if keep_end else [*ids[: LONGEST - 1], ids[-1]]

    def _forward(self, ids: NDArray[np.int64]) -> Array:
        """Encode token ids ``(texts, length)``."""
        texts, length = ids.shape
        hidden: Array = (self._words[ids] + self._places[:length]).reshape(texts * length, -1)
        _normalise(hidden, *self._first_norm)
        for layer in self._layers:
            hidden = layer.apply(hidden, texts)
        mean: Array = hidden.reshape(texts, length, -1).mean(axis=1)
        mean /= np.linalg.norm(mean, axis=1, keepdims=True)
        return mean


class _Layer:
    """One layer of BERT (Devlin et al. 2019): attention and a feed-forward part, each normed."""

    def __init__(self, weights: dict[str, Array], name: str) -> None:
        parts = [f"{name}attention.self.{part}" for part in ("query", "key", "value")]
        self._asked = np.concatenate([weights[f"{part}.weight"] for part in parts]).T.copy()
        self._asked_bias = np.concatenate([weights[f"{part}.bias"] for part in parts])
        self._mixed = _dense(weights, f"{name}attention.output.dense")
        self._mixed_norm = _norm_of(weights, f"{name}attention.output.LayerNorm")
        self._wide = _dense(weights, f"{name}intermediate.dense")
        self._narrow = _dense(weights, f"{name}output.dense")
        self._norm = _norm_of(weights, f"{name}output.LayerNorm")

    def apply(self, hidden: Array, texts: int) -> Array:
        """Return the next hidden states of ``(texts * length, width)``."""
        width = hidden.shape[1]
        asked = hidden @ self._asked
        asked += self._asked_bias
        by_head = asked.reshape(texts, -1, 3, HEADS, width // HEADS).transpose(2, 0, 3, 1, 4)
        mixed = _attend(*by_head).transpose(0, 2, 1, 3).reshape(hidden.shape) @ self._mixed[0]
        mixed += self._mixed[1]
        mixed += hidden
        _normalise(mixed, *self._mixed_norm)
        wide = _product(mixed, self._wide[0])
        wide += self._wide[1]
        _gelu(wide)
        narrow = _product(wide, self._narrow[0])
        narrow += self._narrow[1]
        narrow += mixed
        _normalise(narrow, *self._norm)
        return narrow


def _product(left: Array, right: Array) -> Array:
    found: Array = left @ right
    return found


def _dense(weights: dict[str, Array], name: str) -> tuple[Array, Array]:
    return weights[f"{name}.weight"].T.copy(), weights[f"{name}.bias"]


def _norm_of(weights: dict[str, Array], name: str) -> tuple[Array, Array]:
    return weights[f"{name}.weight"], weights[f"{name}.bias"]


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the places of texts of one length, as many as are worth a pass."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    for length, group in groupby(order, key=lengths.__getitem__):
        places, size = list(group), max(1, _TOKENS_AT_ONCE // length)
        yield from (places[start : start + size] for start in range(0, len(places), size))


def _attend(queries: Array, keys: Array, values: Array) -> Array:
    """Return softmax(QK'/sqrt(d))V of ``(texts, heads, length, d)``."""
    weights = _product(queries, keys.swapaxes(-1, -2))
    weights *= np.float32(1 / math.sqrt(queries.shape[-1]))
    weights -= weights.max(axis=-1, keepdims=True)
    np.exp(weights, out=weights)
    weights /= weights.sum(axis=-1, keepdims=True)
    return _product(weights, values)


def _normalise(hidden: Array, scale: Array, shift: Array) -> None:
    """Apply layer normalisation in place, by rows that fit the processor's cache."""
    for start in range(0, len(hidden), _ROWS_AT_ONCE):
        rows = hidden[start : start + _ROWS_AT_ONCE]
        rows -= rows.mean(axis=1, keepdims=True)
        spread = np.sqrt(np.einsum("ij,ij->i", rows, rows) / rows.shape[1] + np.float32(_EPSILON))
        rows /= spread[:, None]
        rows *= scale
        rows += shift


def _gelu(hidden: Array) -> None:
    """Apply x * (1 + erf(x / sqrt(2))) / 2 in place, by rows that fit the processor's cache."""
    for start in range(0, len(hidden), _ROWS_AT_ONCE):
        rows = hidden[start : start + _ROWS_AT_ONCE]
        point: Array = np.clip(rows * np.float32(math.sqrt(0.5)), -4, 4)
        square = point * point
        erf = _polynomial(_OVER, square)
        erf *= point
        erf /= _polynomial(_UNDER, square)
        erf += 1
        erf *= np.float32(0.5)
        rows *= erf


def _polynomial(factors: Sequence[float], point: Array) -> Array:
    found = point * np.float32(factors[0])
    found += np.float32(factors[1])
    for factor in factors[2:]:
        found *= point
        found += np.float32(factor)
    return found
