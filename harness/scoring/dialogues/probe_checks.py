"""One answer of a dialogue against one probe: which of its checks fails."""

import re
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from harness.scoring.answer_region import objection, statements_of
from harness.scoring.dialogues.scripted_dialogue import Probe
from harness.scoring.normalize import comparable, find, words
from harness.scoring.response_faults import strip_markdown

_CHANGE = re.compile(
    r"\b(?:instead|not|no longer|chang(?:e|ed|ing)|moved|switch(?:ed|ing)?|originally|first|now"
    r"|earlier|initially|before|previous(?:ly)?|correct(?:ed|ion)|rather|updated?|used to|was|were"
    r"|from|than|over|leav(?:e|es|ing)|without|drop(?:ped|ping)?|replac(?:e|ed|es|ing))\b",
    re.IGNORECASE,
)
"""Words by which an answer tells what holds now from what held before."""

_ITEM = re.compile(r"^[ \t]*(?:[-*•–]|\(?\d{1,2}[.)])[ \t]+\S", re.MULTILINE)


class Failure(NamedTuple):
    """A check that an answer fails, and what it does, as the end of a sentence.

    ``avoided`` was said, ``wanted`` was not, ``other`` is not what was said before, ``again`` not
    said again, ``before`` never said, ``form`` is not as asked for.
    """

    check: Literal["avoided", "wanted", "other", "again", "before", "form"]
    text: str


def failure(probe: Probe, said: str, earlier: Sequence[str]) -> Failure | None:
    """Return what of a probe an answer fails; None where it is kept.

    Args:
        probe: What the answer is held to.
        said: The answer as a reader sees it.
        earlier: The own answers before it, as a reader sees them.
    """
    return next((found for check in _CHECKS if (found := check(probe, said, earlier))), None)


def named(options: Sequence[str], said: str) -> list[str]:
    """Return the options that an answer states.

    >>> named(["red", "blue"], "Not red: I take blue.")
    ['blue']
    """
    return [option for option in options if objection(option, said) is None]


def _states(probe: Probe, said: str, _: Sequence[str]) -> Failure | None:
    if not probe.says or named(probe.says, said):
        return None
    return Failure("wanted", f"does not say {' or '.join(map(repr, probe.says[:3]))}")


def _avoids(probe: Probe, said: str, _: Sequence[str]) -> Failure | None:
    for other in probe.avoids:
        if objection(other, said) is not None:
            continue
        if any(find(comparable(other), comparable(right)) >= 0 for right in probe.says):
            continue
        telling = [part for part in statements_of(said) if objection(other, part) is None]
        if probe.says and all(named(probe.says, t) and _CHANGE.search(t) for t in telling):
            continue  # "on Friday, not on Monday as first planned"
        return Failure("avoided", f"says {other!r}")
    return None


def _agrees(probe: Probe, said: str, earlier: Sequence[str]) -> Failure | None:
    if probe.agrees_with is None:
        return None
    turn = probe.agrees_with
    before, now = (named(probe.among, text) for text in (earlier[turn - 1], said))
    if len(before) != 1:
        return Failure("before", f"gave no one answer in turn {turn} that it could keep to")
    if now == before:
        return None
    if not now:
        return Failure("again", f"does not say {before[0]!r} again, as in turn {turn}")
    other = " and ".join(map(repr, now))
    return Failure("other", f"says {other} where it said {before[0]!r} in turn {turn}")


def _length(probe: Probe, said: str, _: Sequence[str]) -> Failure | None:
    count = len(words(said))
    if probe.max_words is not None and count > probe.max_words:
        return Failure("form", f"has {count} words, not {probe.max_words} at most")
    sentences = len(statements_of(said))
    if probe.max_sentences is not None and sentences > probe.max_sentences:
        return Failure("form", f"has {sentences} sentences, not {probe.max_sentences} at most")
    return None


def _edges(probe: Probe, said: str, _: Sequence[str]) -> Failure | None:
    plain = strip_markdown(said).strip().casefold()
    if probe.begins and not plain.startswith(probe.begins.casefold()):
        return Failure("form", f"does not begin with {probe.begins!r}")
    if probe.ends and not plain.endswith(probe.ends.casefold()):
        return Failure("form", f"does not end with {probe.ends!r}")
    return None


def _form(probe: Probe, said: str, _: Sequence[str]) -> Failure | None:
    if probe.case and said != getattr(said, probe.case)():
        return Failure("form", f"is not in {probe.case} case")
    items = len(_ITEM.findall(said))
    if probe.list_items is not None and items != probe.list_items:
        return Failure("form", f"has {items} items in a list, not {probe.list_items}")
    return None


def _occurrences(probe: Probe, said: str, _: Sequence[str]) -> Failure | None:
    for one in probe.without:
        if _occurs(one, said):
            return Failure("form", f"has {one!r} in it")
    for one in probe.includes:
        if not _occurs(one, said):
            return Failure("form", f"has no {one!r} in it")
    return None


def _occurs(one: str, said: str) -> bool:
    """Say whether a word, or a sign, is in a text.

    >>> _occurs("art", "Smart!"), _occurs("!", "Smart!")
    (False, True)
    """
    if any(sign.isalnum() for sign in one):
        return find(words(one), words(said)) >= 0
    return one in said


_CHECKS: tuple[Callable[[Probe, str, Sequence[str]], Failure | None], ...] = (
    _avoids, _states, _agrees, _length, _edges, _form, _occurrences,
)  # fmt: skip
