"""One answer of a dialogue against one probe: which of its checks fails."""

import re
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from harness.scoring.answer_region import objection, standing, statements_of
from harness.scoring.dialogues.scripted_dialogue import Probe
from harness.scoring.dialogues.stated_values import chosen, given, gives, named, part_of
from harness.scoring.normalize import find, words
from harness.scoring.response_faults import strip_markdown

_CHANGED = ("correction", "change_of_mind")
"""Kinds whose wrong value held before, and has no other place."""
_DECORATION = re.compile(r"[^\w.,;:!?%€$&+=/…]+\Z")
_ITEM = re.compile(r"^[ \t]*(?:[-*•–]|\(?\d{1,2}[.)])[ \t]+\S", re.MULTILINE)


class Failure(NamedTuple):
    """A check that an answer fails, and what it does, as the end of a sentence.

    ``avoided`` was said, ``wanted`` was not, ``other`` is not what was said before, ``again`` not
    said again, ``before`` never said, ``form`` is not as asked for.
    """

    check: Literal["avoided", "wanted", "other", "again", "before", "form"]
    text: str


class Heard(NamedTuple):
    """What stands before an answer: its own earlier ones, and all that the user has said.

    ``users`` ends with what is answered; it is empty where nobody knows.
    """

    own: Sequence[str] = ()
    users: Sequence[str] = ()


def failure(probe: Probe, said: str, heard: Heard) -> Failure | None:
    """Return what of a probe an answer fails; None where it is kept.

    Args:
        probe: What the answer is held to.
        said: The answer as a reader sees it.
        heard: What stands before it, own answers as a reader sees them.
    """
    return next((found for check in _CHECKS if (found := check(probe, said, heard))), None)


def _states(probe: Probe, said: str, _: Heard) -> Failure | None:
    text = standing(said)
    if not probe.says or (named(probe.says, text) and gives(probe.says, text, probe.avoids)):
        return None
    return Failure("wanted", f"does not say {' or '.join(map(repr, probe.says[:3]))}")


def _avoids(probe: Probe, said: str, heard: Heard) -> Failure | None:
    text, users = standing(said), heard.users or ("",)
    right = probe.says if named(probe.says, text) else ()
    values = words(" ".join((*probe.says, *probe.avoids)))
    told = () if probe.kind in _CHANGED else users[:-1]
    slots = set(words(" ".join(told))).difference(values)
    for other in probe.avoids:
        if objection(other, text) is not None or part_of(other, probe.says):
            continue
        if not right or given(other, text, right, users[-1], slots):
            return Failure("avoided", f"says {other!r}")
    return None


def _agrees(probe: Probe, said: str, heard: Heard) -> Failure | None:
    if probe.agrees_with is None:
        return None
    turn = probe.agrees_with
    before, now = (chosen(probe.among, text) for text in (heard.own[turn - 1], said))
    if len(before) != 1:
        return Failure("before", f"gave no one answer in turn {turn} that it could keep to")
    if now == before:
        return None
    if not now:
        return Failure("again", f"does not say {before[0]!r} again, as in turn {turn}")
    other = " and ".join(map(repr, now))
    return Failure("other", f"says {other} where it said {before[0]!r} in turn {turn}")


def _length(probe: Probe, said: str, _: Heard) -> Failure | None:
    count = len(words(said))
    if probe.max_words is not None and count > probe.max_words:
        return Failure("form", f"has {count} words, not {probe.max_words} at most")
    sentences = len(statements_of(said))
    if probe.max_sentences is not None and sentences > probe.max_sentences:
        return Failure("form", f"has {sentences} sentences, not {probe.max_sentences} at most")
    return None


def _edges(probe: Probe, said: str, _: Heard) -> Failure | None:
    plain = strip_markdown(said).strip().casefold()
    if probe.begins and not plain.startswith(probe.begins.casefold()):
        return Failure("form", f"does not begin with {probe.begins!r}")
    if probe.ends and not _ends(plain, probe.ends.casefold()):
        return Failure("form", f"does not end with {probe.ends!r}")
    return None


def _ends(plain: str, wanted: str) -> bool:
    """Say whether a text ends as wanted, an emoji, a bracket or a quotation mark aside.

    An end in words may have another full stop, or none.

    >>> _ends("bye, ahoy!", "ahoy."), _ends("how old is he? 🐶", "?"), _ends("ahoy?", "ahoy.")
    (True, True, False)
    """
    bare = wanted.rstrip(".!")
    if any(sign.isalnum() for sign in bare):
        plain, wanted = plain.rstrip(".! "), bare
    return plain.endswith(wanted) or _DECORATION.sub("", plain).endswith(wanted)


def _form(probe: Probe, said: str, _: Heard) -> Failure | None:
    if probe.case and said != getattr(said, probe.case)():
        return Failure("form", f"is not in {probe.case} case")
    items = len(_ITEM.findall(said))
    if probe.list_items is not None and items != probe.list_items:
        return Failure("form", f"has {items} items in a list, not {probe.list_items}")
    return None


def _occurrences(probe: Probe, said: str, _: Heard) -> Failure | None:
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


_CHECKS: tuple[Callable[[Probe, str, Heard], Failure | None], ...] = (
    _avoids, _states, _agrees, _length, _edges, _form, _occurrences,
)  # fmt: skip
