"""`harness review serve`: what it calls saved is on the disk, and a link leads to one packet."""

import http.client
import json
import random
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.command import HARNESS, SAFETY_NET, harness, started
from support.packets import drawn, packet, running

from harness.errors import DataError, InfrastructureError
from harness.review.forms import parse_ratings
from harness.review.forms.server import LARGEST, RatingServer, serving
from harness.review.packet import CHOICES, RowRating, ratings_json


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RatingServer]:
    """Serve two raters' packets."""
    draw = tmp_path_factory.mktemp("review") / "1f2e3d4c"
    drawn(draw, raters=2)
    with running(draw) as server:
        yield server


def ask(
    link: str, method: str = "GET", *, below: str = "", body: str | None = None, **headers: str
) -> tuple[int, str, dict[str, str]]:
    """Send a request to a link, or below it; return status, text and headers."""
    parts = urlsplit(link)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=SAFETY_NET)
    typed = {"Content-Type": "application/json"} if body is not None else {}
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        data = None if body is None else body.encode("utf-8", "backslashreplace")
        connection.request(method, parts.path + below, data, {**typed, **sent})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), dict(answer.getheaders())
    finally:
        connection.close()


def rated(row: str, choice: str = CHOICES[0], *, rater: int = 1, **more: object) -> str:
    """Return what a page sends after one rating."""
    return ratings_json("1f2e3d4c", rater, [RowRating(row=row, choice=choice, **more)])


def save(link: str, body: str, **headers: str) -> tuple[int, str, dict[str, str]]:
    """Send ratings as the page does."""
    return ask(link, "PUT", below="/ratings", body=body, **headers)


def test_a_saved_rating_is_on_the_disk_and_in_the_page(served: RatingServer) -> None:
    """What was confirmed stands in the rater's file, and the page goes on from it."""
    link = served.links[1]
    assert save(link, rated("row-sql-0", comment="ü \ud83d"))[0] == 200
    assert save(link, rated("row-sql-0", CHOICES[2]))[0] == 200
    assert save(link, rated("row-sql-3", tags_a=("wrong join",)))[0] == 200
    kept = parse_ratings((served.kept / "rater-1.json").read_text())
    assert [(one.row, one.choice) for one in kept["ratings"]] == [
        ("row-sql-0", CHOICES[2]), ("row-sql-3", CHOICES[0]),
    ]  # fmt: skip
    status, page, headers = ask(link)
    assert status == 200
    assert '"tags_a": ["wrong join"]' in page
    assert headers["Cache-Control"] == "no-store"
    assert "connect-src &#39;self&#39;" in page


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("{", "JSON"),
        (rated("row-sql-0", "both great"), "none of the choices"),
        (rated("row-other"), "none of this rater"),
        (rated("row-sql-0", tags_a=("forgot",)), "none of the faults"),
        (rated("row-sql-0", score_a=3), "none of this form"),
        (rated("row-sql-0", comment="x" * 4001), "4000 characters"),
        (rated("row-sql-0", rater=2), "rater 2"),
        ("[" * 100_000, "JSON"),
    ],
)
def test_what_the_page_does_not_offer_is_refused(served: RatingServer, body: str, why: str) -> None:
    """Nothing is kept of a request with anything wrong in it, and the answer says what."""
    before = ask(served.links[1])[1]
    status, page, _ = save(served.links[1], body)
    assert (status, "<h1>" in page) == (400, True)
    assert why in page
    assert ask(served.links[1])[1] == before


@pytest.mark.parametrize(
    "path",
    ["/", "/rate/", "/rate/x", "/rate", "/ratings", "/rate/../key.json", "/rate/%2e%2e/key.json",
     "/rate//etc/passwd", "/links.json", "/served/rater-1.json", "/rate/%C3%BC", "/?x"],
)  # fmt: skip
def test_nothing_else_is_found(served: RatingServer, path: str) -> None:
    """No listing, no file, no hint: one page that says what to do."""
    link = served.links[1].partition("/rate/")[0]
    status, page, headers = ask(link, below=path)
    assert status == 404
    assert "whole link" in page
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert not any(name in page for name in ("rater-", "key", "1f2e3d4c"))


