"""TRL's training arguments: defaults, the study's, and those that no study can set."""

from typing import TYPE_CHECKING

import trl

from harness.errors import ModelError
from harness.models.hardware import precision_of
from harness.training.config.job import Job
from harness.training.trl.preference import ORPOConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainingArguments

LARGE = 500_000_000
"""Parameters from which activations are recomputed to save memory (gradient checkpointing)."""


def config(
    job: Job, model: "PreTrainedModel", max_length: int, *, evaluated: bool
) -> "TrainingArguments":
    """Return TRL's configuration for a training.

    Args:
        job: The training.
        model: The loaded base: its size and device decide precision and checkpointing.
        max_length: Longest row in tokens.
        evaluated: Whether rows are held out.

    Raises:
        ModelError: If TRL refuses an argument.
    """
    given = {**_defaults(job, model), **(_evaluation(job) if evaluated else {}), **job.arguments}
    if job.keep is not None:  # the suites choose: see `Monitor`
        given |= {"load_best_model_at_end": False, "save_strategy": "no"}
    own: dict[str, object] = {
        "output_dir": str(job.checkpoints),
        "seed": job.seed,
        "data_seed": job.seed,
        "disable_tqdm": True,
        "use_cpu": model.device.type == "cpu",
        "logging_nan_inf_filter": False,
    }
    packing = bool(job.arguments.get("packing"))
    if job.objective.pairs:
        own |= {"max_length": max_length, "remove_unused_columns": job.objective.name != "orpo"}
    else:
        own |= {
            "max_length": max_length if packing else None,
            "dataset_kwargs": None if packing else {"skip_prepare_dataset": True},
            "assistant_only_loss": False,  # the labels are masked already
        }
    try:
        made = ORPOConfig if job.objective.name == "orpo" else getattr(trl, job.objective.config)
        return made(**{**given, **own})
    except (TypeError, ValueError) as error:
        raise ModelError(f"TRL refuses the training arguments: {error}") from error


def _defaults(job: Job, model: "PreTrainedModel") -> dict[str, object]:
    precision = precision_of(model.device)
    large = model.num_parameters() >= LARGE and not job.method.virtual_tokens
    return {
        "report_to": "none",
        "bf16": precision == "bf16" and not job.arguments.get("fp16"),
        "fp16": precision == "fp16" and not job.arguments.get("bf16"),
        "gradient_checkpointing": large,
        "dataloader_pin_memory": model.device.type == "cuda",
        "logging_steps": 0.01,
        "save_strategy": "no",  # `Monitor` asks for checkpoints by the clock
        "save_total_limit": 1,
    }


def _evaluation(job: Job) -> dict[str, object]:
    return {
        "eval_strategy": "steps",
        "eval_steps": 0.1,
        "save_strategy": "steps",
        "save_steps": job.arguments.get("eval_steps", 0.1),
        "load_best_model_at_end": True,
        "prediction_loss_only": True,
        "per_device_eval_batch_size": job.arguments["per_device_train_batch_size"],
    }
