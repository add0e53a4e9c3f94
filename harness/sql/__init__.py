"""The SQL judge: does a generated query answer the question, and if not, why?

`judge` decides on one answer, `judge_rows` on a file of them, `process_results` inside lm-eval.
Generated SQL runs only in killable child processes (``sandbox``), read-only.
"""

from harness.sql.batch import judge, judge_rows, process_results
from harness.sql.compare.policy import Policy
from harness.sql.execute.database import Database
from harness.sql.judge import Judge
from harness.sql.parse.extract import Extraction, extract
from harness.sql.question import RULES, SEED, Question, Rule

__all__ = [
    "RULES",
    "SEED",
    "Database",
    "Extraction",
    "Judge",
    "Policy",
    "Question",
    "Rule",
    "extract",
    "judge",
    "judge_rows",
    "process_results",
]
