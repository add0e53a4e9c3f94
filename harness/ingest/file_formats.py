"""File formats: each one is a function from a path to numbered rows.

Line numbers are those of the file (the first line is 1); formats without lines count rows.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, time, timedelta
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from harness.errors import DataError, nearest
from harness.inputs import exists, not_utf8, open_input, parse_json, read_input


class SourceRow(NamedTuple):
    """One data row and its ``origin``, such as ``file:line``."""

    origin: str
    fields: Mapping[str, object]


def read_rows(path: Path) -> Iterator[SourceRow]:
    """Yield the rows of a data file, one at a time; the suffix says which format it is.

    Raises:
        DataError: If the file is missing, unreadable, malformed (with its line) or of an unknown
            format.
    """
    if path.is_dir():
        raise DataError(f"a data file must be one file: {path} is a folder")
    if not exists(path):
        raise DataError(f"no data file at {path}")
    readers = {**FORMATS, **TEXTS}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"unknown format of {path}: {path.suffix!r}{nearest(path.suffix, readers)}")
    try:
        yield from reader(path)
    except UnicodeDecodeError as error:
        raise DataError(f"a data file must be UTF-8 text: {path}: {not_utf8(error)}") from error
    except OSError as error:
        raise DataError(f"a data file must be readable: {path}: {error.strerror}") from error


def _jsonl(path: Path) -> Iterator[SourceRow]:
    with open_input(path) as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                origin = f"{path}:{number}"
                yield SourceRow(origin, _mapping(_parse(line, origin), origin))


def _json(path: Path) -> Iterator[SourceRow]:
    data = _parse(read_input(path), str(path))
    if isinstance(data, dict):
        lists = [key for key, value in data.items() if isinstance(value, list)]
        if len(lists) != 1:
            raise DataError(
                f"a JSON data file must be a list of rows: {path} is an object with keys "
                f"{_names(data)}; write one row a line and call it .jsonl"
            )
        data = data[lists[0]]
    if not isinstance(data, list):
        raise DataError(f"a JSON data file must be a list of rows: {path} is {_kind(data)}")
    for number, row in enumerate(data, start=1):
        origin = f"{path}:row {number}"
        yield SourceRow(origin, _mapping(row, origin))


def _separated(path: Path, delimiter: str) -> Iterator[SourceRow]:
    """Yield the rows of a table, each named by the line on which it begins."""
    csv.field_size_limit(2**31 - 1)
    first = 1
    with open_input(path, newline="") as lines:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        header: list[str] = []
        try:
            for row in reader:
                origin, first = f"{path}:{first}", reader.line_num + 1
                if header and row:
                    _refuse_ragged(row, header, origin, delimiter)
                    yield SourceRow(origin, dict(zip(header, row, strict=True)))
                elif row:
                    header = row
                    refuse_repeated(header, origin)
        except csv.Error as error:
            raise DataError(f"malformed row at {path}:{first}: {error}") from error


def _refuse_ragged(row: list[str], header: list[str], origin: str, delimiter: str) -> None:
    if len(row) != len(header):
        raise DataError(
            f"every row must have the header's {len(header)} fields: "
            f"{origin} has {len(row)}; quote fields that contain {delimiter!r}"
        )


def _csv(path: Path) -> Iterator[SourceRow]:
    """Yield a table's rows; a header without a comma says what else separates them."""
    with open_input(path) as lines:
        header = next((line for line in lines if line.strip()), "")
    others = [mark for mark in (";", "\t") if mark in header and "," not in header]
    return _separated(path, others[0] if others else ",")


def _tsv(path: Path) -> Iterator[SourceRow]:
    return _separated(path, "\t")


def _parquet(path: Path) -> Iterator[SourceRow]:
    import pyarrow
    import pyarrow.parquet

    try:
        number = 0
        with pyarrow.parquet.ParquetFile(path) as file:
            refuse_repeated(file.schema_arrow.names, str(path))
            for batch in file.iter_batches(batch_size=1024):
                for fields in batch.to_pylist():
                    number += 1
                    yield SourceRow(f"{path}:row {number}", fields)
    except pyarrow.ArrowException as error:
        raise DataError(f"a .parquet file must be in Parquet format: {path}: {error}") from error


def _workbook(path: Path) -> Iterator[SourceRow]:
    """Yield the rows of a workbook's one sheet that holds something, as they were last computed."""
    import openpyxl

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        sheets = {sheet.title: _filled(sheet.iter_rows(values_only=True)) for sheet in book}
        book.close()
    except OSError:
        raise
    except Exception as error:  # whatever archives, XML and cells make a reader raise
        why = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(f"a workbook must be an Excel file (.xlsx): {path}: {why}") from error
    used = {title: rows for title, rows in sheets.items() if rows}
    if len(used) > 1:
        raise DataError(
            f"a workbook of rows holds them in one sheet: {path} has {', '.join(used)}; save the "
            "one that is meant as a file of its own"
        )
    for title, rows in used.items():
        yield from _sheet_rows(rows, f"{path}:{title}")


