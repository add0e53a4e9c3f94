"""Tables out of whatever a spreadsheet saves: any workbook, and text of any encoding."""

import codecs
import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from zipfile import ZipFile, ZipInfo

Table = list[list[str]]

LARGEST = 100_000_000
"""Bytes, packed or not, beyond which nothing is a rating sheet."""
_ROWS, _COLUMNS = 20_000, 50
_MEMORY = 2 << 30
_ZIP, _OLD_WORKBOOK = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")
)  # fmt: skip
_DELIMITERS = ",;\t|"
_HEAD = 20_000
"""What may stand between cells, and the characters among which a table's titles are."""
_READER = """
import io, json, sys
rows, columns, memory = map(int, sys.argv[1:])
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
except (ImportError, ValueError, OSError):
    pass
from python_calamine import CalamineWorkbook
book = CalamineWorkbook.from_filelike(io.BytesIO(sys.stdin.buffer.read()))
sheets = [book.get_sheet_by_name(name) for name in book.sheet_names]
tables = [sheet.to_python(skip_empty_area=False, nrows=rows) for sheet in sheets]
json.dump([[row[:columns] for row in table] for table in tables], sys.stdout, default=str)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A decoded file; ``is_exact`` where its encoding knows every letter."""

    text: str
    is_exact: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """One file of an archive; ``modified`` in seconds since 1970, of the archive's own clock."""

    name: str
    data: bytes
    modified: float


def is_archive(data: bytes) -> bool:
    """Tell whether bytes are an archive of files, and no workbook (which is one, too)."""
    if not data.startswith(_ZIP):
        return False
    with _opened(data) as archive:
        names = set(archive.namelist())
    return not {"[Content_Types].xml", "content.xml"} & names


def is_workbook(data: bytes) -> bool:
    """Tell whether bytes are a workbook, of any kind that is read."""
    return data.startswith((_ZIP, _OLD_WORKBOOK))


def unpacked(data: bytes) -> Iterator[Packed]:
    """Yield the files of an archive, but those that systems put there for themselves.

    Raises:
        ValueError: If it is broken, encrypted or too large.
    """
    with _opened(data) as archive:
        for info in archive.infolist():
            parts = info.filename.split("/")
            if info.is_dir() or "__MACOSX" in parts or parts[-1].startswith((".", "~$")):
                continue
            try:
                found = archive.read(info)
            except Exception as error:  # whatever archives make a reader raise
                raise ValueError(f"{parts[-1]}: {_said(error)}") from error
            yield Packed(name=parts[-1], data=found, modified=_time(info))


def workbook_tables(data: bytes) -> list[Table]:
    """Return the sheets of a workbook: XLSX, XLSM, XLSB, XLS or ODS.

    Raises:
        ValueError: If it is broken, protected by a password or too large.
    """
    if data.startswith(_ZIP):
        with _opened(data) as archive:
            if "xl/workbook.xml" in archive.namelist():
                return _xlsx_tables(data)
    return _other_tables(data)


def _xlsx_tables(data: bytes) -> list[Table]:
    import openpyxl

    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        return [
            [
                ["" if cell is None else _cell(cell) for cell in row]
                for row in sheet.iter_rows(max_row=_ROWS, max_col=_COLUMNS, values_only=True)
            ]
            for sheet in book.worksheets
        ]
    except MemoryError:
        raise
    except Exception as error:  # whatever archives, XML and cells make a reader raise
        raise ValueError(_said(error)) from error


def _other_tables(data: bytes) -> list[Table]:
    """Read what openpyxl does not, in a process of its own.

    The reader makes room for every cell up to the last and ends its process where that fails.
    """
    done = subprocess.run(
        [sys.executable, "-c", _READER, str(_ROWS), str(_COLUMNS), str(_MEMORY)],
        input=data, capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        reason = said[-1] if done.returncode == 1 and said else "its cells lie too far apart"
        raise ValueError(reason.rpartition(": ")[2])
    found: list[list[list[object]]] = json.loads(done.stdout)
    return [[[_cell(value) for value in row] for row in sheet] for sheet in found]


def decoded(data: bytes) -> Text:
    """Decode a text file: UTF-8 or UTF-16 with or without a mark, else Windows' western encoding.

    Raises:
        ValueError: If its mark promises what it does not hold.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return Text(text=data.decode(encoding))
    head = data[:2000]
    if head.count(0) > len(head) // 4:
        little = head[1::2].count(0) > head[0::2].count(0)
        return Text(text=data.decode("utf-16-le" if little else "utf-16-be"))
    try:
        return Text(text=data.decode("utf-8"))
    except UnicodeDecodeError:
        return Text(text=data.decode("cp1252", "replace"), is_exact=False)


def text_table(text: str, is_title: Callable[[str], bool]) -> Table:
    """Read a table that was saved as text, whatever separates its cells.

    Args:
        text: The file; a first line such as ``sep=;`` names the separator.
        is_title: Knows a column's title; the separator is the one that finds most of them.

    Raises:
        ValueError: If it is no such table.
    """
    first, _, rest = text.partition("\n")
    named = first.strip().strip('"')
    if named.lower().startswith("sep=") and len(named) == len("sep=;"):
        return _parsed(rest, named[-1])
    if named.lower() == "sep=":
        return _parsed(rest, "\t")

    def titles(delimiter: str) -> int:
        top = _parsed(text[:_HEAD], delimiter)
        return max((sum(map(is_title, row)) for row in top), default=0)

    return _parsed(text, max(_DELIMITERS, key=titles))


def _parsed(text: str, delimiter: str) -> Table:
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise ValueError(str(error)) from error


def _opened(data: bytes) -> ZipFile:
    try:
        archive = ZipFile(io.BytesIO(data))
        size = sum(part.file_size for part in archive.infolist())
    except Exception as error:  # whatever archives make a reader raise
        raise ValueError(_said(error)) from error
    if size > LARGEST:
        raise ValueError(f"it unpacks to {size:,} bytes, more than any rating sheet")
    return archive


def _time(info: ZipInfo) -> float:
    try:
        return datetime(*info.date_time).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0


def _cell(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _said(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
