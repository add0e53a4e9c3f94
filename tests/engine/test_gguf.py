"""Arms that are GGUF files, read by llama.cpp: skipped where llama-cpp-python is not installed."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from support.gguf_files import quantized, small_llama, to_gguf

from harness import study
from harness.errors import ComparisonError, HarnessError, ModelError, StudyError
from harness.pipeline.run import run_study
from harness.records import Result
from harness.store import read_samples
from harness.store.at_hand import check_models
from harness.store.run_folder import RunFolder

pytestmark = pytest.mark.model

SUITES = [{"name": "arc_mini", "limit": 12}, {"name": "domain_qa", "limit": 6}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a small Llama, the same as GGUF, and a rounded copy of that."""
    pytest.importorskip("llama_cpp", reason="llama-cpp-python (extra gguf) is not installed")
    pytest.importorskip("gguf", reason="the package gguf, which writes the files, is missing")
    made = tmp_path_factory.mktemp("gguf")
    to_gguf(small_llama(made / "llama"), made / "float32.gguf")
    quantized(made / "float32.gguf", made / "q4_0.gguf", kind="q4_0")
    to_gguf(small_llama(made / "other", seed=1), made / "other.gguf")
    return made


def run(out: Path, folder: Path, candidate: dict[str, Any], **more: Any) -> Result:
    """Run a study with one candidate called ``file``."""
    plain = {
        "name": "shipped",
        "base": {"model": str(folder / "llama"), "dtype": "float32", **more.pop("base", {})},
        "candidates": [{"name": "file", **candidate}],
        "suites": SUITES,
        "review": {"items_per_suite": 1},
    }
    (out / "study.yaml").write_text(yaml.safe_dump(plain))
    return run_study(study.load(out / "study.yaml"), out=out / "run", **more)


def responses(out: Path, arm: str, suite: str) -> list[Any]:
    """Return what an arm answered."""
    samples = read_samples(out / "run" / "samples" / arm / f"samples_{suite}.jsonl")
    return [one for sample in samples for one in sample.responses]


def test_a_float32_file_says_what_its_folder_says(tmp_path: Path, folder: Path) -> None:
    """The same weights give the same choices and greedy texts through llama.cpp."""
    result = run(tmp_path, folder, {"gguf": str(folder / "float32.gguf")}, allow_identical=True)
    for ours, theirs in zip(*(responses(tmp_path, a, "arc_mini") for a in ARMS), strict=True):
        assert theirs.logprob == pytest.approx(ours.logprob, abs=1e-3)
        assert theirs.is_greedy == ours.is_greedy
    ours, theirs = (responses(tmp_path, arm, "domain_qa") for arm in ARMS)
    assert [(r.text, r.finish, r.tokens) for r in theirs] == [
        (r.text, r.finish, r.tokens) for r in ours
    ]
    (arm,) = [arm for arm in result.arms if arm.name == "file"]
    assert arm.method == "a GGUF file"
    assert "file is float32.gguf by llama.cpp" in result.notes
    assert not any("cannot be hashed" in note for note in result.notes)


ARMS = ("base", "file")


def test_the_base_s_own_weights_are_no_candidate(tmp_path: Path, folder: Path) -> None:
    """A file of untuned weights would be compared with itself."""
    with pytest.raises(ModelError, match="must differ from the base"):
        run(tmp_path, folder, {"gguf": str(folder / "float32.gguf")})


def test_a_rounded_file_is_an_arm_beside_a_file(tmp_path: Path, folder: Path) -> None:
    """Base and candidate may both be files; what is stored is not asked again."""
    base = {"gguf": str(folder / "float32.gguf"), "dtype": "auto"}
    first = run(tmp_path, folder, {"gguf": str(folder / "q4_0.gguf")}, base=base)
    assert [score.unscored for score in first.scores] == [0, 0, 0, 0]
    assert responses(tmp_path, "base", "arc_mini") != responses(tmp_path, "file", "arc_mini")
    again = run(tmp_path, folder, {"gguf": str(folder / "q4_0.gguf")}, base=base)
    assert again.scores == first.scores


