"""Plant forty causes in made runs, and see whether the report names each.

    python tests/bench/planted_causes.py [--seeds 101 102] [--kinds a_slice_lost ...]

Twenty kinds of causes, a world of each kind and seed: real run folders with answers judged by the
real judges, compared and reported as ``harness report`` does. In Chromium, a cause is named where a
line of the page's first screen (the verdict) says it, or a line of what a link of it opens. Prints
a line a world, then the count; and what worlds without any cause are said to have. Seeds 0 to 9
were used while this was developed.
"""

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.pages import CHROMIUM
from support.planted_worlds import KINDS, World, made, write_world

from harness import report
from harness.pipeline.conclude import reopen

LINES = """(id) => {
  const root = document.getElementById(id);
  const shown = [...root.querySelectorAll("h1,h2,h3,p,li,tr,summary,figcaption")];
  return shown.filter((node) => node.checkVisibility()).map((node) =>
    node.innerText.replace(/\\s+/g, " ").trim());
}"""


CLICK = """(id) => {
  for (const node of document.querySelectorAll("#causes details")) node.open = false;
  location.hash = "";
  document.querySelector(`#verdict a[href="#${CSS.escape(id)}"]`).click();
}"""

ALARMS = """() => [...document.querySelectorAll("#verdict .said a, #verdict .note li")].map(
  (node) => node.innerText.trim())"""


def named(page: Any, pattern: str) -> tuple[str, str]:
    """Return the first line that matches, after where it stands: first screen, or the link."""
    for place, line in _lines(page):
        if re.search(pattern, line):
            return place, line
    return "", ""


def _lines(page: Any) -> Iterator[tuple[str, str]]:
    """Yield the lines of the verdict, then of whatever each of its links opens with one click."""
    yield from (("first screen", line) for line in page.evaluate(LINES, "verdict"))
    links = page.eval_on_selector_all(
        "#verdict a[href^='#']", "nodes => nodes.map(node => node.getAttribute('href').slice(1))"
    )
    for target in dict.fromkeys(link for link in links if link and "=" not in link):
        page.evaluate(CLICK, target)
        page.wait_for_timeout(50)
        yield from ((f"#{target}", line) for line in page.evaluate(LINES, target))


def alarms(seed: int, browser: Any) -> list[str]:
    """Return what the first screen says of a world in which nothing was planted."""
    with tempfile.TemporaryDirectory() as folder:
        page = opened("nothing", seed, Path(folder), browser)[1]
        said = page.evaluate(ALARMS)
        page.close()
        return list(said)


def look(kind: str, seed: int, browser: Any) -> tuple[str, str, str]:
    """Make, report and read one world; return where its cause is named, the line, the pattern."""
    with tempfile.TemporaryDirectory() as folder:
        world, page = opened(kind, seed, Path(folder), browser)
        found = named(page, world.says)
        page.close()
        return *found, world.says


def opened(kind: str, seed: int, folder: Path, browser: Any) -> tuple[World, Any]:
    """Make, report and open one world."""
    world = made(kind, seed)
    run = write_world(world, folder / "run")
    files = report.write(reopen(run)[1], run.path)
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(files["report.html"].as_uri())
    return world, page


def main() -> None:
    """Print a line for each world, and how many causes are named."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--without", type=int, nargs="*", default=[101, 102, 103, 104, 105])
    chosen = parser.parse_args()
    hits = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for kind in chosen.kinds:
            for seed in chosen.seeds:
                place, line, pattern = look(kind, seed, browser)
                hits += bool(place)
                told = f"{place}: {line[:110]}" if place else f"NOT NAMED: {pattern}"
                print(f"{kind:24} {seed:5}  {told}", flush=True)
        for seed in chosen.without:
            print(f"nothing planted          {seed:5}  {alarms(seed, browser)}", flush=True)
        browser.close()
    print(f"{hits} of {len(chosen.kinds) * len(chosen.seeds)} planted causes are named")


if __name__ == "__main__":
    main()
