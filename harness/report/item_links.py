"""Links from a figure to its items: addresses of the item browser, and groups made for figures."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from urllib.parse import urlencode

from harness.analysis import named
from harness.analysis.choice_patterns import choice_groups
from harness.analysis.confusion import label_groups
from harness.display_text import visible
from harness.records import Comparison, Finding, ItemKey

ARMS = ("base", "candidate")


def items_link(candidate: str, suite: str, **filters: str) -> str:
    """Return the address of a comparison's items, by the item browser's filters.

    >>> items_link("narrow", "sql", show="lost")
    '#candidate=narrow&suite=sql&show=lost'
    """
    wanted = {"candidate": candidate, "suite": suite, **filters}
    return "#" + urlencode({key: visible(value) for key, value in wanted.items() if value})


def cause_link(finding: Finding, arm: str = "", show: str = "") -> str:
    """Return the address of the items whose answer by one arm has a cause, or by either."""
    return items_link(finding.candidate, finding.suite, label=finding.title, arm=arm, show=show)


def warning_links(finding: Finding) -> tuple[str, str]:
    """Return the addresses of the items that show a warning, of the base and of the candidate."""
    base, tuned = (
        items_link(finding.candidate, finding.suite, slice=named((finding.title, arm)))
        for arm in ARMS
    )
    return base, tuned


def pair_groups(
    comparison: Comparison, findings: Sequence[Finding]
) -> Mapping[ItemKey, tuple[str, ...]]:
    """Name the groups that a pair is in by what its two answers are, for figures to lead to.

    Args:
        comparison: One candidate on one suite.
        findings: All findings of the run.

    Returns:
        Of each item that is in any, the names of its groups: the letters of a choice, the bins of
        confidence, the label that is named for the right one, and what warnings count.
    """
    found: dict[ItemKey, list[str]] = {}
    made = (choice_groups(comparison), label_groups(comparison), _warned(comparison, findings))
    for key, group in chain.from_iterable(made):
        found.setdefault(key, []).append(named(group))
    return {key: tuple(names) for key, names in found.items()}


def _warned(
    comparison: Comparison, findings: Sequence[Finding]
) -> Iterable[tuple[ItemKey, tuple[str, str]]]:
    mine = (comparison.candidate, comparison.suite.name)
    for finding in findings:
        if finding.kind == "warning" and (finding.candidate, finding.suite) == mine:
            for arm, keys in zip(ARMS, (finding.base_keys, finding.tuned_keys), strict=True):
                yield from ((key, (finding.title, arm)) for key in keys)
