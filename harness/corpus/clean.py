"""Clean training rows: every step is named and counted, and lists the rows it touched.

Plain-text sides keep their white space: a completion's leading space is part of what is learnt.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal

from harness.corpus.languages import is_in
from harness.corpus.mend import MENDINGS, joined_turns, mended
from harness.corpus.near import near_duplicates
from harness.corpus.personal import FLAGS, flags_of
from harness.records import Example, Message

Repetitions = Literal["keep", "drop_exact", "drop"]

ROLES = "turns of one speaker joined"
EMPTY, EXACT, NEAR = "nothing to learn", "exact repetition", "near repetition"
SHORT, LONG, FOREIGN = "too short", "too long", "other language"

WINDOW = 100_000
"""Rows among which near-duplicates are searched; bounds the memory (about 6 kB per row)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What cleaning does beyond dropping rows that have nothing to learn.

    ``texts``: repair encodings, characters, spaces and the order of turns. ``repetitions``: what
    becomes of rows that repeat an earlier one. ``characters``: least and most characters of a row,
    prompt and completion together. ``languages``: codes to keep (none: all). ``near``: share of
    common features from which a row repeats an earlier one (None: only exact ones are looked for).
    """

    texts: bool = True
    repetitions: Repetitions = "keep"
    characters: tuple[int, int | None] = (0, None)
    languages: tuple[str, ...] = ()
    near: float | None = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """Rows that stay, and what happened to all of them.

    ``changed``, ``dropped`` and ``flagged`` (pointed out, not touched) map the name of a step to
    the origins of its rows; ``read`` is how many rows there were.
    """

    examples: tuple[Example, ...]
    read: int
    changed: dict[str, tuple[str, ...]]
    dropped: dict[str, tuple[str, ...]]
    flagged: dict[str, tuple[str, ...]]


@dataclass(slots=True)
class Cleaning:
    """Streaming cleaner: rows pass through `rows`; counts and origins accumulate here."""

    rules: Rules = field(default_factory=Rules)
    window: int = WINDOW
    read: int = 0
    changed: dict[str, list[str]] = field(default_factory=dict)
    dropped: dict[str, list[str]] = field(default_factory=dict)
    flagged: dict[str, list[str]] = field(default_factory=dict)
    _seen: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        rules = self.rules
        repeated = self.dropped if rules.repetitions != "keep" else self.flagged
        self.changed.update((name, []) for name in (*MENDINGS, ROLES) if rules.texts)
        self.dropped[EMPTY] = []
        self.flagged.update((name, []) for name in FLAGS)
        repeated[EXACT] = []
        if rules.near:
            (self.dropped if rules.repetitions == "drop" else self.flagged)[NEAR] = []
        if rules.characters[0]:
            self.dropped[SHORT] = []
        if rules.characters[1] is not None:
            self.dropped[LONG] = []
        if rules.languages:
            self.dropped[FOREIGN] = []

    def rows(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Yield the rows that stay, cleaned, in order; holds ``window`` rows at most."""
        single = self._single(examples)
        while window := list(islice(single, self.window)):
            alike: dict[int, int] = {}
            if self.rules.near:
                fresh = [i for i, (_, again) in enumerate(window) if not again]
                texts = [text_of(window[i][0]) for i in fresh]
                alike = {
                    fresh[i]: first
                    for i, first in near_duplicates(texts, threshold=self.rules.near).items()
                }
            for number, (row, _) in enumerate(window):
                if number not in alike:
                    yield row
                elif self.rules.repetitions == "drop":
                    self.dropped[NEAR].append(row.origin)
                else:
                    self.flagged[NEAR].append(row.origin)
                    yield row

    def _single(self, examples: Iterable[Example]) -> Iterator[tuple[Example, bool]]:
        """Clean rows one by one; yield each with whether it repeats an earlier one exactly."""
        for example in examples:
            self.read += 1
            row = self._mended(example) if self.rules.texts else example
            text = text_of(row)
            reason = self._unwanted(row, text)
            if reason:
                self.dropped[reason].append(row.origin)
                continue
            key = hashlib.blake2b(_bytes(" ".join(text.split())), digest_size=12).digest()
            again = key in self._seen
            self._seen.add(key)
            if again and self.rules.repetitions != "keep":
                self.dropped[EXACT].append(row.origin)
                continue
            if again:
                self.flagged[EXACT].append(row.origin)
            for name in flags_of(text):
                self.flagged[name].append(row.origin)
            yield row, again

    def _mended(self, example: Example) -> Example:
        touched: set[str] = set()

        def side(value: str | tuple[Message, ...]) -> str | tuple[Message, ...]:
            if isinstance(value, str):
                text, steps = mended(value)
                touched.update(steps)
                return text
            turns = []
            for turn in value:
                text, steps = mended(turn.content)
                touched.update(steps)
                turns.append(replace(turn, content=text) if steps else turn)
            joined = joined_turns(turns)
            if len(joined) < len(turns):
                touched.add(ROLES)
            return joined

        sides = (example.prompt, example.completion, example.rejected)
        prompt, completion, rejected = (None if value is None else side(value) for value in sides)
        if not touched or prompt is None or completion is None:
            return example
        for name in touched:
            self.changed[name].append(example.origin)
        return replace(example, prompt=prompt, completion=completion, rejected=rejected)

    def _unwanted(self, row: Example, text: str) -> str:
        least, most = self.rules.characters
        answer = row.completion
        said = answer if isinstance(answer, str) else "".join(turn.text for turn in answer)
        if not said.strip():
            return EMPTY
        if len(text.strip()) < least:
            return SHORT
        if most is not None and len(text) > most:
            return LONG
        wanted = self.rules.languages
        if wanted and not is_in(text, wanted):
            return FOREIGN
        return ""


def clean(examples: Iterable[Example], rules: Rules | None = None) -> Cleaned:
    """Clean texts, drop empty rows, and point out what a person should look at.

    Args:
        examples: Training rows.
        rules: What is done beyond that; by default texts are repaired and repetitions are kept.

    Raises:
        DataError: If rows are to be chosen by language and the package for it is missing.
    """
    cleaning = Cleaning(rules or Rules())
    kept = tuple(cleaning.rows(examples))
    return Cleaned(
        examples=kept,
        read=cleaning.read,
        changed=_fixed(cleaning.changed),
        dropped=_fixed(cleaning.dropped),
        flagged=_fixed(cleaning.flagged),
    )


def text_of(example: Example) -> str:
    """Return all that a row says as one text: prompt, completion, and a worse answer if any."""
    return "\n".join(
        side if isinstance(side, str) else "\n".join(turn.text for turn in side)
        for side in (example.prompt, example.completion, example.rejected)
        if side is not None
    )


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")  # halves of characters, where nothing mends them


def _fixed(found: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(origins) for name, origins in found.items()}