def test_a_file_is_compared_with_the_candidate_that_it_is_a_form_of(
    tmp_path: Path, folder: Path
) -> None:
    """The rounded file of a candidate is paired with it item by item, not with the base alone."""
    plain = {
        "name": "shipped",
        "base": {"model": str(folder / "llama"), "dtype": "float32"},
        "candidates": [
            {"name": "tuned", "gguf": str(folder / "other.gguf")},
            {"name": "small", "gguf": str(folder / "q4_0.gguf"), "form_of": "tuned"},
        ],
        "suites": SUITES,
        "review": {"items_per_suite": 0},
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(plain))
    result = run_study(study.load(tmp_path / "study.yaml"), out=tmp_path / "run")
    assert [(f.candidate, f.reference) for f in result.forms] == [("small", "tuned")] * 2
    assert not any(f.prompts_differ for f in result.forms)


def test_a_file_that_changes_is_another_arm(tmp_path: Path, folder: Path) -> None:
    """Answers belong to the content of a file, not to its name, and scores are of what was read."""
    file = tmp_path / "model.gguf"
    file.write_bytes((folder / "q4_0.gguf").read_bytes())
    run(tmp_path, folder, {"gguf": "model.gguf"})
    file.write_bytes((folder / "other.gguf").read_bytes())
    scored = RunFolder(tmp_path / "run")
    lock = scored.read_lock()
    assert lock is not None
    with pytest.raises(ComparisonError, match="'file' had"):
        check_models(scored, lock)
    before = responses(tmp_path, "file", "arc_mini")
    run(tmp_path, folder, {"gguf": "model.gguf"})
    assert responses(tmp_path, "file", "arc_mini") != before


def test_a_file_of_another_vocabulary_is_refused(tmp_path: Path, folder: Path) -> None:
    """Token ids that are other words in a file would be scored as if they were the prompt."""
    with pytest.raises(ComparisonError, match="must have the vocabulary") as caught:
        run(tmp_path, folder, {"gguf": str(folder / "q4_0.gguf")}, base={"model": "builtin:tiny"})
    assert caught.value.exit_code == 3
    assert not (tmp_path / "run" / "samples").exists()


def test_what_is_no_gguf_is_refused(tmp_path: Path, folder: Path) -> None:
    """A broken file is one sentence, whatever llama.cpp prints."""
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(ModelError, match=r"must be one that this llama\.cpp can load"):
        run(tmp_path, folder, {"gguf": "broken.gguf"})


@pytest.mark.parametrize(
    ("base", "candidate", "expected"),
    [
        ({}, {"gguf": "a.gguf", "adapter": "x"}, "and only one"),
        ({}, {"gguf": "a.gguf", "backend": "hf"}, "leave one out"),
        ({}, {"gguf": "a.gguf", "seeds": [0, 1]}, "train one recipe"),
        ({"gguf": "a.gguf"}, {"adapter": "x"}, "convert it and name its 'gguf'"),
        ({"gguf": "a.gguf", "model": ""}, {"gguf": "b.gguf"}, "whose tokenizer"),
        ({"gguf": "a.gguf", "dtype": "float16"}, {"gguf": "b.gguf"}, "has its own weights"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_read(
    tmp_path: Path, base: dict[str, Any], candidate: dict[str, Any], expected: str
) -> None:
    """A study that asks a file for what it cannot do ends before anything is loaded."""
    plain = {
        "name": "shipped", "base": {"model": "builtin:tiny", **base}, "suites": SUITES,
        "candidates": [{"name": "file", **candidate}],
    }  # fmt: skip
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(plain))
    with pytest.raises(StudyError, match=expected):
        study.load(tmp_path / "study.yaml")


def test_without_the_extra_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing llama.cpp shows before anything is loaded."""
    monkeypatch.setattr("harness.extras.find_spec", lambda name: None if name == "llama_cpp" else 1)
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    with pytest.raises(HarnessError, match=r"finetune-harness\[gguf\]"):
        run(tmp_path, tmp_path, {"gguf": "a.gguf"}, base={"model": "builtin:tiny"})
