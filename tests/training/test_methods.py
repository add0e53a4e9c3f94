"""Every method really trains, is saved, and answers the same when another process loads it."""

import json
import math
from pathlib import Path

import pytest
from support.command import python
from support.trainings import encoded, train_on

from harness import content
from harness.records import Arm, Example, Message
from harness.study import BaseSection, CandidateSection
from harness.training import METHODS

pytestmark = pytest.mark.model

STEPS = 3
SETTINGS = {"oft": {"oft_block_size": 16}}
"""What does not fit a base with 64 hidden units."""

PROBE = [2, 40, 41, 42, 4, 3, 50, 51]

RELOAD = """
import json, sys, torch
from peft import PeftModel
from harness.study import BaseSection
from harness.training import METHODS
from harness.training.trl.peft_model import load_base
base, folders, ids = json.loads(sys.argv[1])
for name, folder in folders.items():
    full = METHODS[name].config is None
    model = load_base(folder if full else base, BaseSection(model=base), METHODS[name])
    model = model.eval() if full else PeftModel.from_pretrained(model, folder).eval()
    with torch.no_grad():
        torch.save(model(input_ids=torch.tensor([ids])).logits, folder + "/logits.pt")
"""


def rows() -> list[Example]:
    """Return a few questions with answers."""
    return [
        Example(
            prompt=(Message(role="user", content=f"what is {i}?"),),
            completion=(Message(role="assistant", content=f"it is {i * 7 % 13}"),),
            origin=f"rows:{i}",
        )
        for i in range(24)
    ]


def section(name: str) -> CandidateSection:
    """Return a candidate of a method that trains for a few steps at a rate that shows."""
    return CandidateSection(
        name=name,
        method=name,
        train="rows",
        settings=SETTINGS.get(name, {}),
        training={"max_steps": STEPS, "learning_rate": 0.02, "warmup_steps": 0},
    )


@pytest.fixture(scope="module")
def trained(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Arm]:
    """Train one arm by each method."""
    folder = tmp_path_factory.mktemp("adapters")
    return {
        name: train_on(section(name), rows(), model=str(tiny_base), out=folder / name)
        for name in METHODS
    }


@pytest.fixture(scope="module")
def reloaded(tiny_base: Path, trained: dict[str, Arm]) -> None:
    """Let a fresh process load every arm and write its logits beside it."""
    folders = {name: arm.path for name, arm in trained.items()}
    done = python("-c", RELOAD, json.dumps([str(tiny_base), folders, PROBE]))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", METHODS)
def test_a_method_trains(trained: dict[str, Arm], name: str) -> None:
    """The arm says how it came to be: loss curve, parameters, time, weights."""
    arm = trained[name]
    assert [point.step for point in arm.loss] == [1, 2, 3]
    assert arm.trainable
    assert arm.seconds
    assert arm.weights_sha256
    assert Path(arm.path or "", "tokenizer.json").is_file()
    assert Path(arm.path or "", "training_log.json").is_file()


@pytest.mark.parametrize("name", METHODS)
def test_a_method_changes_the_base(
    tiny_base: Path, trained: dict[str, Arm], reloaded: None, name: str
) -> None:
    """After a few steps the logits differ from the untuned base's."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    with torch.no_grad():
        base = model(input_ids=torch.tensor([PROBE])).logits
    tuned = torch.load(Path(trained[name].path or "", "logits.pt"))[:, -len(PROBE) :]
    assert (tuned - base).abs().max() > 1e-4


def test_no_method_changes_the_base_it_is_loaded_on(
    tiny_base: Path, trained: dict[str, Arm]
) -> None:
    """With every adapter loaded and switched off, the base answers as before.

    PiSSA starts from a part of the base's weights and would take it out of them.
    """
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    def logits(model: torch.nn.Module) -> torch.Tensor:
        with torch.no_grad():
            return model(input_ids=torch.tensor([PROBE])).logits

    base = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    before = logits(base)
    for name in ("lora", "pissa", "dora", "vera"):
        model = PeftModel.from_pretrained(base, trained[name].path or "").eval()
        with model.disable_adapter():
            torch.testing.assert_close(logits(model), before, rtol=0, atol=1e-6)
        base = model.unload()


def test_dora_leaves_out_what_it_would_divide_by_zero(tmp_path: Path) -> None:
    """The built-in base has outputs of zero weights, whose norm DoRA divides by."""
    base = str(content.BUILTIN_MODELS["tiny"])
    arm = train_on(section("dora"), rows(), model=base, out=tmp_path / "dora")
    assert all(math.isfinite(point.loss) for point in arm.loss)
    adapter = json.loads((tmp_path / "dora" / "adapter_config.json").read_text())
    assert adapter["target_modules"] == sorted(adapter["target_modules"])  # sets have no order
    assert adapter["exclude_modules"] == ["model.layers.0.self_attn.v_proj"]


@pytest.mark.parametrize("name", METHODS)
def test_a_fresh_process_gives_identical_logits(
    tiny_base: Path, trained: dict[str, Arm], reloaded: None, tmp_path: Path, name: str
) -> None:
    """What was in memory at the end of training is what another process loads from disk."""
    import torch

    from harness.models.load_model import load_tokenizer
    from harness.training.config.job import Job
    from harness.training.config.settings import method_of, settings_of, training_of
    from harness.training.trl import session

    base = BaseSection(model=str(tiny_base))
    candidate = section(name)
    job = Job(
        name=name,
        method=method_of(candidate),
        settings=settings_of(candidate),
        arguments=training_of(candidate),
        model=str(tiny_base),
        base=base,
        seed=0,
        checkpoints=tmp_path,
    )
    tokenizer = load_tokenizer(str(tiny_base), base, padding=True)
    trainer = session.build(job, encoded(rows(), tokenizer), tokenizer, None)
    session.fit(trainer)
    model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False).eval()
    for weight in model.parameters():
        if weight.requires_grad:  # TRL trains QLoRA's adapter in bfloat16, PEFT loads it as float32
            weight.data = weight.data.float()
    with torch.no_grad():
        here = model(input_ids=torch.tensor([PROBE])).logits
    there = torch.load(Path(trained[name].path or "", "logits.pt"))
    torch.testing.assert_close(here, there, rtol=0, atol=1e-5)
