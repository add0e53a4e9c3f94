"""One vector a word piece, averaged over a text: the model in the package ``wordllama``.

Its weights (256 numbers for each of 32,000 word pieces) were learnt from the token embeddings of
large language models, among them Llama 2 70B; see https://github.com/dleemiller/WordLlama.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from harness.rating.minilm import Array


class StaticWords:
    """The table of word pieces, read from the package's folder."""

    def __init__(self, folder: Path) -> None:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        (weights,) = load_file(folder / "weights" / "l2_supercat_256.safetensors").values()
        self._pieces: Array = weights.astype(np.float32)
        file = folder / "tokenizers" / "l2_supercat_tokenizer_config.json"
        self._tokenizer = Tokenizer.from_file(str(file))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def encode(self, texts: Sequence[str], *, keep_end: bool = False) -> "Array":  # noqa: ARG002
        """Return the vectors of texts, ``(len(texts), 256)``, zero for an empty one.

        All of a text counts, however long it is, so there is no end to keep.
        """
        vectors = np.zeros((len(texts), self._pieces.shape[1]), np.float32)
        encoded = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        for number, found in enumerate(encoded):
            if found.ids:
                mean = self._pieces[found.ids].mean(axis=0)
                vectors[number] = mean / max(float(np.linalg.norm(mean)), 1e-12)
        return vectors
