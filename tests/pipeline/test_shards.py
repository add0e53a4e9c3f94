"""Several processes answer parts of one study: merged, they say what one process says."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.tiny_models import lora

from harness import content, study
from harness.pipeline.answers.shards import Shard, answer_shard
from harness.pipeline.plan import PlannedRun, plan
from harness.pipeline.run import carry_out
from harness.pipeline.train import trained
from harness.records import Result

pytestmark = pytest.mark.model

SUITES = [{"name": name, "limit": 8} for name in ("arc_mini", "sql")]


def write_study(folder: Path, **changes: Any) -> study.Study:
    """Write a study of two adapters made elsewhere."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = {
        "name": "shared_out",
        "base": "builtin:tiny",
        "candidates": [{"name": name, "adapter": name} for name in ("worse", "other")],
        "suites": SUITES,
        "review": {"items_per_suite": 0},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(plain | changes))
    return study.load(folder / "study.yaml")


def answer(planned: PlannedRun, text: str) -> Path:
    """Answer one shard."""
    return answer_shard(planned, trained(planned), Shard.parse(text))


def answers(file: Path) -> dict[bytes, tuple[Any, ...]]:
    """Return every stored answer by its key."""
    with sqlite3.connect(file) as database:
        return {row[0]: row[1:] for row in database.execute("SELECT * FROM answers")}


def checks(result: Result) -> list[tuple[object, ...]]:
    """Return what was decided."""
    return [
        (one.candidate, one.suite.name, one.verdict, one.decision and one.decision.delta)
        for one in result.comparisons
    ]


class Loads:
    """How often weights were loaded."""

    def __init__(self) -> None:
        self.count = 0

    def since(self) -> int:
        """Return the loads since the last look."""
        found, self.count = self.count, 0
        return found


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    """Count how often the base's weights are loaded."""
    from harness.engine import model

    counted, load = Loads(), model.load_model_for_scoring

    def load_and_count(*arguments: Any, **options: Any) -> Any:
        counted.count += 1
        return load(*arguments, **options)

    monkeypatch.setattr(model, "load_model_for_scoring", load_and_count)
    return counted


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two adapters of the built-in base."""
    folder = tmp_path_factory.mktemp("shards")
    base = content.BUILTIN_MODELS["tiny"]
    lora(base, folder / "worse", seed=3, lora_alpha=32)
    lora(base, folder / "other", seed=5, lora_alpha=4)
    return folder


@pytest.fixture(scope="module")
def alone(folder: Path) -> tuple[Path, Result]:
    """Return a run of one process, and its result."""
    return folder / "alone", carry_out(plan(write_study(folder), out=folder / "alone"))


def test_shards_merged_say_what_one_process_says(
    folder: Path, alone: tuple[Path, Result], loads: Loads
) -> None:
    """Verdicts and texts are equal, numbers but for rounding; nothing is asked or loaded again."""
    loaded, run = write_study(folder), folder / "shared"
    files = [answer(plan(loaded, out=run), text) for text in ("1/2", "2/2")]
    assert loads.since() == 2
    parts = [answers(file) for file in files]
    assert not parts[0].keys() & parts[1].keys()
    assert min(map(len, parts)) > 20

    files.append(answer(plan(loaded, out=run), "1/2"))
    result = carry_out(plan(loaded, out=run))
    assert loads.since() == 0

    one, merged = answers(alone[0] / "answers.db"), answers(run / "answers.db")
    assert merged == parts[0] | parts[1]
    assert merged.keys() == one.keys()
    for key, (_, logprob, _, text, *_) in one.items():
        assert merged[key][3] == text
        assert logprob is None or merged[key][1] == pytest.approx(logprob, abs=1e-4)
    assert checks(result) == checks(alone[1])
    before = (run / "gate.json").read_bytes()
    carry_out(plan(loaded, out=run))
    assert loads.since() == 0
    assert (run / "gate.json").read_bytes() == before
    assert json.loads(before)["exit_code"] == result.exit_code
