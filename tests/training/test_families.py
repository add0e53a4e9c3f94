"""The architectures that people fine-tune: same loss as transformers' own, whatever the layout."""

from pathlib import Path
from typing import Any

import pytest
from support.model_families import FAMILIES
from support.trainings import encoded

from harness.records import Example
from harness.study import BaseSection, CandidateSection
from harness.training.config.settings import method_of, settings_of, training_of

pytestmark = pytest.mark.model

SHARE = set(FAMILIES) - {"opt"}
"""Families that keep rows apart by their positions."""


def rows() -> list[Example]:
    """Return rows of several lengths, so that some can share a line."""
    return [
        Example(prompt=f"what is {i}?" + " please" * (i % 5), completion=f" it is {i}", origin="r")
        for i in range(16)
    ]


def trainer_for(base: Path, checkpoints: Path, method: str = "lora") -> Any:
    """Return a trainer as a study would get it."""
    from harness.models.load_model import load_tokenizer
    from harness.training.config.job import Job
    from harness.training.trl import session

    section = BaseSection(model=str(base))
    candidate = CandidateSection(name="mine", method=method, train="rows")
    job = Job(
        name="mine",
        method=method_of(candidate),
        settings=settings_of(candidate),
        arguments=training_of(candidate),
        model=str(base),
        base=section,
        seed=0,
        checkpoints=checkpoints,
    )
    tokenizer = load_tokenizer(str(base), section, padding=True)
    given = encoded(rows(), tokenizer, chat=False, max_length=128)
    return session.build(job, given, tokenizer, None)


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest, tiny_base: Path, tmp_path: Path) -> tuple[str, Path]:
    """Return a family's name and the folder of a random model of it."""
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    config = CONFIG_MAPPING[request.param](**FAMILIES[request.param])
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "model")
    AutoTokenizer.from_pretrained(tiny_base).save_pretrained(tmp_path / "model")
    return request.param, tmp_path / "model"


def test_the_loss_is_the_models_own(family: tuple[str, Path], tmp_path: Path) -> None:
    """Our loss on lines as we lay them out equals transformers' loss on padded rows."""
    import torch

    from harness.training.rows.packing import padded, shared

    name, folder = family
    trainer = trainer_for(folder, tmp_path)
    assert (trainer.data_collator.func is shared) == (name in SHARE)
    batch = [trainer.train_dataset[i] for i in range(8)]
    model = trainer.model.eval()
    with torch.no_grad():
        ours = trainer.compute_loss(model, trainer.data_collator(batch))
        theirs = model(**padded(batch, 0)).loss
    assert ours.item() == pytest.approx(theirs.item(), abs=2e-5)


def test_looking_does_not_change_what_qlora_learns(tiny_base: Path, tmp_path: Path) -> None:
    """Every 4-bit layer's adapter gets a gradient, also after a look without gradients.

    On a CPU such a look (our probe, a validation) makes bitsandbytes repack weights for a kernel
    that has no gradient; most adapters would then silently learn nothing.
    """
    import torch

    from harness.training.rows.packing import padded

    trainer = trainer_for(tiny_base, tmp_path, "qlora")
    batch = padded([trainer.train_dataset[i] for i in range(8)], 0)
    model = trainer.model
    with torch.no_grad():
        model.eval()(**batch)
    model.train()
    model(**batch).loss.backward()
    silent = [
        name
        for name, weight in model.named_parameters()
        if "lora_B" in name and (weight.grad is None or not weight.grad.abs().max() > 0)
    ]
    assert not silent
