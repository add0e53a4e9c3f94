"""What ``SuiteCallback`` costs a TRL script: 50 items of each suite every 100 steps.

Run it: ``OMP_NUM_THREADS=1 python tests/bench/callback_overhead.py [STEPS]``. Needs no network.
Processor seconds, so that other work on the machine disturbs little.
"""

import json
import logging
import sys
import tempfile
import time
from collections.abc import Sequence

from datasets import Dataset
from peft import LoraConfig
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer

from harness.callbacks import SuiteCallback
from harness.content import BUILTIN_MODELS
from harness.quickstart import row_sets

EVERY, ITEMS = 100, 50


class StepClock(TrainerCallback):
    """Notes the processor time at each step's beginning and end."""

    def __init__(self) -> None:
        self.steps = 0.0
        self._begun = 0.0

    def on_step_begin(self, *_args: object, **_more: object) -> None:
        """Start the clock."""
        self._begun = time.process_time()

    def on_step_end(self, *_args: object, **_more: object) -> None:
        """Stop it: it is added before the suites are scored."""
        self.steps += time.process_time() - self._begun


def measured(suites: Sequence[str], steps: int) -> dict[str, float]:
    """Return processor seconds of all steps, and what scoring each ``EVERY`` of them adds."""
    rows = Dataset.from_list(row_sets.training_rows("mixed")[: 32 * steps])
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=str(BUILTIN_MODELS["tiny"]),
            args=SFTConfig(
                output_dir=folder, max_steps=steps, per_device_train_batch_size=32, bf16=False,
                use_cpu=True, report_to="none", save_strategy="no", disable_tqdm=True,
                learning_rate=2.5e-3, gradient_checkpointing=False,
            ),
            train_dataset=rows,
            peft_config=LoraConfig(
                task_type="CAUSAL_LM", r=32, lora_alpha=64, target_modules="all-linear"
            ),
        )  # fmt: skip
        clock = StepClock()
        trainer.add_callback(clock)
        callback = SuiteCallback(trainer, suites, items=ITEMS, every=EVERY)
        trainer.train()
        begun = time.process_time()
        callback._score(trainer.model)
        once = time.process_time() - begun
    share = once / (clock.steps / steps * EVERY)
    return {"seconds_a_step": clock.steps / steps, "seconds_scored_once": once, "share": share}


def main() -> None:
    """Measure each suite alone, on a model that has learnt to answer it for some steps."""
    logging.disable(logging.WARNING)
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    for suite in ("arc_mini", "domain_qa", "coherence", "sql"):
        found = measured([suite], steps)
        print(json.dumps({"suite": suite, **{k: round(v, 3) for k, v in found.items()}}))


if __name__ == "__main__":
    main()
