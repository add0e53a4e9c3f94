"""Statistics of a gate: paired scores in, a decision with known error rates out.

Pure functions over numbers, no files and no models; scipy's slow parts are imported where used.
"""

from harness.stats.clusters import design_effect, intraclass_correlation
from harness.stats.decide import decide
from harness.stats.multiplicity import Adjusted, family_verdicts, holm, intersection_union
from harness.stats.sequential import decide_sequentially, look_sizes, shuffled_order

__all__ = [
    "Adjusted",
    "decide",
    "decide_sequentially",
    "design_effect",
    "family_verdicts",
    "holm",
    "intersection_union",
    "intraclass_correlation",
    "look_sizes",
    "shuffled_order",
]
