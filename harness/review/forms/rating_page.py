"""The page to rate in: one HTML file that works from disk, or from ``harness review serve``.

Everything a model or a data set says is foreign text: it lies in a JSON block and becomes text
nodes, and the content policy allows exactly one style sheet and one script, named by their hashes.
Nothing in the page tells an arm, because nothing in a `Packet` does.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from pydantic import TypeAdapter

from harness.content import REPORTS, asset, page_policy
from harness.errors import DataError
from harness.inputs import first_problem, parse_json
from harness.review.forms.instructions import instructions_html, meanings
from harness.review.packet import CANNOT_JUDGE, CHOICES, SCORES, Packet, RowRating

_SPEAKER = re.compile(r"^(User|Assistant|System): ", re.MULTILINE)
_BLOCK = re.compile(r'<script type="application/json" id="packet">(.*?)</script>', re.DOTALL)
_ESCAPED = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def rating_page(packet: Packet, *, saved: Sequence[RowRating] = (), is_served: bool = False) -> str:
    """Render the page of one rater; the same packet gives the same bytes.

    Args:
        packet: What the rater sees.
        saved: Ratings that a server has; the page goes on from them.
        is_served: Whether the page sends every rating to ``<its address>/ratings``.
    """
    style, script = asset("rating.css"), asset("rating.js")
    environment = Environment(
        loader=FileSystemLoader(REPORTS / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    data = {
        **asdict(packet),
        "sheets": [
            {**asdict(sheet), "title": sheet.title or sheet.suite, "rows": [
                {**asdict(row), "turns": turns(row.question)} for row in sheet.rows
            ]}
            for sheet in packet.sheets
        ],
        "choices": CHOICES,
        "cannot_judge": CANNOT_JUDGE,
        "scores": SCORES,
        "meanings": meanings(tuple(dict.fromkeys(t for s in packet.sheets for t in s.tags))),
        "saved": [asdict(rating) for rating in saved],
        "served": is_served,
    }  # fmt: skip
    return environment.get_template("rating.html.j2").render(
        packet=packet,
        served=is_served,
        cannot_judge=CANNOT_JUDGE,
        policy=page_policy(style, script, connect=is_served),
        style=Markup(style),
        script=Markup(script),
        data=Markup(json.dumps(data).translate(_ESCAPED)),
        guides=[(sheet.name, instructions_html(sheet, top=2)) for sheet in packet.sheets],
    )


def packet_of(page: str) -> Packet:
    """Return the packet that a page was rendered from.

    Raises:
        DataError: If the text is no rating page.
    """
    found = _BLOCK.search(page)
    reason = "it has no block of data"
    try:
        if found:
            return TypeAdapter(Packet).validate_python(parse_json(found[1]))
    except ValueError as error:
        reason = first_problem(error)
    raise DataError(f"a rating page must be as it was drawn: {reason}; draw again beside it")


def turns(question: str) -> list[tuple[str, str]]:
    r"""Split a question into its turns: who speaks ("" where nobody is named) and what they say.

    >>> turns("User: Who is it?\nAssistant: Me.")
    [('User', 'Who is it?'), ('Assistant', 'Me.')]
    >>> turns("Who is it?")
    [('', 'Who is it?')]
    """
    first, *rest = _SPEAKER.split(question)
    spoken = [("", first), *zip(rest[::2], rest[1::2], strict=True)]
    return [(who, text.strip("\n")) for who, text in spoken if who or text.strip()]
