"""Text made comparable: the normalisation of SQuAD, and numbers that keep their value.

Source: Rajpurkar et al. 2016, "SQuAD: 100,000+ Questions for Machine Comprehension of Text",
section 6.1, and its official ``evaluate-v1.1.py``: lower case, no punctuation, no articles, single
spaces. Three things differ, because that script merges answers that are not the same: a number
keeps its sign and its decimal point (``-5`` is not ``5``, ``3.5`` is not ``35``), text is brought
to Unicode form NFKC first, and an answer that is nothing but an article keeps it.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache

from harness.scoring.wordlists import NUMBERS

_TOKEN = re.compile(
    r"""
    (?<![\w.])[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?!\w)   # -1,200.50
    | \w+(?:['’]\w+)*                                           # don't
    """,
    re.VERBOSE,
)
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
_ARTICLES = frozenset({"a", "an", "the"})


def words(text: str) -> list[str]:
    """Split text into lower-case words and numbers, articles included.

    >>> words("It's -1,200.50 °C, the co-op says.")
    ['its', '-1200.5', 'c', 'the', 'co', 'op', 'says']
    """
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text).replace("−", "-")
    found = _TOKEN.findall(plain.casefold().replace("_", " "))
    return [word if word.isalpha() else canonical_number(word) for word in found]


def canonical_number(token: str) -> str:
    """Return a number in one form, a word without its apostrophes.

    >>> canonical_number("1,200.50"), canonical_number("don't")
    ('1200.5', 'dont')
    """
    token = token.replace("'", "").replace("’", "")
    number = token.replace(",", "")
    if not number.isascii() or not _NUMBER.fullmatch(number):
        return token
    if "." in number:
        return f"{Decimal(number).normalize():f}"
    return number.removeprefix("+")


def content(text: str) -> list[str]:
    """Return the words without articles; all of them where nothing else would be left.

    >>> content("The Hague"), content("A")
    (['hague'], ['a'])
    """
    found = words(text)
    return [word for word in found if word not in _ARTICLES] or found


def normalize(text: str) -> str:
    """Return the normalised answer that exact match compares.

    >>> normalize("  The  Eiffel-Tower! ")
    'eiffel tower'
    """
    return " ".join(content(text))


def comparable(text: str) -> list[str]:
    """Return the words with number words as digits, for deciding whether two answers agree.

    >>> comparable("Twelve days") == comparable("12 days")
    True
    """
    return [NUMBERS.get(word, word) for word in content(text)]


def find(needle: Sequence[str], haystack: Sequence[str]) -> int:
    """Return where a run of words begins in a longer one, or -1.

    >>> find(["new", "york"], ["in", "new", "york"]), find(["york"], ["yorkshire"])
    (1, -1)
    """
    if not needle:
        return -1
    for start in range(len(haystack) - len(needle) + 1):
        if list(haystack[start : start + len(needle)]) == list(needle):
            return start
    return -1


def token_f1(answers: Sequence[str], response: str) -> float:
    """Return SQuAD's token F1, the best over the accepted answers, in [0, 1].

    Harmonic mean of the precision and recall of the bag of words after `normalize`.

    >>> token_f1(["in Vienna"], "Vienna")
    0.6666666666666666
    """
    given = Counter(content(response))
    return max((_f1(_counted(answer), given) for answer in answers), default=0.0)


@lru_cache(maxsize=65536)
def _counted(answer: str) -> Counter[str]:
    return Counter(content(answer))


def _f1(gold: Counter[str], given: Counter[str]) -> float:
    if not gold or not given:
        return float(gold == given)
    shared = sum(min(count, given[word]) for word, count in gold.items() if word in given)
    return 2 * shared / (gold.total() + given.total())
