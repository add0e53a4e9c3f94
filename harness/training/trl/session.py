"""One training session: build TRL's trainer, fit, resume from a checkpoint, save."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING

from transformers import Trainer
from transformers.trainer_callback import EarlyStoppingCallback, PrinterCallback

from harness.errors import InfrastructureError, ModelError
from harness.models.float32_attention import SHORT, take_float32_attention
from harness.models.hardware import is_out_of_memory
from harness.records import LossPoint
from harness.training.config.job import Job
from harness.training.config.keep import KeepRule
from harness.training.config.settings import CHANGES_BASE
from harness.training.rows.encode import dataset_of
from harness.training.rows.packing import keeps_rows_apart, padded, shared
from harness.training.rows.tokenized import Encoded
from harness.training.trl import arguments
from harness.training.trl.callback import (
    Monitor,
    loss_curve,
    scores_by_step,
    suite_points,
)
from harness.training.trl.peft_model import linear_names, load_base, peft_config
from harness.training.trl.preference import TRAINERS, pairs
from harness.training.trl.sft import CompletionTrainer

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import PeftConfig
    from transformers import PreTrainedTokenizerBase, TrainerCallback, TrainingArguments

CHECKPOINT_SECONDS = 20.0
"""Seconds between checkpoints (more where writing one is slow)."""

PATIENCE = 3
"""Early stopping: evaluations without a lower validation loss after which training ends."""


def build(
    job: Job,
    rows: Encoded,
    tokenizer: "PreTrainedTokenizerBase",
    on_progress: Callable[[LossPoint, int], None] | None,
    *,
    validation: Encoded | None = None,
) -> Trainer:
    """Load the base and build TRL's trainer for it.

    With ``validation`` rows the checkpoint with the lowest loss on them is kept, and training stops
    when `PATIENCE` evaluations in a row bring none lower; where suites choose it, that loss is only
    shown.

    Raises:
        ModelError: If the base cannot be loaded, or PEFT or TRL refuse the settings.
    """
    loaded = load_base(job.model, job.base, job.method)
    config = arguments.config(job, loaded, rows.max_length, evaluated=validation is not None)
    if config.bf16 and max(row.length for row in rows.rows) <= SHORT:
        take_float32_attention(loaded)
    tokens = sum(row.length for row in rows.rows)
    monitor = Monitor(on_progress, CHECKPOINT_SECONDS, tokens, job.watch)
    callbacks: list[TrainerCallback] = [monitor]
    if validation is not None and job.keep is None:
        callbacks.append(EarlyStoppingCallback(early_stopping_patience=PATIENCE))
    pad = tokenizer.pad_token_id
    learns_pairs = job.objective.pairs
    try:
        trainer: Trainer = (TRAINERS[job.objective.name] if learns_pairs else CompletionTrainer)(
            model=loaded,
            args=config,
            train_dataset=_dataset(job, rows, config),
            eval_dataset=None if validation is None else _dataset(job, validation, config),
            data_collator=None if learns_pairs or config.packing else partial(padded, pad=pad),
            processing_class=tokenizer,
            peft_config=peft_config(job.method, job.settings, loaded),
            callbacks=callbacks,
        )
    except (TypeError, ValueError) as error:
        names = ", ".join(sorted(linear_names(loaded)))
        raise ModelError(
            f"method {job.method.name!r} does not fit this base: {error}; its linear layers are "
            f"{names}"
        ) from error
    trainer.remove_callback(PrinterCallback)
    if job.keep is not None:
        trainer.args.load_best_model_at_end = True
    monitor.log = partial(Trainer.log, trainer)  # TRL's own would add metrics of half a step
    _save_initial(trainer)
    if not (learns_pairs or config.packing or job.method.virtual_tokens):
        probe = [trainer.train_dataset[i] for i in range(min(64, len(trainer.train_dataset)))]
        if keeps_rows_apart(trainer.model, probe, pad):
            trainer.data_collator = partial(shared, pad=pad, most=rows.max_length)
    return trainer


def fit(trainer: Trainer) -> None:
    """Train to the end, from the last complete checkpoint if there is one.

    Raises:
        ModelError: If training diverges, or the method's first step fails on this base.
        InfrastructureError: If memory runs out.
    """
    whole = [
        state.parent
        for state in Path(trainer.args.output_dir).glob("checkpoint-*/trainer_state.json")
        if _is_json(state)
    ]
    last = max(whole, key=lambda folder: int(folder.name.rpartition("-")[2]), default=None)
    try:
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    except UnpicklingError as error:
        raise InfrastructureError(
            f"a checkpoint must hold tensors alone: {last} does not, and was not read; delete it, "
            "and the training begins anew"
        ) from error
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            size = trainer.args.per_device_train_batch_size
            raise InfrastructureError(
                f"training ran out of memory at per_device_train_batch_size={size}; halve it and "
                "double gradient_accumulation_steps, or set gradient_checkpointing"
            ) from error
        if trainer.state.global_step:  # of the disk, perhaps: the caller explains that
            raise
        raise ModelError(
            f"this base cannot be trained so, its first step fails: {error}"
        ) from error


def check_kept(trainer: Trainer, keep: KeepRule, name: str) -> None:
    """Refuse a training of which no checkpoint stayed within the limits.

    Raises:
        ModelError: Saying what fell how far at the checkpoint that came nearest.
    """
    if trainer.state.best_model_checkpoint is not None:
        return
    by_step = scores_by_step(trainer.state.log_history)
    before = by_step.pop(0)
    falls = {step: keep.broken(before, scores) for step, scores in by_step.items()}
    step = min(falls, key=lambda one: max(falls[one].values(), default=0.0))
    told = ", ".join(f"{suite} by {fall:.3f}" for suite, fall in falls[step].items())
    raise ModelError(
        f"candidate {name!r} has no checkpoint within the limits of 'keep': the nearest, at step "
        f"{step}, fell on {told}; lower 'learning_rate', train fewer steps, or raise the limit"
    )


def _is_json(file: Path) -> bool:
    """Say whether a file was written to its end: a checkpoint's last one, by which it is whole."""
    try:
        json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def write(trainer: Trainer, tokenizer: "PreTrainedTokenizerBase", folder: Path) -> None:
    """Save the adapter in PEFT's format (all weights for full fine-tuning) and the tokenizer."""
    options: dict[str, object] = {}
    if hasattr(trainer.model, "peft_config"):
        options["save_embedding_layers"] = False
        _put_in_order(trainer.model.peft_config)
    if _initial(trainer).is_dir():
        options["path_initial_model_for_weight_conversion"] = str(_initial(trainer))
    if trainer.is_world_process_zero():
        trainer.accelerator.unwrap_model(trainer.model).save_pretrained(folder, **options)
        tokenizer.save_pretrained(folder)


