"""PEFT settings and TRL arguments of a candidate: checked, and merged with the defaults."""

import math
import re
from collections.abc import Collection, Mapping

from harness.errors import StudyError, nearest
from harness.study import CandidateSection
from harness.training.config.library_fields import peft_fields, training_fields
from harness.training.config.methods import METHODS, TRAINING, Method, Settings
from harness.training.config.number_limits import check_limits
from harness.training.config.objectives import OBJECTIVES, Objective
from harness.training.config.search_space import chosen, examples_of, space_of
from harness.training.trl.reporters import reporters_of

OURS_IN_SETTINGS = frozenset(
    {"task_type", "peft_type", "auto_mapping", "peft_version", "base_model_name_or_path"}
    | {"revision", "inference_mode", "runtime_config", "megatron_config", "megatron_core"}
)
"""PEFT settings that other parts of the study decide."""

_WHOLE_COPIES = "off: every process trains a whole copy of the base"

OURS_IN_TRAINING = {
    "output_dir": "the run's folder",
    "seed": "the study's 'seed'",
    "data_seed": "the study's 'seed'",
    "resume_from_checkpoint": "what an interrupted run left",
    "push_to_hub": "never: nothing leaves the machine",
    "use_cpu": "the study's 'base: device'",
    "model_init_kwargs": "the study's 'base' section",
    "trust_remote_code": "the study's 'base: trust_remote_code'",
    "chat_template_path": "the study's 'base: template'",
    "eos_token": "the base's tokenizer",
    "pad_token": "the base's tokenizer",
    "dataset_text_field": "the shape of the rows",
    "dataset_kwargs": "the shape of the rows",
    "completion_only_loss": "the shape of the rows: the loss is always on completions only",
    "remove_unused_columns": "the shape of the rows",
    **dict.fromkeys(("fsdp", "fsdp_config", "deepspeed", "parallelism_config"), _WHOLE_COPIES),
    "logging_nan_inf_filter": "off, so that divergence is seen",
    "load_best_model_at_end": "the candidate's 'validation'",
    "eval_strategy": "the candidate's 'validation'",
}
"""Training arguments that are not a study's to set -> what decides them."""


def check(candidate: CandidateSection) -> None:
    """Check method, settings and training arguments of a candidate against the installed libraries.

    Raises:
        StudyError: If one is unknown (with the nearest known name), not a study's to set, no
            number where a number is needed, or one with which nothing would be learnt.
    """
    if candidate.adapter is not None:
        return  # the study allows it nothing of a training
    _check_objective(candidate)
    settings_of(candidate)
    arguments = training_of(candidate)
    if candidate.objective == "kto" and whole_number(arguments, "per_device_train_batch_size") < 2:
        raise StudyError(
            f"candidate {candidate.name!r}: objective 'kto' compares answers within a batch: set "
            "'per_device_train_batch_size' to 2 or more"
        )
    check_warmup(candidate)
    if candidate.sweep is not None:
        for choice in examples_of(space_of(candidate)):
            check(chosen(candidate, choice))


def check_warmup(candidate: CandidateSection, *, rows: int = 0) -> None:
    """Refuse a warm-up that outlasts the training: its learning rate would never be reached.

    Args:
        candidate: What is trained.
        rows: How many rows it learns from: the steps, where ``max_steps`` does not say them. 0
            where that is not known yet.

    Raises:
        StudyError: If the rate would still rise after the last step.
    """
    arguments = training_of(candidate)
    warmup, steps = number(arguments, "warmup_steps"), whole_number(arguments, "max_steps")
    if steps < 1 and rows:
        batch = whole_number(arguments, "per_device_train_batch_size") or 1
        batch *= whole_number(arguments, "gradient_accumulation_steps") or 1
        steps = math.ceil(math.ceil(rows / batch) * number(arguments, "num_train_epochs"))
    if 1 <= steps < warmup:
        raise StudyError(
            f"candidate {candidate.name!r}: 'warmup_steps' must be no more than all steps: found "
            f"{warmup:g} of {steps}; a number below 1 is a share of them"
        )


def method_of(candidate: CandidateSection) -> Method:
    """Return the method that a candidate names.

    Raises:
        StudyError: If there is none of that name.
    """
    if candidate.method not in METHODS:
        raise StudyError(
            f"candidate {candidate.name!r} names an unknown method {candidate.method!r}"
            f"{nearest(candidate.method, METHODS)}"
        )
    return METHODS[candidate.method]


def objective_of(candidate: CandidateSection) -> Objective:
    """Return the objective that a candidate names; the study allows no other than ours."""
    return OBJECTIVES[candidate.objective]


