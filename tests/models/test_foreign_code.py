"""Nothing of a model, an adapter or a run folder runs code, unless the study trusts the base."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.finished_runs import write_run
from support.tiny_models import llama, lora

from harness.errors import HarnessError, ModelError
from harness.models.adapter_folder import read_adapter_folder
from harness.models.adapter_tensors import read_tensors
from harness.models.candidate import load_candidate_tokenizer, load_whole_candidate
from harness.models.load_model import base_section, load_config, load_model, load_tokenizer
from harness.pipeline.exported.export import export
from harness.pipeline.finished.chat import open_chat
from harness.store.run_folder import RunFolder
from harness.training.export_weights import gguf

pytestmark = pytest.mark.model

MODEL = """
from transformers import LlamaConfig, LlamaForCausalLM
open({marker!r}, "a").write("ran")
class StrangeConfig(LlamaConfig):
    model_type = "strange"
class StrangeForCausalLM(LlamaForCausalLM):
    config_class = StrangeConfig
"""
TOKENIZER = """
from transformers import PreTrainedTokenizerFast
open({marker!r}, "a").write("ran")
class StrangeTokenizer(PreTrainedTokenizerFast):
    pass
"""


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, str]]:
        return (_write, (str(self.marker), "ran"))


def _write(path: str, text: str) -> None:
    Path(path).write_text(text)


def change(file: Path, **changes: Any) -> None:
    """Change keys of a JSON file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def with_code(folder: Path, marker: Path) -> Path:
    """Give a model's folder code of its own: for its configuration, weights and tokenizer."""
    (folder / "strange_model.py").write_text(MODEL.format(marker=str(marker)))
    (folder / "strange_words.py").write_text(TOKENIZER.format(marker=str(marker)))
    names = {
        "AutoConfig": "strange_model.StrangeConfig",
        "AutoModelForCausalLM": "strange_model.StrangeForCausalLM",
    }
    if (folder / "config.json").is_file():
        change(folder / "config.json", auto_map=names, model_type="strange")
    change(
        folder / "tokenizer_config.json",
        auto_map={"AutoTokenizer": [None, "strange_words.StrangeTokenizer"]},
        tokenizer_class="StrangeTokenizer",
    )
    return folder


@pytest.fixture
def never(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file that appears when code runs; a question at the terminal fails the test."""

    def ask(question: str = "") -> str:
        raise AssertionError(f"asked at the terminal: {question}")

    monkeypatch.setattr("builtins.input", ask)
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    return tmp_path / "it ran"


@pytest.mark.parametrize("load", [load_config, load_model, load_tokenizer])
def test_code_of_a_base_runs_only_where_the_study_trusts_it(
    tmp_path: Path, never: Path, load: Callable[..., object]
) -> None:
    """Without the study's word it is one sentence that says so; with it the code runs."""
    base = str(with_code(llama(tmp_path / "base"), never))
    with pytest.raises(ModelError, match="needs code of its own; read it, then set 'trust_rem"):
        load(base, base_section(base))
    assert not never.exists()
    assert load(base, base_section(base, trust_remote_code=True))
    assert never.exists()


def test_a_trusted_base_does_not_vouch_for_its_candidates(tmp_path: Path, never: Path) -> None:
    """A whole model with code of its own is loaded into the base's classes, its own unread."""
    trusted = with_code(llama(tmp_path / "base"), tmp_path / "the base's own ran")
    section = base_section(str(trusted), trust_remote_code=True)
    base = load_model(str(trusted), section)
    words = load_tokenizer(str(trusted), section)
    candidate = with_code(llama(tmp_path / "tuned", seed=5), never)
    tuned = load_whole_candidate(candidate, section, base)
    theirs = load_candidate_tokenizer(candidate, words)
    assert (type(tuned), type(theirs)) == (type(base), type(words))
    assert not never.exists()
    weights = [dict(model.state_dict())["lm_head.weight"] for model in (base, tuned)]
    assert not weights[0].equal(weights[1])


def test_code_of_a_candidate_never_runs(tmp_path: Path, never: Path) -> None:
    """Beside a base of transformers' own classes there is nothing to lend, so it is refused."""
    base = llama(tmp_path / "base")
    section = base_section(str(base), trust_remote_code=True)
    candidate = with_code(llama(tmp_path / "tuned"), never)
    with pytest.raises(ModelError, match="code in a candidate's folder is never run"):
        load_whole_candidate(candidate, section, load_model(str(base), section))
    with pytest.raises(ModelError, match="code in a candidate's folder is never run"):
        load_candidate_tokenizer(candidate, load_tokenizer(str(base), section))
    assert not never.exists()


def pickled(file: Path, marker: Path) -> None:
    """Write a pickle that runs code, as torch and others write one."""
    import torch

    torch.save({"weight": Bomb(marker)}, file)


def test_pickles_are_read_for_tensors_alone(tmp_path: Path, never: Path) -> None:
    """Weights in torch's older format are unpickled without calling anything."""
    base = llama(tmp_path / "base")
    loaded = load_model(str(base), base_section(str(base)))
    folder = lora(base, tmp_path / "adapter")
    (folder / "adapter_model.safetensors").unlink()
    pickled(folder / "adapter_model.bin", never)
    with pytest.raises(ModelError, match="weights must be readable"):
        read_tensors(read_adapter_folder(folder), loaded)
    (base / "model.safetensors").unlink()
    pickled(base / "pytorch_model.bin", never)
    with pytest.raises(ModelError, match="no model could be loaded"):
        load_model(str(base), base_section(str(base)))
    assert not never.exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"megatron_config": {"a": 1}, "megatron_core": "strange"}, "must not name code to import"),
        ({"peft_type": "XLORA", "adapters": {"0": "../../other"}}, "hold all of its weights"),
        ({"peft_type": "NO_SUCH_KIND"}, "NO_SUCH_KIND"),
        ({"auto_mapping": {"parent_library": "strange", "base_model_class": "X"}}, None),
        ({"runtime_config": {"ephemeral_gpu_offload": True}}, None),
    ],
)
def test_an_adapter_s_configuration_imports_nothing(
    tmp_path: Path, never: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any],
    said: str | None,
) -> None:  # fmt: skip
    """Modules and folders that a configuration names are neither imported nor loaded."""
    from harness.engine.open import load_engine

    (tmp_path / "strange.py").write_text(f"open({str(never)!r}, 'w').write('ran')")
    monkeypatch.syspath_prepend(tmp_path)
    base = llama(tmp_path / "base")
    folder = lora(base, tmp_path / "adapter")
    change(folder / "adapter_config.json", **changes)
    engine = load_engine(str(base))
    if said is None:
        engine.attach("tuned", folder)
    else:
        with pytest.raises(HarnessError, match=said):
            engine.attach("tuned", folder)
    assert not never.exists()


