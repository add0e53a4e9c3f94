"""Paired scores as arrays: checked once at the door, so that the formulas need no guards."""

from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.errors import ComparisonError, StudyError, nearest
from harness.records import SMALLEST

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

KINDS = ("auto", "binary", "graded")
TAILS = ("graded", "heavy")


class Paired(NamedTuple):
    """Checked scores of the two arms on the same items.

    ``difference`` is ``tuned - base`` per item, in [-1, 1], and ``base`` the base's scores, both of
    shape (n,). ``cluster`` numbers the group of each item from 0, shape (n,), or is None where
    every item stands for itself. ``binary`` says that every score is 0 or 1.
    """

    difference: Floats
    base: Floats
    cluster: Ints | None
    binary: bool

    @property
    def losses(self) -> int:
        """Number of items that the base scored higher on."""
        return int(np.count_nonzero(self.difference < 0))

    @property
    def gains(self) -> int:
        """Number of items that the tuned model scored higher on."""
        return int(np.count_nonzero(self.difference > 0))


def paired_scores(
    base: ArrayLike,
    tuned: ArrayLike,
    *,
    clusters: Sequence[Hashable] | None = None,
    kind: str = "auto",
) -> Paired:
    """Check two score vectors and return their differences.

    Args:
        base: scores of the base model, shape (n,), each in [0, 1].
        tuned: scores of the tuned model on the same items in the same order, shape (n,).
        clusters: the group of each item, n labels; None where items are independent.
        kind: ``binary`` (0 or 1), ``graded`` (anywhere in [0, 1]) or ``auto`` (binary when every
            score is 0 or 1).

    Raises:
        ComparisonError: lengths differ, nothing to compare, or a score that is no number in range.
        StudyError: an unknown kind.
    """
    if kind not in KINDS:
        raise StudyError(f"unknown kind of score {kind!r}{nearest(kind, KINDS)}")
    left, right = checked_scores(base, "base"), checked_scores(tuned, "tuned")
    if len(left) != len(right):
        raise ComparisonError(
            "both arms must be scored on the same items: "
            f"found {len(left)} base and {len(right)} tuned scores; align them by item first"
        )
    whole = _only_zero_or_one(left) and _only_zero_or_one(right)
    if kind == "binary" and not whole:
        raise ComparisonError(
            "binary scores must be 0 or 1: found others; declare the suite's kind as graded"
        )
    groups = None if clusters is None else cluster_numbers(clusters, len(left))
    binary = whole and kind != "graded"
    return Paired(difference=right - left, base=left, cluster=groups, binary=binary)


def checked_scores(scores: ArrayLike, arm: str) -> Floats:
    """Return scores as an array of shape (n,) after checking that each is a number in [0, 1]."""
    try:
        array = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ComparisonError(
            f"scores must be numbers: the {arm} scores hold something else; drop unscored items"
        ) from error
    if array.ndim != 1 or not array.size:
        raise ComparisonError(
            f"a comparison needs a list of at least one score per arm: found shape {array.shape} "
            f"for {arm}; check that any item was scored for both arms"
        )
    bad = np.flatnonzero(~((array >= 0.0) & (array <= 1.0)))
    if bad.size:
        raise ComparisonError(
            f"scores must lie in [0, 1]: found {array[bad[0]]:g} at position {bad[0]} of {arm}; "
            "drop unscored items and rescale the metric"
        )
    return array


def cluster_numbers(clusters: Iterable[Hashable], n: int) -> Ints | None:
    """Number the groups of n items from 0; None when every item is its own group."""
    seen: dict[Hashable, int] = {}
    numbers = np.fromiter((seen.setdefault(key, len(seen)) for key in clusters), dtype=np.int64)
    if len(numbers) != n:
        raise ComparisonError(
            f"clusters must name the group of every item: found {len(numbers)} for {n} items; "
            "give one per score"
        )
    return None if len(seen) == n else numbers


def checked_declaration(*, margin: float, alpha: float, beta: float, tails: str = "graded") -> None:
    """Check what a suite declares about its gate before any tuned answer is scored.

    Raises:
        StudyError: a margin outside (0, 1), a rate outside (0, 0.5), or unknown tails.
    """
    if tails not in TAILS:
        raise StudyError(f"unknown tails {tails!r}{nearest(tails, TAILS)}")
    if not SMALLEST <= margin < 1.0:
        raise StudyError(
            f"a margin must lie between 0 ({SMALLEST:g}) and 1: found {margin:g}; "
            "declare the largest drop that would not matter, such as 0.03"
        )
    for name, rate in (("alpha", alpha), ("beta", beta)):
        if not SMALLEST <= rate < 0.5:
            raise StudyError(
                f"{name} must lie between 0 ({SMALLEST:g}) and 0.5: found {rate:g}; 0.05 is usual"
            )


def _only_zero_or_one(scores: Floats) -> bool:
    return bool(np.all((scores == 0.0) | (scores == 1.0)))
