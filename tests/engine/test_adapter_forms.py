"""Public forms of adapters: each gives PEFT's own log-likelihoods, or is refused by name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from peft import (
    LoraConfig,
    PeftModel,
    PrefixTuningConfig,
    PromptTuningConfig,
    TrainableTokensConfig,
)
from safetensors.torch import load_file, save_file
from support.adapter_kinds import TASK
from support.command import harness_here
from support.model_families import FAMILIES, LIKE_LLAMA
from support.tiny_models import (
    adapter,
    answers,
    llama,
    lora,
    one_by_one,
    random_tree,
    spread,
    write_tokenizer,
)
from transformers import AutoConfig, AutoModelForCausalLM

from harness import content
from harness.engine import Engine
from harness.errors import ModelError
from harness.models.adapter_folder import check_shapes, read_adapter_folder
from harness.models.adapter_tensors import check_outline
from harness.models.merged_form import write_form
from harness.records import BASE
from harness.study import BaseSection
from harness.training import outline
from harness.training.export_weights import copy

pytestmark = pytest.mark.model

REQUESTS = random_tree(7, stems=1, leaves=2)
TOKENS = sorted({*REQUESTS[0].context_ids, *REQUESTS[-1].context_ids} - {1})[:4]
LAYERS = {"num_hidden_layers": 2}

FORMS: dict[str, dict[str, Any]] = {
    "rank and alpha patterns": {
        "rank_pattern": {"q_proj": 2, "layers.1.mlp.up_proj": 6},
        "alpha_pattern": {"v_proj": 32},
    },
    "dora": {"use_dora": True},
    "rslora": {"use_rslora": True},
    "modules to save": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    "embeddings to save": {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]},
    "embeddings and head": {"target_modules": ["q_proj", "embed_tokens", "lm_head"]},
    "token indices": {"target_modules": ["q_proj"], "trainable_token_indices": TOKENS},
    "layers to transform": {
        "target_modules": ["q_proj", "down_proj"], "layers_to_transform": [1],
        "layers_pattern": "layers",
    },
    "excluded modules": {"exclude_modules": ["k_proj", "lm_head"]},
    "bias of all": {"bias": "all"},
    "bias of lora only": {"target_modules": ["q_proj", "up_proj"], "bias": "lora_only"},
}  # fmt: skip
TIED: dict[str, dict[str, Any]] = {
    "head": {"target_modules": ["q_proj", "lm_head"]},
    "token indices": {"target_modules": ["q_proj"], "trainable_token_indices": TOKENS},
    "head to save": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Llama of two layers with biases."""
    folder = tmp_path_factory.mktemp("forms") / "base"
    return llama(folder, attention_bias=True, mlp_bias=True, **LAYERS)


@pytest.fixture(scope="module")
def engine(base: Path) -> Engine:
    """Return an engine that every form is attached to: refused ones must leave no trace."""
    return Engine.load(str(base), device="cpu")


def logprobs(engine: Engine, name: str) -> list[float]:
    """Return what the engine says of every request."""
    found = [response.logprob for response in answers(engine, name, REQUESTS)]
    return [value for value in found if value is not None]


def pefts_own(base: Path, folder: Path) -> list[float]:
    """Return what PEFT's own model says."""
    model = AutoModelForCausalLM.from_pretrained(base)
    return one_by_one(PeftModel.from_pretrained(model, str(folder)).eval(), REQUESTS)


def check_plan(base: Path, folder: Path) -> None:
    """Check an adapter as a plan does: without weights."""
    modules: Any = outline(str(base), BaseSection(model=str(base)))
    found = read_adapter_folder(folder)
    check_shapes(found, modules)
    check_outline(found, modules)


