"""The texts of choices in a response: which it equals, begins with or holds."""

import re
from collections.abc import Sequence
from functools import lru_cache

from harness.scoring.normalize import comparable, find


@lru_cache(maxsize=65536)
def choice_words(choice: str) -> tuple[str, ...]:
    """Return the words by which a choice is compared."""
    return tuple(comparable(choice))


def begins(choice_text: str, text: str) -> bool:
    """Say whether a text begins with that of a choice, as words."""
    wanted = choice_words(choice_text)
    given = tuple(comparable(text[: 3 * len(choice_text) + 40]))
    return bool(wanted) and given[: len(wanted)] == wanted


def by_text(choices: Sequence[str], text: str, *, start: bool) -> list[int]:
    """Return the choices whose text a text equals, or else begins with; the longest of them."""
    exact = [i for i, choice in enumerate(choices) if choice.strip(" .") == text.strip(" .\n")]
    if exact:
        return exact
    longest = max((len(choice) for choice in choices), default=0)
    given = tuple(comparable(text[: 3 * longest + 40]))
    wanted = [choice_words(choice) for choice in choices]
    equal = [i for i, tokens in enumerate(wanted) if tokens and tokens == given]
    if not equal and start:
        lengths = [len(tokens) if given[: len(tokens)] == tokens else 0 for tokens in wanted]
        best = max(lengths, default=0)
        equal = [i for i, length in enumerate(lengths) if best and length == best]
    if len(equal) > 1:  # rr, Rr and RR
        same = [i for i in equal if _as_written(choices[i], text)]
        return same or equal
    return equal


def _as_written(choice: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(choice)}(?!\w)", text[:2000]) is not None


def contained(choices: Sequence[str], text: str) -> list[int]:
    """Return the choices whose words stand in a text, the longest where they overlap."""
    spans, given = [], comparable(text)
    for index, choice in enumerate(choices):
        wanted = choice_words(choice)
        start = find(wanted, given)
        if start >= 0:
            spans.append((start, start + len(wanted), index))
    found = [
        index
        for low, high, index in spans
        if not any(a <= low and high <= b and b - a > high - low for a, b, _ in spans)
    ]
    if len(found) > 1 and len({choice_words(choices[index]) for index in found}) == 1:
        return [index for index in found if _as_written(choices[index], text)] or found
    return found
