"""Values that fill questions, tables and conversations, and which split may use them.

Part of each pool is held out for validation and test. A held-out value occurs in no training
text: it is drawn only from values that no other content file contains as a word.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

CONTENT = Path(__file__).parent / "content"
BASE = Path(__file__).parent / "base"
SPLITS = ("train", "validation", "test")
OWN_POOLS = ("own_name", "own_city")
_HELD_SHARE = {"test": 0.22, "validation": 0.11}
_POOL_SEED = 7
_VOWELS = "aeiou"
_CONSONANTS = [*"bcdfghjklmnprstvwz", *"bdglmnrst", "br", "ch", "dr", "gr", "sh", "st", "th", "tr"]
_ENDINGS = [*"nrslmdtk", "us", "ia", "ne", "th", "nd"]


@cache
def content(name: str) -> dict[str, Any]:
    """Read ``content/<name>.toml``."""
    return tomllib.loads((CONTENT / f"{name}.toml").read_text(encoding="utf-8"))


@cache
def _written_words() -> frozenset[str]:
    """Lower-cased words of every content file except the pools themselves."""
    words: set[str] = set()
    for path in sorted(CONTENT.glob("*.toml")):
        if path.stem != "pools":
            words.update(re.findall(r"\w+", path.read_text(encoding="utf-8").lower()))
    return frozenset(words)


def _texts(node: object) -> Iterator[str]:
    """Yield keys and texts of a content file, without what only validation or test uses."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key not in ("validation", "test", *OWN_POOLS):
                yield key
                yield from _texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value)
    elif isinstance(node, str):
        yield node


@cache
def training_words() -> frozenset[str]:
    """Words, as written, of what training may use in the content files."""
    return frozenset(
        word
        for path in CONTENT.glob("*.toml")
        for text in _texts(content(path.stem))
        for word in re.findall(r"\w+", text)
    )


@cache
def pools() -> dict[str, dict[str, tuple[str, ...]]]:
    """Return ``{pool: {split: values}}``; the splits of a pool are disjoint, ignoring case."""
    raw = {name: str(text).split() for name, text in content("pools").items()}
    counts: dict[str, int] = {}
    for values in raw.values():
        for value in {v.lower() for v in values}:
            counts[value] = counts.get(value, 0) + 1
    result: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, values in raw.items():
        if name in OWN_POOLS:
            result[name] = {
                "train": (),
                "validation": tuple(values[::3]),
                "test": tuple(v for i, v in enumerate(values) if i % 3),
            }
            continue
        free = [v for v in values if counts[v.lower()] == 1 and v.lower() not in _written_words()]
        Random(f"{_POOL_SEED}/{name}").shuffle(free)
        n_test = round(len(values) * _HELD_SHARE["test"])
        n_validation = round(len(values) * _HELD_SHARE["validation"])
        test, validation = free[:n_test], free[n_test : n_test + n_validation]
        held = {*test, *validation}
        result[name] = {
            "train": tuple(v for v in values if v not in held),
            "validation": tuple(validation),
            "test": tuple(test),
        }
    return result


@cache
def held_out(split: str) -> frozenset[str]:
    """Lower-cased words that only ``split`` (``validation`` or ``test``) may use."""
    return frozenset(v.lower() for pool in pools().values() for v in pool[split])


@cache
def _never_trained() -> frozenset[str]:
    return held_out("validation") | held_out("test")


def number_split(number: int) -> str:
    """Return the split that may use ``number``.

    >>> number_split(45), number_split(48), number_split(49)
    ('train', 'test', 'validation')
    """
    rest = number % 5 if number < 1000 else number % 7
    return {3: "test", 4: "validation"}.get(rest, "train")


def draw_number(rng: Random, low: int, high: int, *, split: str = "train") -> int:
    """Draw a whole number in ``[low, high]`` that ``split`` may use."""
    while True:
        number = rng.randint(low, high)
        if number_split(number) == split:
            return number


def draw(rng: Random, source: str, *, split: str = "train") -> str:
    """Draw a value from a pool name, or from a range such as ``"10-999"``."""
    if source[0].isdigit():
        low, high = source.split("-")
        return str(draw_number(rng, int(low), int(high), split=split))
    return rng.choice(pools()[source][split])


def made_up_word(rng: Random) -> str:
    """Return a pronounceable word outside the vocabulary: several tokens, trained as such.

    One in six starts with a known word, because that is how unknown names often split.
    """
    while True:
        word = "" if rng.random() < 0.83 else rng.choice(pools()["name"]["train"]).lower()
        for _ in range(rng.randint(1, 2) if word else rng.randint(2, 4)):
            word += rng.choice(_CONSONANTS) + rng.choice(_VOWELS)
            if rng.random() < 0.35:
                word += rng.choice(_ENDINGS)
        if word not in _never_trained() and word not in _written_words():
            return word.capitalize() if rng.random() < 0.75 else word


@cache
def _train_words() -> tuple[str, ...]:
    return tuple(
        v for name, pool in pools().items() if name not in OWN_POOLS for v in pool["train"]
    )


def any_value(rng: Random) -> str:
    """Return a training value of any kind: a word, a made-up word, or a number."""
    kind = rng.random()
    if kind < 0.50:
        return rng.choice(_train_words())
    if kind < 0.76:
        return made_up_word(rng)
    if kind < 0.92:
        return str(draw_number(rng, 1, 999))
    return str(draw_number(rng, 1000, 9999))
