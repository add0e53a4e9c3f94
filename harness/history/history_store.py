"""Where a history is kept: SQLite or PostgreSQL, through SQLAlchemy.

What runs have in common (items, declarations) is kept once, under its own hash; scores are gzipped.
Several processes may add at once. Only this module knows the tables.
"""

import gzip
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import NamedTuple

import sqlalchemy
from sqlalchemy import Column, Double, ForeignKey, Integer, LargeBinary, String, Table

from harness.errors import InfrastructureError, StudyError
from harness.history.drift import against_release
from harness.history.entries import HistoryCheck, HistoryRun, KeptItem, SuiteScores
from harness.history.place import PATIENCE, HistoryPlace, explained
from harness.records import Gate

SCHEMA = 1
"""Of the tables; a store of a newer one is refused."""

_LOCK = 0x6861726E  # PostgreSQL's number of the lock that adding takes
_tables = sqlalchemy.MetaData()
_SCHEMA = Table("harness_history", _tables, Column("schema", Integer, nullable=False))
_RUNS = Table(
    "harness_history_runs", _tables,
    Column("id", Integer, primary_key=True),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("added", String(25), nullable=False),
    Column("release", String, nullable=True),
    *(Column(name, String, nullable=False) for name in ("study", "base", "candidate", "verdict",
                                                        "version")),
    *(Column(name, Double, nullable=False) for name in ("alpha", "beta", "max_unscored")),
    sqlalchemy.UniqueConstraint("study", "release"),
)  # fmt: skip
_CHECKS = Table(
    "harness_history_checks", _tables,
    Column("run", ForeignKey(_RUNS.c.id), primary_key=True),
    *(Column(name, String, primary_key=True) for name in ("candidate", "suite", "reference")),
    Column("n", Integer, nullable=False),
    *(Column(name, Double) for name in ("base", "tuned", "delta", "ci_low", "ci_high")),
    Column("label", String),
    Column("verdict", String, nullable=False),
    Column("reason", String, nullable=False),
)  # fmt: skip
_SUITES = Table(
    "harness_history_suites", _tables,
    Column("sha256", String(64), primary_key=True),
    Column("data", LargeBinary, nullable=False),
)  # fmt: skip
_SCORES = Table(
    "harness_history_scores", _tables,
    Column("run", ForeignKey(_RUNS.c.id), primary_key=True),
    *(Column(name, String, primary_key=True) for name in ("arm", "suite")),
    Column("mean", Double),
    Column("asked", ForeignKey(_SUITES.c.sha256), nullable=False),
    Column("scores", LargeBinary, nullable=False),
)  # fmt: skip


class _Packed(NamedTuple):
    """What is told of a suite's scores beside the scores themselves, kept once under its hash."""

    sha256: str
    data: bytes


def add(place: HistoryPlace, run: HistoryRun, *, release: str = "") -> tuple[HistoryRun, bool]:
    """Add a run, compared with the release before it; a run that is there already is left as it is.

    Args:
        place: Where the history is, or begins.
        run: What is kept of it.
        release: What it is shipped as. A run that was added without one may get it later.

    Returns:
        The run as the history has it, and whether it was new.

    Raises:
        StudyError: If the release's name is another run's, or the run is another release.
        InfrastructureError: If the history cannot be written to.
    """
    if release == "base":
        raise StudyError("a release may not be called 'base': runs are compared with their base")
    with _transaction(place, write=True) as connection:
        _make_tables(connection, place)
        reader = HistoryReader(connection)
        known = {found.sha256: found for found in reader.runs()}
        released = [found for found in known.values() if found.study == run.study and found.release]
        taken = next((found for found in released if found.release == release), None)
        if taken and taken.sha256 != run.sha256:
            raise StudyError(
                f"a release is one run: {release!r} of {run.study!r} was added on "
                f"{taken.added[:10]} ({taken.candidate}); give this one another name"
            )
        if run.sha256 in known:
            return _named(connection, known[run.sha256], run, release), False
        added = replace(run, release=release, added=datetime.now(UTC).isoformat(timespec="seconds"))
        if released:
            steps = against_release(added, released[-1], reader.scores)
            added = replace(added, checks=(*added.checks, *steps))
        _insert(connection, added)
        return added, True


