"""A suite of one's own: written from what there is, and checked before anything is scored by it.

`KINDS` has one entry for each kind of suite that `harness tasks new` can begin.
"""

from collections.abc import Callable
from pathlib import Path

from harness.errors import StudyError, nearest
from harness.suites.own.sql_suite import sql_files

KINDS: dict[str, Callable[[str, str], dict[str, str]]] = {"sql": sql_files}
"""Kind -> what returns the files of a new suite (path within its folder -> text), by the suite's
name and by where its database or documents are."""


def suite_files(kind: str, name: str, source: str) -> dict[str, str]:
    """Return the files of a new suite.

    Raises:
        StudyError: If there is no such kind, or the name is none for a folder.
    """
    if kind not in KINDS:
        raise StudyError(f"no kind of suite {kind!r} can be begun{nearest(kind, KINDS)}")
    check_name(name)
    return KINDS[kind](name, source)


def check_name(name: str) -> None:
    """Refuse what is no name for a suite's folder.

    Raises:
        StudyError: Saying which names are.
    """
    if not name.replace("_", "").replace("-", "").isalnum() or not name.isascii():
        raise StudyError(f"a suite's name has letters, digits, - and _ only: found {name!r}")


def default_name(source: str) -> str:
    """Return a suite's name for a database or a file: its own, in letters, digits and ``_``.

    >>> default_name("data/My shop.sqlite"), default_name("postgresql://me@host/shop?sslmode=require")
    ('my_shop', 'shop')
    """
    stem = Path(source.partition("?")[0].rstrip("/")).stem.lower()
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in stem)
