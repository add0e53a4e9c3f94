"""The section on people: whom raters prefer, how far they agree, and where scores say otherwise."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlencode

from markupsafe import Markup

from harness.analysis.judged import JudgeBeside, judges_beside
from harness.analysis.people import FEWEST, ItemSaid, PeopleBeside, people_beside, rankings
from harness.display_text import clip, visible
from harness.records import BASE, Comparison, ItemKey, RaterSummary, Result, SetSummary
from harness.report import charts
from harness.report.item_browser import item_id
from harness.report.wording import MINUS, percent, suite_title
from harness.stats.concordance import Agrees, Concordance

_SHOWN = 120
"""Characters of a question."""
_UNKNOWN = "–"
LISTED = 8
"""Items of a kind that are listed; the rest is counted."""

_TEMPLATE = re.compile(r"<\|[\w ]+\|>|</?s>")
_AXIS = charts.Axis(-0.52, 0.52)


class ItemLink(NamedTuple):
    """An item to look at: its name, where it opens (empty where it cannot), why, and its question.

    The question's last words are shown, where a prompt has what is asked.
    """

    name: str
    link: str
    words: str
    question: str


class Listing(NamedTuple):
    """Some items under a title, and how many more there are."""

    title: str
    items: tuple[ItemLink, ...]
    more: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleSet:
    """One candidate on one suite as raters see it; ``tone`` is the class that colours it.

    ``facts`` are terms and sentences. ``metrics`` and ``raters`` are rows of tables,
    ``columns`` what is known of raters.
    """

    title: str
    candidate: str
    tone: str
    preferred: str
    share: str
    rate: str
    chart: Markup | None
    counts: str
    facts: tuple[tuple[str, str], ...]
    metrics: tuple[tuple[str, ...], ...]
    columns: tuple[str, ...]
    raters: tuple[tuple[str, ...], ...]
    listings: tuple[Listing, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleSection:
    """The whole section; ``rankings`` are titles with rows, ``judges`` paragraphs by title."""

    words: str
    notes: tuple[str, ...]
    sets: tuple[PeopleSet, ...]
    rankings: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...]
    judges: tuple[tuple[str, str], ...]


def people(result: Result) -> PeopleSection | None:
    """Build the section on people; None where no ratings were collected and no judge was asked."""
    found = people_beside(result.comparisons, result.reviews)
    judges = judges_beside(result.reviews)
    if not found and not judges:
        return None
    titles = {suite.name: suite_title(suite) for suite in result.suites}
    several = len({one.draw for one in found}) > 1
    left_out = sum(review.left_out for review in result.reviews)
    raters = {(one.draw, rater.rater) for one in found for rater in one.summary.raters}
    judgements = sum(one.summary.judgements for one in found)
    return PeopleSection(
        words=(
            f"{_count(len(raters), 'person', 'people')} gave {_count(judgements, 'judgement')} of "
            "pairs of answers without knowing which model wrote which."
        ),
        notes=(
            *([f"{_count(left_out, 'rating')} of answers that this run no longer gives were left "
               "out: draw again to have the new ones rated."] if left_out else []),
            *dict.fromkeys(f"{one.disagrees}." for one in found if one.disagrees),
        ),
        sets=tuple(_set(one, titles, several=several) for one in found),
        rankings=tuple(
            (
                titles.get(suite, suite) + (f" (draw {draw})" if several else ""),
                tuple(
                    (
                        visible(r.arm),
                        percent(0.5) if r.arm == BASE else _extent(r.share, r.low, r.high),
                        r.tied,
                    )
                    for r in ranked
                ),
            )
            for draw, suite, ranked in rankings(result.reviews)
        ),
        judges=tuple(_judge(judge, titles) for judge in judges),
    )  # fmt: skip


def _set(one: PeopleBeside, titles: dict[str, str], *, several: bool) -> PeopleSet:
    summary = one.summary
    tone, preferred = _preferred(summary)
    chart, rate = None, ""
    if summary.win_rate is not None and summary.ci_low is not None and summary.ci_high is not None:
        rate = _extent(summary.win_rate, summary.ci_low, summary.ci_high)
        chart = charts.interval(
            _AXIS,
            summary.win_rate - 0.5,
            (summary.ci_low - 0.5, summary.ci_high - 0.5),
            css=tone,
            margin=None,
            words=f"{summary.candidate} wins {rate} of the items",
        )
    title = titles.get(summary.suite, visible(summary.suite))
    columns, raters = _raters(summary)
    return PeopleSet(
        title=f"{title} (draw {one.draw})" if several else title,
        candidate=summary.candidate,
        tone=tone,
        preferred=preferred,
        share="" if summary.win_rate is None else percent(summary.win_rate),
        rate=rate,
        chart=chart,
        counts=_counts(summary),
        facts=tuple(_facts(one)),
        metrics=tuple(
            (name, _agrees(m.auc, share=True), _agrees(m.kendall), _agrees(m.spearman))
            for name, m in one.metrics[:1] + tuple(sorted(one.metrics[1:], key=_weakness))
            if m.kendall is not None
        ),
        columns=columns,
        raters=raters,
        listings=tuple(
            Listing(
                title,
                tuple(_link(said, one.comparison) for said in items[:LISTED]),
                max(0, len(items) - LISTED),
            )
            for title, items in (
                ("People and the score prefer different answers", one.against),
                ("Worth a second look", one.again),
            )
            if items
        ),
    )


def _preferred(summary: SetSummary) -> tuple[str, str]:
    """Return the tone and the words for whom people prefer."""
    rate, low, high = summary.win_rate, summary.ci_low, summary.ci_high
    if rate is None or low is None or high is None:
        few = summary.judgements < FEWEST
        why = f"fewer than {FEWEST} ratings" if few else "some kinds of items have no rating yet"
        return "void", f"not known: {why}"
    if low > 0.5:
        return "good", f"people prefer {summary.candidate}"
    if high < 0.5:
        return "bad", "people prefer the base"
    return "open", "no clear preference"


def _counts(summary: SetSummary) -> str:
    shown = (
        f"{_count(summary.wins, 'win')}, {_count(summary.ties, 'tie')} and "
        f"{_count(summary.losses, 'loss', 'losses')} in {_count(summary.judgements, 'judgement')} "
        f"of {_count(summary.items, 'item')}"
    )
    if summary.not_judged:
        shown += f"; {summary.not_judged} could not be judged"
    if summary.identical:
        shown += f"; {_count(summary.identical, 'item')} with the same answer counted as ties"
    return shown


def _facts(one: PeopleBeside) -> Iterator[tuple[str, str]]:
    """Yield what is known of a set, as terms and sentences."""
    summary, length, powered = one.summary, one.length, one.powered
    if powered:
        yield (
            "With the scores of all items",
            f"{_extent(powered.mean, powered.low, powered.high)}: as sure as "
            f"{powered.worth:.0f} rated items would be, from {summary.items} (PPI++)",
        )
    if one.worth is not None:
        yield (
            "What the draw is worth",
            f"{_count(summary.items, 'rated item')}, drawn by what became of their scores, tell as "
            f"much about the whole suite as {one.worth:.0f} of a random draw",
        )
    if length:
        said = (
            f"{_extent(length.rate, length.low, length.high)} if both answers were equally long; "
            f"length alone would give {summary.candidate} {length.by_length:.0%}"
        )
        if length.longer is not None:
            said += f" (the longer answer was preferred in {length.longer:.0%} of decisions)"
        yield "At equal length", said
    if summary.base_mean is not None and summary.tuned_mean is not None:
        means = f"{summary.base_mean:.2f} → {summary.tuned_mean:.2f}"
        yield "Mean score, 1 to 5", f"{means} from base to {summary.candidate}, of what was shown"
    yield from _consistency(summary)


def _consistency(summary: SetSummary) -> Iterator[tuple[str, str]]:
    """Yield how far raters agree, and whether the side of an answer mattered."""
    if summary.same is not None:
        said = [f"two raters of an item name the same winner {summary.same:.0%} of the time"]
        if summary.kappa is not None:
            said.append(f"{summary.kappa_of}’s kappa {_decimal(summary.kappa)}")
        if summary.agreement is not None:
            ends = (summary.agreement_low, summary.agreement_high)
            said.append(f"Krippendorff’s alpha {_with_ends(summary.agreement, *ends)}")
        yield "Agreement", "; ".join(said)
    elif summary.judgements >= FEWEST:
        yield "Agreement", "not known: no item was judged by two people"
    share, low, high = summary.chose_a, summary.chose_a_low, summary.chose_a_high
    if share is not None and low is not None and high is not None:
        effect = "" if low <= 0.5 <= high else ": a side was preferred, whatever stood on it"
        yield "Left answer chosen", f"{_extent(share, low, high)} of decisions{effect}"


def _raters(summary: SetSummary) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Tabulate what is known of each rater; what is known of none has no column."""
    if summary.judgements < FEWEST:
        return (), ()
    table = [_rater(rater) for rater in summary.raters]
    names = [name for name in table[0] if any(row[name] != _UNKNOWN for row in table)]
    return tuple(names), tuple(tuple(row[name] for name in names) for row in table)