def _named(
    connection: sqlalchemy.Connection, known: HistoryRun, run: HistoryRun, release: str
) -> HistoryRun:
    """Give a known run the release's name that it did not have."""
    if known.candidate != run.candidate:
        raise StudyError(
            f"a run is followed by one candidate: this one was added with {known.candidate!r}, "
            f"now with {run.candidate!r}"
        )
    if release and known.release and known.release != release:
        raise StudyError(
            f"a run is one release: this one was added as {known.release!r}, now as {release!r}"
        )
    if release and not known.release:
        connection.execute(
            _RUNS.update().where(_RUNS.c.sha256 == known.sha256).values(release=release)
        )
        return replace(known, release=release)
    return known


def _insert(connection: sqlalchemy.Connection, run: HistoryRun) -> None:
    row = {name: getattr(run, name) for name in ("sha256", "added", "study", "base", "candidate",
                                                 "verdict", "version")}  # fmt: skip
    made = connection.execute(
        _RUNS.insert(), row | {"release": run.release or None} | asdict(run.gate)
    )
    number = made.inserted_primary_key[0]
    if run.checks:
        connection.execute(_CHECKS.insert(), [asdict(c) | {"run": number} for c in run.checks])
    kept = {place: _packed(scores) for place, scores in run.scores.items()}
    there = set(connection.scalars(sqlalchemy.select(_SUITES.c.sha256)))
    new = {one.sha256: one.data for one in kept.values() if one.sha256 not in there}
    if new:
        rows = [{"sha256": sha256, "data": data} for sha256, data in new.items()]
        connection.execute(_SUITES.insert(), rows)
    connection.execute(
        _SCORES.insert(),
        [
            {
                "run": number, "arm": arm, "suite": suite, "mean": scores.mean,
                "asked": kept[arm, suite].sha256, "scores": _zip(list(map(_short, scores.scores))),
            }
            for (arm, suite), scores in run.scores.items()
        ],
    )  # fmt: skip


def _packed(kept: SuiteScores) -> _Packed:
    told = {"declared": kept.declared, "scorer": kept.scorer, "planned": kept.planned,
            "items": [list(item) for item in kept.items]}  # fmt: skip
    data = _zip(told)
    return _Packed(hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest(), data)


def _zip(value: object) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return gzip.compress(text.encode(), mtime=0)


def _short(score: float | None) -> float | None:
    return score if score is None or score % 1 else int(score)


