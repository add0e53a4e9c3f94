"""llama.cpp on one GGUF file: token ids in, logits out.

Only what llama-cpp-python wraps one to one is used, since its own calls keep the logits of every
position (``logits_all``: the context times the vocabulary) or tokenize by themselves.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.errors import ModelError
from harness.extras import require

if TYPE_CHECKING:
    from llama_cpp import Llama
    from numpy.typing import NDArray

_BATCH = 512
"""Tokens that are read at once."""

_FLOAT32 = 0
"""ggml's number for the type of keys and values: those of the file alone are rounded."""

_ALL_LAYERS = -1


class GgufFile:
    """A model that llama.cpp has loaded, with the keys and values of what it read last.

    Args:
        path: The file.
        longest: How many tokens it has to hold; its own context where that is shorter.

    Raises:
        MissingExtraError: If llama-cpp-python is not installed.
        ModelError: If llama.cpp cannot load the file.
    """

    def __init__(self, path: Path, longest: int) -> None:
        require("gguf")
        import llama_cpp

        self._read: list[int] = []
        self._llama = _loaded(path, longest)
        self.context: int = min(longest, self._llama._model.n_ctx_train())
        self.vocabulary: int = self._llama.n_vocab()
        vocab = self._llama._model.vocab
        self.ends = frozenset(
            token for token in range(self.vocabulary) if llama_cpp.llama_vocab_is_eog(vocab, token)
        )

    def text(self, ids: Sequence[int]) -> str:
        """Return what token ids stand for, special tokens shown."""
        shown: bytes = self._llama.detokenize(list(ids), special=True)
        return shown.decode(errors="replace")

    def tokens(self, text: str) -> list[int]:
        """Return the token ids of a text by the file's own rules, special tokens read as such."""
        return list(self._llama.tokenize(text.encode(), add_bos=False, special=True))

    def logits(self, ids: Sequence[int], last: int) -> "NDArray[np.float32]":
        """Read tokens and return the logits after each of the last ones.

        What was read before and begins in the same way is not read again.

        Args:
            ids: All tokens, at least one.
            last: How many positions are returned.

        Returns:
            An array of shape ``(last, vocabulary)``.

        Raises:
            ModelError: If llama.cpp fails.
        """
        import llama_cpp

        begin = min(_common(self._read, ids), len(ids) - last)
        context, memory = self._llama.ctx, llama_cpp.llama_get_memory(self._llama.ctx)
        if begin == 0 or not llama_cpp.llama_memory_seq_rm(memory, 0, begin, -1):
            begin = 0  # a state that cannot be cut, as that of a recurrent layer
            llama_cpp.llama_memory_clear(memory, True)
        self._read = []
        found = np.empty((last, self.vocabulary), dtype=np.float32)
        batch = llama_cpp.llama_batch_init(_BATCH, 0, 1)
        try:
            for start in range(begin, len(ids), _BATCH):
                part = range(start, min(start + _BATCH, len(ids)))
                batch.n_tokens = len(part)
                for place, position in enumerate(part):
                    batch.token[place], batch.pos[place] = ids[position], position
                    batch.n_seq_id[place], batch.seq_id[place][0] = 1, 0
                    batch.logits[place] = position >= len(ids) - last
                if code := llama_cpp.llama_decode(context, batch):
                    raise ModelError(
                        f"llama.cpp must be able to read {len(ids)} tokens: it ends with code "
                        f"{code}; give the machine more memory"
                    )
                for place, position in enumerate(part):
                    if (row := position - len(ids) + last) >= 0:
                        pointer = llama_cpp.llama_get_logits_ith(context, place)
                        found[row] = np.ctypeslib.as_array(pointer, shape=(self.vocabulary,))
        finally:
            llama_cpp.llama_batch_free(batch)
        self._read = list(ids)
        return found

    def close(self) -> None:
        """Give its memory back."""
        self._llama.close()


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many first tokens are the same."""
    length = min(len(one), len(other))
    return next((n for n in range(length) if one[n] != other[n]), length)


def _loaded(path: Path, longest: int) -> "Llama":
    from llama_cpp import Llama

    try:
        with _silent():
            return Llama(
                str(path),
                n_gpu_layers=_ALL_LAYERS,  # those of a build for a GPU
                n_ctx=longest,
                n_batch=_BATCH,
                n_ubatch=_BATCH,
                type_k=_FLOAT32,
                type_v=_FLOAT32,
                verbose=False,
            )
    except (ValueError, RuntimeError, OSError, AssertionError) as error:
        raise ModelError(
            f"a GGUF file must be one that this llama.cpp can load: {path} is not ({error}); check "
            "the file, or install a newer llama-cpp-python"
        ) from error


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what llama.cpp writes past Python from the terminal."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
