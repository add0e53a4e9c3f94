"""A result for passing around: every figure, and no text of a question or an answer."""

from collections.abc import Set
from dataclasses import replace

from harness.analysis.groups.facets import MADE_NAMES
from harness.records import Comparison, Finding, Pair, Result, Review, Sample, TrainingData

LEFT_OUT = "(text left out)"


def without_texts(result: Result) -> Result:
    """Return a result whose reports keep figures, labels, groups and ids, and no row's text.

    Names of suites, candidates, groups of items and rows' ids stay: they are what figures are
    about. Groups by fields that no suite declares, and what lost items have in common, are words
    of the rows and go.
    """
    declared = {name for suite in result.suites for name in suite.slices}
    clusters = {name for s in result.suites for name in (s.cluster, s.strata) if name}
    named = declared | clusters | MADE_NAMES
    return replace(
        result,
        comparisons=tuple(map(_comparison, result.comparisons)),
        findings=tuple(_finding(f) for f in result.findings if _is_nameable(f, named)),
        groups={
            key: tuple(name for name in names if name.partition(": ")[0] in named)
            for key, names in result.groups.items()
        },
        data=tuple(map(_data, result.data)),
        reviews=tuple(map(_review, result.reviews)),
        notes=(*result.notes, "The texts of questions and answers were left out of this report."),
    )


def _comparison(comparison: Comparison) -> Comparison:
    return replace(comparison, pairs=tuple(map(_pair, comparison.pairs)))


def _pair(pair: Pair) -> Pair:
    return replace(pair, base=_sample(pair.base), tuned=_sample(pair.tuned))


def _sample(sample: Sample) -> Sample:
    item = replace(sample.item, prompt=LEFT_OUT, target=LEFT_OUT, doc={}, arguments=())
    responses = tuple(
        replace(response, text=None if response.text is None else LEFT_OUT)
        for response in sample.responses
    )
    verdict = replace(sample.verdict, answer=None, explanation="", details={})
    return replace(sample, item=item, responses=responses, verdict=verdict)


def _is_nameable(finding: Finding, named: Set[str]) -> bool:
    return all(name in named for name, _ in finding.conditions)


def _finding(finding: Finding) -> Finding:
    """Drop the words of a warning, which may quote an answer; its title and counts stay."""
    return replace(finding, text="") if finding.kind == "warning" else finding


def _review(review: Review) -> Review:
    """Drop what raters wrote, which may quote an answer."""
    return replace(review, ratings=tuple(replace(each, comment="") for each in review.ratings))


def _data(data: TrainingData) -> TrainingData:
    return replace(data, copies=tuple(replace(copy, shared="") for copy in data.copies))
