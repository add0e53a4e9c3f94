"""The committed example is the quickstart's own run, as the code reports it now.

After a wanted change, look at the new files and commit them:
``UPDATE_EXAMPLES=1 pytest tests/report/test_examples.py``. A new run is frozen by
``tests/bench/example_report.py``.
"""

import json
import os
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest
from support.frozen_run import AT_MOST, EXAMPLE, FROZEN, frozen_result, words_sha256
from support.paths import ROOT

from harness import report
from harness.records import Result


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Compare the frozen run."""
    return frozen_result(tmp_path_factory.mktemp("frozen"))


@pytest.fixture(scope="module")
def fresh(result: Result, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Report the frozen run anew; in the example's place if the environment asks for it."""
    is_update = os.environ.get("UPDATE_EXAMPLES") == "1"
    return report.write(result, EXAMPLE if is_update else tmp_path_factory.mktemp("written"))


@pytest.mark.parametrize("name", ["junit.xml", "report.md", "report.html"])
def test_the_example_is_what_the_code_writes(fresh: dict[str, Path], name: str) -> None:
    """Every byte of the committed example is reproduced from the frozen run."""
    assert fresh[name].read_bytes() == (EXAMPLE / name).read_bytes()


def test_the_example_gate_is_what_the_code_writes(fresh: dict[str, Path]) -> None:
    """The committed gate.json has the same content; floats may differ in their last digits."""
    new, old = (
        json.loads(path.read_text()) for path in (fresh["gate.json"], EXAMPLE / "gate.json")
    )
    assert flat(new) == flat(old)


def test_the_frozen_run_is_small_and_names_no_machine() -> None:
    """What is committed fits its budget, and no file of it says where it was made."""
    assert FROZEN.stat().st_size <= AT_MOST
    with tarfile.open(FROZEN) as packed:
        texts = [packed.extractfile(member).read().decode() for member in packed.getmembers()]
    texts += [path.read_text(encoding="utf-8") for path in EXAMPLE.glob("report.*[ml]")]
    for text in texts:
        assert not re.search(r"/(home|root|tmp|work|Users)/\w", text)


def test_the_picture_is_of_the_example(result: Result) -> None:
    """It was taken of what the first screen says now; `tests/bench/example_report.py` takes it."""
    picture = (EXAMPLE / "report.png").read_bytes()
    assert len(picture) < 200_000
    assert words_sha256(result).encode() in picture


def test_the_table_of_the_readme_is_the_example_s(fresh: dict[str, Path]) -> None:
    """Every score, change and interval that README shows is the frozen run's."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    points = " +([+-][0-9.]+)"
    line = rf"(?m)^ (\w+) +(\d+) +([0-9.]+) +([0-9.]+){points}{points} to{points} +(\w+)"
    shown = set(re.findall(line, readme))
    checks = json.loads(fresh["gate.json"].read_text())["checks"]
    assert shown == {
        (
            check["suite"],
            str(check["used"]),
            *(f"{100 * check[key]:.1f}" for key in ("base", "tuned")),
            *(f"{100 * check[key]:+.1f}" for key in ("delta", "ci_low", "ci_high")),
            check["label"],
        )
        for check in checks
    }


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Name every leaf of nested JSON by its path, floats rounded to six decimals."""
    if isinstance(value, dict):
        return {k: v for key in value for k, v in flat(value[key], f"{name}/{key}").items()}
    if isinstance(value, list):
        return {k: v for i, one in enumerate(value) for k, v in flat(one, f"{name}/{i}").items()}
    return {name: round(value, 6) if isinstance(value, float) else value}
