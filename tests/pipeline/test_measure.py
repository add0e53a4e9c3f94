"""A run on conversations without accepted answers: what it is scored by, and says of that."""

import json
from pathlib import Path

import pytest
import yaml
from support.tiny_models import lora

from harness import content, study
from harness.errors import ComparisonError
from harness.pipeline.run import run_study

TURNS = ("Shall we go out?", "What do you eat?", "Where do you live?", "Who called?")


@pytest.mark.model
def test_a_run_keeps_its_measure_and_says_how_far_it_agrees_with_people(tmp_path: Path) -> None:
    """The lock keeps the declared measure, the report names it, and another one ends with 3."""
    rows = [
        {"id": n, "conversation": n, "messages": [{"role": "user", "content": f"{turn} {n}"}]}
        for n, turn in enumerate(TURNS)
    ]
    (tmp_path / "talks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    lora(content.BUILTIN_MODELS["tiny"], tmp_path / "other")
    run = tmp_path / "run"

    def go(**suite: str) -> int:
        declared = {
            "name": "talk",
            "base": "builtin:tiny",
            "candidates": [{"name": "other", "adapter": "other"}],
            "suites": [{"name": "coherence", "data": "talks.jsonl", **suite}],
        }
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(declared), "utf-8")
        return run_study(study.load(tmp_path / "study.yaml"), out=run).exit_code

    exit_code = go(measure="words")
    suite = json.loads((run / "study.lock.json").read_text("utf-8"))["suites"]["coherence"]
    assert (suite["measure"], suite["metric"]) == ("words", "coherence_words")
    for report in ("report.md", "report.html"):
        text = (run / report).read_text("utf-8")
        assert "by words" in text
        assert "agreed with people elsewhere" in text
        assert "rank correlation with human ratings 0.20" in text
    (check,) = json.loads((run / "gate.json").read_text("utf-8"))["checks"]
    assert check["metric"] == "coherence_words"
    assert go() == exit_code
    with pytest.raises(ComparisonError, match="suites were declared before the first answer"):
        go(measure="wordllama")
