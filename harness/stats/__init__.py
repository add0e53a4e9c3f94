"""Statistics of a gate: paired scores in, a decision with known error rates out.

Pure functions over numbers, no files and no models; scipy's slow parts are imported where used.
"""

from harness.stats.betting import betting_p, e_process
from harness.stats.clusters import design_effect, intraclass_correlation, shared_clusters
from harness.stats.corpus_metrics import bleu, decide_corpus, mean_log_likelihood
from harness.stats.decide import decide
from harness.stats.looks import Schedule, look_sizes, shuffled_order
from harness.stats.macro_f1 import label_f1, label_statistics, macro_f1, macro_f1_of
from harness.stats.means import MeanInterval, interval_of_mean
from harness.stats.multiplicity import holm, intersection_union
from harness.stats.paired import mcnemar_exact
from harness.stats.planning import Plan, plan
from harness.stats.recipe import decide_recipe
from harness.stats.sequential import Scores, SequentialDecision, decide_sequentially
from harness.stats.units import clusters_needed, effective_count

__all__ = [
    "MeanInterval",
    "Plan",
    "Schedule",
    "Scores",
    "SequentialDecision",
    "betting_p",
    "bleu",
    "clusters_needed",
    "decide",
    "decide_corpus",
    "decide_recipe",
    "decide_sequentially",
    "design_effect",
    "e_process",
    "effective_count",
    "holm",
    "intersection_union",
    "interval_of_mean",
    "intraclass_correlation",
    "label_f1",
    "label_statistics",
    "look_sizes",
    "macro_f1",
    "macro_f1_of",
    "mcnemar_exact",
    "mean_log_likelihood",
    "plan",
    "shared_clusters",
    "shuffled_order",
]
