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

from support.frozen_run import EXAMPLE, FROZEN, freeze, frozen_result

from harness import report

WIDTH, HEIGHT = 1180, 830


def picture() -> None:
    """Take the picture of the report's first screen, with few enough colours to stay small."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    path = EXAMPLE / "report.png"
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium")
        page = browser.new_page(
            viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=2, color_scheme="light"
        )
        page.goto((EXAMPLE / "report.html").as_uri())
        page.screenshot(path=path)
        browser.close()
    Image.open(path).convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(
        path, optimize=True
    )


if __name__ == "__main__":
    for run in sys.argv[1:]:
        freeze(Path(run))
    with tempfile.TemporaryDirectory() as folder:
        report.write(frozen_result(Path(folder)), EXAMPLE)
    picture()
    for file in (FROZEN, *sorted(EXAMPLE.glob("report.*"))):
        print(f"{file.name:12} {file.stat().st_size:>9,} bytes")
