"""One browser and one example report for all tests of the page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.example_result import example_result
from support.pages import Visits, started

from harness import report


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Start one headless Chromium for a file of tests: its event loop would hinder others."""
    with started() as browser:
        yield browser


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the example report once."""
    return report.write(example_result(), tmp_path_factory.mktemp("run"))["report.html"]


@pytest.fixture
def visit(chromium: Any) -> Iterator[Visits]:
    """Open pages that fail the test on any console error, page error or network request."""
    visits = Visits(chromium)
    yield visits
    visits.close()
    assert visits.faults == []
