"""The SQL judge: execution accuracy of generated queries, also on neighbour databases, and causes.

`judge` scores one answer, `judge_rows` a file of them, `process_results` works inside lm-eval.
The steps are ``parse`` (extract the statement), ``execute`` (sandbox), ``compare`` (results),
``neighbours`` (does a match survive?) and ``explain`` (why not); ``judge`` joins them. Who decides
that a statement is refused: ``parse.extract`` by its kind, ``execute.jail`` by what it asks for.
"""

from harness.sql.batch import check_databases, judge, judge_rows, process_results
from harness.sql.compare.policy import Policy
from harness.sql.execute.database import Database
from harness.sql.execute.postgres import databases_at
from harness.sql.judge import Judge
from harness.sql.parse.extract import Extraction, extract
from harness.sql.question import RULES, SEED, Question, Rule, check_rule

__all__ = [
    "RULES",
    "SEED",
    "Database",
    "Extraction",
    "Judge",
    "Policy",
    "Question",
    "Rule",
    "check_databases",
    "check_rule",
    "databases_at",
    "extract",
    "judge",
    "judge_rows",
    "process_results",
]
