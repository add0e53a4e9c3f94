"""Fingerprints of arms: known before any weights are loaded, and the same as the engine's."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from support.adapter_kinds import KINDS
from support.command import python
from support.suites import loaded, write_rows
from support.tiny_models import adapter, llama, lora

from harness.engine import arm_fingerprints, load_tokenizer, open_engine
from harness.engine.remote.endpoints import Arms, remote_arms
from harness.errors import ModelError
from harness.models.fingerprint import endpoint_fingerprint
from harness.records import BASE, Arm
from harness.study import VERIFIED, ArmSection, Study, load

pytestmark = pytest.mark.model

ENDPOINT = {
    "backend": "local-completions",
    "model_args": {"base_url": "http://127.0.0.1:9/v1", "model": "m", "num_concurrent": 2},
}

FROM_HUB = """
import sys
from pathlib import Path
from harness.engine import arm_fingerprints, open_engine
from harness.records import BASE, Arm
from harness.study import load
for path in sys.argv[1:]:
    study = load(Path(path))
    engine = open_engine(study.base, study.model_path)
    print(engine.identity.weights)
    assert arm_fingerprints(study, [Arm(name=BASE)]) == {BASE: engine.fingerprint(BASE)}
"""


def write(folder: Path, **base: object) -> Study:
    """Write a study with one candidate here and one elsewhere, and read it."""
    path = folder / "study.yaml"
    candidates = [{"name": "here", "adapter": "here"}, {"name": "elsewhere", **ENDPOINT}]
    path.write_text(
        yaml.safe_dump(
            {"name": "a", "base": base, "candidates": candidates, "suites": ["domain_qa"]}
        )
    )
    return load(path)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small Llama's folder; it names end tokens of its own for generation."""
    folder = llama(tmp_path_factory.mktemp("fingerprints") / "base")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 7]}))
    return folder


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", VERIFIED])
def test_it_is_the_loaded_engine_s(base: Path, tmp_path: Path, dtype: str) -> None:
    """For the base, adapters of weights and of virtual tokens, a whole model and an endpoint."""
    folders = {
        "lora": lora(base, tmp_path / "lora"),
        "prompt": adapter(base, tmp_path / "prompt", KINDS["prompt"]),
        "full": llama(tmp_path / "full", seed=5),
    }
    study = write(tmp_path, model=str(base), dtype=dtype, device="cpu")
    arms = [Arm(name=name, path=str(path)) for name, path in folders.items()]
    arms = [Arm(name=BASE), *arms, Arm(name="elsewhere")]
    write_rows(tmp_path / "rows.jsonl")
    tokenizer = load_tokenizer(study.model_path, study.base)
    suites = [loaded(tokenizer, tmp_path, data="rows.jsonl")]
    known = arm_fingerprints(study, arms, suites=suites)
    engine = open_engine(study.base, study.model_path, suites=suites)
    for name, path in folders.items():
        engine.attach(name, path)
    joined = Arms(engine, remote_arms(study, suites))
    assert known == {arm.name: joined.fingerprint(arm.name) for arm in arms}
    assert len(set(known.values())) == len(arms)
    assert engine.identity.ends == (2, 7)


def test_no_weights_are_loaded(base: Path, tmp_path: Path) -> None:
    """Weight files that no library could read are hashed all the same."""
    broken = Path(shutil.copytree(base, tmp_path / "broken"))
    (broken / "model.safetensors").write_bytes(b"no weights")
    study = write(tmp_path, model=str(broken), device="cpu")
    (fingerprint,) = arm_fingerprints(study, [Arm(name=BASE)]).values()
    assert len(fingerprint) == 64
    with pytest.raises(ModelError, match="no model could be loaded from"):
        open_engine(study.base, study.model_path)


