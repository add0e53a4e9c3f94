"""A real pretrained model that nobody here trained learns from rows that nobody here wrote."""

import json
from pathlib import Path

import pytest
from support.paths import SHARED
from support.trainings import train_on

from harness.ingest import read_examples
from harness.study import CandidateSection

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(
        not (SHARED / "models" / "stories260k").is_dir(),
        reason="needs the shared test data beside the repository",
    ),
]


def test_text_to_sql_rows_are_learnt(tmp_path: Path) -> None:
    """Spider's rows go through files and shapes into a model without a chat template."""
    with (SHARED / "spider" / "dev.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines][:120]
    data = tmp_path / "spider.jsonl"
    data.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    model = str(SHARED / "models" / "stories260k")
    arm = train_on(
        CandidateSection(
            name="sql",
            train=str(data),
            training={"max_steps": 20, "learning_rate": 5e-3, "per_device_train_batch_size": 16},
        ),
        read_examples(data),
        model=model,
        out=tmp_path / "sql",
    )
    assert arm.loss[-1].loss < arm.loss[0].loss - 0.5
    log = json.loads((tmp_path / "sql" / "training_log.json").read_text())
    assert log["rows"] == 120
    assert log["rows_share_sequences"] is True