def test_kernels_and_generation_code_of_a_base_are_left_alone(
    tmp_path: Path, never: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a configuration says of attention kernels (CVE-2026-4372) and generation is unread."""
    base = llama(tmp_path / "base")
    change(
        base / "config.json",
        _attn_implementation_internal="stranger/kernel",
        _experts_implementation_internal="stranger/kernel",
    )
    (base / "custom_generate").mkdir()
    (base / "custom_generate" / "generate.py").write_text(f"open({str(never)!r}, 'w').write('x')")
    asked: list[str] = []
    monkeypatch.setattr("socket.getaddrinfo", lambda *a, **_: asked.append(str(a)))
    model = load_model(str(base), base_section(str(base)))
    assert "stranger" not in str(model.config._attn_implementation)
    assert not never.exists()
    assert not asked


def test_an_adapter_is_no_base(tmp_path: Path) -> None:
    """A folder with an adapter would be loaded as its own base with it applied, unseen."""
    base = llama(tmp_path / "base")
    folder = lora(base, tmp_path / "adapter")
    for load in (load_config, load_model):
        with pytest.raises(ModelError, match=r"a base must be a whole model: .* is an adapter"):
            load(str(folder), base_section(str(folder)))


def handed_over(folder: Path, base: Path, adapter: Path) -> RunFolder:
    """Return a finished run whose lock allows the code of its base."""
    run = write_run(folder, size=4)
    lock = json.loads(run.lock_file.read_text())
    lock["base_path"] = str(base)
    lock["study_file"]["base"] |= {"model": str(base), "trust_remote_code": True}
    lock["arms"][1] |= {"path": str(adapter), "method": "trained elsewhere"}
    run.lock_file.write_text(json.dumps(lock))
    return run


def test_a_lock_cannot_allow_code(tmp_path: Path, never: Path) -> None:
    """Who chats with a stranger's run, or merges its candidate, allows it by an own word."""
    adapter = lora(llama(tmp_path / "plain"), tmp_path / "adapter")
    base = with_code(llama(tmp_path / "base"), never)
    run = handed_over(tmp_path / "run", base, adapter)
    with pytest.raises(ModelError, match="a finished run: --trust-remote-code"):
        open_chat(run)
    with pytest.raises(ModelError, match="a finished run: --trust-remote-code"):
        export(run, "mixed", tmp_path / "merged", form="merged")
    assert not never.exists()
    assert not (tmp_path / "merged").exists()
    assert "mixed" in open_chat(run, trust_remote_code=True).arms
    assert never.exists()


def test_a_tool_that_trusts_models_gets_none_with_code(tmp_path: Path, never: Path) -> None:
    """llama.cpp's converter loads some tokenizers with their code, asked or not."""
    with pytest.raises(ModelError, match=r"names some \('auto_map'\): read it, then add --trust"):
        gguf(with_code(llama(tmp_path / "model"), never))
    assert not never.exists()