def _rater(rater: RaterSummary) -> dict[str, str]:
    return {
        "rater": f"rater {rater.rater}",
        "judgements": f"{rater.judgements:,}",
        "could not judge": f"{rater.not_judged:,}",
        "same winner as others": _share(rater.with_others),
        "same winner when shown again": (
            f"{rater.same_again} of {rater.shown_again}" if rater.shown_again else _UNKNOWN
        ),
        "chose the left": _share(rater.chose_a),
        "time for a row": _UNKNOWN if rater.seconds is None else f"{rater.seconds:.0f} s",
    }


def _share(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.0%}"


def _link(said: ItemSaid, comparison: Comparison | None) -> ItemLink:
    words = clip(visible(said.words), 300)
    if comparison is None:
        return ItemLink(item_id(said.key), "", words, "")
    wanted = {"candidate": comparison.candidate, "item": item_id(said.key)}
    question = " ".join(_TEMPLATE.sub(" ", visible(_prompt(said.key, comparison))).split())
    return ItemLink(item_id(said.key), "#" + urlencode(wanted), words, _end(question))


def _end(text: str) -> str:
    """Return a text's last words: what is asked stands at the end of a prompt.

    >>> _end("Who is it?")
    'Who is it?'
    """
    return text if len(text) <= _SHOWN else "… " + text[-_SHOWN:].partition(" ")[2]


