"""Arms: every kind of adapter on one loaded base, proven to act and to leave the base alone."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import (
    PeftModel,
)
from support.adapter_kinds import KINDS
from support.tiny_models import (
    adapter,
    answers,
    llama,
    lora,
    one_by_one,
    prompt,
    random_tree,
    step_by_step,
)
from transformers import AutoModelForCausalLM

from harness.engine import Engine
from harness.errors import ModelError
from harness.records import BASE

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small Llama's folder."""
    return llama(tmp_path_factory.mktemp("arms") / "base")


@pytest.fixture(scope="module")
def adapters(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a trained adapter of every kind."""
    home = tmp_path_factory.mktemp("adapters")
    return {name: adapter(base, home / name, config) for name, config in KINDS.items()}


def load(base: Path) -> Engine:
    """Load an engine on the CPU."""
    return Engine.load(str(base), device="cpu")


def alone(base: Path, folder: Path) -> Any:
    """Load base and adapter as a user of PEFT would."""
    model = AutoModelForCausalLM.from_pretrained(base)
    return PeftModel.from_pretrained(model, str(folder)).eval()


def test_every_kind_of_adapter_on_one_base_scores_as_it_does_alone(
    base: Path, adapters: dict[str, Path]
) -> None:
    """All are attached together, used in turn and out of order, and the base stays itself."""
    engine, plain = load(base), AutoModelForCausalLM.from_pretrained(base).eval()
    requests = random_tree(1, stems=2)
    for name, folder in adapters.items():
        engine.attach(name, folder)
    assert engine.notes == [], "every kind of adapter is scored through packed attention"
    truth = {name: one_by_one(alone(base, folder), requests) for name, folder in adapters.items()}
    truth[BASE] = one_by_one(plain, requests)
    for name in [BASE, *adapters, BASE, "dora", "prompt", "lora", "ia3", "saved", BASE]:
        found = [response.logprob for response in answers(engine, name, requests)]
        assert found == pytest.approx(truth[name], abs=1e-4), name
        assert name == BASE or found != pytest.approx(truth[BASE], abs=1e-2)


@pytest.mark.parametrize("name", ["lora", "saved", "ia3", "prompt", "ptuning", "prefix"])
def test_adapters_generate_as_they_do_alone(
    base: Path, adapters: dict[str, Path], name: str
) -> None:
    """Greedy texts are those of the adapter loaded by itself, whatever their batch mates."""
    engine, model = load(base), alone(base, adapters[name])
    engine.attach(name, adapters[name])
    requests = [prompt(n, (1, *range(20, 23 + n)), max_new_tokens=8) for n in range(6)]
    for request, response in zip(requests, answers(engine, name, requests), strict=True):
        ids = [token for token in step_by_step(model, request.context_ids, 8) if token > 2]
        assert (response.text or "").split() == [f"w{token}" for token in ids]


def test_a_whole_fine_tuned_model_is_an_arm_too(base: Path, tmp_path: Path) -> None:
    """It is loaded beside the base when it answers, and must have the base's vocabulary."""
    engine = load(base)
    full = llama(tmp_path / "full", seed=5)
    engine.attach("full", full)
    requests = random_tree(4, stems=2)
    model = AutoModelForCausalLM.from_pretrained(full).eval()
    found = [response.logprob for response in answers(engine, "full", requests)]
    assert found == pytest.approx(one_by_one(model, requests), abs=1e-4)
    with pytest.raises(ModelError, match="vocabulary of 200"):
        engine.attach("wider", llama(tmp_path / "wider", vocab_size=230))


def test_an_adapter_that_changes_nothing_is_an_error(base: Path, tmp_path: Path) -> None:
    """An adapter that is not applied would be scored as the base; only a flag allows it."""
    engine = load(base)
    idle = lora(base, tmp_path / "idle", trained=False)
    with pytest.raises(ModelError, match="the adapter changes nothing"):
        engine.attach("idle", idle)
    with pytest.raises(ModelError, match="no arm 'idle'"):
        engine.fingerprint("idle")
    engine.attach("idle", idle, allow_identical=True)
    assert engine.identical == {"idle"}
    requests = random_tree(2, stems=1)
    assert answers(engine, "idle", requests) == answers(engine, BASE, requests)


@pytest.mark.parametrize(
    "changes",
    [
        {"modules_to_save": ["lm_head"]},
        {"trainable_token_indices": {"embed_tokens": [150]}},
    ],
    ids=["saved", "token"],
)
def test_equal_logits_on_one_prompt_prove_nothing(
    base: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    """Identical is only what its weights prove: a token that the probe lacks may have changed."""
    folder = lora(base, tmp_path / "idle", trained=False, **changes)
    if "trainable_token_indices" in changes:
        from safetensors.torch import load_file, save_file

        file = folder / "adapter_model.safetensors"
        tensors = load_file(file)
        (name,) = (name for name in tensors if "token_adapter" in name or "trainable" in name)
        save_file({**tensors, name: tensors[name] + 1.0}, file)
    engine = load(base)
    engine.attach("idle", folder, allow_identical=True)
    assert engine.identical == frozenset()


def test_a_trained_adapter_without_its_weights_applied_would_be_caught(
    base: Path, tmp_path: Path
) -> None:
    """Weights under names that PEFT ignores in silence leave the base's logits: an error."""
    from safetensors.torch import load_file, save_file

    folder = lora(base, tmp_path / "renamed")
    file = folder / "adapter_model.safetensors"
    save_file({f"other.{k}": v for k, v in load_file(file).items()}, file)
    with pytest.raises(ModelError, match="must be made for this base"):
        load(base).attach("renamed", folder)


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"num_hidden_layers": 4}, "layers.3"),
        ({"hidden_size": 96}, "expects 96 dimensions"),
        ({"intermediate_size": 128}, "128 dimensions"),
    ],
)
def test_an_adapter_for_another_base_is_refused(
    base: Path, tmp_path: Path, changes: dict[str, int], difference: str
) -> None:
    """The message names what differs, and the engine goes on with the arms that it has."""
    other = llama(tmp_path / "other", **changes)
    engine = load(base)
    with pytest.raises(ModelError, match=difference):
        engine.attach("stranger", lora(other, tmp_path / "stranger"))
    engine.attach("own", lora(base, tmp_path / "own"))


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda folder: (folder / "adapter_model.safetensors").unlink(), "needs its weights"),
        (lambda folder: (folder / "adapter_config.json").write_text("{"), "readable JSON"),
        (
            lambda folder: (folder / "adapter_model.safetensors").write_bytes(b"cut short"),
            "must be readable",
        ),
        (shutil.rmtree, "adapter_config.json"),
    ],
)
def test_a_broken_adapter_folder_is_one_sentence(
    base: Path, tmp_path: Path, break_it: Any, message: str
) -> None:
    """Missing and damaged files are named; nothing else is said."""
    folder = lora(base, tmp_path / "broken")
    break_it(folder)
    with pytest.raises(ModelError, match=message) as caught:
        load(base).attach("broken", folder)
    assert "\n" not in str(caught.value)


