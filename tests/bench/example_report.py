"""The committed example: freeze a finished quickstart run and render its report.

    harness quickstart --out /tmp/quickstart
    python tests/bench/example_report.py /tmp/quickstart/run     # freezes the run
    python tests/bench/example_report.py                         # renders the frozen one again

Writes the report into ``examples/report``, and takes the picture that README shows.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.frozen_run import EXAMPLE, FROZEN, freeze, frozen_result, words_sha256

from harness import report
from harness.records import Result

WIDTH, SCALE = 1180, 1.4


def picture(result: Result) -> None:
    """Take the picture of the report down to the lost items, in few colours to stay small."""
    from PIL import Image, PngImagePlugin
    from playwright.sync_api import sync_playwright

    path = EXAMPLE / "report.png"
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium")
        page = browser.new_page(
            viewport={"width": WIDTH, "height": 900},
            device_scale_factor=SCALE,
            color_scheme="light",
        )
        page.goto((EXAMPLE / "report.html").as_uri())
        end = page.locator(".lost-items").bounding_box()
        page.screenshot(
            path=path,
            full_page=True,
            clip={"x": 0, "y": 0, "width": WIDTH, "height": end["y"] + end["height"] + 8},
        )
        browser.close()
    said = PngImagePlugin.PngInfo()
    said.add_text("says", words_sha256(result))
    few = Image.open(path).convert("P", palette=Image.Palette.ADAPTIVE, colors=64)
    few.save(path, optimize=True, pnginfo=said)


if __name__ == "__main__":
    for run in sys.argv[1:]:
        freeze(Path(run))
    with tempfile.TemporaryDirectory() as folder:
        found = frozen_result(Path(folder))
    report.write(found, EXAMPLE)
    picture(found)
    for file in (FROZEN, *sorted(EXAMPLE.glob("report.*"))):
        print(f"{file.name:12} {file.stat().st_size:>9,} bytes")
