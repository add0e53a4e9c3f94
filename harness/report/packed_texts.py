"""A large page's texts as numbers of words, compressed: half of what compressed letters take.

Every different word stands once, the most frequent first; a text is the numbers of its words, and
frequent ones have one byte. What remains for deflate is close to the entropy of the words, and the
page searches by looking a word up among the different ones, not in every text.
"""

import base64
import json
import zlib
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count

import numpy as np
import numpy.typing as npt

from harness.records import Document

LINE_END = "\n"
"""What ends a line: a word like others, so its number is as short as it is frequent."""

_AT_ONCE = 1 << 18
"""Words that are looked at at once, which bounds the memory for them."""

Numbers = npt.NDArray[np.uint32]


def packed(data: Document, texts: str) -> str:
    """Compress a document of JSON one field of which is a long list of lines.

    Args:
        data: What the page is to get.
        texts: The field that holds the lines; the page gets ``words`` and the numbers ``tokens``
            and ``lines`` in its place.

    Returns:
        In base64: gzip of one line of JSON and then every word's number as `leb128`.
    """
    lines = data[texts]
    if not isinstance(lines, list):
        raise TypeError(f"the texts must be a list of lines: found {type(lines).__name__}")
    words, rank, tokens = _by_frequency(lines)
    rest = {name: value for name, value in data.items() if name != texts}
    head = rest | {"words": words, "tokens": len(tokens), "lines": len(lines)}
    text = json.dumps(head, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    pieces = (leb128(rank[chunk]) for chunk in _chunks(tokens))
    return base64.b64encode(_gzip(chain([text.encode() + b"\n"], pieces))).decode()


def _by_frequency(lines: Sequence[str]) -> tuple[list[str], Numbers, Numbers]:
    """Return the different words, the most frequent first; their ranks; all lines' words.

    Words are numbered in the order in which they come; ``rank`` says by number how frequent each
    is.
    """
    known: defaultdict[str, int] = defaultdict(count().__next__)
    found = array("I")
    end = known[LINE_END]
    for line in lines:
        found.extend(map(known.__getitem__, line.split(" ")))
        found.append(end)
    tokens = np.frombuffer(found, dtype=np.uint32)
    counts = np.zeros(len(known), dtype=np.int64)
    for chunk in _chunks(tokens):
        counts += np.bincount(chunk, minlength=len(known))
    order = np.argsort(-counts, kind="stable")
    rank = np.empty(len(order), dtype=np.uint32)
    rank[order] = np.arange(len(order), dtype=np.uint32)
    words = list(known)
    return [words[number] for number in order], rank, tokens


def _chunks(numbers: Numbers) -> Iterator[Numbers]:
    return (numbers[at : at + _AT_ONCE] for at in range(0, len(numbers), _AT_ONCE))


def leb128(numbers: Numbers) -> bytes:
    """Write numbers with seven bits a byte, the lowest first; the eighth bit: more follow.

    >>> leb128(np.array([5, 300], dtype=np.uint32)).hex()
    '05ac02'
    """
    sizes = np.ones(len(numbers), dtype=np.int64)
    for bits in (7, 14, 21, 28):
        sizes += numbers >> bits > 0
    starts = np.cumsum(sizes) - sizes
    out = np.zeros(int(np.sum(sizes)), dtype=np.uint8)
    for place in range(int(np.max(sizes, initial=0))):
        has = sizes > place
        more = (sizes[has] > place + 1).astype(np.uint8) << 7
        out[starts[has] + place] = (numbers[has] >> 7 * place & 0x7F).astype(np.uint8) | more
    return out.tobytes()


def _gzip(pieces: Iterable[bytes]) -> bytes:
    """Compress pieces as gzip without a time, so that the same run gives the same bytes."""
    packer = zlib.compressobj(wbits=31)
    return b"".join([*map(packer.compress, pieces), packer.flush()])
