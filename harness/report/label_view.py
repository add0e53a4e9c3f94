"""Classification for people: macro-F1, each label, which one is named for which, and what moved."""

from dataclasses import dataclass
from typing import NamedTuple

from harness.analysis import named
from harness.analysis.confusion import (
    NAMED_BY,
    NONE,
    Cell,
    Confusion,
    LabelScore,
    cell_group,
    confusion,
)
from harness.records import Comparison
from harness.report.item_links import items_link
from harness.report.wording import LABEL_WORDS, between, percent, precise

WIDEST = 12
"""Labels up to which a matrix is drawn; of more, the cells that moved most are listed."""

_MOVES = 8


class CellView(NamedTuple):
    """One cell: its items, their address, its tone and its depth.

    ``tone`` is ``right``, or ``more`` where a mistake is among those that changed most and this arm
    makes it more often. ``depth`` is the share of the row's items in tenths, by which the cell is
    tinted.
    """

    items: int
    link: str
    tone: str
    depth: int


class LabelsNamed(NamedTuple):
    """The items of one right label, by the label that was named."""

    name: str
    cells: tuple[CellView, ...]


class Moved(NamedTuple):
    """One wrong cell whose count changed: in words, with both counts and their addresses."""

    words: str
    counts: tuple[int, int]
    links: tuple[str, str]


class LabelRow(NamedTuple):
    """One label: its items, recall and F1 before and after, and the change of F1."""

    name: str
    items: int
    recall: str
    f1: str
    change: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelView:
    """Labels and matrices of one comparison; no ``matrices`` where there are too many labels."""

    words: str
    labels: tuple[LabelRow, ...]
    named: tuple[str, ...]
    matrices: tuple[tuple[str, tuple[LabelsNamed, ...]], ...]
    moves: tuple[Moved, ...]
    more_moves: int


def label_view(comparison: Comparison) -> LabelView | None:
    """Put a classification into words, a table of labels and two matrices; None of others."""
    found = confusion(comparison)
    if found is None:
        return None
    columns = (*(label.name for label in found.labels), *found.others, NONE)
    columns = tuple(c for c in columns if c != NONE or _any_without(found))
    drawn = len(columns) <= WIDEST + 1
    moved = found.moved
    return LabelView(
        words=macro_words(found, comparison),
        labels=tuple(map(_label_row, found.labels)),
        named=columns,
        matrices=_matrices(found, columns, comparison) if drawn else (),
        moves=tuple(_moved(cell, found, comparison) for cell in moved[:_MOVES]),
        more_moves=max(0, len(moved) - _MOVES),
    )


def macro_words(found: Confusion, comparison: Comparison) -> str:
    """Word macro-F1 before and after, with its interval, and what it rests on."""
    base, tuned = (f"{100 * value:.1f}" for value in found.macro)
    said = f"Macro-F1 {base} → {tuned}"
    if (decision := found.decision) is not None:
        change, label = precise(decision.delta), LABEL_WORDS[decision.label]
        said += f" ({change} points, {between(decision.ci_low, decision.ci_high)}: {label})"
    else:
        said += " (too few independent items for an interval)"
    rare = min(found.labels, key=lambda label: label.items)
    said += (
        f": the mean of F1 over {len(found.labels)} labels, each counting the same; the rarest, "
        f"{rare.name}, has {rare.items} items. It decides nothing: accuracy does."
    )
    if found.total < comparison.items - comparison.unscored:
        said += f" Counted on the {found.total:,} items that were drawn for the report."
    return said


def _any_without(found: Confusion) -> bool:
    return any(cell[1] == NONE for cell in (*found.base, *found.tuned))


def _label_row(label: LabelScore) -> LabelRow:
    return LabelRow(
        name=label.name,
        items=label.items,
        recall=" → ".join(map(percent, label.recall)),
        f1=" → ".join(f"{100 * value:.1f}" for value in label.f1),
        change=precise(label.f1[1] - label.f1[0]),
    )


def _matrices(
    found: Confusion, columns: tuple[str, ...], comparison: Comparison
) -> tuple[tuple[str, tuple[LabelsNamed, ...]], ...]:
    return tuple(
        (title, tuple(_row(label, columns, found, arm, comparison) for label in found.labels))
        for arm, title in enumerate(("base", "candidate"))
    )


def _row(
    label: LabelScore, columns: tuple[str, ...], found: Confusion, arm: int, comparison: Comparison
) -> LabelsNamed:
    counts, other = (found.base, found.tuned) if arm == 0 else (found.tuned, found.base)
    most, cells = found.moved[:_MOVES], []
    for column in columns:
        cell = (label.name, column)
        more = cell in most and counts[cell] > other[cell]
        tone = "right" if label.name == column else "more" if more else ""
        depth = round(10 * counts[cell] / label.items)
        cells.append(CellView(counts[cell], _link(cell, arm, comparison), tone, depth))
    return LabelsNamed(label.name, tuple(cells))


def _link(cell: Cell, arm: int, comparison: Comparison) -> str:
    group = named(cell_group(NAMED_BY[arm], cell))
    return items_link(comparison.candidate, comparison.suite.name, slice=group)


def _moved(cell: Cell, found: Confusion, comparison: Comparison) -> Moved:
    told = "without a label" if cell[1] == NONE else f"named {cell[1]}"
    return Moved(
        words=f"{cell[0]}, {told}",
        counts=(found.base[cell], found.tuned[cell]),
        links=(_link(cell, 0, comparison), _link(cell, 1, comparison)),
    )
