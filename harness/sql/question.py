"""What is asked of the judge: a gold query on a database, and the rule by which answers compare."""

from dataclasses import dataclass
from typing import Literal

from harness.errors import StudyError, nearest
from harness.sql.compare.policy import STRICT, Policy
from harness.sql.compare.published_rules import spider_text
from harness.sql.execute.database import Database, Engine
from harness.sql.parse.dialects import check_dialect, translated

Rule = Literal["harness", "spider", "bird"]
RULES: tuple[Rule, ...] = ("harness", "spider", "bird")
SEED = 20_260_101
"""Seed of the generated instances where a caller names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Everything of an item except the answer to be judged.

    ``policy`` says which disputed differences our own rule accepts; published rules have none.
    """

    gold_sql: str
    database: Database
    text: str = ""
    dialect: str = "sqlite"
    rule: Rule = "harness"
    policy: Policy = STRICT
    seed: int = SEED

    @property
    def engine(self) -> Engine:
        """The engine that runs both queries."""
        return self.database.engine

    def runnable(self, sql: str) -> str:
        """Return a statement as the engine is to run it under the question's rule."""
        if self.rule == "spider":
            return spider_text(sql)
        return translated(sql, self.dialect, self.engine)


def check(question: Question) -> None:
    """Raise StudyError if the rule or the dialect is unknown, or a published rule is changed."""
    check_rule(question.rule, question.policy)
    check_dialect(question.dialect)


def check_rule(rule: str, policy: Policy = STRICT) -> None:
    """Raise StudyError if there is no such comparison rule, or it allows no policy."""
    if rule not in RULES:
        raise StudyError(f"no comparison rule {rule!r}{nearest(rule, RULES)}")
    if rule != "harness" and policy != STRICT:
        raise StudyError(
            f"the rule {rule!r} is a published one and allows nothing beside it: found "
            f"{', '.join(policy.allowed)}; leave out the rule or what is allowed"
        )
