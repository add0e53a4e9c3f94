"""Error analysis: which items moved, which causes changed, which groups of items differ.

Everything here is pure: samples in, pairs and findings out. Findings describe; only
``harness.stats`` decides.
"""

from harness.analysis.causes import causes, primary_label
from harness.analysis.labels import plain
from harness.analysis.slices import slices
from harness.analysis.symptoms import symptoms
from harness.analysis.transitions import TRANSITIONS, answer_text, choices, pair, target_text
from harness.records import Comparison, Finding

__all__ = [
    "TRANSITIONS",
    "answer_text",
    "choices",
    "findings",
    "pair",
    "plain",
    "primary_label",
    "target_text",
]


def findings(comparison: Comparison) -> tuple[Finding, ...]:
    """Run all error analyses on one comparison.

    Args:
        comparison: Base against one candidate on one suite.

    Returns:
        Warnings first (something may be wrong with the measurement), then the causes of wrong
        answers by how much their share changed, then the slices from the largest loss to the
        largest gain. Intervals within one kind hold jointly (Bonferroni), and none of them
        takes part in the decision.
    """
    return symptoms(comparison) + causes(comparison) + slices(comparison)
