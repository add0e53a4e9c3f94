"""The rating page from a server: a link a rater, and ratings on the disk before they are confirmed.

Whoever has a link sees one packet and nothing else; there is no list of links, no path that leads
to a file, and whatever is refused is a page with one sentence. It speaks plain HTTP and is made for
loopback, where other programs of the machine are kept out by the links' tokens, and pages of other
origins by the checks of ``Host`` and ``Origin``.
"""

import hashlib
import json
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from harness.errors import DataError, InfrastructureError
from harness.files import alone, write_text
from harness.inputs import parse_json, read_input
from harness.review.forms.rater_zip import packet_in
from harness.review.forms.rating_page import rating_page
from harness.review.forms.served_ratings import SERVED, ServedRatings
from harness.review.packet import Packet

TOKENS = "links.json"
"""The raters' tokens, in a draw's folder and for its owner's eyes only."""

LARGEST = 4_000_000
"""Bytes of a request beyond which it is no batch of ratings."""

PATIENCE = 30
"""Seconds after which a connection that says nothing is closed."""

_PLAIN = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class _Desk:
    """What lies behind one link."""

    packet: Packet
    ratings: ServedRatings


class RatingServer(ThreadingHTTPServer):
    """Serves one draw to its raters; ``links`` are their addresses, by rater."""

    request_queue_size = 128

    def __init__(self, draw: Path, host: str, port: int) -> None:
        packets = [packet_in(path.read_bytes()) for path in _zips(draw)]
        tokens = _tokens(draw / TOKENS, [packet.rater for packet in packets])
        self.desks = {
            _digest(tokens[packet.rater]): _Desk(packet, ServedRatings(draw / SERVED, packet))
            for packet in packets
        }
        self.kept = draw / SERVED
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.names = {"localhost", host.lower(), socket.gethostname().lower()}
        try:
            super().__init__((host, port), _Requests)
        except (OSError, OverflowError) as error:
            raise InfrastructureError(
                f"cannot listen on {host}, port {port}: {error}; give another --host or --port"
            ) from error
        shown = f"[{host}]" if ":" in host else host
        self.links = {
            rater: f"http://{shown}:{self.server_port}/rate/{token}"
            for rater, token in sorted(tokens.items())
        }

    @property
    def is_loopback(self) -> bool:
        """Whether no other machine can reach it."""
        return ip_address(str(self.server_address[0])).is_loopback

    def desk(self, token: str) -> _Desk | None:
        """Return what lies behind a token; how long that takes says nothing about other tokens."""
        return self.desks.get(_digest(token))

    def knows(self, host: str) -> bool:
        """Tell whether a request was meant for this server: no strange name may lead here.

        A name of someone else's that was made to point here (DNS rebinding) would let their page
        read ratings; an address cannot be made to.
        """
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        try:
            return bool(ip_address(name))
        except ValueError:
            return name in self.names


class _Requests(BaseHTTPRequestHandler):
    server: RatingServer
    protocol_version = "HTTP/1.1"
    timeout = PATIENCE

    def do_GET(self) -> None:
        if self.path == "/favicon.ico":
            return self._reply(HTTPStatus.NO_CONTENT, b"", "text/plain")
        desk = self._desk("")
        if desk is None:
            return None
        page = rating_page(desk.packet, saved=desk.ratings.all(), is_served=True)
        return self._reply(HTTPStatus.OK, page.encode("utf-8", "backslashreplace"), "text/html")

    def do_PUT(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LARGEST:
            self.close_connection = True
            return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "That is too much at once.")
        body = self.rfile.read(int(length))
        desk = self._desk("/ratings")
        if desk is None:
            return None
        if self.headers.get_content_type() != "application/json":
            return self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Ratings come as JSON.")
        try:
            count = desk.ratings.save(body.decode())
        except (DataError, UnicodeDecodeError) as error:
            return self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        except InfrastructureError as error:
            return self._refuse(HTTPStatus.INSUFFICIENT_STORAGE, str(error))
        return self._reply(HTTPStatus.OK, json.dumps({"saved": count}).encode(), "application/json")

    def _desk(self, below: str) -> _Desk | None:
        """Return what a request may see, or refuse it."""
        origin = self.headers.get("Origin")
        host = self.headers.get("Host", "")
        if not self.server.knows(host) or origin not in (None, f"http://{host}"):
            self._refuse(HTTPStatus.FORBIDDEN, "This address does not lead here.")
            return None
        path = self.path.removesuffix(below) if self.path.endswith(below) else ""
        token = path.removeprefix("/rate/") if path.startswith("/rate/") else ""
        desk = self.server.desk(token)
        if desk is None:
            self._refuse(
                HTTPStatus.NOT_FOUND,
                "There is no such page. Open the whole link that you were given.",
            )
        return desk

    def _refuse(self, status: HTTPStatus, sentence: str) -> None:
        page = (
            '<!doctype html><html lang="en"><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{status.phrase}</title><h1>{status.phrase}</h1><p>{escape(sentence)}</p></html>\n"
        )
        self._reply(status, page.encode("utf-8", "backslashreplace"), "text/html")

    def _reply(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
            "X-Frame-Options": "DENY",
            **({} if status is HTTPStatus.OK else {"Content-Security-Policy": _PLAIN}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what the library refuses (another method, a broken request) as a page, too."""
        del explain
        self.close_connection = True
        self._refuse(HTTPStatus(code), message or HTTPStatus(code).description)

    def version_string(self) -> str:
        """Say no more than what this is."""
        return "harness"

    def log_message(self, format: str, *args: object) -> None:
        """Keep tokens out of terminals and logs."""


@contextmanager
def serving(draw: Path, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[RatingServer]:
    """Yield the server of a draw; it answers while its ``serve_forever`` runs.

    Raises:
        DataError: If the folder is no draw with zips for raters, or what was saved is not of it.
        InfrastructureError: If another server serves it, or the port cannot be had.
    """
    _zips(draw)
    with alone(draw / SERVED), RatingServer(draw, host, port) as server:
        yield server


def _zips(draw: Path) -> list[Path]:
    found = sorted(draw.glob("for_raters/rater-*.zip"))
    if not found:
        raise DataError(
            f"serving needs the folder of a draw with a zip for each rater: {draw} has none; give "
            "one of the folders in the run's 'review'"
        )
    return found


def _tokens(path: Path, raters: list[int]) -> Mapping[int, str]:
    """Return each rater's token; they are made once, so that a link outlives the server."""
    kept: dict[int, str] = {}
    if path.exists():
        try:
            found = parse_json(read_input(path))
            kept = {int(rater): str(token) for rater, token in found.items()}
        except (ValueError, AttributeError) as error:
            raise DataError(
                f"the raters' links must be as they were written: {path} is not; delete it, and "
                "hand out new links"
            ) from error
    tokens = {rater: kept.get(rater) or secrets.token_urlsafe(24) for rater in raters}
    if tokens != kept:
        write_text(path, json.dumps(tokens, indent=1) + "\n", private=True)
    return tokens


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "backslashreplace")).hexdigest()