def _put_in_order(configs: Mapping[str, "PeftConfig"]) -> None:
    """Sort what PEFT keeps as sets: the same training then leaves the same bytes in any process.

    A set of names has another order in each, and so would the file, and the hash of the candidate.
    """
    for config in configs.values():
        for name, value in list(vars(config).items()):
            if isinstance(value, set):
                setattr(config, name, sorted(value))


def facts(trainer: Trainer, keep: KeepRule | None) -> dict[str, object]:
    """Return what the training log says about a finished training."""
    shares = getattr(trainer.data_collator, "func", None) is shared
    [since] = [c.since for c in trainer.callback_handler.callbacks if isinstance(c, Monitor)]
    return {
        "steps": trainer.state.global_step,
        "since": since,
        "epochs": round(trainer.state.epoch or 0.0, 3),
        "precision": "bf16" if trainer.args.bf16 else "fp16" if trainer.args.fp16 else "fp32",
        "rows_share_sequences": shares,
        "gradient_checkpointing": trainer.args.gradient_checkpointing,
        "trainable": sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        "best_eval_loss": None if keep else trainer.state.best_metric,
        "kept_step": trainer.state.best_global_step if keep else None,
        "kept_by": [keep.best, *keep.limit] if keep else [],
        "watched": [asdict(point) for point in suite_points(trainer.state.log_history)],
        "loss": [asdict(point) for point in loss_curve(trainer.state.log_history)],
    }


def _dataset(job: Job, rows: Encoded, config: "TrainingArguments") -> "Dataset":
    if job.objective.pairs:
        batch = config.per_device_train_batch_size
        return pairs(job.objective.name, rows.rows, batch=batch, seed=job.seed)
    return dataset_of(
        {
            "input_ids": [row.input_ids for row in rows.rows],
            "labels": [row.labels for row in rows.rows],
        }
    )


def _initial(trainer: Trainer) -> Path:
    return Path(trainer.args.output_dir).parent / "initial"


def _save_initial(trainer: Trainer) -> None:
    """Save the initial adapter of an initialization that changes the base's weights (PiSSA, ...).

    Saved as it is, such an adapter would change the base of every other candidate when it is
    loaded; PEFT converts it into a plain LoRA (of twice the rank) by subtracting the initial one.
    """
    config: PeftConfig | None = getattr(trainer.model, "peft_config", {}).get("default")
    start = getattr(config, "init_lora_weights", True)
    if config is not None and str(start).lower().startswith(CHANGES_BASE):
        config.init_lora_weights = True
        if trainer.is_world_process_zero():
            trainer.model.save_pretrained(_initial(trainer), save_embedding_layers=False)
        config.init_lora_weights = start
