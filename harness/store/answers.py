"""Every answer, stored as soon as its batch is done: one SQLite table, safe to kill.

An answer's key is the sha256 of what can change it and of nothing else: the arm's fingerprint
(weights, adapter, tokenizer, precision, engine), the kind of request, its token ids and settings.
So a second study over the same model finds the answers of the first. The file's format is its
``user_version``; 0 is the same table, written before versions were.

Beside the answers stands what loading a model has shown about an arm, so that nothing has to be
loaded where nothing is asked. A file's own answers are written in SQLite's WAL mode, which needs a
disk of this machine; what other machines write on a network file system is a `ShardFile`.
"""

import hashlib
import json
import re
import shutil
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple, Self

from harness.errors import InfrastructureError
from harness.files import explained
from harness.records import AnswerBatch, Answers, Request, RequestKey, Response
from harness.store.format_version import require_known

FORMAT = 1

Shown = Literal["changes", "identical", "attached"]
"""What loading an arm has shown: its logits are not the base's, they provably are, or neither.

The base, and what was loaded where candidates may be identical, is ``attached``.
"""


class Loaded(NamedTuple):
    """What loading an arm has shown, and what a person should know about how it answers."""

    shown: Shown
    notes: tuple[str, ...] = ()


class Merged(NamedTuple):
    """A shard's file: its sha256, and the times that it says answering took, as JSON."""

    sha256: str
    times: str = "[]"


Row = tuple[bytes, str, float | None, int | None, str | None, str | None, int]
"""A row of answers: key, kind, logprob, is_greedy, text, finish, tokens."""

Agree = Callable[[bytes, Response, Response], bool]
"""Says of a key whether two answers under it may be of one model."""

_SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS answers (
        key BLOB PRIMARY KEY, kind TEXT NOT NULL, logprob REAL, is_greedy INTEGER,
        text TEXT, finish TEXT, tokens INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS loaded (
        fingerprint TEXT PRIMARY KEY, shown TEXT NOT NULL, notes TEXT NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS shards (
        name TEXT PRIMARY KEY, sha256 TEXT NOT NULL, times TEXT NOT NULL
    ) WITHOUT ROWID
    """,
)
_AT_ONCE = 500
_WAIT_SECONDS = 60.0
_UNREADABLE = ("not a database", "malformed", "no such table", "no such column", "has no column",
               "columns but", "unsupported file format", "NOT NULL")  # fmt: skip
"""What SQLite says of a file that is another's, or broken."""
_HALF_PAIR = re.compile("[\ud800-\udfff]")


def answer_key(fingerprint: str, request: Request) -> bytes:
    """Return the key under which an arm's answer to a request is stored."""
    ids = [request.context_ids, request.continuation_ids]
    known = [fingerprint, request.kind, ids, sorted(request.settings.items())]
    return hashlib.sha256(json.dumps(known).encode()).digest()


class AnswerTable(ABC):
    """Answers by what made them, in a database that a subclass says where to find."""

    def get(self, fingerprint: str, requests: Sequence[Request]) -> Answers:
        """Return the answers that an arm has given already."""
        keys: dict[bytes, list[RequestKey]] = {}
        for request in requests:
            keys.setdefault(answer_key(fingerprint, request), []).append(request.key)
        found: Answers = {}
        with self._explained(), self._connection() as connection:
            for part in _parts(list(keys)):
                for key, response in _known(connection, part).items():
                    found.update(dict.fromkeys(keys[key], response))
        return found

    def put(self, fingerprint: str, batch: AnswerBatch) -> AnswerBatch:
        """Store a finished batch, whole or not at all; return it as `get` will give it back.

        What could not be answered for reasons outside the model (``unscored``) is not stored, so
        that a resumed run tries it again. Nor is what is no number, which becomes ``unscored``.
        Half a surrogate pair, which is no text, becomes U+FFFD.

        Raises:
            InfrastructureError: If the disk is full or the file cannot be written; every batch
                before this one is stored.
        """
        batch = [(request, _storable(response)) for request, response in batch]
        rows = [
            (
                answer_key(fingerprint, request), request.kind, response.logprob,
                response.is_greedy, response.text, response.finish, response.tokens,
            )
            for request, response in batch
            if response.unscored is None
        ]  # fmt: skip
        with self._explained(), self._connection() as connection:
            connection.executemany("INSERT OR REPLACE INTO answers VALUES (?,?,?,?,?,?,?)", rows)
        return batch

    def __len__(self) -> int:
        with self._explained(), self._connection() as connection:
            return int(connection.execute("SELECT count(*) FROM answers").fetchone()[0])

    def note_loaded(self, found: Mapping[str, Loaded]) -> None:
        """Record by fingerprint what loading arms has shown, in place of what was known."""
        rows = [(mark, one.shown, json.dumps(one.notes)) for mark, one in found.items()]
        with self._explained(), self._connection() as connection:
            connection.executemany("INSERT OR REPLACE INTO loaded VALUES (?,?,?)", rows)

    def loaded(self) -> dict[str, Loaded]:
        """Return by fingerprint what loading arms has shown."""
        with self._explained(), self._connection() as connection:
            rows = connection.execute("SELECT fingerprint, shown, notes FROM loaded").fetchall()
        return {mark: Loaded(shown, tuple(json.loads(notes))) for mark, shown, notes in rows}

    def merged(self) -> dict[str, Merged]:
        """Return by a shard's name how its file was when its answers were taken in last."""
        with self._explained(), self._connection() as connection:
            rows = connection.execute("SELECT name, sha256, times FROM shards").fetchall()
        return {name: Merged(sha256, times) for name, sha256, times in rows}

    @abstractmethod
    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Open, run one transaction, close."""
        yield from ()

    @abstractmethod
    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what SQLite raises into one sentence."""
        yield from ()


class AnswersInMemory(AnswerTable):
    """Answers that no file is open for: a copy of what a file held.

    Args:
        name: What errors call it.
    """

    def __init__(self, name: Path) -> None:
        self.path = name
        self._database = sqlite3.connect(":memory:")

    @classmethod
    def copy_of(cls, path: Path) -> Self:
        """Copy a run's answers, which another process may be writing, without touching them.

        Where there is no such file, there are no answers.

        Raises:
            InfrastructureError: If there is a file that cannot be read, or is no such database.
        """
        copy = cls(path)
        with explained(path), TemporaryDirectory(prefix="harness-") as folder, copy._explained():
            for ending in ("", "-wal", "-journal"):
                beside = path.with_name(path.name + ending)
                if beside.exists():
                    shutil.copyfile(beside, Path(folder, "copy.db" + ending))
            with closing(sqlite3.connect(Path(folder, "copy.db"))) as original:
                original.backup(copy._database)
            with copy._connection() as connection:
                make_tables(connection)
        return copy

    def add(self, other: "AnswersInMemory") -> None:
        """Add what another table has and this one lacks."""
        with self._explained(), self._connection() as connection:
            for rows in other.rows():
                connection.executemany("INSERT OR IGNORE INTO answers VALUES (?,?,?,?,?,?,?)", rows)
        self.note_loaded(other.loaded() | self.loaded())

    def rows(self) -> Iterator[list[Row]]:
        """Yield all rows of answers, some hundred at a time."""
        with self._explained(), self._connection() as connection:
            found = connection.execute("SELECT * FROM answers")
            while rows := found.fetchmany(_AT_ONCE):
                yield rows

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with self._database as connection:
            yield connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise InfrastructureError(
                f"stored answers must be a whole database: {self.path}: {error}; delete the file: "
                "its answers are asked for anew"
            ) from error


class AnswerStore(AnswerTable):
    """The answers of a run, or of many.

    Args:
        path: The SQLite file; it is made with its folder if it does not exist.

    Raises:
        InfrastructureError: If it cannot be opened or made.
        DataError: If a newer version of this package wrote it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._connection() as connection:
                connection.execute("PRAGMA journal_mode=WAL")
                [version] = connection.execute("PRAGMA user_version").fetchone()
                require_known(version, FORMAT, what="stored answers", path=path)
                make_tables(connection)
                if version < FORMAT:
                    connection.execute(f"PRAGMA user_version={FORMAT}")

    def take_in(
        self, other: AnswersInMemory, *, name: str, file: Merged, agree: Agree
    ) -> bytes | None:
        """Add what another table has and this one lacks, all of it or nothing.

        Args:
            other: Its answers, and what loading arms has shown there.
            name: Of the shard that they come from.
            file: Its file, which is remembered as merged.
            agree: What both have answered has to agree; this table's own answer stays.

        Returns:
            The key of an answer that does not agree, None where all is taken in.

        Raises:
            InfrastructureError: If the file cannot be written; nothing of ``other`` is added.
        """
        loaded = self.loaded()
        for mark, theirs in other.loaded().items():
            mine = loaded.get(mark, theirs)
            shown = theirs.shown if mine.shown == "attached" else mine.shown
            notes = tuple(dict.fromkeys([*mine.notes, *theirs.notes]))
            loaded[mark] = Loaded(shown, notes)
        with self._explained(), self._connection() as connection:
            for rows in other.rows():
                known = _known(connection, [row[0] for row in rows])
                for row in rows:
                    if row[0] in known and not agree(row[0], known[row[0]], _response(*row[2:])):
                        connection.rollback()
                        return row[0]
                connection.executemany("INSERT OR IGNORE INTO answers VALUES (?,?,?,?,?,?,?)", rows)
            connection.executemany(
                "INSERT OR REPLACE INTO loaded VALUES (?,?,?)",
                [(mark, one.shown, json.dumps(one.notes)) for mark, one in loaded.items()],
            )
            connection.execute("INSERT OR REPLACE INTO shards VALUES (?,?,?)", (name, *file))
        return None

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_WAIT_SECONDS)
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Open, run one transaction, close: nothing is held between calls or across a fork."""
        connection = self._open()
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if not any(said in str(error) for said in _UNREADABLE):
                raise self._not_written(error) from error
            raise InfrastructureError(
                f"stored answers must be a database that SQLite can read: {self._path}: {error}; "
                "delete it or move it away, and run again: its answers are asked for anew"
            ) from error
        except (sqlite3.Error, OSError) as error:
            raise self._not_written(error) from error

    def _not_written(self, error: Exception) -> InfrastructureError:
        return InfrastructureError(
            f"answers must be writable to disk: {self._path}: {error}; what was stored before "
            "is kept, so mend this and run again"
        )


def make_tables(connection: sqlite3.Connection) -> None:
    """Make the tables of answers where they are missing."""
    for table in _SCHEMA:
        connection.execute(table)


def _known(connection: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, Response]:
    """Return the answers under some keys, few enough for one query."""
    placeholders = ",".join("?" * len(keys))
    rows = connection.execute(
        "SELECT key, logprob, is_greedy, text, finish, tokens FROM answers "
        f"WHERE key IN ({placeholders}) AND coalesce(logprob, text) IS NOT NULL",
        keys,
    )
    return {key: _response(*values) for key, *values in rows}


def _storable(response: Response) -> Response:
    if response.missing is not None:
        return Response(unscored=response.missing, tokens=response.tokens)
    if response.text is not None and _HALF_PAIR.search(response.text):
        return replace(response, text=_HALF_PAIR.sub("\ufffd", response.text))
    return response


def _response(
    logprob: float | None, is_greedy: int | None, text: str | None, finish: str | None, tokens: int
) -> Response:
    return Response(
        logprob=logprob,
        is_greedy=None if is_greedy is None else bool(is_greedy),
        text=text,
        finish=finish,
        tokens=tokens,
    )


def _parts(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    return (keys[start : start + _AT_ONCE] for start in range(0, len(keys), _AT_ONCE))
