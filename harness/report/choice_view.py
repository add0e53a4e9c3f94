"""Multiple choice for people: letters that were chosen, and how far confidence can be believed."""

from dataclasses import dataclass

from markupsafe import Markup

from harness.analysis import named
from harness.analysis.choice_patterns import (
    CHOSEN,
    RIGHT,
    SURE,
    Letters,
    Sureness,
    letters,
    sureness,
)
from harness.records import Comparison
from harness.report import charts
from harness.report.item_links import items_link
from harness.report.wording import percent


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterRow:
    """One letter: how often it is right, how often each arm chose it.

    ``links`` open those items: where it is right, where the base chose it, where the candidate did.
    """

    name: str
    gold: int
    base: int
    tuned: int
    links: tuple[str, str, str]
    chart: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class BinRow:
    """One bin of the reliability diagram: per arm its shares in words, its items and their link."""

    number: int
    arms: tuple[tuple[str, int, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceView:
    """Letters and confidence of one comparison; the second part is empty without likelihoods."""

    letters: tuple[LetterRow, ...]
    letter_words: str
    sure_words: tuple[str, ...]
    chart: Markup
    bins: tuple[BinRow, ...]


def choice_view(comparison: Comparison) -> ChoiceView | None:
    """Put a choice suite's letters and confidence into words, tables and a diagram."""
    found, both = letters(comparison), sureness(comparison)
    if found is None and both is None:
        return None
    return ChoiceView(
        letters=_letters(found, comparison) if found else (),
        letter_words=_letter_words(found) if found else "",
        sure_words=_sure_words(*both) if both else (),
        chart=_diagram(*both) if both else Markup(""),
        bins=_bins(both, comparison) if both else (),
    )


def _link(comparison: Comparison, name: str, value: str) -> str:
    return items_link(comparison.candidate, comparison.suite.name, slice=named((name, value)))


def _links(comparison: Comparison, letter: str) -> tuple[str, str, str]:
    right, base, tuned = (_link(comparison, name, letter) for name in (RIGHT, *CHOSEN))
    return right, base, tuned


def _letters(found: Letters, comparison: Comparison) -> tuple[LetterRow, ...]:
    most = max(max(one.base, one.tuned) for one in found.letters)
    return tuple(
        LetterRow(
            name=one.name,
            gold=one.gold,
            base=one.base,
            tuned=one.tuned,
            links=_links(comparison, one.name),
            chart=charts.twin(
                one.base, one.tuned, most, f"{one.name}: base {one.base}, tuned {one.tuned}"
            ),
        )
        for one in found.letters
    )


def _letter_words(found: Letters) -> str:
    p = f"p {found.p:.2g}" if found.p >= 0.001 else "p below 0.001"
    favoured = found.favoured
    if favoured is not None:
        return (
            f"The candidate leans towards {favoured.name}: {favoured.tuned} of {found.total} "
            f"choices, where the base made {favoured.base} and {favoured.gold} are right ({p})."
        )
    moved = "moved" if found.p < 0.001 else "did not clearly move"
    return f"The letters chosen {moved} between base and candidate ({p})."


def _sure_words(base: Sureness, tuned: Sureness) -> tuple[str, ...]:
    return tuple(
        f"The {name} is {percent(one.confidence)} sure and {percent(one.right)} right: calibration "
        f"error {one.reliability.ece:.3f}, Brier score {one.reliability.brier:.3f}, margin over "
        f"the best other choice {one.margin:+.2f} nats."
        for name, one in (("base", base), ("candidate", tuned))
    )


def _diagram(base: Sureness, tuned: Sureness) -> Markup:
    points = [
        [(one.confidence, one.right) for one in arm.reliability.bins] for arm in (base, tuned)
    ]
    return charts.reliability(
        points[0],
        points[1],
        "Share of right choices over confidence, in bins of equal size; the table has the values",
    )


def _bins(both: tuple[Sureness, Sureness], comparison: Comparison) -> tuple[BinRow, ...]:
    bins = zip(*(arm.reliability.bins for arm in both), strict=True)
    return tuple(
        BinRow(
            number=number,
            arms=tuple(
                (
                    f"{percent(one.confidence)} sure, {percent(one.right)} right, ",
                    one.items,
                    _link(comparison, name, f"bin {number}"),
                )
                for name, one in zip(SURE, arms, strict=True)
            ),
        )
        for number, arms in enumerate(bins, start=1)
    )
