"""Check that a sweep's winner is judged by items that did not choose it."""

from collections.abc import Sequence

from harness.errors import DataError
from harness.pipeline.checks.training_rows import copies
from harness.records import Item
from harness.study import CandidateSection
from harness.training import TrainingRows


def check_sweep_leakage(
    candidate: CandidateSection, rows: TrainingRows, items: Sequence[Item], *, exclude: bool
) -> None:
    """Refuse a sweep whose held-out rows, which choose the winner, contain items that judge it.

    Args:
        candidate: Nothing is checked unless it has a ``sweep``.
        rows: Its rows.
        items: The items of all suites.
        exclude: Whether items in training rows are left out of the decision: rows split off the
            training rows may then be copies.

    Raises:
        DataError: If they do, with the first of them.
    """
    if candidate.sweep is None or (rows.validation is None and exclude):
        return
    found = copies(rows.held_out_examples, items)
    if found:
        first = found[0]
        raise DataError(
            f"the sweep of candidate {candidate.name!r} must be judged by items that did not "
            f"choose its winner: {len(found)} of {len(items)} items are in the held-out rows, "
            f"the first of suite {first.item[0]!r} in {first.origin}; take these rows out, or "
            "set 'data: overlap: exclude'"
        )
