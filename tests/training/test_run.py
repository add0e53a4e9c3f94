"""A training as a whole: learns, repeats exactly, survives kills, tells when it cannot go on."""

import json
from pathlib import Path

import pytest
from support.command import PYTHON, SUPPORT, started
from support.killing import go_on
from support.trainings import rows, run, section

from harness.errors import DataError, InfrastructureError, ModelError, StudyError
from harness.records import Example, LossPoint
from harness.study import BaseSection
from harness.training import DataCard, RowTokenizer, fingerprint, finished, marked

pytestmark = pytest.mark.model


def test_a_training_learns_and_reports(tiny_base: Path, tmp_path: Path) -> None:
    """Every point of the curve is told with the number of steps; the loss falls."""
    told: list[tuple[LossPoint, int]] = []
    arm = run(
        tiny_base,
        tmp_path / "mine",
        section(training={"max_steps": 30}),
        on_progress=lambda point, steps: told.append((point, steps)),
    )
    assert tuple(point for point, _ in told) == arm.loss
    assert {steps for _, steps in told} == {30}
    assert arm.loss[-1].loss < arm.loss[0].loss - 0.5
    log = json.loads((tmp_path / "mine" / "training_log.json").read_text())
    assert (log["rows"], log["steps"], log["rows_too_long"]) == (40, 30, 0)
    assert log["rows_share_sequences"] is True
    assert set(log["versions"]) >= {"torch", "transformers", "trl", "peft"}
    cost = arm.cost
    assert cost is not None
    assert (cost.steps, cost.since) == (30, 0)
    assert cost.tokens == round(log["epochs"] * log["tokens"])
    assert cost.peak_bytes is None or 1e8 < cost.peak_bytes < 1e11
    assert "CPU" in cost.machine


def test_the_loss_is_that_of_plain_trl(tiny_base: Path, tmp_path: Path) -> None:
    """Sharing lines and scoring only what is learnt changes the time, not the loss."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    steps = {"max_steps": 4, "learning_rate": 0.01, "bf16": False}
    arm = run(tiny_base, tmp_path / "mine", section(training=steps))
    chat = [
        {
            side: [{"role": turn.role, "content": turn.content} for turn in getattr(row, side)]
            for side in ("prompt", "completion")
        }
        for row in rows()
    ]
    trainer = SFTTrainer(
        model=str(tiny_base),
        args=SFTConfig(
            output_dir=str(tmp_path / "plain"),
            report_to="none",
            use_cpu=True,
            seed=0,
            logging_steps=1,
            lr_scheduler_type="cosine",
            warmup_steps=0.05,
            per_device_train_batch_size=8,
            save_strategy="no",
            **steps,
        ),
        train_dataset=Dataset.from_list(chat),
        peft_config=LoraConfig(
            r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
    )
    trainer.train()
    plain = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert [point.loss for point in arm.loss] == pytest.approx(plain, abs=2e-3)


def test_the_same_inputs_give_the_same_weights(tiny_base: Path, tmp_path: Path) -> None:
    """A training repeats to the byte; another seed does not."""
    one, two = run(tiny_base, tmp_path / "one"), run(tiny_base, tmp_path / "two")
    other = run(tiny_base, tmp_path / "three", seed=1)
    assert one.weights_sha256 == two.weights_sha256 != other.weights_sha256


def test_a_finished_training_is_not_repeated(tiny_base: Path, tmp_path: Path) -> None:
    """A second call returns the first one's arm without training; any change trains again."""
    out = tmp_path / "mine"
    first = run(tiny_base, out)
    stamp = (out / "adapter_model.safetensors").stat().st_mtime_ns
    assert run(tiny_base, out) == first
    assert (out / "adapter_model.safetensors").stat().st_mtime_ns == stamp
    inputs = {"model": str(tiny_base), "base": BaseSection(model=str(tiny_base)), "seed": 0}
    mark = fingerprint(section(), rows(), **inputs)
    assert finished(out, mark) == first
    for changed in (
        fingerprint(section(settings={"r": 4}), rows(), **inputs),
        fingerprint(section(training={"max_steps": 5}), rows(), **inputs),
        fingerprint(section(), rows(39), **inputs),
        fingerprint(section(), rows(), **{**inputs, "seed": 1}),
        fingerprint(section(), rows(), **{**inputs, "model": "another/base"}),
    ):
        assert changed != mark
        assert finished(out, changed) is None


