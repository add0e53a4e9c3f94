"""Which scoring function judges a suite, and rating answers that were produced elsewhere."""

from harness.rating.input_rows import read_rows
from harness.rating.judges import JUDGES, Judge, judge_all
from harness.rating.rate_rows import RULES, rate

__all__ = ["JUDGES", "RULES", "Judge", "judge_all", "rate", "read_rows"]
