"""How to rate, on one page for someone who knows nothing about models: ``reports/rubrics``.

The words are content: one file a kind of suite, one a form, and what each fault means.
"""

import re
from functools import cache

from jinja2 import Environment, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from harness.content import REPORTS
from harness.display_text import visible
from harness.review.packet import SuiteSheet

_RUBRICS = REPORTS / "rubrics"
_LEAD = re.compile(
    r"(?:(?<=[>\s])(?=(?:Question|Wanted answer|Answer [AB]|Rating|User|Assistant):)|(?<=<li>))"
    r"([^<>:.,]{1,40}:)"
)
"""What a line of instructions begins with: who speaks in an example, or the word it explains."""


_THOUGHTS = (
    "Some of these programs think before they answer. What they thought is left out: rate what "
    "they answered, as whoever asked would read it. An empty answer is one that never came."
)


def instructions(sheet: SuiteSheet) -> str:
    """Return a sheet's instructions as Markdown: headings, paragraphs and plain lists.

    The kind of its suite decides what counts and the worked examples, its form the scale.
    """
    faults = "\n".join(f"- {tag}: {meaning}" for tag, meaning in meanings(sheet.tags).items())
    is_direct = sheet.form == "direct"
    scale = "# The numbers" if is_direct else "# The ratings"
    parts = (
        f"# How to rate: {_title(sheet)}",
        _text(sheet.form),
        *([_THOUGHTS] if sheet.thoughts else []),
        _text(sheet.kind, direct=is_direct),
        scale,
        _text(f"{sheet.form}_scale"),
        *(("# What can be wrong", faults) if faults else ()),
    )
    return "\n\n".join(part.strip() for part in parts) + "\n"


def instructions_html(sheet: SuiteSheet, *, top: int = 1) -> Markup:
    """Return a sheet's instructions as HTML; the first heading is of level ``top``."""
    first, *rest = instructions(sheet).split("\n# ")
    text = "\n".join(("#" * (top - 1) + first, *("#" * (top + 1) + " " + part for part in rest)))
    html = MarkdownIt("commonmark", {"html": False}).render(text)
    return Markup(_LEAD.sub(r"<b>\1</b>", html))


def meanings(tags: tuple[str, ...]) -> dict[str, str]:
    """Return what each of some faults means; one that nobody explained means its own words."""
    told = dict(re.findall(r"^- (.+?): (.+)$", _text("faults"), re.MULTILINE))
    return {tag: told.get(tag, tag) for tag in tags}


def _title(sheet: SuiteSheet) -> str:
    """Return a suite's title as Markdown that says nothing but its characters."""
    return re.sub(r"([\\`*_\[\]<>#&!|~])", r"\\\1", visible(sheet.title or sheet.suite))


@cache
def _text(name: str, *, direct: bool = False) -> str:
    text = (_RUBRICS / f"{name}.md").read_text("utf-8")
    environment = Environment(undefined=StrictUndefined, autoescape=False)
    return environment.from_string(text).render(direct=direct)
