"""The pictures of the documentation, from the frozen quickstart: the rating page, the terminal.

    python tests/bench/doc_pictures.py

Writes into ``docs/assets``. That of the report is ``example_report.py``'s.
"""

import re
import sys
import tarfile
import tempfile
import zipfile
from io import StringIO
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.command import harness
from support.frozen_run import FROZEN, frozen_result
from support.pages import started
from support.paths import ROOT

from harness.cli import console
from harness.records import Result

ASSETS = ROOT / "docs" / "assets"
WIDTH = 78


def terminal(result: Result) -> None:
    """Draw what ``harness quickstart`` prints at its end, without fonts from elsewhere."""
    from rich.console import Console
    from rich.terminal_theme import DIMMED_MONOKAI

    shown = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True)
    for arm in result.arms[1:]:
        shown.print(f"\n{arm.name} against base", style="bold")
        shown.print(arm.note, style="dim")
        shown.print(console._table([c for c in result.comparisons if c.candidate == arm.name]))
    drawn = shown.export_svg(title="harness quickstart", theme=DIMMED_MONOKAI, unique_id="terminal")
    drawn = drawn.replace("<!-- Generated with Rich https://www.textualize.io -->", "")
    drawn = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)
    (ASSETS / "terminal.svg").write_text(drawn.replace("Fira Code, ", ""), encoding="utf-8")


def rating_page(folder: Path) -> None:
    """Draw sheets of a run and photograph the first pair of the page that a rater opens."""
    run = folder / "run"
    run.mkdir()
    with tarfile.open(FROZEN) as packed:
        packed.extractall(run, filter="data")
    done = harness("review", "draw", run, "--items", 12, "--raters", 1, "--suites", "sql")
    assert done.returncode == 0, done.stderr
    (packet,) = run.glob("review/*/for_raters/rater-1.zip")
    with zipfile.ZipFile(packet) as opened:
        opened.extractall(folder / "packet")
    page_file = max((folder / "packet").rglob("*.html"), key=lambda file: file.stat().st_size)
    with started() as browser:
        page = browser.new_page(viewport={"width": 1100, "height": 760}, color_scheme="light")
        page.goto(page_file.as_uri())
        page.get_by_role("button", name="Begin rating").click()
        page.screenshot(path=ASSETS / "rating-page.png")


def small(path: Path) -> None:
    """Keep few colours of a picture, so that it stays small."""
    from PIL import Image

    few = Image.open(path).convert("P", palette=Image.Palette.ADAPTIVE, colors=48)
    few.save(path, optimize=True)


if __name__ == "__main__":
    ASSETS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        terminal(frozen_result(Path(place) / "frozen"))
        rating_page(Path(place))
    small(ASSETS / "rating-page.png")
    for file in sorted(ASSETS.iterdir()):
        print(f"{file.name:20} {file.stat().st_size:>9,} bytes")