def test_a_rater_sees_nothing_of_another(served: RatingServer) -> None:
    """Neither rows nor ratings, nor the other's link."""
    assert save(served.links[2], rated("row-sql-1", rater=2, comment="only mine"))[0] == 200
    page = ask(served.links[1])[1]
    assert "only mine" not in page
    assert served.links[2].rpartition("/")[2] not in page


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:80"}, 403),
        ({"Host": ""}, 403),
        ({"Host": "localhost:1", "Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost"}, 200),
        ({"Host": "LOCALHOST.:99"}, 200),
        ({"Host": "[::1]:99"}, 200),
    ],
)
def test_no_strange_page_gets_in(
    served: RatingServer, headers: dict[str, str], status: int
) -> None:
    """A name that was made to lead here, and a page of another origin, are refused."""
    assert ask(served.links[1], **headers)[0] == status
    assert save(served.links[1], rated("row-sql-5"), **headers)[0] == status


def test_sizes_and_methods_are_limited(served: RatingServer) -> None:
    """Too much, of another type, or by another method is a page with one sentence."""
    link = served.links[1]
    assert ask(link, "PUT", below="/ratings", body="", Content_Length=str(LARGEST + 1))[0] == 413
    assert ask(link, "PUT", below="/ratings", body="{}", Content_Type="text/plain")[0] == 415
    for method in ("POST", "DELETE", "OPTIONS", "FOO"):
        status, page, _ = ask(link, method, below="/ratings")
        assert status == 501
        assert "<p>" in page
    assert ask(link, "PUT", body="{}")[0] == 404


def test_links_outlive_the_server_and_are_secret(tmp_path: Path) -> None:
    """The same tokens after a restart, in a file only its owner reads; one server at a time."""
    draw = tmp_path / "1f2e3d4c"
    drawn(draw, raters=2)
    tokens = []
    for _ in range(2):
        with running(draw) as server:
            tokens.append({k: link.rpartition("/")[2] for k, link in server.links.items()})
            with pytest.raises(InfrastructureError, match="another is at work"), serving(draw):
                pass
    assert tokens[0] == tokens[1]
    assert len({*tokens[0].values()}) == 2
    assert all(len(token) >= 32 for token in tokens[0].values())
    assert (draw / "links.json").stat().st_mode & 0o777 == 0o600
    assert not any(token in path.read_text("latin-1") for token in tokens[0].values()
                   for path in (draw / "for_raters").iterdir())  # fmt: skip