def assert_pefts_own(engine: Engine, base: Path, folder: Path, *, like: Path | None = None) -> None:
    """Attach a folder; its log-likelihoods are PEFT's, and the base's are what they were."""
    plain = logprobs(engine, BASE)
    check_plan(base, folder)
    engine.attach(str(folder), folder)
    found = logprobs(engine, str(folder))
    assert found == pytest.approx(pefts_own(base, like or folder), abs=1e-4)
    assert found != pytest.approx(plain, abs=1e-2)
    assert logprobs(engine, BASE) == plain


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_pefts_own_loglikelihoods(
    base: Path, engine: Engine, tmp_path: Path, form: str
) -> None:
    """Patterns, whole modules, biases, chosen layers and tokens: all on one engine."""
    assert_pefts_own(engine, base, lora(base, tmp_path / "form", **FORMS[form]))


@pytest.mark.parametrize("form", TIED)
def test_forms_on_tied_embeddings_give_pefts_own_loglikelihoods(tmp_path: Path, form: str) -> None:
    """What changes the head of a base that shares it with its embeddings changes what PEFT does."""
    base = llama(tmp_path / "tied", tie_word_embeddings=True, **LAYERS)
    engine = Engine.load(str(base), device="cpu")
    assert_pefts_own(engine, base, lora(base, tmp_path / "form", **TIED[form]))


def test_an_adapter_of_tokens_alone_gives_pefts_own_loglikelihoods(
    base: Path, engine: Engine, tmp_path: Path
) -> None:
    """PEFT's trainable tokens without LoRA are another kind: they get a base of their own."""
    config = TrainableTokensConfig(token_indices=TOKENS, **TASK)
    assert_pefts_own(engine, base, adapter(base, tmp_path / "tokens", config))


def family(folder: Path, name: str, **settings: Any) -> Path:
    """Write a small random model of a family, with a tokenizer."""
    config = AutoConfig.for_model(name, **{**FAMILIES.get(name, LIKE_LLAMA), **settings})
    spread(AutoModelForCausalLM.from_config(config), scale=0.1).save_pretrained(folder)
    write_tokenizer(folder, size=300)
    return folder


def test_adapted_parameters_of_experts_give_pefts_own_loglikelihoods(tmp_path: Path) -> None:
    """PEFT nests a layer for each parameter of a module: the file's names are nested as well."""
    base = family(tmp_path / "experts", "mixtral", num_local_experts=4, max_position_embeddings=192)
    engine = Engine.load(str(base), device="cpu")
    parameters = ["gate_up_proj", "down_proj"]
    nested = lora(base, tmp_path / "a", target_modules=["q_proj"], target_parameters=parameters)
    assert_pefts_own(engine, base, nested)
    assert_pefts_own(engine, base, lora(base, tmp_path / "b", target_modules=["q_proj"], seed=2))


def test_a_prefix_that_its_base_cannot_run_is_one_sentence(tmp_path: Path) -> None:
    """PEFT saves a prefix for a base whose attention then fails: it does not fit."""
    base = family(tmp_path / "opt", "opt")
    prefix = PrefixTuningConfig(num_virtual_tokens=3, **TASK)
    folder = adapter(base, tmp_path / "prefix", prefix)
    with pytest.raises(ModelError, match="must fit the base"):
        Engine.load(str(base), device="cpu").attach("prefix", folder)


@pytest.mark.parametrize("order", [1, -1])
def test_a_module_kept_whole_by_one_adapter_and_adapted_by_another(
    base: Path, tmp_path: Path, order: int
) -> None:
    """PEFT cannot have both on one base, so the second gets its own."""
    engine = Engine.load(str(base), device="cpu")
    whole = lora(base, tmp_path / "whole", target_modules=["q_proj"], modules_to_save=["lm_head"])
    adapted = lora(base, tmp_path / "adapted", target_modules=["v_proj", "lm_head"])
    folders = [whole, adapted, lora(base, tmp_path / "third", seed=3)][::order]
    for folder in folders:
        engine.attach(str(folder), folder)
    for folder in folders:
        found = logprobs(engine, str(folder))
        assert found == pytest.approx(pefts_own(base, folder), abs=1e-4), folder


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> Path:
    """Change the tensors of an adapter's file by their names."""
    file = folder / "adapter_model.safetensors"
    tensors = load_file(file)
    save_file(change(tensors) or {}, file)
    return folder


