"""What the paired scores of base and candidate show: decisions and findings."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.records.items import ItemKey, Suite
from harness.records.scored import Pair, Transition

PREFERENCE = "preference"
"""The metric of what only raters can judge: its pairs have no score, and none is expected."""


Label = Literal[
    "improved", "unchanged", "not_worse", "regressed_within_margin", "regressed", "inconclusive"
]


GateVerdict = Literal["pass", "fail", "inconclusive", "invalid"]
"""The values of every field ``verdict`` that a gate decides."""


SMALLEST = 1e-6
"""The least margin and the least error rate: what is below cannot be told from none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The error rates that a decision is made with.

    ``alpha`` is the one-sided rate of false alarms, ``beta`` that of false passes at the margin,
    ``max_unscored`` the share of unscored items above which a comparison is invalid.
    """

    alpha: float = 0.05
    beta: float = 0.05
    max_unscored: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the paired scores of one suite show about ``tuned - base``.

    ``delta`` and its interval are in score units; the interval has level ``1 - 2 alpha``.
    ``p_regression`` is the one-sided p-value against "not a drop", ``p_non_inferior`` against
    "a drop of at least the margin". ``items_needed`` estimates how many items would decide an
    inconclusive gate (None when decided), ``notes`` are warnings for a person.
    """

    label: Label
    verdict: Literal["pass", "fail", "inconclusive"]
    delta: float
    ci_low: float
    ci_high: float
    p_regression: float
    p_non_inferior: float
    n: int
    discordant: int
    items_needed: int | None
    method: str
    margin: float
    alpha: float
    clusters: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Base against one candidate on one suite: the evidence and the decision.

    Among candidates and forms of one, ``reference`` names the arm that stands in the base's place.
    Where ``prompts_differ``, each side read the items by its own template and tokenizer.

    ``verdict`` is what the gate decides after Holm over the candidate's suites; ``decision`` is
    unadjusted.
    ``base`` and ``tuned`` are mean scores over the items scored for both arms. ``pairs`` are the
    answers to all items; of a large run, whose counts are in ``moved``, those to items that were
    drawn by their hashes, and ``listed`` further ones that changed between right and wrong: these
    are shown and take part in no figure.
    """

    candidate: str
    suite: Suite
    pairs: tuple[Pair, ...]
    decision: Decision | None
    verdict: GateVerdict
    p_adjusted: float | None
    base: float | None
    tuned: float | None
    unscored: int
    reason: str = ""
    reference: str = "base"
    prompts_differ: bool = False
    moved: Mapping[Transition, int] = field(default_factory=dict)
    listed: tuple[Pair, ...] = ()

    @property
    def counts(self) -> Mapping[Transition, int]:
        """How many items made each transition, of all items."""
        return self.moved or Counter(pair.transition for pair in self.pairs)

    @property
    def shown(self) -> tuple[Pair, ...]:
        """All answers that a report lists."""
        return (*self.pairs, *self.listed)

    @property
    def items(self) -> int:
        """How many items were answered."""
        return sum(self.moved.values()) or len(self.pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeComparison:
    """Base against one training recipe on one suite: what holds whatever the training seed.

    ``candidates`` are the seeds, ``deltas`` the mean change of each over the items that all of them
    and the base have a score for, ``spread`` the standard deviation of ``deltas`` (None below two).
    Without a ``decision``, ``reason`` says why.
    """

    recipe: str
    suite: Suite
    candidates: tuple[str, ...]
    deltas: tuple[float, ...]
    spread: float | None
    decision: Decision | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that error analysis noticed about a comparison, with the evidence for it.

    ``kind`` is ``cause`` (an error label whose share changed), ``slice`` (a group of items),
    ``stands_out`` (a group whose change is not that of the rest: ``elsewhere`` is the rest's, ``p``
    the adjusted p-value on items that the search did not see), ``theme`` (lost items that share
    words) or ``warning``. ``keys`` are the items that show it, ``conditions`` the names and values
    by which a group's items are found. Of a cause, ``entered`` items have it that did not
    (``broken`` of them were right), and ``left`` have it no more (``mended`` are right now). A
    warning that counts items has them in ``base_keys`` and ``tuned_keys``; ``total`` is 0 where it
    counts none.
    """

    kind: Literal["cause", "slice", "stands_out", "theme", "warning"]
    candidate: str
    suite: str
    title: str
    text: str
    base_count: int = 0
    tuned_count: int = 0
    total: int = 0
    delta: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    elsewhere: float | None = None
    p: float | None = None
    keys: tuple[ItemKey, ...] = ()
    conditions: tuple[tuple[str, str], ...] = ()
    entered: int = 0
    broken: int = 0
    left: int = 0
    mended: int = 0
    base_keys: tuple[ItemKey, ...] = ()
    tuned_keys: tuple[ItemKey, ...] = ()