def test_what_cannot_be_served_is_told(tmp_path: Path) -> None:
    """No draw, a broken zip, foreign ratings, broken links, a port that is taken: one sentence."""
    with pytest.raises(DataError, match="folder of a draw"), serving(tmp_path):
        pass
    draw = tmp_path / "1f2e3d4c"
    drawn(draw)
    with running(draw) as server:
        other = tmp_path / "other"
        drawn(other)
        taken = pytest.raises(InfrastructureError, match="--port")
        with taken, serving(other, port=server.server_port):
            pass
    (draw / "links.json").write_text("[]")
    with pytest.raises(DataError, match="links"), serving(draw):
        pass
    (draw / "links.json").unlink()
    (draw / "served" / "rater-1.json").write_text(rated("row-sql-0", rater=7))
    with pytest.raises(DataError, match="rater 7"), serving(draw):
        pass
    (draw / "for_raters" / "rater-1.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match="as it was drawn"), serving(draw):
        pass


def test_a_full_disk_is_not_called_saved(
    served: RatingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a rating cannot be written the answer says so, and what was there before stays."""
    import errno

    from harness import files

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    save(served.links[1], rated("row-sql-8"))
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        status, page, _ = save(served.links[1], rated("row-sql-9"))
    assert (status, "No space left" in page) == (507, True)
    rows = {one.row for one in parse_ratings((served.kept / "rater-1.json").read_text())["ratings"]}
    assert "row-sql-8" in rows
    assert "row-sql-9" not in rows
    assert "row-sql-9" not in {one.row for one in served_ratings(served)}


def served_ratings(server: RatingServer) -> list[RowRating]:
    """Return what the first rater's page would go on from."""
    page = ask(server.links[1])[1]
    saved = re.search(r'"saved": (\[.*?\]), "served"', page)
    return [RowRating(**one) for one in json.loads(saved[1])]


RATERS, ROWS = 20, 30


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.nightly)])
def test_twenty_raters_at_once_and_kills_lose_nothing(tmp_path: Path, kills: int) -> None:
    """Whatever was confirmed is there after kills -9 at random, each rater's own and no other's."""
    draw = tmp_path / "1f2e3d4c"
    drawn(draw, raters=RATERS, count=ROWS)
    confirmed: dict[int, dict[str, str]] = {rater: {} for rater in range(1, RATERS + 1)}
    total, lot = [0], random.Random(kills)
    for kill in range(kills):
        with started(*HARNESS, "review", "serve", draw) as process:
            links = {}
            while len(links) < RATERS:
                found = re.match(r"rater (\d+): (\S+)", process.stdout.readline())
                links[int(found[1])] = found[2]
            with ThreadPoolExecutor(RATERS) as pool:
                work = [
                    pool.submit(rate_on, rater, link, confirmed[rater], total, kill)
                    for rater, link in links.items()
                ]
                enough = total[0] + lot.randrange(1, 80)
                while total[0] < enough:
                    time.sleep(0.001)
                process.kill()
                unsure = [each.result() for each in work]
        for (rater, mine), (row, choice) in zip(confirmed.items(), unsure, strict=True):
            path = draw / "served" / f"rater-{rater}.json"
            kept = parse_ratings(path.read_text())["ratings"] if path.exists() else []
            on_disk = {one.row: one.choice for one in kept}
            if on_disk.get(row) == choice:  # written, but the kill came before the answer
                mine[row] = choice
            assert on_disk == mine


def rate_on(
    rater: int, link: str, confirmed: dict[str, str], total: list[int], kill: int
) -> tuple[str, str]:
    """Rate until the server is gone; note what it confirmed, return what it did not answer."""
    lot = random.Random(f"{rater} {kill}")
    while True:
        row, choice = f"row-sql-{lot.randrange(ROWS)}", lot.choice(CHOICES)
        try:
            status, _, _ = save(link, rated(row, choice, rater=rater))
        except (OSError, http.client.HTTPException):
            return row, choice
        assert status == 200
        confirmed[row] = choice
        total[0] += 1


def test_control_c_ends_it_cleanly(tmp_path: Path) -> None:
    """The command says where the ratings are, and ends with 0 and no traceback."""
    draw = tmp_path / "1f2e3d4c"
    drawn(draw)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # tests may run where
    with started(*HARNESS, "review", "serve", draw) as process:  # it is ignored, and pass that on
        signal.signal(signal.SIGINT, before)
        while "Ctrl-C" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=SAFETY_NET)
    assert process.returncode == 0, errors
    assert "harness review collect" in out
    assert not errors


def test_a_folder_that_is_no_draw_is_one_sentence(tmp_path: Path) -> None:
    """A mistyped folder is a usage error."""
    done = harness("review", "serve", tmp_path)
    assert done.returncode == 2
    assert "folder of a draw" in done.stderr


def test_a_packet_of_no_rows_can_be_served(tmp_path: Path) -> None:
    """A rater without rows sees a page that says so."""
    from harness.review.forms import rating_page

    assert "nothing to rate" in rating_page(packet(*[]))
