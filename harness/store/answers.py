"""Every answer, stored as soon as its batch is done: one SQLite table, safe to kill.

An answer's key is the sha256 of what can change it and of nothing else: the arm's fingerprint
(weights, adapter, tokenizer, precision, engine), the kind of request, its token ids and settings.
So a second study over the same model finds the answers of the first. The file's format is its
``user_version``; 0 is the same table, written before versions were.
"""

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from harness.errors import InfrastructureError
from harness.records import AnswerBatch, Answers, Request, RequestKey, Response
from harness.store.format_version import require_known

FORMAT = 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key BLOB PRIMARY KEY, kind TEXT NOT NULL, logprob REAL, is_greedy INTEGER,
    text TEXT, finish TEXT, tokens INTEGER NOT NULL
) WITHOUT ROWID
"""
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


class AnswerStore:
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
                connection.execute(_SCHEMA)
                if version < FORMAT:
                    connection.execute(f"PRAGMA user_version={FORMAT}")

    def get(self, fingerprint: str, requests: Sequence[Request]) -> Answers:
        """Return the answers that an arm has given already."""
        keys: dict[bytes, list[RequestKey]] = {}
        for request in requests:
            keys.setdefault(answer_key(fingerprint, request), []).append(request.key)
        found: Answers = {}
        with self._explained(), self._connection() as connection:
            for part in _parts(list(keys)):
                placeholders = ",".join("?" * len(part))
                rows = connection.execute(
                    "SELECT key, logprob, is_greedy, text, finish, tokens FROM answers "
                    f"WHERE key IN ({placeholders}) AND coalesce(logprob, text) IS NOT NULL",
                    part,
                )
                for key, *values in rows:
                    response = _response(*values)
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
