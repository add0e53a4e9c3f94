"""One SQL question: a gold query on a database, and the rule by which results are compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.errors import DataError, StudyError, nearest
from harness.sql.compare.policy import STRICT, Policy
from harness.sql.compare.published_rules import spider_text
from harness.sql.execute.database import Database, Engine
from harness.sql.execute.postgres import PostgresServer, can_load_scripts, check_server
from harness.sql.parse.dialects import Problem, check_dialect, translated, translation_problem

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
        databases: Path | PostgresServer | None = None,
        path: Path | None = None,
        rule: Rule = "harness",
        policy: Policy = STRICT,
    ) -> "Question":
        """Read a data row.

        Args:
            row: ``gold_sql``, and ``schema_sql`` or ``db_id``; optional ``question``, ``dialect``,
                ``tables``.
            databases: Where the database of a ``db_id`` is: a folder (see `database_file`) or a
                server.
            path: The row's database where the caller knows it.
            rule: The comparison rule.
            policy: Disputed differences that the judge accepts.

        Raises:
            DataError: If the gold or the database is missing.
        """
        gold = row.get("gold_sql")
        if not isinstance(gold, str) or not gold.strip():
            raise DataError(f"a row needs a text 'gold_sql': found {type(gold).__name__}")
        database = _database(row, databases, path)
        return cls(
            gold_sql=gold,
            database=database,
            text=str(row.get("question") or ""),
            dialect=str(row.get("dialect") or database.engine),
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

    def problem(self, sql: str) -> Problem:
        """Return why a statement of the question's dialect cannot run on the engine, if so."""
        return translation_problem(sql, self.dialect, self.engine)


def _database(
    row: Mapping[str, object], databases: Path | PostgresServer | None, path: Path | None
) -> Database:
    """Return the database of a row, on the engine that runs it."""
    script, tables, dialect = row.get("schema_sql"), row.get("tables"), row.get("dialect")
    keys = tables if isinstance(tables, Mapping) else None
    if isinstance(script, str):
        return Database(schema_sql=script, tables=keys, engine=engine_of(str(dialect or "sqlite")))
    if isinstance(databases, PostgresServer) and path is None:
        return Database(server=database_on(databases, row), tables=keys, engine="postgres")
    folder = databases if isinstance(databases, Path) else None
    path = database_file(path or _named(row, folder))
    engine: Engine = "duckdb" if dialect == "duckdb" or path.suffix == ".duckdb" else "sqlite"
    if path.suffix == ".sql":
        engine = engine_of(str(dialect or "sqlite"))
    return Database(path=path, tables=keys, engine=engine)


def engine_of(dialect: str) -> Engine:
    """Return the engine that runs a script of a dialect: its own, or the nearest there is."""
    if dialect == "postgres" and can_load_scripts():
        return "postgres"
    return "sqlite" if dialect == "sqlite" else "duckdb"


def database_on(server: PostgresServer, row: Mapping[str, object]) -> PostgresServer:
    """Return the database of a server that a row is about, by its ``db_id`` or else by the url.

    Raises:
        DataError: If neither names one.
    """
    name = row.get("db_id")
    if not server.database and not (isinstance(name, str) and name):
        raise DataError("a row needs a 'db_id' where the url of the server names no database")
    return server.named(str(name or ""))


def database_file(path: Path) -> Path:
    """Return the file of a database: ``path`` itself, or ``path/<name>.sqlite`` and the like.

    Raises:
        DataError: If there is none.
    """
    name, folder = path.name, path.parent
    ends = (".sqlite", ".sql", ".duckdb")
    files = (name, *(f"{place}{name}{end}" for end in ends for place in (f"{name}/", "")))
    found = next((folder / file for file in files if (folder / file).is_file()), None)
    if found is None:
        raise DataError(f"no database {name!r} under {folder}: expected {name}/{name}.sqlite")
    return found


def check_database(row: Mapping[str, object], databases: Path | PostgresServer) -> None:
    """Check that the database of a row that names one by its ``db_id`` is there, fit to be read.

    Raises:
        HarnessError: If it names none, there is none, or a server's may not be used.
    """
    if isinstance(databases, PostgresServer):
        check_server(database_on(databases, row))
    else:
        database_file(_named(row, databases))


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
