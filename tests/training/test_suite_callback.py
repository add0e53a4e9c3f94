"""`SuiteCallback` in a script of one's own, with the trainers of TRL and of transformers."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command import python
from support.paths import TESTS

from harness import study
from harness.errors import HarnessError, ModelError, StudyError
from harness.pipeline.plan import plan
from harness.study import resolve_model

pytestmark = pytest.mark.model

TINY = resolve_model("builtin:tiny", Path())
ARC = {"name": "arc_mini", "limit": 24}
ROWS = [
    {"prompt": f"What is the number of door {n}?", "completion": f" It is {n * 7 % 10}."}
    for n in range(16)
]


def sft(folder: Path, **arguments: Any) -> Any:
    """Return TRL's trainer as a script makes it: LoRA with dropout on the built-in base."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    given = {"max_steps": 4, "learning_rate": 0.02, "report_to": "none", "logging_steps": 1,
             "use_cpu": True, "bf16": False, "disable_tqdm": True}  # fmt: skip
    rows = Dataset.from_list(ROWS)
    return SFTTrainer(
        model=TINY,
        args=SFTConfig(output_dir=str(folder), **(given | arguments)),
        train_dataset=rows,
        eval_dataset=rows.select(range(4)),
        peft_config=LoraConfig(
            task_type="CAUSAL_LM", target_modules="all-linear", lora_dropout=0.1
        ),
    )


def logged(trainer: Any, name: str) -> dict[int, float]:
    """Return step -> a figure of the trainer's log."""
    return {e["step"]: e[name] for e in trainer.state.log_history if name in e}


