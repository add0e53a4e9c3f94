"""A model of Llama 2's kind, without a chat template, learns from files in Spider's shape."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.paths import SHARED
from support.tiny_models import sentencepiece_llama
from support.trainings import train_on

from harness.ingest import read_examples
from harness.quickstart.row_sets import sql_rows
from harness.study import CandidateSection

pytestmark = pytest.mark.model

REAL_MODEL = SHARED / "models" / "stories260k"
REAL_ROWS = SHARED / "spider" / "dev.jsonl"


def own_rows() -> list[dict[str, Any]]:
    """Return generated questions with their SQL, under Spider's names."""
    turns = [(row["prompt"][-1], row["completion"][0]) for row in sql_rows(120, seed=1)]
    return [
        {"index": n, "db_id": "own", "question": asked["content"], "query": said["content"]}
        for n, (asked, said) in enumerate(turns)
    ]


@pytest.mark.parametrize(
    "real",
    [
        False,
        pytest.param(
            True,
            marks=[
                pytest.mark.nightly,
                pytest.mark.skipif(
                    not (REAL_MODEL.is_dir() and REAL_ROWS.is_file()),
                    reason="stories260k and Spider are not in ../shared/data",
                ),
            ],
        ),
    ],
    ids=["own", "real"],
)
def test_text_to_sql_rows_are_learnt(real: bool, tmp_path: Path) -> None:
    """Rows go through files and shapes into a model, also one that nobody here trained."""
    if real:
        lines = REAL_ROWS.read_text(encoding="utf-8").splitlines()[:120]
        rows, model = [json.loads(line) for line in lines], str(REAL_MODEL)
    else:
        rows = own_rows()
        texts = [text for row in rows for text in (row["question"], row["query"])]
        model = str(sentencepiece_llama(tmp_path / "base", texts))
    data = tmp_path / "rows.jsonl"
    data.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
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
