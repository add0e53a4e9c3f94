"""Which scoring function judges a suite, and rating answers that were produced elsewhere."""

from harness.rating.input_rows import read_rows
from harness.rating.judges import JUDGES, JudgeFunction, judge_all
from harness.rating.rate_rows import rate

__all__ = ["JUDGES", "JudgeFunction", "judge_all", "rate", "read_rows"]
