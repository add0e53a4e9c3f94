"""Adapters merged into their base, whole or in 4 or 8 bits: what is scored is what is written."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import IA3Config, OFTConfig, PeftModel, PromptTuningConfig, VeraConfig
from support.tiny_models import adapter, llama, lora
from transformers import AutoModelForCausalLM

from harness.errors import ModelError
from harness.models.load_model import load_model_for_scoring
from harness.models.merged_form import make_form, write_form
from harness.study import BaseSection

pytestmark = pytest.mark.model

IDS = torch.arange(3, 43).reshape(2, 20)
TASK = "CAUSAL_LM"
LAYERS = {"num_hidden_layers": 2, "hidden_size": 96, "intermediate_size": 192}
KINDS: dict[str, Any] = {
    "lora": {},
    "dora": {"use_dora": True},
    "rslora": {"use_rslora": True},
    "pissa": {"init_lora_weights": "pissa"},
    "biases": {"bias": "all"},
    "token indices": {"target_modules": ["q_proj"], "trainable_token_indices": [4, 5]},
    "head": {"target_modules": ["q_proj", "lm_head"]},
    "head to save": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    "embeddings to save": {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]},
    "ia3": IA3Config(
        task_type=TASK, target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]
    ),
    "vera": VeraConfig(task_type=TASK, target_modules=["q_proj"], r=4),
    "oft": OFTConfig(task_type=TASK, target_modules=["q_proj"], oft_block_size=4),
}


OFTEN = (("base", "lora"), ("base", "head to save"), ("tied", "head"))
"""What is tried on every change; the rest by night."""
TIED = ("lora", "token indices", "head", "head to save", "embeddings to save")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Llama in bfloat16 whose head is a matrix of its own."""
    return in_bfloat16(tmp_path_factory.mktemp("base") / "base")


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Llama in bfloat16 whose head is its embeddings."""
    return in_bfloat16(tmp_path_factory.mktemp("tied") / "base", tie_word_embeddings=True)


def in_bfloat16(folder: Path, **changes: Any) -> Path:
    """Write a Llama in bfloat16."""
    llama(folder, **LAYERS, **changes)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    return folder


def adapted(base: Path, folder: Path, kind: str) -> Path:
    """Write an adapter of a kind, with weights that count."""
    made = KINDS[kind]
    if isinstance(made, dict):
        return lora(base, folder, **made)
    return adapter(base, folder, made)


def logits(model: Any) -> torch.Tensor:
    """Return a model's logits on a few tokens."""
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=IDS).logits
    return found


@pytest.mark.parametrize(
    ("which", "kind"),
    [
        pytest.param(which, kind, marks=[] if (which, kind) in OFTEN else [pytest.mark.nightly])
        for which, kinds in (("base", KINDS), ("tied", TIED))
        for kind in kinds
    ],
)
def test_what_is_written_answers_as_what_was_scored(
    request: pytest.FixtureRequest, tmp_path: Path, which: str, kind: str
) -> None:
    """Made in memory, or written and loaded again: the same logits."""
    base = request.getfixturevalue(which)
    folder = adapted(base, tmp_path / "adapter", kind)
    section = BaseSection(model=str(base), dtype="float32", device="cpu")
    plain = logits(load_model_for_scoring(str(base), section))
    for form in ("merged", "4bit", "8bit"):
        scored = logits(make_form(folder, form, model=str(base), base=section))
        write_form(folder, form, tmp_path / form, model=str(base), base=section)
        again = load_model_for_scoring(str(tmp_path / form), section)
        assert torch.equal(logits(again), scored), form
        assert not torch.allclose(scored, plain, atol=0.05), form
    bits = AutoModelForCausalLM.from_pretrained(tmp_path / "4bit").config.quantization_config
    assert (bits.bnb_4bit_quant_type, bits.bnb_4bit_compute_dtype) == ("nf4", torch.float32)


@pytest.mark.parametrize("tie", [False, True], ids=["two matrices", "tied"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_merged_answers_as_the_adapter(tmp_path: Path, kind: str, tie: bool) -> None:
    """In float32, where nothing is rounded, merging changes no logit, nor one of a tied head."""
    if tie and kind not in TIED:
        pytest.skip("touches neither head nor embeddings")
    base = llama(tmp_path / "base", **LAYERS, tie_word_embeddings=tie)
    folder = adapted(base, tmp_path / "adapter", kind)
    section = BaseSection(model=str(base), dtype="float32", device="cpu")
    own = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    peft = logits(PeftModel.from_pretrained(own, str(folder)).eval())
    merged = logits(make_form(folder, "merged", model=str(base), base=section))
    torch.testing.assert_close(merged, peft, atol=2e-3, rtol=1e-3)


def test_a_merged_model_has_the_precision_of_its_base(base: Path, tmp_path: Path) -> None:
    """It is rounded once, as its base's files are, also where it is scored in float32."""
    folder = lora(base, tmp_path / "adapter")
    section = BaseSection(model=str(base), dtype="float32", device="cpu")
    write_form(folder, "merged", tmp_path / "out", model=str(base), base=section)
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out").dtype == torch.bfloat16
    made = make_form(folder, "merged", model=str(base), base=section)
    assert made.get_output_embeddings().weight.dtype == torch.float32  # type: ignore[union-attr]


def test_a_whole_model_is_quantized_but_not_merged(base: Path, tmp_path: Path) -> None:
    """A full fine-tune has its 4-bit form like an adapter; merged it is already."""
    whole = llama(tmp_path / "whole", seed=5, **LAYERS)
    section = BaseSection(model=str(base), dtype="float32", device="cpu")
    scored = logits(make_form(whole, "4bit", model=str(base), base=section))
    write_form(whole, "4bit", tmp_path / "out", model=str(base), base=section)
    assert torch.equal(logits(load_model_for_scoring(str(tmp_path / "out"), section)), scored)
    with pytest.raises(ModelError, match="whole model already"):
        make_form(whole, "merged", model=str(base), base=section)


def test_virtual_tokens_are_refused(base: Path, tmp_path: Path) -> None:
    """They are no weights, so nothing is merged."""
    virtual = adapter(
        base, tmp_path / "virtual", PromptTuningConfig(task_type=TASK, num_virtual_tokens=4)
    )
    with pytest.raises(ModelError, match="virtual tokens"):
        make_form(virtual, "4bit", model=str(base), base=BaseSection(model=str(base)))