def _prompt(key: ItemKey, comparison: Comparison) -> str:
    found = (pair.base.item.prompt for pair in comparison.shown if pair.base.item.key == key)
    return next(found, "")


def _judge(judge: JudgeBeside, titles: dict[str, str]) -> tuple[str, str]:
    """Word a judge model: its agreement with people always, its figure only where that is high."""
    judged, kappa, people = judge.judged, judge.kappa, judge.among_people
    said = [
        f"It was asked about {_count(judge.pairs, 'pair')}, both orders, {judged.samples} times "
        f"each (seed {judged.seed}); where its answers did not agree it counts as a tie "
        f"({_count(judge.ties, 'tie')}, {judge.unread} unreadable)."
    ]
    if kappa.value is not None:
        said.append(
            f"Its agreement with {_count(judge.ratings, 'human rating')} of these pairs: kappa "
            f"{_with_ends(kappa.value, kappa.low, kappa.high)}; people among themselves reach "
            + (_with_ends(people.value, people.low, people.high) if people.value is not None
               else "an agreement that is not known, as no two rated the same item")
            + "."
        )  # fmt: skip
    if judge.withheld:
        said.append(f"{judge.withheld[0].upper()}{judge.withheld[1:]}.")
    said += [
        f"{titles.get(one.suite, visible(one.suite))}: {one.candidate} wins "
        f"{_extent(one.rate.rate, one.rate.low, one.rate.high)}."
        for one in judge.figures
    ]
    return f"The judge model {visible(judged.model)}", " ".join(said)


def _with_ends(value: float, low: float | None, high: float | None) -> str:
    ends = "" if low is None or high is None else f" ({_decimal(low)} to {_decimal(high)})"
    return _decimal(value) + ends


def _decimal(value: float) -> str:
    return f"{value:.2f}".replace("-", MINUS)


def _agrees(found: Agrees | None, *, share: bool = False) -> str:
    if found is None:
        return "–"
    if share:
        return _extent(found.value, found.low, found.high)
    return f"{found.value:+.2f} ({found.low:+.2f} to {found.high:+.2f})".replace("-", MINUS)


def _weakness(named: tuple[str, Concordance]) -> float:
    """Order figures by how far they are from chance, either way."""
    return -abs(named[1].auc.value - 0.5) if named[1].auc else 0.0


def _extent(value: float, low: float, high: float) -> str:
    return f"{percent(value)} ({percent(low)} to {percent(high)})"


def _count(n: int, noun: str, nouns: str = "") -> str:
    return f"{n:,} {noun if n == 1 else nouns or noun + 's'}"


def people_lines(section: PeopleSection) -> Sequence[tuple[str, str, str, str]]:
    """Return a line for each rated set: suite, candidate, whom people prefer, and how often."""
    return [
        (one.title, one.candidate, one.preferred, one.rate or one.counts) for one in section.sets
    ]
