"""Sheets for raters of a run, and their ratings into its report."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from harness import review
from harness.errors import StudyError, nearest
from harness.pipeline.conclude import conclude, reopen
from harness.pipeline.progress import Progress
from harness.records import Comparison, Result
from harness.store.run_folder import RunFolder
from harness.study import ReviewSection, Study


def draw_declared(folder: RunFolder, study: Study, result: Result) -> None:
    """Draw and write the sheets that a study asks for; a draw that is there stays as it is."""
    if study.review and study.review.items_per_suite:
        seed = study.seed if study.review.seed is None else study.review.seed
        sets = draw(result.comparisons, study.review, seed=seed)
        review.write_sheets(sets, folder.review, seed=seed, raters=study.review.raters)


def draw(
    comparisons: Sequence[Comparison], asked: ReviewSection, *, seed: int
) -> tuple[review.DrawnSet, ...]:
    """Draw what raters are to see; nothing is written.

    Raises:
        StudyError: If a suite is asked for that is not there, or a field that no row has.
    """
    names = list(dict.fromkeys(each.suite.name for each in comparisons))
    forms = asked.forms(names)
    for name in (*asked.suites, *forms):
        if name not in names:
            raise StudyError(
                f"raters see suites of the run: {name!r} is none{nearest(name, names)}"
            )
    chosen = [each for each in comparisons if not asked.suites or each.suite.name in asked.suites]
    fields = set(chain.from_iterable(map(_fields, chosen)))
    if asked.by and asked.by not in fields:
        known = nearest(asked.by, fields)
        raise StudyError(f"strata are split by what rows have: {asked.by!r} is in none{known}")
    return review.draw_sets(
        chosen,
        items=asked.items_per_suite,
        seed=seed,
        by=asked.by or "",
        forms=forms,
    )


def _fields(comparison: Comparison) -> set[str]:
    """Return what strata of a comparison can be split by."""
    items = (pair.base.item for pair in comparison.pairs)
    return {review.LABEL}.union(*((*item.slices, *item.doc) for item in items))


def collect(
    folder: RunFolder, place: Path, files: Sequence[Path], progress: Progress
) -> review.Collected:
    """Add ratings to those of a run, keep them, and report the run again.

    Args:
        folder: The run.
        place: Where the key is: a draw's folder, or that of all draws.
        files: What came back.
        progress: Where the report's progress goes.

    Raises:
        HarnessError: See `review.collect`; or the run can no longer be reported, which costs no
            rating.
    """
    with folder.held():
        collected = review.collect(place, files)
        review.keep(collected)
        if collected.draws:
            _, result = reopen(folder)
            conclude(folder, result, progress)
    return collected
