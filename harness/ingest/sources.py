"""Sources of training rows: a file, a folder of texts, a dataset on the hub, or a database."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import DataError
from harness.extras import require
from harness.ingest.file_formats import TEXTS, SourceRow, read_rows, refuse_repeated
from harness.inputs import expanded
from harness.secrets import fill_in, keep_unsaid, redact
from harness.study import Query

if TYPE_CHECKING:
    from sqlalchemy import URL

HUB = "hub:"

Source = str | Query


def rows_of(source: Source, folder: Path) -> Iterator[SourceRow]:
    """Yield the rows of a training source one at a time.

    Args:
        source: A path, ``hub:owner/name[/config][:split]``, or a query on a database.
        folder: The study's folder, to which relative paths belong.

    Raises:
        DataError: If the source cannot be read; one sentence with a remedy.
    """
    if isinstance(source, Query):
        return _database(source, folder)
    if source.startswith(HUB):
        return _hub(source.removeprefix(HUB))
    path = folder / expanded(source)
    return _folder(path) if path.is_dir() else read_rows(path)


def _folder(path: Path) -> Iterator[SourceRow]:
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in TEXTS)
    if not files:
        raise DataError(
            f"a folder of training texts must hold {' or '.join(TEXTS)} files: {path} has none; "
            "name one data file instead"
        )
    for file in files:
        yield from read_rows(file)


def _hub(name: str) -> Iterator[SourceRow]:
    import datasets

    where, _, split = name.partition(":")
    owner, _, rest = where.partition("/")
    short, _, config = rest.partition("/")
    try:
        found = datasets.load_dataset(f"{owner}/{short}", config or None, split=split or "train")
    except Exception as error:  # whatever hub, network and builders raise
        remedy = "check the name and the network, or download it once where there is one"
        raise DataError(
            f"a hub data set must be reachable or downloaded before: {owner}/{short}: "
            f"{_first(error)}; {remedy}"
        ) from error
    for number, fields in enumerate(found, start=1):
        yield SourceRow(f"{HUB}{name}:row {number}", fields)


def _database(source: Query, folder: Path) -> Iterator[SourceRow]:
    require("databases")
    import sqlalchemy

    try:
        url = _address(source.url, folder)
        name = redact(str(url.database))
        engine = sqlalchemy.create_engine(url)
        with engine.connect().execution_options(stream_results=True) as connection:
            found = connection.execute(sqlalchemy.text(source.query))
            refuse_repeated(tuple(found.keys()), "the query's result")
            for number, fields in enumerate(found.mappings(), start=1):
                yield SourceRow(f"{name}:row {number}", dict(fields))
        engine.dispose()
    except ImportError as error:
        raise DataError(f"a database needs its driver: {error}; install it with pip") from error
    except sqlalchemy.exc.SQLAlchemyError as error:
        why = getattr(error, "orig", None) or error
        raise DataError(
            f"a query must run: {_first(why)}; it was {' '.join(source.query.split())!r}"
        ) from error


def _address(url: str, folder: Path) -> "URL":
    """Fill in environment variables; open SQLite files read-only, from the study's folder."""
    import sqlalchemy

    try:
        made = _filled_in(url)
    except KeyError as error:
        raise DataError(
            f"the environment variable {error} must be set: the url names it: {url}"
        ) from error
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise DataError(
            f"a database's url must be SQLAlchemy's, such as sqlite:///data.db: found {url!r}"
        ) from error
    if made.get_backend_name() != "sqlite" or made.database in (None, "", ":memory:"):
        return made
    path = folder / expanded(str(made.database))
    if not path.is_file():
        raise DataError(f"no database at {path}")
    return made.set(database=f"file:{path}", query={"mode": "ro", "uri": "true"})


def _filled_in(url: str) -> "URL":
    """Parse an address first and fill its parts, so that a password may hold any character."""
    import sqlalchemy

    try:
        parts = sqlalchemy.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):  # all of it, or the port, is in variables
        parts = sqlalchemy.make_url(fill_in(url))
    named = ("username", "password", "host", "database")
    given = {name: str(getattr(parts, name)) for name in named if getattr(parts, name) is not None}
    filled = parts.set(**{name: fill_in(text) for name, text in given.items()})
    if filled.password:
        keep_unsaid(str(filled.password))
    return filled.update_query_pairs(
        [(name, fill_in(text)) for name, texts in filled.normalized_query.items() for text in texts]
    )


def _first(error: object) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
