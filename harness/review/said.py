"""What a rater wrote into cells, as one of the ratings that the sheet's form offers."""

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from harness.display_text import one_line
from harness.review.packet import CANNOT_JUDGE, CHOICES, SCORES, Form, RowRating

_CHOICES = {choice.casefold(): choice for choice in CHOICES} | dict.fromkeys(
    ("cant judge", "can not judge"), CANNOT_JUDGE
)
_WHOLE = re.compile(r"(\d+)(?:[.,]0+)?")


class Said(NamedTuple):
    """A rating, None where the cells hold none.

    ``wrong`` says why what they hold is none, ``doubts`` what of a rating was left out.
    """

    rating: RowRating | None = None
    wrong: str = ""
    doubts: tuple[str, ...] = ()


def said(row: str, cells: Mapping[str, str], form: Form, tags: Collection[str]) -> Said:
    """Read a rating, whatever its case, spaces and hyphens.

    A fault that the sheet does not offer costs the fault and not the rating.

    Args:
        row: The row's name.
        cells: What stands in it, by the names of `RowRating`'s fields; missing ones are empty.
        form: Of the sheet.
        tags: Faults that the sheet offers.
    """
    judged = (_direct if form == "direct" else _preferred)(row, cells)
    if judged.rating is None:
        return judged
    faults_a, faults_b = (_faults(cells.get(name, ""), tags) for name in ("tags_a", "tags_b"))
    rating = RowRating(
        row=row,
        choice=judged.rating.choice,
        score_a=judged.rating.score_a,
        score_b=judged.rating.score_b,
        tags_a=faults_a[0],
        tags_b=faults_b[0],
        comment=cells.get("comment", "").strip(),
    )
    return Said(
        rating,
        doubts=tuple(
            f"kept without the fault {one_line(fault, 40)!r}, which is not in the list"
            for fault in (*faults_a[1], *faults_b[1])
        ),
    )


def _preferred(row: str, cells: Mapping[str, str]) -> Said:
    text = cells.get("choice", "")
    if not text.strip():
        scores = any(cells.get(name, "").strip() for name in ("score_a", "score_b"))
        return Said(wrong="has scores where a preference is asked for" if scores else "")
    choice = _CHOICES.get(_plain(text))
    if choice is None:
        return Said(wrong=_none_of(text, CHOICES))
    return Said(RowRating(row=row, choice=choice))


def _direct(row: str, cells: Mapping[str, str]) -> Said:
    texts = [cells.get(name, "").strip() for name in ("choice", "score_a", "score_b")]
    if not any(texts):
        return Said()
    if CANNOT_JUDGE in [_CHOICES.get(_plain(text)) for text in texts]:
        return Said(RowRating(row=row, choice=CANNOT_JUDGE))
    if texts[0]:
        return Said(wrong="has a preference where scores are asked for")
    scores = []
    for text in texts[1:]:
        whole = _WHOLE.fullmatch(text)
        if not whole or len(text) > 8 or int(whole[1]) not in SCORES:
            told = (*map(str, SCORES), CANNOT_JUDGE)
            return Said(wrong=_none_of(text, told) if text else "needs a score of both answers")
        scores.append(int(whole[1]))
    return Said(RowRating(row=row, score_a=scores[0], score_b=scores[1]))


def _faults(text: str, tags: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the faults that are named, and what is named and is none."""
    known = {_plain(tag): tag for tag in tags}
    named = [part for part in re.split(r"[,;|\n]", text) if _plain(part)]
    found = dict.fromkeys(known[_plain(part)] for part in named if _plain(part) in known)
    return tuple(found), tuple(part.strip() for part in named if _plain(part) not in known)


def _plain(text: str) -> str:
    """Return a text in small letters with one space where signs and white space stand."""
    return " ".join(re.sub(r"[^\w]+", " ", re.sub(r"['’]", "", text)).casefold().split())


def _none_of(text: str, allowed: Collection[str]) -> str:
    return f"a rating must be in the list: found {one_line(text, 60)!r}; use " + " · ".join(allowed)
