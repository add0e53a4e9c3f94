"""One zip a rater: instructions, the page, and the same rows as workbooks and CSV.

Names, order, dates and rights of what is in it are fixed, so that the same packet gives the same
bytes and nothing beside the texts tells two raters' zips apart.
"""

import io
import re
from collections.abc import Mapping
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.content import REPORTS, asset, page_policy
from harness.errors import DataError
from harness.review.forms.instructions import instructions_html
from harness.review.forms.rating_page import packet_of, rating_page
from harness.review.packet import Packet, SuiteSheet

PAGE = "rate.html"
_FIRST = "READ ME FIRST.txt"
_DATE = (2020, 1, 1, 0, 0, 0)
_RIGHTS = 0o100644 << 16
_LONGEST_PAGE = 200_000_000
"""Bytes of an unpacked page beyond which a zip is not one of ours."""


def rater_folder(packet: Packet, sheets: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return everything that one rater gets, by its name in the rater's folder.

    Args:
        packet: What the rater sees.
        sheets: The same rows as workbooks and CSV, by file name.
    """
    return {
        _FIRST: _template("read_me_first.txt.j2", escape=False, packet=packet).encode(),
        PAGE: rating_page(packet).encode("utf-8", "backslashreplace"),
        **{f"instructions-{name}.html": instructions_page(sheet).encode()
           for name, sheet in _by_suite(packet).items()},
        **{f"workbooks/{name}": data for name, data in sheets.items()},
    }  # fmt: skip


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Pack files by their names; the same files give the same bytes."""
    file = io.BytesIO()
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        for name in sorted(files):
            info = ZipInfo(name, _DATE)
            info.compress_type, info.external_attr, info.create_system = ZIP_DEFLATED, _RIGHTS, 3
            archive.writestr(info, files[name])
    return file.getvalue()


def packet_in(zipped: bytes) -> Packet:
    """Return the packet of a rater's zip.

    Raises:
        DataError: If it is no zip of ours.
    """
    try:
        with ZipFile(io.BytesIO(zipped)) as archive:
            (page,) = (part for part in archive.infolist() if part.filename.endswith(f"/{PAGE}"))
            text = archive.read(page).decode() if page.file_size < _LONGEST_PAGE else ""
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(
            f"a rater's zip must be as it was drawn: {reason}; draw again beside it"
        ) from error  # whatever archives make a reader raise
    return packet_of(text)


def instructions_page(sheet: SuiteSheet) -> str:
    """Render a suite's instructions as a page of their own, which prints on one sheet of paper."""
    style = asset("rating.css")
    return _template(
        "instructions.html.j2",
        title=sheet.title or sheet.suite,
        policy=page_policy(style),
        style=Markup(style),
        text=instructions_html(sheet),
    )


def _by_suite(packet: Packet) -> dict[str, SuiteSheet]:
    """Return a sheet of each suite, by a name that any file system takes."""
    return {re.sub(r"[^\w-]", "_", sheet.suite): sheet for sheet in packet.sheets}


def _template(name: str, *, escape: bool = True, **values: object) -> str:
    environment = Environment(
        loader=FileSystemLoader(REPORTS / "templates"), autoescape=escape,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    return environment.get_template(name).render(**values)