def _filled(rows: Iterable[tuple[object, ...]]) -> list[tuple[int, list[object]]]:
    """Return the rows that hold something, numbered from 1 as a spreadsheet does."""
    numbered = enumerate(rows, start=1)
    return [(number, [*map(_plain, row)]) for number, row in numbered if any(map(_is_cell, row))]


def _is_cell(value: object) -> bool:
    return value is not None and str(value).strip() != ""


def _plain(value: object) -> object:
    return str(value) if isinstance(value, date | time | timedelta) else value


def _sheet_rows(rows: Sequence[tuple[int, list[object]]], where: str) -> Iterator[SourceRow]:
    (first, titles), *others = rows
    header = [str(title).strip() if _is_cell(title) else "" for title in titles]
    refuse_repeated([name for name in header if name], f"{where}, row {first}")
    for number, cells in others:
        origin = f"{where}, row {number}"
        named = list(zip_longest(header, cells, fillvalue=None))
        if any(_is_cell(cell) and not name for name, cell in named):
            raise DataError(f"every column needs a name in the first row: {origin} has a cell more")
        if broken := next((cell for _, cell in named if cell in _BROKEN), None):
            raise DataError(f"a cell must hold a value: {origin} has {broken}; mend its formula")
        yield SourceRow(origin, {str(name): cell for name, cell in named if name})


_BROKEN = ("#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!")
"""What a spreadsheet shows for a formula that failed; ``#N/A`` is what has no value."""

PIECE = 1500
"""Characters of a plain text in one row, about 350 tokens: it is cut between paragraphs, and a
longer paragraph between lines, sentences or words."""

_SENTENCE_END = re.compile(r"[.!?…]['\")\]]*\s+|[。！？]\s*")


def _text(path: Path) -> Iterator[SourceRow]:
    piece: list[str] = []
    size = first = 0
    for number, paragraph in _paragraphs(path):
        if piece and size + len(paragraph) > PIECE:
            yield SourceRow(f"{path}:{first}", {"text": "\n\n".join(piece)})
            piece, size = [], 0
        first = first if piece else number
        piece.append(paragraph)
        size += len(paragraph)
    if piece:
        yield SourceRow(f"{path}:{first}", {"text": "\n\n".join(piece)})


def _paragraphs(path: Path) -> Iterator[tuple[int, str]]:
    """Yield paragraphs, which blank lines end, with their first line; long ones in parts."""
    gathered: list[str] = []
    size = 0
    with open_input(path) as lines:
        for number, line in enumerate(lines, start=1):
            text = line.rstrip()
            if gathered and (not text or size + len(text) > PIECE):
                yield number - len(gathered), "\n".join(gathered)
                gathered, size = [], 0
            while len(text) > PIECE:
                cut = _cut(text)
                yield number, text[:cut].rstrip()
                text = text[cut:].lstrip()
            if text:
                gathered.append(text)
                size += len(text)
    if gathered:
        yield number - len(gathered) + 1, "\n".join(gathered)


def _cut(text: str) -> int:
    """Return where to cut a long line: behind its last sentence that fits, or its last word."""
    ends = [found.end() for found in _SENTENCE_END.finditer(text, 0, PIECE)]
    words = text.rfind(" ", 1, PIECE + 1)
    return next((end for end in (*ends[-1:], words) if end > PIECE // 3), PIECE)


FORMATS: dict[str, Callable[[Path], Iterator[SourceRow]]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".tsv": _tsv,
    ".parquet": _parquet,
    ".xlsx": _workbook,
    ".xlsm": _workbook,
}
"""File suffix -> reader of rows."""

TEXTS: dict[str, Callable[[Path], Iterator[SourceRow]]] = {".txt": _text, ".md": _text}
"""File suffix -> reader of a plain text, whose pieces become rows."""


def _parse(text: str, origin: str) -> object:

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            refuse_repeated([key for key, _ in pairs], origin)
        return found

    try:
        return parse_json(text, pairs=once)
    except json.JSONDecodeError as error:
        where = f"column {error.colno}" if ":" in origin else f"line {error.lineno}"
        raise DataError(f"malformed JSON at {origin}, {where}: {error.msg.lower()}") from error
    except ValueError as error:
        raise DataError(f"malformed JSON at {origin}: {error}") from error


def refuse_repeated(names: Sequence[str], origin: str) -> None:
    """Refuse a name that stands twice in one row or header, of which the last would win."""
    twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
    if twice is not None:
        raise DataError(f"each field may stand once: {origin} has {twice!r} twice; rename one")


def _mapping(row: object, origin: str) -> Mapping[str, object]:
    if not isinstance(row, dict):
        raise DataError(f"every row must be a JSON object: {origin} is {_kind(row)}")
    return row


def _names(keys: Mapping[str, object]) -> str:
    return ", ".join(repr(key) for key in keys) or "none"


def _kind(value: object) -> str:
    kinds = {list: "a list", str: "a text", bool: "a boolean", dict: "an object"}
    return kinds.get(type(value), "empty (null)" if value is None else "a number")
