"""Every number of items in a report leads to exactly these items in the item browser."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bench.planted_causes import opened
from support.example_result import example_result
from support.pages import NEEDS_CHROMIUM, Visits
from support.paths import ROOT

from harness import report
from harness.analysis import analyse
from harness.records import Pair, Result

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = NEEDS_CHROMIUM

TEXTS = r"""() => {
  const within = [".comparison .body", ".matrix", "#verdict > .note ul", ".card .said",
    ".lost-items > .fine", ".lost-items > h2"];
  const apart = [
    "svg, figure, pre, code, dl",          // charts have their table; texts are not the report's
    ".note b ~ span, h3 + .letters",       // sentences that repeat the linked numbers beside them
  ];
  const found = [];
  for (const part of document.querySelectorAll(within.join())) {
    const walk = document.createTreeWalker(part, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
      const node = walk.currentNode.parentElement, text = walk.currentNode.textContent.trim();
      const isName = node.closest("th") && !node.closest("small");
      if (!/\d/.test(text) || node.closest(apart.join()) || isName) continue;
      const beside = node.closest("tr, li, p")?.querySelector("th a, :scope > a");
      const [own, near] = [node.closest("a"), beside].map((one) => one?.getAttribute("href") ?? "");
      found.push([text, own, near]);
    }
  }
  return found;
}"""

SHOWN = """(links) => links.map((link) => {
  history.replaceState(null, "", link);
  dispatchEvent(new Event("hashchange"));
  return document.getElementById("count").textContent;
})"""

LEADING = (
    r"^(?:\d+ of|The) ([\d,]+) items that",
    r"^([\d,]+)(?= |$)",
    r" on ([\d,]+) items",
    r"→ ([\d,]+) items$",
)
"""Numbers of items in a link's text."""

BESIDE = (r"^([\d,]+) items", r"of ([\d,]+) right$", r"^\(([\d,]+) of", r" on ([\d,]+) items\.$")
"""Numbers of items that stand beside the one link of their row or line."""

TOTALS = (
    r"\bof [\d,]+",  # what a share is of
    r"[\d,]+ (?:points|characters|(?:equal )?clusters|bins|groups|small|rarer|more)",
    r"\bp [\d.e-]+|effective [\d.]+",
    r"[−+-]?[\d,]*\d\.\d+|[−+-]\d+|\d+%",  # shares, and changes in points
    r"\b0\b",  # nothing to open
)
"""Numbers that no link is missing for."""


def figures(texts: list[tuple[str, str, str]]) -> tuple[dict[str, set[int]], list[str]]:
    """Return which numbers each link claims to open, and the texts with a number without a link."""
    claims: dict[str, set[int]] = {}
    bare = []
    for text, own, near in texts:
        link, patterns = (own, LEADING) if own else (near, BESIDE)
        found = next((m for pattern in patterns if (m := re.search(pattern, text))), None)
        if link and found:
            claims.setdefault(link, set()).add(int(found[1].replace(",", "")))
        rest = text
        for total in TOTALS:
            rest = re.sub(total, "", rest)
        if link and found:
            rest = rest.replace(found[1], "", 1)
        if not own and re.search(r"\d", rest):
            bare.append(text)
    return claims, bare


def partly_unscored() -> Result:
    """Return the example with every fifth answer of its candidates left without a score."""
    result = example_result()
    comparisons = tuple(
        replace(
            one, pairs=tuple(_unscored(p) if n % 5 == 0 else p for n, p in enumerate(one.pairs))
        )
        for one in result.comparisons
    )
    analysis = analyse(comparisons)
    return replace(
        result, comparisons=comparisons, findings=analysis.findings, groups=analysis.groups
    )


def _unscored(pair: Pair) -> Pair:
    verdict = replace(pair.tuned.verdict, outcome="unscored", score=None, labels=("no_reply",))
    return replace(pair, tuned=replace(pair.tuned, verdict=verdict), transition="unscored")


Opener = Callable[[], Any]


@pytest.fixture
def page_of(visit: Visits, example: Path, chromium: Any, tmp_path: Path) -> Callable[[str], Any]:
    """Open a report: made up, the quickstart's, or one with a planted cause."""
    pages: dict[str, Opener] = {
        "made up": lambda: visit(example),
        "the quickstart's": lambda: visit(ROOT / "examples" / "report" / "report.html"),
        "partly unscored": lambda: visit(report.write(partly_unscored(), tmp_path)["report.html"]),
    }
    return lambda which: pages.get(which, lambda: opened(which, 0, tmp_path, chromium)[1])()


@pytest.mark.parametrize(
    ("which", "least"),
    [
        ("made up", 100),
        ("the quickstart's", 250),
        ("partly unscored", 100),
        ("a_letter_favoured", 60),
        pytest.param("answers_truncated", 50, marks=pytest.mark.nightly),
        pytest.param("answers_nothing", 50, marks=pytest.mark.nightly),
    ],
)
def test_every_number_of_items_opens_exactly_them(
    page_of: Callable[[str], Any], which: str, least: int
) -> None:
    """Transitions, causes and what became of them, groups, letters, confidence, warnings."""
    page = page_of(which)
    claims, bare = figures(page.evaluate(TEXTS))
    assert bare == []
    assert len(claims) >= least
    shown = page.evaluate(SHOWN, list(claims))
    opens = {link: f"{max(numbers):,} of" for link, numbers in claims.items()}
    assert all(len(numbers) == 1 for numbers in claims.values())
    wrong = [
        f"{link}: {wanted}, shows {said}"
        for (link, wanted), said in zip(opens.items(), shown, strict=True)
        if not said.startswith(wanted)
    ]
    assert wrong == []