def raw(tensors: dict[str, torch.Tensor], name: str = "default") -> dict[str, torch.Tensor]:
    """Return tensors as a raw state dict names them."""
    places = {
        ".lora_A.weight": f".lora_A.{name}.weight",
        ".lora_B.weight": f".lora_B.{name}.weight",
        ".lora_magnitude_vector": f".lora_magnitude_vector.{name}.weight",
        ".lm_head.weight": f".lm_head.modules_to_save.{name}.weight",
    }
    renamed = {}
    for key, tensor in tensors.items():
        end = next(end for end in places if key.endswith(end))
        renamed[key.removesuffix(end) + places[end]] = tensor
    return renamed


@pytest.mark.parametrize("name", ["default", "mine"])
def test_names_of_a_raw_state_dict_are_applied(
    base: Path, engine: Engine, tmp_path: Path, name: str
) -> None:
    """LoRA, DoRA's magnitudes and whole modules count as if PEFT had saved them."""
    settings: dict[str, Any] = {"use_dora": True, "modules_to_save": ["lm_head"]}
    clean = lora(base, tmp_path / "clean", target_modules=["q_proj", "up_proj"], **settings)
    folder = Path(shutil.copytree(clean, tmp_path / "raw"))
    rewrite(folder, lambda tensors: raw(tensors, name))
    assert_pefts_own(engine, base, folder, like=clean)


def test_a_file_of_torchs_own_format_is_applied(base: Path, engine: Engine, tmp_path: Path) -> None:
    """An adapter that was saved as adapter_model.bin is read, and held to the same."""
    folder = lora(base, tmp_path / "older")
    file = folder / "adapter_model.safetensors"
    tensors = load_file(file)
    file.unlink()
    torch.save(tensors, folder / "adapter_model.bin")
    assert_pefts_own(engine, base, folder)
    broken = {
        r"lacks 14 of 28 tensors: 'base_model\..*and others": dict(list(tensors.items())[::2]),
        "named tensors alone": {"state": tensors},
        "must be readable": Path,
    }
    for message, content_of_file in broken.items():
        torch.save(content_of_file, folder / "adapter_model.bin")
        with pytest.raises(ModelError, match=message):
            check_plan(base, folder)
        with pytest.raises(ModelError, match=message):
            engine.attach(message, folder, allow_identical=True)
    (folder / "adapter_model.bin").write_bytes(b"cut short")
    with pytest.raises(ModelError, match="must be readable"):
        check_plan(base, folder)


def test_the_only_adapter_inside_a_folder_is_found(
    base: Path, engine: Engine, tmp_path: Path
) -> None:
    """A trainer's output holds it in a checkpoint's folder; of several, one has to be named."""
    lora(base, tmp_path / "out" / "checkpoint-500")
    found = tmp_path / "out" / "checkpoint-500"
    assert read_adapter_folder(tmp_path / "out").path == found
    assert_pefts_own(engine, base, tmp_path / "out", like=found)
    lora(base, tmp_path / "out" / "checkpoint-1000", seed=2)
    with pytest.raises(ModelError, match=r"holds 2: checkpoint-1000, checkpoint-500; name one"):
        engine.attach("several", tmp_path / "out", allow_identical=True)


