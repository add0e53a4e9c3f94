"""The committed example report equals what the code writes now.

After a wanted change, look at the new files and commit them:
``UPDATE_EXAMPLES=1 pytest tests/report/test_examples.py``
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from support.example_result import example_result
from support.paths import ROOT

from harness import report

EXAMPLES = ROOT / "reports" / "examples"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write the example anew; in its place if the environment asks for it."""
    is_update = os.environ.get("UPDATE_EXAMPLES") == "1"
    return report.write(example_result(), EXAMPLES if is_update else tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("name", ["junit.xml", "report.md", "report.html"])
def test_the_example_is_what_the_code_writes(fresh: dict[str, Path], name: str) -> None:
    """Every byte of the committed example is reproduced."""
    assert fresh[name].read_text("utf-8") == (EXAMPLES / name).read_text("utf-8")


def test_the_example_gate_is_what_the_code_writes(fresh: dict[str, Path]) -> None:
    """The committed gate.json has the same content; floats may differ in their last digits."""
    new, old = (
        json.loads(path.read_text()) for path in (fresh["gate.json"], EXAMPLES / "gate.json")
    )
    assert flat(new) == flat(old)


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Name every leaf of nested JSON by its path, floats rounded to six decimals."""
    if isinstance(value, dict):
        return {k: v for key in value for k, v in flat(value[key], f"{name}/{key}").items()}
    if isinstance(value, list):
        return {k: v for i, one in enumerate(value) for k, v in flat(one, f"{name}/{i}").items()}
    return {name: round(value, 6) if isinstance(value, float) else value}