def test_the_vocabulary_is_never_resized(tmp_path: Path) -> None:
    """A base with more rows than its tokenizer has words keeps them under an adapter."""
    from support.tiny_models import write_tokenizer

    padded = llama(tmp_path / "padded", vocab_size=256)
    write_tokenizer(padded, size=200)
    engine = load(padded)
    engine.attach("tuned", lora(padded, tmp_path / "tuned"))
    requests = random_tree(3, stems=1)
    found = [response.logprob for response in answers(engine, "tuned", requests)]
    assert found == pytest.approx(one_by_one(alone(padded, tmp_path / "tuned"), requests), abs=1e-4)
    assert engine.runner.model.get_input_embeddings().weight.shape[0] == 256


def test_fingerprints_tell_everything_apart_that_can_change_an_answer(
    base: Path, adapters: dict[str, Path], tmp_path: Path
) -> None:
    """Arms, adapter settings, precision, template and tokenizer all count; a folder's name not."""
    engine = load(base)
    engine.attach("lora", adapters["lora"])
    engine.attach("dora", adapters["dora"])
    copy = tmp_path / "copy"
    shutil.copytree(adapters["lora"], copy)
    engine.attach("same", copy)
    assert engine.fingerprint("same") == engine.fingerprint("lora")
    config = json.loads((copy / "adapter_config.json").read_text())
    (copy / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": 99}))
    engine.attach("scaled", copy)
    chatty = tmp_path / "chatty"
    shutil.copytree(base, chatty)
    (chatty / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    moved = tmp_path / "moved"
    shutil.copytree(base, moved)
    prints = [
        engine.fingerprint(BASE),
        engine.fingerprint("lora"),
        engine.fingerprint("dora"),
        engine.fingerprint("scaled"),
        load(chatty).fingerprint(BASE),
        load(llama(tmp_path / "other", seed=9)).fingerprint(BASE),
        Engine.load(str(base), device="cpu", dtype="bfloat16").fingerprint(BASE),
    ]
    assert len(set(prints)) == len(prints)
    assert load(moved).fingerprint(BASE) == engine.fingerprint(BASE)


def test_attach_returns_the_sha256_of_the_weights(base: Path, adapters: dict[str, Path]) -> None:
    """It is the hash that `sha256sum adapter_model.safetensors` prints."""
    import hashlib

    weights = (adapters["lora"] / "adapter_model.safetensors").read_bytes()
    assert load(base).attach("lora", adapters["lora"]) == hashlib.sha256(weights).hexdigest()


def test_virtual_tokens_shorten_the_context_for_every_arm(
    base: Path, adapters: dict[str, Path]
) -> None:
    """What would not fit the prompt-tuned arm is unscored for the base as well."""
    engine = load(base)
    before = engine.max_length
    request = prompt(0, (5,) * (before - 4), max_new_tokens=4)
    assert answers(engine, BASE, [request])[0].unscored is None
    engine.attach("prompt", adapters["prompt"])
    assert engine.max_length == before - 5
    assert answers(engine, BASE, [request])[0].unscored
    assert answers(engine, "prompt", [request])[0].unscored


def test_a_quantized_base_takes_adapters(tmp_path: Path) -> None:
    """4-bit base and LoRA answer as the same pair loaded through PEFT; lm-eval cannot load it."""
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4}
    base = llama(tmp_path / "base", **sizes)  # bitsandbytes packs 32 rows at a time on a CPU
    engine = Engine.load(str(base), device="cpu", quantization="4bit")
    folder = lora(base, tmp_path / "qlora")
    engine.attach("qlora", folder)
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )
    model = AutoModelForCausalLM.from_pretrained(
        base, quantization_config=config, device_map={"": "cpu"}
    )
    model = PeftModel.from_pretrained(model, str(folder)).eval()
    for module in model.modules():  # else bitsandbytes repacks, rounds, and breaks the weights
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    requests = random_tree(6, stems=1)
    found = [response.logprob for response in answers(engine, "qlora", requests)]
    assert found == pytest.approx(one_by_one(model, requests), abs=1e-3)
