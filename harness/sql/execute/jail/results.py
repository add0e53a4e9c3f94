"""Reading results up to a cap, the same for both engines."""

from collections.abc import Callable
from typing import Any

MAX_ROWS = 200_000
MAX_BYTES = 24_000_000
CHUNK = 1_000


def fetch(cursor: Any, plain: Callable[[Any], Any] | None = None) -> dict[str, Any]:
    """Read a cursor up to the caps; ``plain`` turns a cell into what JSON knows."""
    columns = [item[0] for item in cursor.description or ()]
    rows: list[Any] = []
    size = 0
    while chunk := cursor.fetchmany(CHUNK):
        cells = [[plain(cell) for cell in row] for row in chunk] if plain else chunk
        rows += cells
        size += sum(len(c) if isinstance(c, (str, bytes)) else 8 for row in cells for c in row)
        if len(rows) > MAX_ROWS or size > MAX_BYTES:
            return {"kind": "rows", "error": f"more than {MAX_ROWS} rows or {MAX_BYTES} bytes"}
    return {"kind": "ok", "columns": columns, "rows": rows}
