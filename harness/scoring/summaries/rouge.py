"""ROUGE-1, ROUGE-2 and ROUGE-L: words, pairs of words and the longest common subsequence shared.

Source: Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries". On texts in ASCII the
values are those of Google's ``rouge_score`` without a stemmer; that package drops every other
letter. Here letters of any script count, and a Chinese or Japanese character is a word.
"""

import re
from collections import Counter
from collections.abc import Sequence

_WORD = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]|[^\W_\u3040-\u30ff\u4e00-\u9fff]+")
NAMES = ("rouge1", "rouge2", "rougeL")


def tokens(text: str) -> list[str]:
    """Return the words of a text in small letters.

    >>> tokens("It's 3.5 km, 北京")
    ['it', 's', '3', '5', 'km', '北', '京']
    """
    return _WORD.findall(text.lower())


def rouge(reference: str, said: str) -> dict[str, float]:
    """Return the F measures ``rouge1``, ``rouge2`` and ``rougeL``, each in [0, 1].

    >>> rouge("the cat sat", "the cat ran")["rouge1"]
    0.6666666666666666
    """
    wanted, given = tokens(reference), tokens(said)
    return {
        "rouge1": _shared(wanted, given, 1),
        "rouge2": _shared(wanted, given, 2),
        "rougeL": _f(_common(wanted, given), len(wanted), len(given)),
    }


def _shared(wanted: Sequence[str], given: Sequence[str], size: int) -> float:
    one, two = _grams(wanted, size), _grams(given, size)
    return _f((one & two).total(), one.total(), two.total())


def _grams(words: Sequence[str], size: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + size]) for i in range(len(words) - size + 1))


def _f(shared: int, wanted: int, given: int) -> float:
    return 2 * shared / (wanted + given) if shared else 0.0


def _common(one: Sequence[str], two: Sequence[str]) -> int:
    """Return the length of the longest common subsequence, a row of the table in one integer.

    Source: Hyyrö 2004, "Bit-parallel LCS-length computation revisited", figure 2.
    """
    places: dict[str, int] = {}
    for place, word in enumerate(two):
        places[word] = places.get(word, 0) | 1 << place
    every = (1 << len(two)) - 1
    row = every
    for word in one:
        hit = row & places.get(word, 0)
        row = ((row + hit) | (row - hit)) & every
    return len(two) - row.bit_count()
