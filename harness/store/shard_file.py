"""What one of several processes has answered: a file of its own, whole whenever it can be seen.

Processes on several machines share at best a folder on a network file system, where SQLite's WAL
mode does not work and its locks are not to be relied on, or a mounted bucket, which takes whole
files only. So a shard keeps its answers in memory, and writes all of them beside their place and
moves them there, often enough that a kill loses little. Nobody ever sees half a file, whoever reads
one reads its bytes once, and no lock is needed.
"""

import hashlib
import json
import logging
import sqlite3
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self
from uuid import uuid4

from pydantic import TypeAdapter

from harness.errors import ComparisonError, HarnessError, InfrastructureError
from harness.files import explained, write_bytes
from harness.records import AnswerBatch, Answers, AnswerTime, Request
from harness.store.answer_times import added_up
from harness.store.answers import FORMAT, AnswersInMemory, Loaded, Merged, make_tables

log = logging.getLogger("harness.store")

ENDING = ".db"
_ORIGIN = "CREATE TABLE IF NOT EXISTS origin (name TEXT PRIMARY KEY, value TEXT NOT NULL)"
_SAYS = "INSERT OR REPLACE INTO origin VALUES (?, ?)"
_TIMES = TypeAdapter(tuple[AnswerTime, ...])
_SHARE_OF_WRITING = 0.1
"""How much of a shard's time may go into writing its file again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardOrigin:
    """What a shard's answers belong to.

    ``study`` and ``base`` are names, ``day`` is the date that chat templates write (empty: they
    write none), ``items`` has the sha256 of each suite's items and token ids, ``fingerprints`` say
    by arm which model, settings and libraries answer.
    """

    study: str = ""
    base: str = ""
    day: str = ""
    items: Mapping[str, str] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)

    def differs(self, scored: "ShardOrigin") -> str | None:
        """Return what this has otherwise than what is scored, None where the answers belong to it.

        Suites and arms that only one of them has make no difference.
        """
        if (self.study, self.base) != (scored.study, scored.base):
            return f"study {self.study!r} on base {self.base!r}"
        for suite in sorted(self.items.keys() & scored.items.keys()):
            if self.items[suite] != scored.items[suite]:
                return f"other items or prompts of suite {suite!r}"
        for arm in sorted(self.fingerprints.keys() & scored.fingerprints.keys()):
            mine, wanted = self.fingerprints[arm], scored.fingerprints[arm]
            if mine != wanted:
                return (
                    f"another {arm!r}, {mine[:8]} for {wanted[:8]} (weights, settings, or versions "
                    "of torch, transformers and peft)"
                )
        return None


class ShardFile(AnswersInMemory):
    """Answers in memory, and the file that they are written to.

    Args:
        path: The file.
        origin: What the answers belong to.
        known: Answers of others, which need not be given again.
    """

    def __init__(
        self, path: Path, origin: ShardOrigin, known: AnswersInMemory | None = None
    ) -> None:
        super().__init__(path)
        self.origin, self.sha256 = origin, ""
        self._known_elsewhere = known
        self._due = 0.0
        self._is_written = False
        with self._explained(), self._connection() as connection:
            make_tables(connection)
            connection.execute(_ORIGIN)
            connection.execute(f"PRAGMA user_version={FORMAT}")
            connection.executemany(
                _SAYS,
                [("origin", json.dumps(asdict(origin))), ("name", uuid4().hex), ("times", "[]")],
            )

    @property
    def name(self) -> str:
        """What this file is told by, unlike one that is begun anew in its place."""
        return self._said()["name"]

    @property
    def times(self) -> tuple[AnswerTime, ...]:
        """How long answering took."""
        return _TIMES.validate_json(self._said()["times"])

    @property
    def merged_as(self) -> Merged:
        """What is remembered of it once its answers are taken in."""
        return Merged(self.sha256, self._said()["times"])

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file once.

        Raises:
            InfrastructureError: If it cannot be read, is no such database, or not whole.
            ComparisonError: If a newer version of this package wrote it.
        """
        with explained(path):
            content = path.read_bytes()
        found = cls(path, ShardOrigin())
        found.sha256 = hashlib.sha256(content).hexdigest()
        with found._explained():
            if not content:
                raise sqlite3.DatabaseError("it is empty")
            found._database.deserialize(content)
            found.origin = found._checked_origin()
        return found

    @classmethod
    def opened(cls, path: Path, origin: ShardOrigin, stored: Path) -> Self:
        """Return what a shard goes on with: its own file, and what is known beside it.

        Args:
            path: Its file, beside those of other shards; made now if it does not exist, so that a
                folder that cannot be written to is refused before anything is asked.
            origin: What the answers belong to.
            stored: The run's ``answers.db``, read if it exists.

        Raises:
            ComparisonError: If its file belongs to something else and was not merged yet.
            InfrastructureError: If the file cannot be made.
        """
        known = AnswersInMemory.copy_of(stored)
        merged = {file.sha256 for file in known.merged().values()}
        for other in sorted(path.parent.glob(f"*{ENDING}")):
            with suppress(HarnessError):  # whoever merges says so
                if other != path:
                    known.add(cls.read(other))
        mine = cls(path, origin, known)
        if path.exists():
            mine._go_on(merged)
        else:
            mine.write()
            mine._due = 0.0  # the first batch is not made to wait
        return mine

    def get(self, fingerprint: str, requests: Sequence[Request]) -> Answers:
        """Return the answers that an arm has given already, here or elsewhere."""
        found = super().get(fingerprint, requests)
        missing = [request for request in requests if request.key not in found]
        if missing and self._known_elsewhere is not None:
            found |= self._known_elsewhere.get(fingerprint, missing)
        return found

    def loaded(self) -> dict[str, Loaded]:
        """Return by fingerprint what loading arms has shown, here or elsewhere."""
        known = self._known_elsewhere
        return (known.loaded() if known is not None else {}) | super().loaded()

    def put(self, fingerprint: str, batch: AnswerBatch) -> AnswerBatch:
        """Take a finished batch; write the file anew unless that was done a moment ago."""
        batch = super().put(fingerprint, batch)
        self._is_written = False
        if time.monotonic() >= self._due:
            self.write()
        return batch

    def note_loaded(self, found: Mapping[str, Loaded]) -> None:
        """Record by fingerprint what loading arms has shown, in place of what was known."""
        super().note_loaded(found)
        self._is_written = False

    def add_times(self, times: Iterable[AnswerTime]) -> None:
        """Add how long answering took this time."""
        total = added_up([*self.times, *times])
        with self._explained(), self._connection() as connection:
            connection.execute(_SAYS, ("times", json.dumps([asdict(one) for one in total])))
        self._is_written = False

    def write(self) -> None:
        """Replace the file by what is known now, whole or not at all; nothing where it is that.

        Raises:
            InfrastructureError: If the disk is full or the folder is not writable; what was
                written before is kept.
        """
        if self._is_written:
            return
        begun = time.monotonic()
        write_bytes(self.path, (self._database.serialize(),))
        ended = time.monotonic()
        self._due = ended + (ended - begun) / _SHARE_OF_WRITING
        self._is_written = True

    def _go_on(self, merged: Collection[str]) -> None:
        """Take over what an earlier process of this shard has written."""
        try:
            earlier = type(self).read(self.path)
        except InfrastructureError as error:
            log.warning("%s", error)
            return
        if problem := earlier.origin.differs(self.origin):
            if earlier.sha256 in merged:
                return  # it has been used: what is answered now is another model's
            raise foreign(self.path, problem)
        earlier._database.backup(self._database)
        with self._explained(), self._connection() as connection:
            connection.execute(_SAYS, ("origin", json.dumps(asdict(self.origin))))
        self._is_written = True

    def _checked_origin(self) -> ShardOrigin:
        with self._connection() as connection:
            [version] = connection.execute("PRAGMA user_version").fetchone()
            if version > FORMAT:
                raise foreign(self.path, f"format {version}, not {FORMAT} or older")
            [problem] = connection.execute("PRAGMA quick_check(1)").fetchone()
            if problem != "ok":
                raise sqlite3.DatabaseError(problem)
        try:
            said = self._said()
            _TIMES.validate_json(said["times"])
            return TypeAdapter(ShardOrigin).validate_json(said["origin"])
        except (KeyError, ValueError) as error:
            raise sqlite3.DatabaseError("what it belongs to cannot be read") from error

    def _said(self) -> dict[str, str]:
        with self._connection() as connection:
            return dict(connection.execute("SELECT name, value FROM origin").fetchall())


def times_of(file: Merged) -> tuple[AnswerTime, ...]:
    """Return the times that a file said when it was merged."""
    return _TIMES.validate_json(file.times)


def foreign(path: Path, problem: str) -> ComparisonError:
    """Return the refusal of a file whose answers belong to something else."""
    return ComparisonError(
        f"answers of a shard must be of the study and models that are scored: {path} has {problem};"
        " delete the file, or put back what it was made with"
    )
