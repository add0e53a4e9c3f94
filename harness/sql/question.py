"""One SQL question: a gold query on a database, and the rule by which results are compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.errors import DataError, StudyError, nearest
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
    """Everything of an item except the answer to be judged: what `harness.rating` asks of a judge.

    ``policy`` says which disputed differences our own rule accepts; published rules have none.
    """

    gold_sql: str
    database: Database
    text: str = ""
    dialect: str = "sqlite"
    rule: Rule = "harness"
    policy: Policy = STRICT
    seed: int = SEED

    @classmethod
    def from_row(
        cls,
        row: Mapping[str, object],
        *,
        databases: Path | None = None,
        path: Path | None = None,
        rule: Rule = "harness",
        policy: Policy = STRICT,
    ) -> "Question":
        """Read a data row.

        Args:
            row: ``gold_sql``, and ``schema_sql`` or ``db_id``; optional ``question``, ``dialect``,
                ``tables``.
            databases: Where the database of a ``db_id`` is; see `database_file`.
            path: The row's database where the caller knows it.
            rule: The comparison rule.
            policy: Disputed differences that the judge accepts.

        Raises:
            DataError: If the gold or the database is missing.
        """
        gold, script, tables = row.get("gold_sql"), row.get("schema_sql"), row.get("tables")
        if not isinstance(gold, str) or not gold.strip():
            raise DataError(f"a row needs a text 'gold_sql': found {type(gold).__name__}")
        schema_sql = script if isinstance(script, str) else None
        if schema_sql is None:
            path = database_file(path or _named(row, databases))
        return cls(
            gold_sql=gold,
            database=Database(
                schema_sql=schema_sql,
                path=path if schema_sql is None else None,
                tables=tables if isinstance(tables, Mapping) else None,
                engine="duckdb" if row.get("dialect") == "duckdb" else "sqlite",
            ),
            text=str(row.get("question") or ""),
            dialect=str(row.get("dialect") or "sqlite"),
            rule=rule,
            policy=policy,
        )

    @property
    def engine(self) -> Engine:
        """The engine that runs both queries."""
        return self.database.engine

    def runnable(self, sql: str) -> str:
        """Return a statement as the engine is to run it under the question's rule."""
        if self.rule == "spider":
            return spider_text(sql)
        return translated(sql, self.dialect, self.engine)


def database_file(path: Path) -> Path:
    """Return the file of a database: ``path`` itself, or ``path/<name>.sqlite`` and the like.

    Raises:
        DataError: If there is none.
    """
    name, folder = path.name, path.parent
    files = (name, f"{name}/{name}.sqlite", f"{name}.sqlite", f"{name}.sql", f"{name}/{name}.sql")
    found = next((folder / file for file in files if (folder / file).is_file()), None)
    if found is None:
        raise DataError(f"no database {name!r} under {folder}: expected {name}/{name}.sqlite")
    return found


def named_database(row: Mapping[str, object], databases: Path) -> Path:
    """Return the file of the database that a row names by its ``db_id``.

    Raises:
        DataError: If it names none, or there is none.
    """
    return database_file(_named(row, databases))


def _named(row: Mapping[str, object], databases: Path | None) -> Path:
    """Return where the database is that a row names by its ``db_id``."""
    name = row.get("db_id")
    if not isinstance(name, str) or not name:
        raise DataError("a row needs 'schema_sql' or 'db_id': found neither")
    if databases is None:
        raise DataError(f"the database {name!r} is named but no folder of databases is given")
    if Path(name).name != name:
        raise DataError(f"a db_id is a plain name, not a path: {name!r}")
    return databases / name


def check(question: Question) -> None:
    """Raise StudyError if the rule or the dialect is unknown, or a published rule is changed."""
    check_rule(question.rule, question.policy)
    check_dialect(question.dialect)


def check_rule(rule: str, policy: Policy = STRICT) -> Rule:
    """Return a comparison rule by its name.

    Raises:
        StudyError: If there is no such rule, or it is a published one and is to allow more.
    """
    found = next((known for known in RULES if known == rule), None)
    if found is None:
        raise StudyError(f"there is no comparison rule {rule!r}{nearest(rule, RULES)}")
    if rule != "harness" and policy != STRICT:
        raise StudyError(
            f"the rule {rule!r} is a published one and allows nothing beside it: found "
            f"{', '.join(policy.allowed)}; leave out the rule or what is allowed"
        )
    return found
