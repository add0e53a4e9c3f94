"""By what a conversation is scored: recall where its rows have accepted answers, else a measure.

Whole dialogues are scored by their probes where rows have any, else by the measure; it is a column
beside the probes.

The measure becomes part of the suite before the first answer and stays in the lock: a package that
is installed or missing later never changes what a score means.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.errors import DataError, StudyError
from harness.rating.embedding import best, check_measure
from harness.records import Kind, Suite
from harness.scoring.dialogue import THRESHOLDS, metric_of
from harness.scoring.dialogues.scripted_dialogue import has_probes
from harness.suites import catalogue

JUDGE, DIALOGUES = "coherence", "conversation"
TITLE = "Fit of replies"


def with_measure(
    suite: Suite, docs: Sequence[Mapping[str, object]], *, asked: str | None, kept: str | None
) -> Suite:
    """Return a suite with what its scores are measured by.

    Args:
        suite: As its YAML declares it.
        docs: All of its rows.
        asked: The study's ``measure``.
        kept: The measure with which an earlier run of the same folder was declared.

    Raises:
        StudyError: If a measure is asked for where none is used, or there is no such measure.
        DataError: If some rows have accepted answers and others have none.
        MissingMeasureError: If the measure's package is not installed.
    """
    if suite.judge == DIALOGUES:
        return _of_dialogues(suite, docs, check_measure(asked or kept or best()))
    lacking = [number for number, doc in enumerate(docs, start=1) if doc.get("answers") is None]
    if suite.judge != JUDGE or not lacking:
        if asked:
            why = "its rows have accepted answers" if suite.judge == JUDGE else "its judge has none"
            raise StudyError(
                f"a measure is for conversations without accepted answers: suite {suite.name!r} "
                f"declares {asked!r}, and {why}; leave 'measure' out"
            )
        return suite
    if len(lacking) < len(docs):
        raise DataError(
            f"either all rows of a conversation suite have accepted 'answers' or none: of "
            f"{suite.name!r}, {len(lacking)} of {len(docs)} lack them, the first is row "
            f"{lacking[0]}; split the file into two suites"
        )
    title = TITLE if suite.name in catalogue.builtin_suites() else suite.title
    return replace(_by(suite, check_measure(asked or kept or best())), title=title)


def _by(suite: Suite, measure: str) -> Suite:
    """Return a suite that is decided by a measure."""
    metric = metric_of(measure)
    return replace(
        suite,
        metric=metric,
        kind="graded",
        measure=measure,
        threshold=THRESHOLDS[measure],
        agreement=catalogue.agreement(catalogue.read_config(catalogue.path_of(JUDGE)), metric),
    )


SEVERAL: dict[str, dict[str, Kind]] = {"summary": {"sound": "binary", "rougeL": "graded"}}
"""Judge -> the metrics that can decide, each with the kind of its scores."""


def decided_by(suite: Suite, metric: str) -> Suite:
    """Return a suite whose judge decides by another of its metrics.

    Raises:
        StudyError: If the judge does not decide by that metric.
    """
    kinds = SEVERAL.get(suite.judge or "", {suite.metric: suite.kind})
    if metric not in kinds:
        which = " or ".join(kinds)
        raise StudyError(
            f"the {suite.judge} judge decides by {which}: found metric {metric!r} for "
            f"{suite.name!r}; leave it out (the others stand in columns beside it)"
        )
    return replace(suite, metric=metric, kind=kinds[metric])


def check_references(suite: Suite, docs: Sequence[Mapping[str, object]]) -> Suite:
    """Refuse to decide by overlap with a reference where rows have none.

    Raises:
        DataError: Naming the first row without one.
    """
    lacking = [
        number
        for number, doc in enumerate(docs, start=1)
        if not str(doc.get("summary") or "").strip()
    ]
    if suite.judge == "summary" and suite.metric != "sound" and lacking:
        raise DataError(
            f"{suite.metric} needs a reference 'summary' in every row: {len(lacking)} of "
            f"{len(docs)} of {suite.name!r} have none, the first is row {lacking[0]}; decide by "
            "'metric: sound', which needs none"
        )
    return suite


def _of_dialogues(suite: Suite, docs: Sequence[Mapping[str, object]], measure: str) -> Suite:
    lacking = [number for number, doc in enumerate(docs, start=1) if not has_probes(doc)]
    if not lacking:
        return replace(suite, measure=measure)
    if len(lacking) < len(docs):
        raise DataError(
            f"either all rows of a conversation suite have probes or none: of {suite.name!r}, "
            f"{len(lacking)} of {len(docs)} lack them, the first is row {lacking[0]}; split the "
            "file into two suites"
        )
    return _by(suite, measure)
