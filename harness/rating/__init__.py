"""Which scoring function judges a suite, and rating answers that were produced elsewhere."""

from harness.rating.elsewhere import RULES, rate
from harness.rating.judges import JUDGES, Judge, judge_all
from harness.rating.rows import read_rows

__all__ = ["JUDGES", "RULES", "Judge", "judge_all", "rate", "read_rows"]
