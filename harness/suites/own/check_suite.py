"""Is a suite of one's own fit to decide? Its golds run, and near misses of them are found out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import DataError, HarnessError, StudyError
from harness.extras import require
from harness.suites import catalogue, dataset

if TYPE_CHECKING:
    from harness.sql import Judge, Question
    from harness.suites.own.near_misses import NearMiss


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedGold:
    """One row: ``problem`` where its gold is unusable, else its ``near_misses`` and what passes.

    ``passing`` are the near misses that the judge takes for right.
    """

    id: str
    problem: str = ""
    near_misses: int = 0
    passing: "tuple[NearMiss, ...]" = ()


def check_suite(folder: Path, databases: str | None) -> Iterator[CheckedGold]:
    """Check each row of a suite's folder, split after split.

    Args:
        folder: The suite's folder, with ``<name>.yaml`` and ``data/``.
        databases: The database's file or the folder of databases, or a server's url.

    Raises:
        StudyError: If the folder holds no suite, or its judge is not ``sql``.
        DataError: If its rows cannot be read.
        HarnessError: If a server may not be used.
    """
    file = folder / f"{folder.resolve().name}.yaml"
    if not file.is_file():
        raise StudyError(f"a suite's folder holds a file of its own name: {file} is not there")
    suite = catalogue.declaration(file.stem, catalogue.read_config(file))
    if suite.judge != "sql":
        raise StudyError(
            f"only golds that are run can be checked: the judge of {file.stem!r} is "
            f"{suite.judge or 'lm-eval'!r}, not 'sql'"
        )
    require("sql")
    from harness.sql import Judge, check_databases, databases_at

    rows = [row for split in dataset.splits_of(folder / "data").values() for row in split]
    place = databases_at(_folder(databases)) if databases else None
    check_databases(rows, place)
    with Judge() as judge:
        for number, row in enumerate(rows, start=1):
            yield _checked(judge, row, place, str(row.get("id") or number))


def _folder(databases: str) -> str:
    """Return the folder of a database's file; folders and urls are what they are."""
    if "://" in databases or Path(databases).is_dir():
        return databases
    if not Path(databases).is_file():
        raise DataError(f"no database at {databases}: give a file, a folder or postgresql://…")
    return str(Path(databases).parent)


def _checked(judge: "Judge", row: Mapping[str, object], place: object, name: str) -> CheckedGold:
    from harness.sql import Question
    from harness.sql.execute.postgres import PostgresServer
    from harness.suites.own.near_misses import near_misses

    assert place is None or isinstance(place, Path | PostgresServer)
    try:
        question = Question.from_row(row, databases=place)
        verdict = judge.judge(question, question.gold_sql)
    except HarnessError as error:
        return CheckedGold(id=name, problem=str(error))
    if verdict.outcome != "correct":
        return CheckedGold(id=name, problem=verdict.explanation)
    misses = [
        m for m in near_misses(question.gold_sql, question.dialect) if _differs(judge, question, m)
    ]
    passing = [miss for miss in misses if judge.judge(question, miss.sql).outcome == "correct"]
    return CheckedGold(id=name, near_misses=len(misses), passing=tuple(passing))


def _differs(judge: "Judge", question: "Question", miss: "NearMiss") -> bool:
    """Tell whether a near miss is another query: not one that is proven to be the same."""
    if question.engine != "sqlite":
        return True
    from harness.sql.compare.equivalence import proven_equal

    schema = judge.schema(question.database)
    return not proven_equal(
        question.runnable(miss.sql), question.runnable(question.gold_sql), schema
    )
