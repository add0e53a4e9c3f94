"""A study whose texts vLLM generates: like any other, with answers of its own in the store.

vLLM's interface is answered by a stand-in, as in ``tests/engine/test_vllm.py``.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.paths import ROOT
from support.shared_out import answers
from support.tiny_models import lora

import harness
from harness import content
from harness.errors import HarnessError, MissingExtraError, ModelError

STAND_IN = ROOT / "tests" / "support" / "stand_in"


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Import the stand-in under vLLM's name."""
    monkeypatch.syspath_prepend(STAND_IN)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "vllm"]:
        del sys.modules[name]


def study_file(folder: Path, adapter: Path, **base: Any) -> Path:
    """Write a study of one adapter with texts and choices."""
    path = folder / f"{base.get('backend', 'ours')}.yaml"
    study = {
        "name": "s",
        "base": {"model": "builtin:tiny", **base},
        "candidates": [{"name": "tuned", "adapter": str(adapter)}],
        "suites": [{"name": "domain_qa", "limit": 16}, {"name": "arc_mini", "limit": 4}],
        "gate": {"margin": 0.2},
        "review": {"items_per_suite": 0},
    }
    path.write_text(yaml.safe_dump(study))
    return path


def texts(run: Path) -> dict[tuple[str, str], object]:
    """Return every answered text by arm and item."""
    return {
        (arm, row["doc_hash"]): row["resps"]
        for arm in ("base", "tuned")
        for row in map(
            json.loads, (run / "samples" / arm / "samples_domain_qa.jsonl").open(encoding="utf-8")
        )
    }


@pytest.mark.model
@pytest.mark.nightly
@pytest.mark.usefixtures("stand_in")
def test_a_study_gives_what_our_own_engine_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a run that was interrupted, too; and a finished one starts no engine at all."""
    adapter = lora(content.BUILTIN_MODELS["tiny"], tmp_path / "adapter")
    ours, run = tmp_path / "ours", tmp_path / "run"
    harness.run(study_file(tmp_path, adapter), out=ours)
    study = study_file(tmp_path, adapter, backend="vllm")
    monkeypatch.setenv("STAND_IN_FAULT", "dies_late")
    with pytest.raises(ModelError, match="vLLM stopped"):
        harness.run(study, out=run)
    kept = answers(run)
    assert any(text for _, _, _, text, *_ in kept.values())
    monkeypatch.setenv("STAND_IN_FAULT", "last_slot")
    harness.run(study, out=run)
    assert texts(run) == texts(ours)
    assert kept.items() <= answers(run).items()
    assert not answers(run).keys() & answers(ours).keys()
    lock = json.loads((run / "study.lock.json").read_text())
    assert lock["versions"]["vllm"] == "0.32.0"
    assert any("asked arm by arm (in one batch it answered" in note for note in lock["notes"])
    monkeypatch.setenv("STAND_IN_FAULT", "dies")
    harness.run(study, out=run)
    lock = json.loads((run / "study.lock.json").read_text())
    assert any("asked arm by arm" in note for note in lock["notes"])


def test_vllm_is_an_extra(tmp_path: Path) -> None:
    """Whoever lacks it is told how to get it, before any row is read."""
    study = study_file(tmp_path, tmp_path, backend="vllm")
    with pytest.raises(MissingExtraError, match=r"pip install 'finetune-harness\[vllm\]'"):
        harness.run(study, out=tmp_path / "run")


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    ("base", "candidate", "sentence"),
    [
        ({"model_args": {"pretrained": "x"}}, {}, "take 'pretrained' out .* \\(its 'model'\\)"),
        ({"model_args": {"enable_lora": True}}, {}, "take 'enable_lora' out"),
        ({}, {"method": "ia3"}, "candidate 'c' has method 'ia3'; leave 'backend: vllm' out"),
        ({}, {"base": "builtin:tiny"}, "one vLLM serves the adapters of one base"),
    ],
)
def test_a_plan_refuses_what_vllm_cannot_do(
    tmp_path: Path, base: dict[str, Any], candidate: dict[str, Any], sentence: str
) -> None:
    """Before anything is trained or loaded."""
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n' * 8)
    path = tmp_path / "study.yaml"
    study = {
        "name": "s",
        "base": {"model": "builtin:tiny", "backend": "vllm", **base},
        "candidates": [{"name": "c", "train": "rows.jsonl", **candidate}],
        "suites": [{"name": "arc_mini", "limit": 4}],
    }
    path.write_text(yaml.safe_dump(study))
    with pytest.raises(HarnessError, match=sentence):
        harness.run(path, out=tmp_path / "run")