def test_embeddings_that_a_file_brings_whole_are_applied_to_a_base_of_its_own(
    base: Path, tmp_path: Path
) -> None:
    """PEFT loads a file's embeddings over the base's: the other arms must not see them."""

    def changed(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        name = "base_model.model.model.embed_tokens.base_layer.weight"
        return tensors | {name: tensors[name] + 0.3}

    folder = lora(base, tmp_path / "whole", target_modules=["q_proj", "embed_tokens"])
    engine = Engine.load(str(base), device="cpu")
    engine.attach("same embeddings", folder)
    assert engine.switch["same embeddings"].placement == "injected"
    assert_pefts_own(engine, base, rewrite(folder, changed))
    assert engine.switch[str(folder)].placement == "separate"


def misnamed(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return tensors of which every third is named as nothing is."""
    return {
        key.replace("lora_", "lora.") if number % 3 == 0 else key: tensor
        for number, (key, tensor) in enumerate(tensors.items())
    }


def without_half(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return tensors without those of the second layer."""
    return {key: tensor for key, tensor in tensors.items() if ".layers.1." not in key}


def with_another_layer(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return tensors with copies for a third layer."""
    copies = {k.replace(".layers.1.", ".layers.2."): v.clone() for k, v in tensors.items()}
    return tensors | copies


def with_another_module(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return tensors with those of a module that the base has and the configuration does not."""
    name = "base_model.model.model.layers.0.self_attn.q_proj"
    return tensors | {
        key.replace(".mlp.up_proj", ".self_attn.k_proj"): tensor.clone()[:16]
        if ".lora_B" in key
        else tensor.clone()
        for key, tensor in tensors.items()
        if key.startswith(name.replace("self_attn.q_proj", "mlp.up_proj"))
    }


def twice(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors of two adapters of one raw state dict."""
    return {**raw(tensors), **{k: v.clone() for k, v in raw(tensors, "other").items()}}


BROKEN: dict[str, tuple[Callable[[dict[str, torch.Tensor]], Any], str]] = {
    "a third misnamed": (misnamed, r"3 of 8 that neither .*lora\.A"),
    "a layer missing": (without_half, r"lacks 4 of 8 tensors: .*layers\.1.*and others"),
    "another layer": (with_another_layer, r"layers\.2.*does not have"),
    "another module": (with_another_module, r"2 of 10 that neither .*k_proj.lora_A"),
    "two adapters": (twice, r"8 of 16|16 of 16"),
    "an empty file": (lambda _: {}, r"lacks 8 of 8 tensors"),
    "another rank": (
        lambda tensors: {
            k: v[:2].contiguous() if ".lora_A" in k else v[:, :2].contiguous()
            for k, v in tensors.items()
        },
        r"has 2 x 48 at .* need 4 x 48",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_an_adapter_that_is_not_wholly_applied_is_refused(
    base: Path, engine: Engine, tmp_path: Path, fault: str
) -> None:
    """Every tensor is used and every module gets weights, in a plan already; no flag covers it."""
    change, message = BROKEN[fault]
    folder = lora(base, tmp_path / "broken", target_modules=["q_proj", "up_proj"])
    rewrite(folder, change)
    plain = logprobs(engine, BASE)
    with pytest.raises(ModelError, match=message) as planned:
        check_plan(base, folder)
    with pytest.raises(ModelError, match=message) as caught:
        engine.attach(fault, folder, allow_identical=True)
    assert "\n" not in str(caught.value)
    assert str(planned.value) == str(caught.value)
    assert logprobs(engine, BASE) == plain


def test_a_whole_module_that_is_missing_is_refused(
    base: Path, engine: Engine, tmp_path: Path
) -> None:
    """A head that the configuration keeps whole must be in the file."""
    folder = lora(base, tmp_path / "a", target_modules=["q_proj"], modules_to_save=["lm_head"])
    rewrite(folder, lambda tensors: {k: v for k, v in tensors.items() if "lm_head" not in k})
    for attempt in (
        lambda: check_plan(base, folder),
        lambda: engine.attach("headless", folder, allow_identical=True),
    ):
        with pytest.raises(ModelError, match=r"lacks 1 of 5 tensors: 'base_model.model.lm_head"):
            attempt()


def test_a_file_of_virtual_tokens_holds_these_alone(
    base: Path, engine: Engine, tmp_path: Path
) -> None:
    """Prompt tuning without its embeddings, with others, or of another width is refused."""
    folder = adapter(base, tmp_path / "p", PromptTuningConfig(num_virtual_tokens=5, **TASK))
    tensors = load_file(folder / "adapter_model.safetensors")
    wrong = {
        r"lacks 1 of 1 tensors: 'prompt_embeddings'": {},
        r"1 of 2 that neither .*'head'": {**tensors, "head": torch.zeros(3)},
    }
    for message, found in wrong.items():
        rewrite(folder, lambda _, found=found: found)
        with pytest.raises(ModelError, match=message):
            check_plan(base, folder)
        with pytest.raises(ModelError, match=message):
            engine.attach("prompt", folder, allow_identical=True)
    rewrite(folder, lambda _: {"prompt_embeddings": torch.ones(5, 40)})
    with pytest.raises(ModelError, match=r"virtual tokens of 5 x 40 where .* need 5 x 48"):
        check_plan(base, folder)
    with pytest.raises(ModelError, match="must fit the base"):
        engine.attach("prompt", folder, allow_identical=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(
    base: Path, engine: Engine, tmp_path: Path, value: float
) -> None:
    """One NaN or infinity in an adapter or a whole model would be a score of no number."""
    first: list[str] = []

    def spoil(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        first[:] = sorted(tensors)[3:4]
        tensors[first[0]].view(-1)[0] = value
        return tensors

    folder = rewrite(lora(base, tmp_path / "lora"), spoil)
    with pytest.raises(ModelError, match="NaN or infinity in") as caught:
        engine.attach("lora", folder, allow_identical=True)
    assert repr(first[0]) in str(caught.value)
    whole = llama(tmp_path / "whole", attention_bias=True, mlp_bias=True, **LAYERS)
    tensors = load_file(whole / "model.safetensors")
    save_file(spoil(tensors), whole / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="NaN or infinity in") as caught:
        engine.attach("whole", whole, allow_identical=True)
    assert repr(first[0]) in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"modules_to_save": ["embed_tokens", "lm_head"]},
        {"target_modules": ["q_proj", "embed_tokens", "lm_head"]},
        {"target_modules": ["q_proj"]},
    ],
)
def test_a_vocabulary_with_added_tokens_is_refused_in_one_sentence(
    base: Path, engine: Engine, tmp_path: Path, settings: dict[str, Any]
) -> None:
    """The message has both sizes and says what to do, in a plan already."""
    from peft import get_peft_model

    model = AutoModelForCausalLM.from_pretrained(base)
    model.resize_token_embeddings(203, mean_resizing=False)
    config = LoraConfig(r=4, **({"target_modules": ["q_proj"]} | settings), **TASK)
    folder = tmp_path / "resized"
    get_peft_model(model, config).save_pretrained(folder, save_embedding_layers=True)
    message = r"vocabulary: .* has 203 rows at '.*' where the base has 200; take a base"
    with pytest.raises(ModelError, match=message):
        check_plan(base, folder)
    with pytest.raises(ModelError, match=message) as caught:
        engine.attach("resized", folder, allow_identical=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["half", "keys", "lora_A", "q_proj", "base_layer", "weight", "a.b"]
)
def test_a_candidate_may_be_called_what_a_module_is_called(
    base: Path, engine: Engine, tmp_path: Path, name: str
) -> None:
    """A name that PEFT would take for a part of a weight's name changes nothing."""
    folder = lora(base, tmp_path / "named", target_modules=["q_proj"])
    engine.attach(name, folder)
    assert logprobs(engine, name) == pytest.approx(pefts_own(base, folder), abs=1e-4)


def test_settings_that_are_no_object_are_refused(
    base: Path, engine: Engine, tmp_path: Path
) -> None:
    """An adapter_config.json that holds a list is one sentence, too."""
    folder = lora(base, tmp_path / "list")
    (folder / "adapter_config.json").write_text(json.dumps([1]))
    with pytest.raises(ModelError, match="must be readable JSON"):
        engine.attach("list", folder)


def test_a_learnt_token_that_the_probe_does_not_ask_for_is_no_proof_of_identity(
    base: Path, tmp_path: Path
) -> None:
    """An adapter of one rare token changes nothing else, and is not taken for the base."""
    engine = Engine.load(str(base), device="cpu")
    asked = set(engine.switch.probe[0].tolist())
    rare = next(token for token in range(100, 200) if token not in asked)
    config = TrainableTokensConfig(token_indices=[rare], **TASK)
    engine.attach("rare", adapter(base, tmp_path / "rare", config))
    assert rare in engine.switch.probe[0].tolist()
    idle = adapter(base, tmp_path / "idle", config, trained=False)
    with pytest.raises(ModelError, match="changes nothing"):
        engine.attach("idle", idle)


def test_a_whole_model_that_lacks_weights_is_refused(
    base: Path, engine: Engine, tmp_path: Path
) -> None:
    """Transformers would draw them at random, for a candidate as for a base."""
    whole = llama(tmp_path / "whole", attention_bias=True, mlp_bias=True, **LAYERS)
    tensors = load_file(whole / "model.safetensors")
    kept = {key: value for key, value in tensors.items() if "layers.1.mlp" not in key}
    save_file(kept, whole / "model.safetensors", metadata={"format": "pt"})
    message = r"lacks 6, 'model.layers.1.mlp.down_proj.bias' for one"
    with pytest.raises(ModelError, match=message):
        engine.attach("whole", whole, allow_identical=True)
    with pytest.raises(ModelError, match=message):
        Engine.load(str(whole), device="cpu")


def test_an_adapter_is_merged_wholly_or_not_at_all(base: Path, tmp_path: Path) -> None:
    """A raw state dict is merged as PEFT merges what it saved; half of one is refused."""
    clean = lora(base, tmp_path / "clean", target_modules=["q_proj", "up_proj"])
    folder = rewrite(Path(shutil.copytree(clean, tmp_path / "raw")), raw)
    section = BaseSection(model=str(base))
    write_form(folder, "merged", tmp_path / "merged", model=str(base), base=section)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    assert one_by_one(merged, REQUESTS) == pytest.approx(pefts_own(base, clean), abs=1e-3)
    half = rewrite(clean, without_half)
    with pytest.raises(ModelError, match="lacks 4 of 8 tensors"):
        write_form(half, "merged", tmp_path / "half", model=str(base), base=section)
    assert not (tmp_path / "half").exists()
    torch.save(load_file(folder / "adapter_model.safetensors"), folder / "adapter_model.bin")
    (folder / "adapter_model.safetensors").unlink()
    copy(folder, tmp_path / "copy", base_model=str(base))
    assert (tmp_path / "copy" / "adapter_model.bin").is_file(), "the weights are exported, too"


def test_a_plan_refuses_what_is_not_wholly_applied_and_finds_a_checkpoint(tmp_path: Path) -> None:
    """`harness plan` says it in one sentence with exit code 2, before any weights are loaded."""
    tiny = content.BUILTIN_MODELS["tiny"]
    found = lora(tiny, tmp_path / "out" / "checkpoint-3")
    study = {
        "name": "vendor",
        "base": "builtin:tiny",
        "candidates": [{"name": "vendor", "adapter": "out"}],
        "suites": [{"name": "arc_mini", "limit": 2}],
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    done = harness_here("run", "study.yaml", "--out", "run", folder=tmp_path)
    assert done.returncode in (0, 1, 4), done.stderr
    lock = (tmp_path / "run" / "study.lock.json").read_text()
    assert str(found) in lock
    rewrite(found, misnamed)
    done = harness_here("plan", "study.yaml", folder=tmp_path)
    assert done.returncode == 2
    assert "every tensor of an adapter must be used" in " ".join(done.stderr.split())
