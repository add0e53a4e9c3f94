"""Which scoring function judges a suite, and rating answers that were produced elsewhere."""

from harness.rating.input_rows import read_rows
from harness.rating.judges import JUDGES, JudgeFunction, judge_all, judge_by
from harness.rating.rate_rows import rate
from harness.rating.rated_file import rate_file

__all__ = ["JUDGES", "JudgeFunction", "judge_all", "judge_by", "rate", "rate_file", "read_rows"]
