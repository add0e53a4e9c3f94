"""Reading results up to a cap, the same for both engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.sql.execute.messages import Cell, WorkerAnswer

MAX_ROWS = 200_000
MAX_BYTES = 24_000_000
CHUNK = 1_000


class Cursor(Protocol):
    """A result that is read in parts, of either engine."""

    @property
    def description(self) -> Sequence[Sequence[object]] | None:
        """The columns, names first; None where there are none."""

    def fetchmany(self, size: int) -> list[tuple[Cell, ...]]:
        """Return the next rows; none at the end."""


def fetch(cursor: Cursor, plain: Callable[[object], Cell] | None = None) -> WorkerAnswer:
    """Read a cursor up to the caps; ``plain`` turns a cell into what JSON knows."""
    columns = [str(item[0]) for item in cursor.description or ()]
    rows: list[Sequence[Cell]] = []
    size = 0
    while chunk := cursor.fetchmany(CHUNK):
        cells: Sequence[Sequence[Cell]] = chunk
        if plain:
            cells = [[plain(cell) for cell in row] for row in chunk]
        rows += cells
        size += sum(len(c) if isinstance(c, (str, bytes)) else 8 for row in cells for c in row)
        if len(rows) > MAX_ROWS or size > MAX_BYTES:
            return {"kind": "rows", "error": f"more than {MAX_ROWS} rows or {MAX_BYTES} bytes"}
    return {"kind": "ok", "columns": columns, "rows": rows}