class HistoryReader:
    """Reads runs, and scores where they are asked for, in one transaction."""

    def __init__(self, connection: sqlalchemy.Connection) -> None:
        self._connection = connection
        self._asked: dict[str, SuiteScores] = {}
        self._rows: dict[str, dict[str, tuple[str, bytes]]] = {}

    def runs(self, *, study: str = "") -> list[HistoryRun]:
        """Return the runs in the order in which they were added, with checks and means."""
        query = sqlalchemy.select(_RUNS).order_by(_RUNS.c.id)
        if study:
            query = query.where(_RUNS.c.study == study)
        checks: dict[int, list[HistoryCheck]] = {}
        for row in self._connection.execute(sqlalchemy.select(_CHECKS)).mappings():
            found = dict(row)
            checks.setdefault(found.pop("run"), []).append(HistoryCheck(**found))
        means = self._means()
        return [
            HistoryRun(
                **{name: row[name] for name in ("sha256", "study", "base", "candidate", "verdict",
                                                "version", "added")},
                gate=Gate(**{name: row[name] for name in ("alpha", "beta", "max_unscored")}),
                release=row["release"] or "",
                checks=tuple(sorted(checks.get(row["id"], ()), key=_place)),
                means=means.get(row["id"], {}),
            )
            for row in self._connection.execute(query).mappings()
        ]  # fmt: skip

    def _means(self) -> dict[int, dict[str, float | None]]:
        query = sqlalchemy.select(_SCORES.c.run, _SCORES.c.suite, _SCORES.c.mean).join(
            _RUNS, (_RUNS.c.id == _SCORES.c.run) & (_RUNS.c.candidate == _SCORES.c.arm)
        )
        found: dict[int, dict[str, float | None]] = {}
        for run, suite, mean in sorted(self._connection.execute(query), key=lambda row: row[:2]):
            found.setdefault(run, {})[suite] = mean
        return found

    def scores(self, run: HistoryRun, suite: str) -> SuiteScores:
        """Return what a run's candidate scored on a suite."""
        if (run.candidate, suite) in run.scores:
            return run.scores[run.candidate, suite]
        asked, data = self._candidate(run)[suite]
        told = self._told(asked)
        return replace(told, scores=tuple(json.loads(gzip.decompress(data))))

    def _candidate(self, run: HistoryRun) -> dict[str, tuple[str, bytes]]:
        if run.sha256 not in self._rows:
            query = (
                sqlalchemy.select(_SCORES.c.suite, _SCORES.c.asked, _SCORES.c.scores)
                .join(_RUNS, _RUNS.c.id == _SCORES.c.run)
                .where(_RUNS.c.sha256 == run.sha256, _SCORES.c.arm == run.candidate)
            )
            rows = self._connection.execute(query)
            self._rows[run.sha256] = {suite: (asked, bytes(data)) for suite, asked, data in rows}
        return self._rows[run.sha256]

    def _told(self, asked: str) -> SuiteScores:
        if asked not in self._asked:
            query = sqlalchemy.select(_SUITES.c.data).where(_SUITES.c.sha256 == asked)
            told = json.loads(gzip.decompress(self._connection.scalars(query).one()))
            items = tuple(KeptItem(*item) for item in told.pop("items"))
            self._asked[asked] = SuiteScores(**told, items=items, scores=())
        return self._asked[asked]


@contextmanager
def reading(place: HistoryPlace) -> Iterator[HistoryReader]:
    """Open a history to read it.

    Raises:
        StudyError: If there is none.
        InfrastructureError: If it cannot be read, or a newer version wrote it.
    """
    with _transaction(place, write=False) as connection:
        if not _is_history(connection):
            raise StudyError(f"no history in {place}: begin it with 'harness history add RUN'")
        _check_schema(connection, place)
        yield HistoryReader(connection)


@contextmanager
def _transaction(place: HistoryPlace, *, write: bool) -> Iterator[sqlalchemy.Connection]:
    with explained(place):
        engine = place.engine(write=write)
        try:
            with engine.begin() as connection:
                if connection.dialect.name == "postgresql":
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{PATIENCE}s'")
                yield connection
        finally:
            engine.dispose()


def _make_tables(connection: sqlalchemy.Connection, place: HistoryPlace) -> None:
    """Make the tables where there are none; whoever adds at the same time waits."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    elif not _is_history(connection) and sqlalchemy.inspect(connection).get_table_names():
        raise StudyError(
            f"a history needs a file of its own: {place} is another database; name another --store"
        )
    if not _is_history(connection):
        _tables.create_all(connection)
        connection.execute(_SCHEMA.insert(), {"schema": SCHEMA})
    _check_schema(connection, place)


def _is_history(connection: sqlalchemy.Connection) -> bool:
    return bool(sqlalchemy.inspect(connection).has_table(_SCHEMA.name))


def _check_schema(connection: sqlalchemy.Connection, place: HistoryPlace) -> None:
    found = max(connection.scalars(sqlalchemy.select(_SCHEMA.c.schema)), default=0)
    if found != SCHEMA:
        raise InfrastructureError(
            f"this version of finetune-harness knows histories of format {SCHEMA}: {place} has "
            f"{found}; use the version that wrote it, or another --store"
        )


def _place(check: HistoryCheck) -> tuple[str, str, str]:
    return check.candidate, check.suite, check.reference
