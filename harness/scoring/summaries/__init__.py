"""Summaries: faults that rules can find in the source, and overlap with a reference.

`summary` gives the verdict; `harness.scoring.summaries.grounding` says what the source does not
state, `harness.scoring.summaries.rouge` counts what is shared with a reference.
"""

from harness.scoring.summaries.summary_faults import METRICS, summary

__all__ = ["METRICS", "summary"]
