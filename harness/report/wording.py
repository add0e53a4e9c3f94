"""How a report words numbers and decisions: plain words first, the technical term beside them."""

import math
from collections.abc import Sequence

from harness.records import (
    Comparison,
    Decision,
    Finding,
    GateVerdict,
    Label,
    Result,
    Suite,
    has_own_prompts,
)
from harness.stats import SequentialDecision

MINUS = "−"

LABEL_TERMS: dict[Label, str] = {
    "improved": "improved",
    "unchanged": "unchanged",
    "not_worse": "not worse",
    "regressed_within_margin": "worse, within margin",
    "regressed": "regressed",
    "inconclusive": "inconclusive",
}
"""Labels as a table names them: those of ``gate.json``, but one, which would be taken for a loss
that does not pass."""
LABEL_WORDS: dict[Label, str] = {
    **LABEL_TERMS,
    "improved": "better",
    "regressed": "worse",
    "inconclusive": "undecided",
}
"""Labels in plain words."""
LABEL_SYMBOLS: dict[Label, str] = {
    "improved": "▲",
    "unchanged": "=",
    "not_worse": "≥",
    "regressed_within_margin": "▽",
    "regressed": "▼",
    "inconclusive": "?",
}
VERDICT_WORDS: dict[GateVerdict, str] = {
    "pass": "ships",
    "fail": "do not ship",
    "inconclusive": "not decided yet",
    "invalid": "cannot be judged",
}
VERDICT_PHRASES: dict[GateVerdict, str] = {
    "pass": "ships",
    "fail": "does not ship",
    "inconclusive": "is undecided",
    "invalid": "cannot be judged",
}
VERDICT_PLURALS: dict[GateVerdict, str] = {
    "pass": "ship",
    "fail": "do not ship",
    "inconclusive": "are undecided",
    "invalid": "cannot be judged",
}
VERDICT_SYMBOLS: dict[GateVerdict, str] = {
    "pass": "✓",
    "fail": "✗",
    "inconclusive": "?",
    "invalid": "!",
}
TRANSITION_WORDS = {
    "both_right": "right before and after",
    "gained": "gained: wrong before, right after",
    "lost": "lost: right before, wrong after",
    "both_wrong": "wrong before and after",
    "unscored": "without a score",
}


def signed(change: float) -> str:
    """Format a change of a score in points of a hundred.

    >>> signed(0.8412), signed(-0.006), signed(-0.0001)
    ('+84', '−0.6', '0.0')
    """
    points = change * 100
    text = f"{abs(points):.0f}" if abs(points) >= 9.95 else f"{abs(points):.1f}"
    if float(text) == 0:
        return "0.0"
    return ("+" if points > 0 else MINUS) + text


def precise(change: float) -> str:
    """Format a change in points with one decimal always, for columns of numbers.

    >>> precise(0.8412)
    '+84.1'
    """
    text = f"{abs(change) * 100:.1f}"
    return text if float(text) == 0 else ("+" if change > 0 else MINUS) + text


def prompts_told(result: Result) -> str:
    """Say which candidates read the items by a base of their own; empty where none does."""
    own = [
        f"{arm.name} ({arm.base.title})"
        for arm in result.arms
        if arm.base and has_own_prompts(arm, result.arms)
    ]
    if not own:
        return ""
    what = "answers on a base of its own" if len(own) == 1 else "answer on bases of their own"
    return (
        f"Prompts differ: {', '.join(own)} {what}, whose chat template and tokenizer made the "
        "prompts; items are paired by their rows, and what is compared is which of them each side "
        "gets right"
    )


def percent(share: float | None) -> str:
    """Format a score or a share as a percentage.

    >>> percent(0.8412), percent(None)
    ('84.1%', '–')
    """
    return "–" if share is None or not math.isfinite(share) else f"{share * 100:.1f}%"


def between(low: float, high: float) -> str:
    """Format the interval of a change.

    >>> between(-0.024, 0.012)
    'between −2.4 and +1.2'
    """
    return f"between {precise(low)} and {precise(high)}"


def sureness(p_value: float | None) -> str:
    """Word how sure a change is, from its one-sided p-value.

    >>> sureness(0.0002), sureness(0.03)
    ('practically certain', 'clear')
    """
    if p_value is None:
        return ""
    if p_value < 0.001:
        return "practically certain"
    if p_value < 0.01:
        return "very clear"
    return "clear" if p_value < 0.05 else "uncertain"


def title_of(comparison: Comparison) -> str:
    """Return the suite's title for people, else its name, and what its judge allows."""
    suite = comparison.suite
    title = suite_title(suite)
    return f"{title} (allowing {', '.join(suite.allow)})" if suite.allow else title


