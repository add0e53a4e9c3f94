"""A sweep's winner is judged by items that did not choose it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness import training
from harness.errors import DataError
from harness.pipeline.checks.training_rows import Prepared, copies
from harness.study import Study

if TYPE_CHECKING:
    from harness.engine import LoadedSuite


def check_disjoint(
    study: Study, prepared: Mapping[str, Prepared], loaded: Sequence["LoadedSuite"]
) -> None:
    """Refuse a sweep whose held-out rows, which choose the winner, hold items that judge it.

    Raises:
        DataError: If they do, with the first of them; where the study leaves such items out of the
            verdict, rows split off the training rows may stay.
    """
    items = [item for suite in loaded for item in suite.items]
    for candidate in study.candidates:
        rows = prepared.get(candidate.name)
        if candidate.sweep is None or rows is None:
            continue
        if not rows.validation and study.data.overlap == "exclude":
            continue
        held = rows.validation or training.split(candidate, rows.examples, seed=study.seed)[1]
        found = copies(held, items)
        if found:
            first = found[0]
            raise DataError(
                f"the sweep of candidate {candidate.name!r} must be judged by items that did not "
                f"choose its winner: {len(found)} of {len(items)} items are in the held-out rows, "
                f"the first of suite {first.item[0]!r} in {first.origin}; take these rows out, or "
                "set 'data: overlap: exclude'"
            )