def test_an_sft_script_keeps_the_checkpoint_that_is_best_on_a_suite(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Three lines; scores stand in the log, choose the checkpoint, and change nothing of the rest.

    The folder that it leaves is planned as it is, without the items that were looked at.
    """
    from safetensors.torch import load_file
    from transformers import EarlyStoppingCallback

    from harness.callbacks import SuiteCallback

    often = {"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1}
    best = {"load_best_model_at_end": True, "metric_for_best_model": "harness_arc_mini"}
    trainer = sft(tmp_path / "out", **often, **best, disable_tqdm=False)
    trainer.add_callback(EarlyStoppingCallback(early_stopping_patience=9))
    trainer.add_callback(SuiteCallback(trainer, [ARC], items=12))
    trainer.train()

    scores = logged(trainer, "eval_harness_arc_mini")
    assert list(scores) == [0, 1, 2, 3, 4]
    trained = {step: score for step, score in scores.items() if step}
    assert trainer.state.best_metric == max(trained.values())
    kept = min(step for step, score in trained.items() if score == trainer.state.best_metric)
    assert trainer.state.best_global_step == kept
    equal = list(trained.values()).count(trainer.state.best_metric) - 1
    said = f", which {equal} later {'one equals' if equal == 1 else 'ones equal'}" if equal else ""
    score = f"{trainer.state.best_metric:.2f}"
    told = capfd.readouterr().err.replace("\r", "\n").splitlines()  # a bar is redrawn after \\r
    assert f"kept checkpoint-{kept}: harness_arc_mini {score}{said}" in told
    assert f"the model is judged by: harness run {tmp_path}/out/harness/study.yaml" in told
    left = tmp_path / "out" / "harness"
    weights = "adapter_model.safetensors"
    one, two = (load_file(place / weights) for place in (
        left / "model", tmp_path / "out" / f"checkpoint-{kept}"))  # fmt: skip
    assert all(np.array_equal(one[name], two[name]) for name in one)

    plain = sft(tmp_path / "plain", **often)
    plain.train()
    assert logged(plain, "loss") == logged(trainer, "loss")

    for adapter in ("model", f"../checkpoint-{kept}"):
        written = (left / "study.yaml").read_text().replace("adapter: model", f"adapter: {adapter}")
        (left / "study.yaml").write_text(written)
        planned = plan(study.load(left / "study.yaml"), out=tmp_path / "run")
        assert len(planned.loaded[0].items) == 12
        assert planned.notes == ("12 items of arc_mini were used to train trained, and judge none",)


def test_a_plain_trainer_stops_where_another_suite_falls(tmp_path: Path) -> None:
    """Without evaluations suites are scored each ``every`` steps; a broken limit ends the training.

    All weights are trained here, without any adapter.
    """
    from datasets import Dataset
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        DataCollatorForLanguageModeling,
        Trainer,
        TrainingArguments,
    )

    from harness.callbacks import SuiteCallback

    tokenizer = AutoTokenizer.from_pretrained(TINY)
    rows = [tokenizer(row["prompt"] + row["completion"]) for row in ROWS]
    trainer = Trainer(
        model=AutoModelForCausalLM.from_pretrained(TINY),
        args=TrainingArguments(
            output_dir=str(tmp_path / "out"), max_steps=6, learning_rate=0.5, report_to="none",
            max_grad_norm=0.0, use_cpu=True, save_strategy="no", disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list([dict(row) for row in rows]),
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm=False),
        processing_class=tokenizer,
    )  # fmt: skip
    limit = {"arc_mini": 0.1}
    trainer.add_callback(SuiteCallback(trainer, [ARC], items=12, every=2, limit=limit))
    trainer.train()
    scores = logged(trainer, "eval_harness_arc_mini")
    assert list(scores) == [0, 2]
    assert scores[0] - scores[2] > 0.1
    assert trainer.state.global_step == 2
    assert study.load(tmp_path / "out" / "harness" / "study.yaml").candidates[0].name == "trained"

    trainer.processing_class = None
    with pytest.raises(ModelError, match="give the trainer its 'processing_class'"):
        SuiteCallback(trainer, [ARC])


def test_a_checkpoint_beyond_its_limit_is_never_the_best(tmp_path: Path) -> None:
    """With a limit, a suite's score within it chooses; a checkpoint beyond it counts as -1."""
    from harness.callbacks import SuiteCallback

    trainer = sft(tmp_path)
    callback = SuiteCallback(trainer, [ARC], items=12, limit={"arc_mini": 0.0}, stop=False)
    trainer.is_in_train = True
    metrics: dict[str, float] = {}
    for before, expected in ((0.0, None), (2.0, -1.0)):
        callback._before = {"arc_mini": before}
        callback.on_evaluate(trainer.args, trainer.state, trainer.control, metrics=metrics)
        score = metrics["eval_harness_arc_mini"]
        wanted = score if expected is None else expected
        assert metrics["eval_harness_arc_mini_within_limits"] == wanted
    assert not trainer.control.should_training_stop


@pytest.mark.parametrize(
    ("suites", "more", "kind", "expected"),
    [
        (["arc_min"], {}, StudyError, "arc_min"),
        ([{"nam": "arc_mini"}], {}, StudyError, "a name or an entry of a study"),
        ([ARC], {"items": 13}, StudyError, "no more than half of a suite's items"),
        ([ARC], {"limit": {"sql": 0.1}}, StudyError, "'sql' is none"),
    ],
)
def test_what_cannot_be_scored_is_refused_before_the_training(
    tmp_path: Path, suites: list[Any], more: dict[str, Any], kind: type[HarnessError], expected: str
) -> None:
    """The constructor loads everything, so that nothing is found missing in mid-training."""
    from harness.callbacks import SuiteCallback

    with pytest.raises(kind, match=expected):
        SuiteCallback(sft(tmp_path), suites, **{"items": 12, **more})


@pytest.mark.parametrize("spread", ["is_fsdp_enabled", "is_deepspeed_enabled"])
def test_a_model_that_is_spread_over_processes_is_refused(tmp_path: Path, spread: str) -> None:
    """FSDP and DeepSpeed leave no process a whole model; accelerate has neither on a CPU."""
    from harness.callbacks import SuiteCallback

    trainer = sft(tmp_path)
    setattr(trainer, spread, True)
    with pytest.raises(ModelError, match="scored on a whole model: FSDP, ZeRO-3 and tensor"):
        SuiteCallback(trainer, [ARC], items=12)


def test_scoring_leaves_a_model_in_training_as_it_was(tmp_path: Path) -> None:
    """Modes module by module, gradients, generation settings, adapters and all random states."""
    import torch

    from harness.callbacks import SuiteCallback

    trainer = sft(tmp_path)
    model = trainer.model
    model.train()
    frozen = next(module for module in model.modules() if isinstance(module, torch.nn.Dropout))
    frozen.eval()
    model.base_model.model.generation_config.top_k = 7
    ids = torch.tensor([[5, 6, 7]])
    model(input_ids=ids, labels=ids).loss.backward()

    def state() -> list[object]:
        grads = [p.grad.sum().item() for p in model.parameters() if p.grad is not None]
        configs = [id(vars(m)["generation_config"]) for m in model.modules()
                   if "generation_config" in vars(m)]  # fmt: skip
        needed = [parameter.requires_grad for parameter in model.parameters()]
        modes = [module.training for module in model.modules()]
        drawn = [random.getstate(), torch.get_rng_state().tolist(), repr(np.random.get_state())]
        return [grads, configs, needed, modes, drawn, list(model.active_adapters),
                model.config.use_cache, torch.is_grad_enabled()]  # fmt: skip

    before = state()
    callback = SuiteCallback(trainer, [ARC, {"name": "domain_qa", "limit": 24}], items=8)
    callback._score(model)
    assert state() == before


SHARDED = """
import sys
from pathlib import Path
sys.path[:0] = {tests!r}
import test_suite_callback as t
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from harness.callbacks import SuiteCallback
from harness.errors import ModelError

mesh = init_device_mesh("cpu", (1,))
one = FullyShardedDataParallel
for wrap in (lambda m: fully_shard(m, mesh=mesh),
             lambda m: one(m, device_id=torch.device("cpu"), use_orig_params=True)):
    trainer = t.sft(Path(sys.argv[1]))
    callback = SuiteCallback(trainer, [t.ARC], items=12)
    trainer.model = wrap(trainer.model) or trainer.model
    for refused in (lambda: callback._scores(0), lambda: SuiteCallback(trainer, [t.ARC])):
        try:
            refused()
        except ModelError as error:
            print("REFUSED", error, flush=True)
trainer = t.sft(Path(sys.argv[1]))
trainer.is_fsdp_enabled = True  # as accelerate says where there are GPUs
try:
    SuiteCallback(trainer, [t.ARC], items=12)
except ModelError as error:
    print("REFUSED", error, flush=True)
"""

SCRIPT = """
import sys
from pathlib import Path
sys.path[:0] = {tests!r}
import test_suite_callback as t
from harness.callbacks import SuiteCallback
trainer = t.sft(Path(sys.argv[1]), eval_strategy="steps", eval_steps=1, save_strategy="no",
                max_steps=2, ddp_find_unused_parameters=False)
callback = SuiteCallback(trainer, [t.ARC], items=12)
score, asked = callback._score, []
callback._score = lambda model: asked.append(1) or score(model)
trainer.add_callback(callback)
trainer.train()
scores = t.logged(trainer, "eval_harness_arc_mini")
print("RANK", trainer.args.process_index, len(asked), scores, flush=True)
"""


@pytest.mark.nightly
def test_a_model_of_which_a_process_holds_a_part_is_not_scored(tmp_path: Path) -> None:
    """Wrapped by either FSDP, or to be wrapped; one sentence says what to do."""
    done = launch(tmp_path, SHARDED, processes=1)
    assert done.returncode == 0, done.stderr[-3000:]
    told = [line for line in done.stdout.splitlines() if line.startswith("REFUSED")]
    assert len(told) == 5, done.stdout + done.stderr[-2000:]
    assert all("suites are scored on a whole model: FSDP, ZeRO-3 and" in line for line in told)


def launch(folder: Path, text: str, *, processes: int) -> Any:
    """Run a script as torchrun does, with an output folder."""
    script = folder / "script.py"
    script.write_text(text.format(tests=[str(TESTS), str(TESTS / "training")]))
    return python(
        "-m", "torch.distributed.run", "--nproc_per_node", str(processes),
        "--rdzv_backend", "c10d", "--rdzv_endpoint", "localhost:0", script, folder / "out",
        env={"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.nightly
def test_of_several_processes_the_first_scores(tmp_path: Path) -> None:
    """The others have the same figures in their log, so that all keep and stop alike."""
    done = launch(tmp_path, SCRIPT, processes=2)
    assert done.returncode == 0, done.stderr[-3000:]
    told = sorted(line for line in done.stdout.splitlines() if line.startswith("RANK"))
    first, second = (line.split(maxsplit=3) for line in told)
    assert (first[2], second[2]) == ("3", "0")
    assert first[3] == second[3]
    assert first[3].count(":") == 3
