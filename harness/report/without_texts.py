"""A result for passing around: every figure, and no text of a question or an answer."""

import hashlib
import re
from collections.abc import Set
from dataclasses import replace

from harness.analysis.groups.facets import MADE_NAMES
from harness.records import Arm, Comparison, Finding, Pair, Result, Review, Sample, TrainingData

LEFT_OUT = "(text left out)"
LONGEST, MOST_WORDS = 40, 4
"""Characters and words up to which the value of a group is a name, not a text."""

_LABEL = re.compile(r"[\w.:-]{1,40}")
_NAMED_ITEMS = re.compile(r"(must-pass items (?:failed|have no score)): .*", re.DOTALL)
_FOLDERS = re.compile(r"(?<![\w.:/\\-])(?:~|[A-Za-z]:)?[/\\](?:[^\s/\\'\",;()<>]+[/\\])+")
"""The folders of an absolute path, up to its last part; no address of a server."""


def without_texts(result: Result) -> Result:
    """Return a result whose reports keep figures, labels and groups, and no row's text.

    Names of suites, candidates and groups of items stay: they are what figures are about. Groups by
    fields that no suite declares, and what lost items have in common, are words of the rows and go,
    as do rows' own ids and the folders of paths. A group's value or a label that is no short name
    is a text: the value becomes a hash, the label is left out.
    """
    declared = {name for suite in result.suites for name in suite.slices}
    clusters = {name for s in result.suites for name in (s.cluster, s.strata) if name}
    named = declared | clusters | MADE_NAMES
    reasons = [(c.reason, _reason(c.reason)) for c in result.comparisons if c.reason]
    recommendation = result.recommendation
    for whole, short in reasons:
        recommendation = recommendation.replace(whole, short)
    notes = map(_without_folders, result.notes)
    return replace(
        result,
        base_model=_without_folders(result.base_model),
        arms=tuple(map(_arm, result.arms)),
        comparisons=tuple(_comparison(comparison, named) for comparison in result.comparisons),
        findings=tuple(_finding(f) for f in result.findings if _is_nameable(f, named)),
        groups={
            key: tuple(map(_group, (name for name in names if name.partition(": ")[0] in named)))
            for key, names in result.groups.items()
        },
        data=tuple(map(_data, result.data)),
        reviews=tuple(map(_review, result.reviews)),
        recommendation=_without_folders(recommendation),
        notes=(*notes, "The texts of questions and answers were left out of this report."),
    )


def _without_folders(text: str) -> str:
    return _FOLDERS.sub("…/", text)


def _reason(reason: str) -> str:
    """Return why a check failed, without what its rows call themselves."""
    return _without_folders(_NAMED_ITEMS.sub(r"\1 (their names are left out)", reason))


def _value(value: str) -> str:
    """Return a group's value where it is a name; a text becomes a hash that tells it from others.

    >>> _value("physics"), _value("the whole sentence that a customer wrote")
    ('physics', 'text 1f6af4b7')
    """
    if len(value) <= LONGEST and len(value.split()) <= MOST_WORDS:
        return value
    return f"text {hashlib.sha256(value.encode()).hexdigest()[:8]}"


def _group(name: str) -> str:
    field, _, value = name.partition(": ")
    return f"{field}: {_value(value)}"


def _label(label: str) -> str:
    return label if _LABEL.fullmatch(label) else "label_left_out"


def _arm(arm: Arm) -> Arm:
    settings = {
        name: _without_folders(value) if isinstance(value, str) else value
        for name, value in arm.settings.items()
    }
    return replace(arm, path=None, note=_without_folders(arm.note), settings=settings)


def _comparison(comparison: Comparison, named: Set[str]) -> Comparison:
    pairs, listed = (
        tuple(_pair(pair, named) for pair in part) for part in (comparison.pairs, comparison.listed)
    )
    return replace(comparison, pairs=pairs, listed=listed, reason=_reason(comparison.reason))


def _pair(pair: Pair, named: Set[str]) -> Pair:
    return replace(pair, base=_sample(pair.base, named), tuned=_sample(pair.tuned, named))


def _sample(sample: Sample, named: Set[str]) -> Sample:
    item = replace(
        sample.item,
        prompt=LEFT_OUT,
        target=LEFT_OUT,
        doc={},
        arguments=(),
        cluster="",
        slices={name: _value(v) for name, v in sample.item.slices.items() if name in named},
    )
    responses = tuple(
        replace(
            response,
            text=None if response.text is None else LEFT_OUT,
            thought=None if response.thought is None else "",
            unscored=None if response.unscored is None else LEFT_OUT,
        )
        for response in sample.responses
    )
    verdict = replace(
        sample.verdict,
        answer=None,
        explanation="",
        details={},
        labels=tuple(map(_label, sample.verdict.labels)),
    )
    return replace(sample, item=item, responses=responses, verdict=verdict)


def _is_nameable(finding: Finding, named: Set[str]) -> bool:
    return finding.kind != "theme" and all(name in named for name, _ in finding.conditions)


def _finding(finding: Finding) -> Finding:
    """Drop the words of a warning, which may quote an answer, and texts that name a group."""
    if finding.kind == "warning":
        return replace(finding, text="")
    title, text = finding.title, finding.text
    found = [(value, _value(value)) for _, value in finding.conditions]
    if finding.kind == "cause":
        found = [(title, _label(title))]
    for whole, short in found:
        title, text = title.replace(whole, short), text.replace(whole, short)
    conditions = tuple((name, _value(value)) for name, value in finding.conditions)
    return replace(finding, title=title, text=text, conditions=conditions)


def _review(review: Review) -> Review:
    """Drop what raters wrote, which may quote an answer."""
    return replace(review, ratings=tuple(replace(each, comment="") for each in review.ratings))


def _data(data: TrainingData) -> TrainingData:
    copies = tuple(
        replace(copy, shared="", origin=_without_folders(copy.origin)) for copy in data.copies
    )
    return replace(data, copies=copies, source=_without_folders(data.source))