@pytest.mark.parametrize(
    ("file", "changes", "same"),
    [
        ("config.json", {"rms_norm_eps": 0.1}, False),
        ("config.json", {"rope_theta": 77.0}, False),
        ("config.json", {"hidden_act": "gelu"}, False),
        ("config.json", {"transformers_version": "99.0", "_name_or_path": "elsewhere"}, True),
        ("generation_config.json", {"eos_token_id": [2, 7, 9]}, False),
        ("tokenizer_config.json", {"add_bos_token": True}, False),
    ],
)
def test_whatever_a_base_s_folder_says_counts(
    base: Path, tmp_path: Path, file: str, changes: dict[str, object], same: bool
) -> None:
    """The same weights under another configuration are another model; a library's note is not."""
    other = Path(shutil.copytree(base, tmp_path / "other"))
    said = json.loads((other / file).read_text())
    (other / file).write_text(json.dumps(said | changes, indent=7))
    (tmp_path / "two").mkdir()
    one = write(tmp_path, model=str(base), device="cpu")
    two = write(tmp_path / "two", model=str(other), device="cpu")
    arm = [Arm(name=BASE)]
    assert (arm_fingerprints(one, arm) == arm_fingerprints(two, arm)) is same


def test_a_base_s_own_code_counts(base: Path, tmp_path: Path) -> None:
    """A folder that brings its model's code is another base when that code changes."""
    other = Path(shutil.copytree(base, tmp_path / "other"))
    study = write(tmp_path, model=str(other), device="cpu")
    found = []
    for code in ("a = 1", "a = 2"):
        (other / "modeling_own.py").write_text(code)
        found.append(arm_fingerprints(study, [Arm(name=BASE)])[BASE])
    assert found[0] != found[1]


def test_libraries_count_by_release(base: Path) -> None:
    """Another release of what computes an answer is asked anew; another build of it is not."""
    from harness.models.fingerprint import library_versions

    known = library_versions("torch", "transformers", "not-installed")
    assert known.keys() == {"torch", "transformers"}
    assert "+" not in known["torch"]


@pytest.mark.parametrize("argument", ["pretrained", "peft", "lora_local_path", "tokenizer"])
def test_a_backend_s_folders_count_by_content(base: Path, tmp_path: Path, argument: str) -> None:
    """Other weights or settings at the same path are another arm; the same ones elsewhere not."""
    folder = Path(shutil.copytree(base, tmp_path / "folder"))
    arguments = {"pretrained": "someone/small", argument: str(folder)}

    def fingerprint(**changes: object) -> str:
        return endpoint_fingerprint(ArmSection(backend="hf", model_args=arguments | changes))

    first = fingerprint()
    moved = Path(shutil.copytree(folder, tmp_path / "moved"))
    assert fingerprint(**{argument: str(moved)}) == first
    assert fingerprint(cache_dir=str(tmp_path)) == first
    (folder / "model.safetensors").write_bytes(b"others")
    second = fingerprint()
    (folder / "config.json").write_text(json.dumps({"hidden_act": "gelu"}))
    assert len({first, second, fingerprint()}) == 3


def test_files_below_a_backend_s_folder_count(base: Path, tmp_path: Path) -> None:
    """A subfolder and a GGUF file are named from the folder of the weights."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "small.gguf").write_bytes(b"one")
    shutil.copy(base / "model.safetensors", tmp_path / "deep")

    def fingerprint() -> str:
        arguments = {
            "pretrained": str(tmp_path),
            "subfolder": "deep",
            "gguf_file": "small.gguf",
            "more": {"path": ["x" * 5000, "a\0b", "/", "."]},
        }
        return endpoint_fingerprint(ArmSection(backend="hf", model_args=arguments))

    found = [fingerprint()]
    (tmp_path / "small.gguf").write_bytes(b"two")
    found.append(fingerprint())
    (tmp_path / "deep" / "model.safetensors").write_bytes(b"others")
    assert len({*found, fingerprint()}) == 3


def test_a_hub_model_is_told_by_its_commit(base: Path, tmp_path: Path) -> None:
    """Two revisions of one name are two bases; both are found in the local cache."""
    hub = tmp_path / "hub" / "models--someone--small"
    commits = {"main": "a" * 40, "v1": "b" * 40}
    studies = []
    for revision, commit in commits.items():
        shutil.copytree(base, hub / "snapshots" / commit)
        (hub / "refs").mkdir(exist_ok=True)
        (hub / "refs" / revision).write_text(commit)
        (tmp_path / revision).mkdir()
        write(tmp_path / revision, model="someone/small", revision=revision, device="cpu")
        studies.append(str(tmp_path / revision / "study.yaml"))
    done = python("-c", FROM_HUB, *studies, env={"HF_HUB_CACHE": str(tmp_path / "hub")})
    assert done.stdout.split() == list(commits.values()), done.stderr