def settings_of(candidate: CandidateSection) -> dict[str, object]:
    """Return the method's PEFT settings with those of the candidate put over them."""
    method = method_of(candidate)
    known = peft_fields(method.config, method.source) if method.config else {}
    known = {name: kind for name, kind in known.items() if name not in OURS_IN_SETTINGS}
    where = f"candidate {candidate.name!r}, method {method.name!r}"
    if candidate.settings and not method.config:
        raise StudyError(f"{where}: trains all weights and has no settings; remove 'settings'")
    training = _training_fields(candidate)
    for name in candidate.settings:
        if name not in known and name in training:
            raise StudyError(f"{where}: {name!r} belongs under 'training', not under 'settings'")
    merged = {**method.settings, **_checked(candidate.settings, known, f"{where}: setting")}
    if method.config in ("LoraConfig", "VeraConfig") and whole_number(merged, "r") < 1:
        raise StudyError(f"{where}: setting 'r' must be at least 1: found {merged['r']!r}")
    return merged


def training_of(candidate: CandidateSection) -> dict[str, object]:
    """Return the method's training arguments with those of the candidate put over them."""
    method, objective = method_of(candidate), objective_of(candidate)
    where = f"candidate {candidate.name!r}"
    known = _training_fields(candidate)
    for name in candidate.training:
        if name in OURS_IN_TRAINING or name.startswith(("hub_", "trackio_")):
            decided = OURS_IN_TRAINING.get(name, "never: nothing leaves the machine")
            raise StudyError(f"{where}: {name!r} is not a study's to set; it is {decided}")
        settings = peft_fields(method.config, method.source) if method.config else {}
        if name not in known and name in settings:
            raise StudyError(f"{where}: {name!r} belongs under 'settings', not under 'training'")
    merged = {**TRAINING, **method.training, **objective.training}
    merged["learning_rate"] = objective.rate * number(merged, "learning_rate")
    if objective.reference and method.config is None:
        merged["precompute_ref_log_probs"] = True  # else a second copy of all weights is held
    merged |= _checked(candidate.training, known, f"{where}: training argument")
    reporters_of(merged, where)
    return merged


def number(settings: Settings, name: str) -> float:
    """Return a number among settings, 0 where there is none."""
    value = settings.get(name)
    return value if isinstance(value, (int, float)) else 0


def whole_number(settings: Settings, name: str) -> int:
    """Return a whole number among settings, 0 where there is none."""
    value = settings.get(name)
    return value if isinstance(value, int) else 0


def _training_fields(candidate: CandidateSection) -> dict[str, str]:
    objective = objective_of(candidate)
    return training_fields(objective.config, objective.source)


def _check_objective(candidate: CandidateSection) -> None:
    """Refuse a method that an objective cannot train.

    The reference of DPO and KTO is the base with the adapter switched off: no second copy. An
    adapter that starts as a part of the base's weights takes them out of it.
    """
    if candidate.objective == "orpo" and method_of(candidate).virtual_tokens:
        raise StudyError(
            f"candidate {candidate.name!r}: TRL's ORPO cannot train virtual tokens, which method "
            f"{candidate.method!r} needs; choose objective 'dpo' or method 'lora'"
        )
    start = str({**method_of(candidate).settings, **candidate.settings}.get("init_lora_weights"))
    if objective_of(candidate).reference and start.lower().startswith(CHANGES_BASE):
        raise StudyError(
            f"candidate {candidate.name!r}: objective {candidate.objective!r} compares with the "
            f"untuned base, which init_lora_weights={start!r} changes; choose method 'lora' or "
            "objective 'orpo'"
        )


CHANGES_BASE = ("pissa", "olora", "corda")
"""Beginnings of ``init_lora_weights`` that start an adapter as a part of the base's weights."""


def _checked(given: Settings, known: Mapping[str, str], where: str) -> dict[str, object]:
    checked = {}
    for name, value in given.items():
        if name not in known:
            raise StudyError(f"{where} {name!r} is unknown{nearest(name, known)}")
        checked[name] = _typed(value, _kinds(known[name]), f"{where} {name!r}")
    check_limits(checked, where)
    return checked


def _kinds(annotation: str) -> set[str]:
    return set(re.findall(r"\w+", annotation))


def _typed(value: object, kinds: Collection[str], where: str) -> object:
    """Read numbers that YAML took for text (it reads ``2e-4`` as text, ``2.0e-4`` as a number)."""
    if not {"int", "float"} & set(kinds) or {"str", "dict", "list", "Literal"} & set(kinds):
        return value
    if isinstance(value, str):
        try:
            value = float(value) if "float" in kinds else int(value)
        except ValueError as error:
            raise StudyError(f"{where} must be a number: found {value!r}") from error
    if value is None and "None" not in kinds and "Optional" not in kinds:
        raise StudyError(f"{where} must be a number: found nothing")
    if not isinstance(value, (int, float)) and value is not None:
        raise StudyError(f"{where} must be a number: found {value!r}")
    if "float" not in kinds and isinstance(value, float):
        raise StudyError(f"{where} must be a whole number: found {value!r}")
    return value
