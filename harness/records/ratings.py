"""What people said about pairs of answers, and what it comes to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.records.items import ItemKey

Side = Literal["A", "B"]
Winner = Literal[-1, 0, 1]
"""Base, neither, tuned."""
Form = Literal["preference", "direct"]
KappaKind = Literal["", "Cohen", "Fleiss"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """One judgement, unblinded.

    ``preference`` is above zero where tuned is better, below where base is, the further from zero
    the more (at most 2), 0 for a tie, None for "cannot judge"; ``choice`` is the rater's own word.
    Direct ratings also have ``base_score`` and ``tuned_score``. ``repeats`` names the row of which
    this one is the hidden duplicate with sides exchanged: it tells about the rater and counts
    nowhere else. ``answers`` is the hash of the two answers that the rater saw (empty where it is
    not known), ``seconds`` how long the rater took, where the form knows. ``modified`` is when the
    file that it came in was last changed, in seconds since 1970.
    """

    row: str
    set_name: str
    suite: str
    candidate: str
    item: ItemKey
    rater: int
    stratum: str
    tuned_side: Side
    preference: int | None
    choice: str = ""
    base_score: int | None = None
    tuned_score: int | None = None
    base_tags: tuple[str, ...] = ()
    tuned_tags: tuple[str, ...] = ()
    comment: str = ""
    repeats: str = ""
    answers: str = ""
    seconds: float | None = None
    modified: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedSet:
    """One candidate on one suite, as it was drawn.

    ``strata`` has how many items each stratum holds, rated or not; the ``identical`` answers,
    ties that no rater sees, and the ``unscored`` items are in none.
    """

    name: str
    suite: str
    candidate: str
    strata: Mapping[str, int]
    identical: int
    unscored: int = 0
    form: Form = "preference"


@dataclass(frozen=True, slots=True, kw_only=True)
class RaterSummary:
    """How one rater judged one set.

    ``chose_a`` is the share of decided judgements for side A, ``with_others`` the share of pairs
    with another rater's judgement of the same item that name the same winner, ``same_again`` how
    many of the ``shown_again`` hidden duplicates got the same winner, ``seconds`` the median time
    for a row; None where nothing is known.
    """

    rater: int
    judgements: int
    not_judged: int
    chose_a: float | None
    with_others: float | None
    shown_again: int
    same_again: int
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSummary:
    """The ratings of one candidate on one suite, summed up.

    ``wins``, ``ties`` and ``losses`` count judgements from tuned's view, among the rows shown.
    ``win_rate`` is for the whole suite (a tie is half a win): strata by their true sizes, identical
    answers as ties; None below ten ratings, or where of a stratum none came back.
    ``chose_a`` is the share of decided judgements that went to side A; far from 0.5 it means that
    raters prefer a side. ``agreement`` is Krippendorff's alpha of the preferences as an ordered
    scale, ``same`` the share of item-wise pairs of raters with the same winner, ``kappa`` Cohen's
    (two raters) or Fleiss's (more, who judged the same items) of the winners; None below two raters
    or without variation. ``base_mean`` and ``tuned_mean`` are of direct ratings, among rows shown.
    """

    set_name: str
    suite: str
    candidate: str
    form: Form = "preference"
    judgements: int
    items: int
    wins: int
    ties: int
    losses: int
    not_judged: int
    identical: int
    win_rate: float | None
    ci_low: float | None
    ci_high: float | None
    chose_a: float | None
    chose_a_low: float | None = None
    chose_a_high: float | None = None
    agreement: float | None = None
    agreement_low: float | None = None
    agreement_high: float | None = None
    same: float | None = None
    kappa: float | None = None
    kappa_of: KappaKind = ""
    base_mean: float | None = None
    tuned_mean: float | None = None
    raters: tuple[RaterSummary, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedPair:
    """What a judge model made of one pair, unblinded.

    ``preference`` is 1 where tuned is better, -1 where base is, 0 for a tie, None where no answer
    of the judge could be read. ``answers`` is as in `Rating`.
    """

    set_name: str
    item: ItemKey
    stratum: str
    preference: Winner | None
    answers: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A judge model as it was declared before it was asked, and what it said of a draw's pairs.

    Each pair was shown in both orders, ``samples`` times each, with ``prompt``. ``fingerprint`` is
    the sha256 of what can change its answers, ``sets`` are those of the draw. Without ``pairs`` it
    has not been asked to the end.
    """

    model: str
    prompt: str
    samples: int
    seed: int
    temperature: float = 0.7
    max_new_tokens: int = 64
    fingerprint: str = ""
    sets: tuple[RatedSet, ...] = ()
    pairs: tuple[JudgedPair, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """Everything that was collected of one draw: a `SetSummary` for each of its sets.

    ``judged`` is what a judge model said of the same pairs (kept in a file of its own), and
    ``left_out`` how many ratings are of answers that the run no longer has.
    """

    draw: str
    sets: tuple[RatedSet, ...]
    format: Literal["harness-review/1"] = "harness-review/1"
    ratings: tuple[Rating, ...] = ()
    summaries: tuple[SetSummary, ...] = ()
    judged: Judged | None = None
    left_out: int = 0