@pytest.mark.parametrize(
    "damage",
    [
        "no log",
        pytest.param("log", marks=pytest.mark.nightly),
        pytest.param("weights", marks=pytest.mark.nightly),
    ],
)
def test_a_damaged_folder_is_not_finished(tiny_base: Path, tmp_path: Path, damage: str) -> None:
    """A log that is cut short, or weights that are not those of the log, are trained again."""
    out = tmp_path / "mine"
    first = run(tiny_base, out)
    if damage == "log":
        text = (out / "training_log.json").read_text()
        (out / "training_log.json").write_text(text[: len(text) // 2])
    elif damage == "no log":
        (out / "training_log.json").unlink()
    else:
        (out / "adapter_model.safetensors").write_bytes(b"")
    again = run(tiny_base, out)
    assert again.weights_sha256 == first.weights_sha256


KILLED = """
import sys
from pathlib import Path
from support import trainings as t
from harness.training.trl import session
session.CHECKPOINT_SECONDS = 0.0
t.run(Path(sys.argv[1]), Path(sys.argv[2]), t.section(training={"max_steps": 24}),
      on_progress=lambda point, steps: print(point.step, flush=True) or sys.stdin.readline())
"""


@pytest.mark.nightly
def test_a_killed_training_goes_on_where_it_was(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``kill -9`` leaves no half adapter; the next run goes on and ends as if undisturbed."""
    out = tmp_path / "killed"
    with started(*PYTHON, "-c", KILLED, tiny_base, out, env=SUPPORT) as training:
        assert [int(step) for step in go_on(training, 8)] == [*range(1, 9)]
    assert not out.exists()
    candidate = section(training={"max_steps": 24})
    steps: list[int] = []
    resumed = run(tiny_base, out, candidate, on_progress=lambda point, _: steps.append(point.step))
    assert steps[0] > 1
    assert not list(tmp_path.glob(".*"))
    undisturbed = run(tiny_base, tmp_path / "whole", candidate)
    assert [point.step for point in resumed.loss] == [point.step for point in undisturbed.loss]
    assert resumed.loss[-1].loss == pytest.approx(undisturbed.loss[-1].loss, abs=1e-3)


def test_validation_keeps_the_best_and_stops(tiny_base: Path, tmp_path: Path) -> None:
    """Rows with nothing in common are memorised: training stops early, the best state is kept."""
    import random

    draw = random.Random(0)

    def word() -> str:
        return "".join(draw.choices("abcdefghijklmnop", k=6))

    data = [
        Example(prompt=f"{word()}? ", completion=word(), origin=f"rows.jsonl:{i}")
        for i in range(60)
    ]
    steps = {"max_steps": 200, "learning_rate": 0.03, "per_device_train_batch_size": 30}
    candidate = section(training=steps, validation=0.2)
    arm = run(tiny_base, tmp_path / "mine", candidate, data=data)
    log = json.loads((tmp_path / "mine" / "training_log.json").read_text())
    held = [(point.step, point.eval_loss) for point in arm.loss if point.eval_loss is not None]
    best = min(loss for _, loss in held)
    assert log["rows_held_out"] == 12
    assert log["steps"] < 200
    assert held[-1][1] > best
    assert log["best_eval_loss"] == pytest.approx(best)


def test_the_data_card_shows_what_is_learnt(tiny_base: Path) -> None:
    """Counts, lengths and pictures of rows, from the tokenizer alone."""
    tokenizer = RowTokenizer(str(tiny_base), BaseSection(model=str(tiny_base)))
    card = DataCard(shown=2).count(tokenizer.encode(rows()))
    assert (card.rows, card.longer_than(tokenizer.context_length)) == (40, 0)
    lengths = card.histogram()
    assert sum(count for _, count in lengths) == 40
    assert lengths[-1][0] >= card.longest > lengths[-2][0]
    assert card.learnt < card.tokens
    shown = card.pictures(tokenizer.tokenizer)
    assert len(shown) == 2
    for origin, parts in shown:
        i = int(origin.rpartition(":")[2]) - 1
        asked = f"<|user|>what is {i}?{' please' * (i % 4)}<|end|><|assistant|>"
        assert marked(parts) == f"{asked}⟦it is {i * 7 % 13}<|end|>⟧"


def test_rows_can_be_packed_by_trl(tiny_base: Path, tmp_path: Path) -> None:
    """TRL's own packing joins rows across batches when a study asks for it."""
    packed = section(training={"packing": True, "max_length": 128})
    arm = run(tiny_base, tmp_path / "mine", packed)
    assert len(arm.loss) == 4


def test_divergence_names_the_step_and_the_remedy(tiny_base: Path, tmp_path: Path) -> None:
    """A loss that is no number stops the training with a plain sentence and no adapter."""
    wild = {"learning_rate": 1e38, "max_grad_norm": 0.0, "max_steps": 20, "warmup_steps": 0}
    with pytest.raises(ModelError, match=r"diverged: the loss is nan at step \d+ of 20; lower"):
        run(tiny_base, tmp_path / "mine", section(training=wild))
    assert not (tmp_path / "mine").exists()


def test_what_does_not_fit_the_base_is_told_before_training(
    tiny_base: Path, tmp_path: Path
) -> None:
    """Missing modules, missing models and rows beyond the context are named with a remedy."""
    with pytest.raises(ModelError, match=r"no module 'query' .*known: down_proj, gate_proj"):
        run(tiny_base, tmp_path / "a", section(settings={"target_modules": ["query"]}))
    with pytest.raises(ModelError, match="did you mean 'q_proj'"):
        run(tiny_base, tmp_path / "a", section(settings={"target_modules": ["q_poj"]}))
    with pytest.raises(ModelError, match="no tokenizer could be loaded from"):
        run(tmp_path, tmp_path / "b")
    long = [Example(prompt="a" * 300, completion="b", origin="rows.jsonl:1")]
    with pytest.raises(DataError, match=r"max_length=256 tokens: 1 of 1"):
        run(tiny_base, tmp_path / "c", data=long)
    with pytest.raises(StudyError, match="unknown method"):
        run(tiny_base, tmp_path / "d", section(method="lroa"))
    elsewhere = BaseSection(model=str(tiny_base), device="cuda:99")
    with pytest.raises(ModelError, match="no device 'cuda:99': "):
        run(tiny_base, tmp_path / "e", base=elsewhere)
    assert not list(tmp_path.iterdir())


def test_memory_that_runs_out_says_what_to_change(tiny_base: Path, tmp_path: Path) -> None:
    """Also on a CPU, whose allocator has other words for it than a GPU's."""

    def starve(_: LossPoint, __: int) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    said = r"per_device_train_batch_size=8; halve it and double gradient_accumulation_steps"
    with pytest.raises(InfrastructureError, match=said):
        run(tiny_base, tmp_path / "mine", on_progress=starve)
