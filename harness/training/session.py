"""One training session: TRL's arguments, the trainer, and going on after an interruption."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers.trainer_callback import EarlyStoppingCallback, PrinterCallback
from trl import SFTConfig

from harness.errors import InfrastructureError, ModelError
from harness.records import LossPoint
from harness.training.batches import keeps_rows_apart, padded, shared
from harness.training.encode import Encoded
from harness.training.hardware import precision_of
from harness.training.job import Job
from harness.training.loading import linear_names, load_model, peft_config
from harness.training.sft import CompletionTrainer, Watch, curve

CHECKPOINT_SECONDS = 20.0
"""A killed training loses about so much work (more where writing a checkpoint is slow)."""

PATIENCE = 3
"""Evaluations without a lower validation loss after which training stops."""

LARGE = 500_000_000
"""Parameters from which activations are recomputed to save memory (gradient checkpointing)."""


def build(
    job: Job,
    rows: Encoded,
    tokenizer: Any,
    on_progress: Callable[[LossPoint, int], None] | None,
    *,
    validation: Encoded | None = None,
) -> CompletionTrainer:
    """Load the base and make TRL's trainer for it.

    With ``validation`` rows the checkpoint with the lowest loss on them is kept, and training stops
    when `PATIENCE` evaluations in a row bring none lower.

    Raises:
        ModelError: If the base cannot be loaded, or PEFT or TRL refuse the settings.
    """
    loaded = load_model(job.model, job.base, job.method)
    config = _config(job, loaded, rows.max_length, evaluated=validation is not None)
    callbacks: list[Any] = [Watch(on_progress, CHECKPOINT_SECONDS)]
    if validation is not None:
        callbacks.append(EarlyStoppingCallback(early_stopping_patience=PATIENCE))
    pad = tokenizer.pad_token_id
    try:
        trainer = CompletionTrainer(
            model=loaded,
            args=config,
            train_dataset=_dataset(rows),
            eval_dataset=None if validation is None else _dataset(validation),
            data_collator=None if config.packing else partial(padded, pad=pad),
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
    _keep_initial(trainer)
    if not config.packing and not job.method.virtual_tokens:
        probe = [trainer.train_dataset[i] for i in range(min(64, len(trainer.train_dataset)))]
        if keeps_rows_apart(trainer.model, probe, pad):
            trainer.data_collator = partial(shared, pad=pad)
    return trainer


def fit(trainer: CompletionTrainer) -> None:
    """Train to the end, from the last whole checkpoint if there is one.

    Raises:
        ModelError: If training diverges, or the method's first step fails on this base.
        InfrastructureError: If memory runs out.
    """
    whole = [
        state.parent
        for state in Path(trainer.args.output_dir).glob("checkpoint-*/trainer_state.json")
    ]
    last = max(whole, key=lambda folder: int(folder.name.rpartition("-")[2]), default=None)
    try:
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    except torch.OutOfMemoryError as error:
        size = trainer.args.per_device_train_batch_size
        raise InfrastructureError(
            f"training ran out of memory at per_device_train_batch_size={size}; halve it and "
            "double gradient_accumulation_steps, or set gradient_checkpointing"
        ) from error
    except RuntimeError as error:
        if trainer.state.global_step:
            raise
        raise ModelError(
            f"this base cannot be trained so, its first step fails: {error}"
        ) from error


def write(trainer: CompletionTrainer, tokenizer: Any, folder: Path) -> None:
    """Save the adapter in PEFT's format (all weights for full fine-tuning) and the tokenizer."""
    options: dict[str, Any] = {}
    if hasattr(trainer.model, "peft_config"):
        options["save_embedding_layers"] = False
    if _initial(trainer).is_dir():
        options["path_initial_model_for_weight_conversion"] = str(_initial(trainer))
    trainer.model.save_pretrained(folder, **options)
    tokenizer.save_pretrained(folder)


def facts(trainer: CompletionTrainer) -> dict[str, Any]:
    """Return what the training log says about a finished training."""
    shares = getattr(trainer.data_collator, "func", None) is shared
    return {
        "steps": trainer.state.global_step,
        "epochs": round(trainer.state.epoch or 0.0, 3),
        "precision": "bf16" if trainer.args.bf16 else "fp16" if trainer.args.fp16 else "fp32",
        "rows_share_sequences": shares,
        "gradient_checkpointing": trainer.args.gradient_checkpointing,
        "trainable": sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        "best_eval_loss": trainer.state.best_metric,
        "loss": [asdict(point) for point in curve(trainer.state.log_history)],
    }


def _dataset(rows: Encoded) -> Dataset:
    return Dataset.from_dict(
        {
            "input_ids": [row.input_ids for row in rows.rows],
            "labels": [row.labels for row in rows.rows],
        }
    )


def _initial(trainer: CompletionTrainer) -> Path:
    return Path(trainer.args.output_dir).parent / "initial"


def _keep_initial(trainer: CompletionTrainer) -> None:
    """Save an adapter that starts as a part of the base's weights (PiSSA and its kind).

    Such a start changes the base itself. Saved as it is, the adapter would change the base of every
    other candidate when it is loaded; PEFT turns it into a plain LoRA (of twice the rank) by
    subtracting what it started as.
    """
    config: Any = getattr(trainer.model, "peft_config", {}).get("default")
    start = getattr(config, "init_lora_weights", True)
    if str(start).lower().startswith(("pissa", "olora", "corda")):
        config.init_lora_weights = True
        trainer.model.save_pretrained(_initial(trainer), save_embedding_layers=False)
        config.init_lora_weights = start


def _config(job: Job, model: Any, max_length: int, *, evaluated: bool) -> SFTConfig:
    arguments = job.arguments
    precision = precision_of(model.device)
    packing = bool(arguments.get("packing"))
    large = model.num_parameters() >= LARGE and not job.method.virtual_tokens
    ours = {
        "output_dir": str(job.checkpoints),
        "seed": job.seed,
        "data_seed": job.seed,
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": model.device.type == "cpu",
        "logging_nan_inf_filter": False,
        "max_length": max_length if packing else None,
        "dataset_kwargs": None if packing else {"skip_prepare_dataset": True},
        "assistant_only_loss": False,  # the labels say already what is learnt
    }
    usual = {
        "bf16": precision == "bf16" and not arguments.get("fp16"),
        "fp16": precision == "fp16" and not arguments.get("bf16"),
        "gradient_checkpointing": large,
        "dataloader_pin_memory": model.device.type == "cuda",
        "logging_steps": 0.01,
        "save_strategy": "no",  # `Watch` asks for checkpoints by the clock
        "save_total_limit": 1,
    }
    if evaluated:
        usual |= {
            "eval_strategy": "steps",
            "eval_steps": 0.1,
            "save_strategy": "steps",
            "save_steps": arguments.get("eval_steps", 0.1),
            "load_best_model_at_end": True,
            "prediction_loss_only": True,
            "per_device_eval_batch_size": arguments["per_device_train_batch_size"],
        }
    try:
        return SFTConfig(**{**usual, **arguments, **ours})
    except (TypeError, ValueError) as error:
        raise ModelError(f"TRL refuses the training arguments: {error}") from error
