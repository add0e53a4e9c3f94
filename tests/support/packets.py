"""What raters get, made up: packets with harmless and with hostile texts, and a draw's folder."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.review.forms import rater_folder, zipped
from harness.review.forms.server import RatingServer, serving
from harness.review.packet import GENERAL_TAGS, TAGS, Form, Packet, RaterRow, SuiteSheet

QUESTIONS = (
    ("How many boats are longer than 12 metres?", "SELECT COUNT(*) FROM boats WHERE length > 12"),
    ("Which boats lie in Norrby?", "SELECT name FROM boats WHERE harbour = 'Norrby'"),
)
TALK = "User: I live in Helsinki.\nAssistant: Good to know.\nUser: Which city did I give you?"
KINDS = {
    "sql": TAGS["sql"], "conversation": TAGS["coherence"], "tools": TAGS["tools"],
    "choice": GENERAL_TAGS, "qa": GENERAL_TAGS, "own": GENERAL_TAGS,
}  # fmt: skip


def sheet(
    kind: str = "sql", *, count: int = 10, form: Form = "preference", texts: tuple[str, ...] = ()
) -> SuiteSheet:
    """Return a sheet of ``count`` rows, or of one row for each text, which all fields then hold."""
    rows = [
        RaterRow(
            id=f"row-{kind}-{place}", question=question, reference=wanted,
            answer_a=f"{wanted} -- first {place}", answer_b=f"second {place}",
        )
        for place in range(0 if texts else count)
        for question, wanted in [QUESTIONS[place % 2] if kind == "sql" else (TALK, "Helsinki")]
    ]  # fmt: skip
    rows += [
        RaterRow(id=f"row-{place}", question=text, reference=text, answer_a=text, answer_b=text)
        for place, text in enumerate(texts)
    ]
    return SuiteSheet(
        name=f"{kind}-set-1", suite=kind, title=f"Suite of {kind}", kind=kind, form=form,
        tags=KINDS[kind], rows=tuple(rows),
    )  # fmt: skip


def packet(*sheets: SuiteSheet, rater: int = 1, draw: str = "1f2e3d4c") -> Packet:
    """Return a packet of these sheets, or of ten rows of SQL."""
    return Packet(draw=draw, rater=rater, sheets=sheets or (sheet(),))


def drawn(folder: Path, *, raters: int = 1, count: int = 10) -> list[Packet]:
    """Write the zips of a draw into its folder, and return what is in them."""
    packets = [packet(sheet(count=count), rater=rater) for rater in range(1, raters + 1)]
    (folder / "for_raters").mkdir(parents=True)
    for each in packets:
        path = folder / "for_raters" / f"rater-{each.rater}.zip"
        files = rater_folder(each, {}).items()
        path.write_bytes(zipped({f"rater-{each.rater}/{name}": data for name, data in files}))
    return packets


@contextmanager
def running(draw: Path, **options: object) -> Iterator[RatingServer]:
    """Serve a draw from this process."""
    with serving(draw, **options) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
