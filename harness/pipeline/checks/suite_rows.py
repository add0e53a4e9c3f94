"""Rows and databases of a study's own suites: refused before anything is asked about them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness import ingest
from harness.errors import DataError, HarnessError
from harness.ingest.file_formats import SourceRow
from harness.rating.input_rows import document_problem
from harness.records import Document
from harness.study import Study, SuiteSection
from harness.suites import dataset
from harness.suites.catalogue import builtin_suites

if TYPE_CHECKING:
    from harness.suites.load_suite import LoadedSuite

SHOWN = {
    "arc_challenge": ("question",),
    "arc_mini": ("question",),
    "domain_qa": ("question",),
    "sql": ("question", "schema"),
    "classification": ("text",),
}
"""Suite of ours -> the fields that its prompt is made of, beside those of its judge."""


def check_suite_rows(study: Study) -> None:
    """Check the rows that a study gives for suites of ours, by what their prompts and judges read.

    Raises:
        DataError: If one lacks a field or holds what its judge cannot read, with file and line.
    """
    for section in study.suites:
        suite = builtin_suites().get(section.name)
        file = _scored_file(section, study) if suite and section.data else None
        if suite is None or file is None:
            continue
        judge, shown = suite.judge or "choice", SHOWN.get(section.name, ())
        for origin, fields in _with_labels(judge, ingest.read_rows(file)):
            if problem := document_problem(judge, fields, shown):
                raise DataError(f"{origin}: suite {section.name!r}: {problem}")


def _with_labels(judge: str, rows: Iterable[SourceRow]) -> Iterable[tuple[str, Document]]:
    """Return rows as their suite loads them: of a classification each has the closed set."""
    if judge != "classification":
        return rows
    found = list(rows)
    filled = dataset.with_labels({"test": [dict(row.fields) for row in found]})["test"]
    return [(row.origin, fields) for row, fields in zip(found, filled, strict=True)]


def check_databases(loaded: Sequence["LoadedSuite"]) -> None:
    """Check that the database of every row to be scored by the sql judge is there.

    Raises:
        DataError: If one is not, with the row that names it.
        StudyError: If a server's role could write.
        InfrastructureError: If a server cannot be reached, or a database is being written to.
    """
    for suite in loaded:
        if suite.suite.judge != "sql":
            continue
        from harness.sql.batch import BUILTIN_DATABASES
        from harness.sql.execute.postgres import check_scratch, databases_at
        from harness.sql.question import check_database

        place = databases_at(suite.databases or BUILTIN_DATABASES)
        check_scratch()
        known: set[object] = set()
        for item in suite.items:
            if item.doc.get("schema_sql") or item.doc.get("db_id") in known:
                continue
            try:
                check_database(item.doc, place)
            except HarnessError as error:
                raise type(error)(
                    f"suite {suite.suite.name!r}, row {item.doc_id + 1}: {error}"
                ) from error
            known.add(item.doc.get("db_id"))


def postgres_releases(loaded: Sequence["LoadedSuite"]) -> dict[str, str]:
    """Return which PostgreSQL judges the suites, as a lock's versions name it; none where none.

    Raises:
        InfrastructureError: If a server cannot be reached.
    """
    from harness.sql.execute.postgres import (
        PostgresServer,
        databases_at,
        scratch_release,
        server_release,
    )
    from harness.sql.question import database_on

    found: dict[str, str] = {}
    for suite in loaded:
        if suite.suite.judge != "sql" or not suite.items:
            continue
        place = databases_at(suite.databases or "")
        if isinstance(place, PostgresServer):
            found["postgresql"] = server_release(database_on(place, suite.items[0].doc))
        elif any(item.doc.get("dialect") == "postgres" for item in suite.items):
            found.setdefault("postgresql", scratch_release())
    return {part: release for part, release in found.items() if release}


def _scored_file(section: SuiteSection, study: Study) -> Path | None:
    """Return the file whose rows are scored; None where loading the suite says what is wrong."""
    path = study.path(section.data or "")
    if path.is_file():
        return path if path.suffix.lower() in ingest.FORMATS else None
    files = {file.stem: file for file in sorted(path.glob("*.jsonl"))}
    named = next((files[name] for name in (section.split, "test") if name in files), None)
    return named or (next(iter(files.values())) if len(files) == 1 else None)
