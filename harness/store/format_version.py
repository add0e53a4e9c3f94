"""The format versions of a run's files: every file has one, older ones are read."""

from pathlib import Path

from harness.errors import DataError


def require_known(found: object, known: int, *, what: str, path: Path) -> int:
    """Return a file's format version if this version of the package can read it.

    Raises:
        DataError: If it is newer than ``known``, or no version number at all.
    """
    if isinstance(found, int) and not isinstance(found, bool) and 0 <= found <= known:
        return found
    raise DataError(
        f"{what} must be of format {known} or older: {path} is of format {found!r}; update "
        "finetune-harness to the version that wrote it"
    )
