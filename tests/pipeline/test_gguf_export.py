"""An exported GGUF file, held to what was scored: skipped where llama-cpp-python is not installed.

llama.cpp's converter, which no package index has, is stood in for by a script that writes the small
Llama's file with the package that the converter writes with.
"""

import os
import sys
from pathlib import Path

import pytest
import yaml
from support.gguf_files import small_llama

from harness import study
from harness.errors import ComparisonError
from harness.pipeline.exported.export import export
from harness.pipeline.run import run_study
from harness.store.run_folder import RunFolder

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a small Llama and a scored run of an adapter on it."""
    pytest.importorskip("llama_cpp", reason="llama-cpp-python (extra gguf) is not installed")
    pytest.importorskip("gguf", reason="the package gguf, which writes the files, is missing")
    place = tmp_path_factory.mktemp("exported")
    small_llama(place / "llama")
    (place / "rows.jsonl").write_text('{"prompt": "Sky?", "completion": "blue"}\n' * 2)
    plain = {
        "name": "shipped",
        "base": {"model": "./llama", "dtype": "float32"},
        "candidates": [
            {"name": "tuned", "train": "rows.jsonl", "training": {"max_steps": 2}},
        ],
        "suites": [{"name": "arc_mini", "limit": 8}, {"name": "domain_qa", "limit": 4}],
        "review": {"items_per_suite": 0},
    }
    (place / "study.yaml").write_text(yaml.safe_dump(plain))
    run_study(study.load(place / "study.yaml"), out=place / "run")
    return place


def converter(folder: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a converter on the PATH that writes the file of a folder: of its own, or of another."""
    support = Path(__file__).resolve().parents[1]
    tool = folder / "convert_hf_to_gguf.py"
    tool.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(support)!r})\n"
        "from pathlib import Path\nfrom support.gguf_files import to_gguf\n"
        f"to_gguf(Path({source}), Path(sys.argv[3]))\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_an_exported_file_answers_as_what_was_scored(
    scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """llama.cpp reads the converted file and answers the run's items as the adapter did."""
    converter(tmp_path, "sys.argv[1]", monkeypatch)
    written = export(RunFolder(scored / "run"), "tuned", tmp_path / "out", form="gguf")
    assert (tmp_path / "out" / "model.gguf").is_file()
    assert written.gguf is not None
    assert written.gguf.asked == written.gguf.same == 12


def test_a_file_that_answers_otherwise_is_refused(
    scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A converter that does not know an architecture writes a file that loads, and is wrong."""
    small_llama(tmp_path / "other", seed=1)
    converter(tmp_path, repr(str(tmp_path / "other")), monkeypatch)
    with pytest.raises(ComparisonError, match="must answer as what was scored"):
        export(RunFolder(scored / "run"), "tuned", tmp_path / "out", form="gguf")
    assert not (tmp_path / "out" / "model.gguf").exists()


def test_where_llama_cpp_is_missing_nothing_is_claimed(
    scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without llama-cpp-python the file is written, and said to be unchecked."""
    converter(tmp_path, "sys.argv[1]", monkeypatch)
    monkeypatch.setattr("harness.pipeline.exported.gguf_answers.lacks", lambda _: ["llama_cpp"])
    written = export(RunFolder(scored / "run"), "tuned", tmp_path / "out", form="gguf")
    assert written.gguf == (0, 0)