def suite_title(suite: Suite) -> str:
    """Return the suite's title for people, else its name, and how its metric is to be read.

    >>> suite_title(Suite(name="bias", metric="share", higher_is_better=False))
    'bias (lower share is better)'
    """
    read = reading(suite)
    return f"{suite.heading} ({read})" if read else suite.heading


def reading(suite: Suite) -> str:
    """Word how a metric is read; empty where more is better and it lies between 0 and 1.

    >>> reading(Suite(name="coherence", metric="coherence_minilm", measure="minilm"))
    'by minilm'
    """
    low, high = suite.scale
    said = [f"by {suite.measure}"] if suite.is_measured else []
    said += [] if suite.higher_is_better else [f"lower {suite.metric} is better"]
    if suite.scale != (0.0, 1.0):
        said.append(f"in % of {low:g} to {high:g}")
    return ", ".join(said)


def check_sentence(comparison: Comparison) -> str:
    """Word one check as a clause of the headline, with how sure it is.

    A regression says what was lost, an undecided check what would decide it, an early end how
    many items it took.
    """
    return _sentence(comparison) + early(comparison)


def early(comparison: Comparison) -> str:
    """Word after how many items a suite was decided, where that was before the last one."""
    decision = comparison.decision
    if not isinstance(decision, SequentialDecision) or decision.used == decision.planned:
        return ""
    return f", decided after {decision.used:,} of {decision.planned:,} items"


def _sentence(comparison: Comparison) -> str:
    decision, name = comparison.decision, title_of(comparison)
    if decision is None or comparison.verdict == "invalid":
        return f"{name}: {comparison.reason or 'cannot be judged'}"
    extent = between(decision.ci_low, decision.ci_high)
    if comparison.verdict == "fail" and comparison.reason:
        return f"{name}: {comparison.reason} ({signed(decision.delta)}, {extent})"
    if comparison.verdict == "fail":
        sure = sureness(comparison.p_adjusted or decision.p_regression)
        moved = "lost" if comparison.suite.higher_is_better else "rose by"
        return f"{name} {moved} {signed(decision.delta)[1:]} points ({extent}; {sure})"
    if comparison.verdict == "inconclusive":
        why = f"; {comparison.reason}" if comparison.reason else needed(decision)
        return f"{name} undecided ({signed(decision.delta)}, {extent}{why})"
    if decision.label == "improved":
        return f"{name} {signed(decision.delta)} points ({extent})"
    return f"{name} {LABEL_WORDS[decision.label]} ({signed(decision.delta)}, {extent})"


def needed(decision: Decision) -> str:
    """Word how many items would decide an undecided check, where that is known."""
    if not decision.items_needed:
        return ""
    return f"; about {decision.items_needed:,} items in all would decide"


def short_clause(comparison: Comparison) -> str:
    """Word one check in the fewest words, for a terminal line or a comment's first line."""
    decision, name = comparison.decision, title_of(comparison)
    if decision is None:
        return f"{name} not judged"
    if decision.label == "improved":
        return f"{name} {signed(decision.delta)}"
    return f"{name} {LABEL_WORDS[decision.label]} ({signed(decision.delta)})"


def level(comparisons: Sequence[Comparison]) -> str:
    """Format the level of the intervals, such as ``90%``."""
    alphas = sorted({c.decision.alpha for c in comparisons if c.decision})
    return " or ".join(f"{100 * (1 - 2 * alpha):g}%" for alpha in alphas) or "90%"


def agreements(suites: Sequence[Suite]) -> list[tuple[str, str]]:
    """Return the titles of suites whose scores were held against people's, with the finding."""
    return [(suite_title(suite), suite.agreement) for suite in suites if suite.agreement]


def grouping(suite: Suite) -> str:
    """Say what a decision on a suite is about: things like these, or these alone.

    >>> grouping(Suite(name="sql", metric="acc", cluster="db_id"))
    'items grouped by db_id: a sample, so the decision is about others like these, too'
    """
    if suite.strata:
        return f"within these {suite.strata} only: the decision says nothing about others"
    if suite.cluster:
        return (
            f"items grouped by {suite.cluster}: a sample, so the decision is about others like "
            "these, too"
        )
    return "every item on its own"


def counted(finding: Finding) -> str:
    """Return what a finding counts before and after, or its change where it counts no items."""
    if not finding.total:
        return f"{precise(finding.delta or 0.0)} points"
    return f"{finding.base_count:,} → {finding.tuned_count:,} of {finding.total:,}"
