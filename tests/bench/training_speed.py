"""CPU seconds per training step: our defaults against TRL's own, same rows, same base, same loss.

Run it: ``python tests/bench/training_speed.py [STEPS]``. Needs no network. CPU seconds of all
threads are compared, so that other work on the machine disturbs little.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from harness.content import BUILTIN_MODELS
from harness.quickstart import row_sets
from harness.records import Example, Message
from harness.study import BaseSection, CandidateSection
from harness.training import RowTokenizer, TokenizedRows, train, training_rows

SETTINGS = {"r": 32, "lora_alpha": 64, "target_modules": "all-linear", "lora_dropout": 0.0}
TRAINING = {
    "learning_rate": 2.5e-3,
    "per_device_train_batch_size": 32,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 5,
    "max_length": 192,
    "weight_decay": 0.0,
}


def example(row: dict[str, list[dict[str, str]]]) -> Example:
    """Return a conversational row as an example."""
    prompt, completion = (
        tuple(Message(**turn) for turn in row[side]) for side in ("prompt", "completion")
    )
    return Example(prompt=prompt, completion=completion, origin="bench")


def ours(model: str, data: list[dict[str, list[dict[str, str]]]], steps: int) -> list[float]:
    """Train through the harness; return seconds in all, seconds per step and the last loss."""
    marks: list[float] = []
    candidate = CandidateSection(
        name="ours",
        train="rows",
        settings=SETTINGS,
        training={**TRAINING, "max_steps": steps, "logging_steps": 1},
    )
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        base = BaseSection(model=model)
        rows = TokenizedRows([example(row) for row in data], RowTokenizer(model, base))
        arm = train(
            candidate,
            training_rows(candidate, rows, seed=0),
            model=model,
            base=base,
            out=Path(folder) / "ours",
            seed=0,
            on_progress=lambda _point, _steps: marks.append(time.process_time()),
        )
        total = time.process_time() - started
    return [total, (marks[-1] - marks[0]) / (len(marks) - 1), arm.loss[-1].loss]


def theirs(model: str, data: list[dict[str, list[dict[str, str]]]], steps: int) -> list[float]:
    """Train through TRL with its own defaults; return the same figures."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    marks: list[float] = []

    class Clock(TrainerCallback):
        """Notes the time after each step."""

        def on_step_end(self, *_args: object, **_more: object) -> None:
            marks.append(time.process_time())

    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(
                output_dir=folder,
                report_to="none",
                use_cpu=True,
                seed=0,
                data_seed=0,
                save_strategy="no",
                logging_steps=1,
                max_steps=steps,
                disable_tqdm=True,
                **TRAINING,
            ),
            train_dataset=Dataset.from_list(data),
            peft_config=LoraConfig(task_type="CAUSAL_LM", **SETTINGS),
            callbacks=[Clock()],
        )
        trainer.train()
        ended = time.process_time()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return [ended - started, (marks[-1] - marks[0]) / (len(marks) - 1), losses[-1]]


def main() -> None:
    """Print one line a side, and how much faster ours is."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    data = row_sets.training_rows("mixed")
    model = str(BUILTIN_MODELS["tiny"])
    figures = {"ours": ours(model, data, steps), "trl": theirs(model, data, steps)}
    for name, (total, step, loss) in figures.items():
        print(f"{name:<5} {total:7.1f} s in all  {step:7.4f} s per step  last loss {loss:.4f}")
    ratio = figures["trl"][1] / figures["ours"][1]
    print(json.dumps({"steps": steps, "rows": len(data), "times_faster": round(ratio, 2)}))


if __name__ == "__main__":
    main()
