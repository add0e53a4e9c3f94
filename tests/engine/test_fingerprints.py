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
from harness.records import BASE, Arm
from harness.study import VERIFIED, Study, load

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
