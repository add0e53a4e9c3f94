"""Methods and their settings: what a study may say, checked before anything heavy is loaded."""

import dataclasses
from typing import Any

import pytest
from support.command import python

from harness.errors import StudyError
from harness.study import CandidateSection
from harness.training import METHODS, OBJECTIVES, check
from harness.training.config.library_fields import peft_fields, training_fields
from harness.training.config.settings import (
    OURS_IN_SETTINGS,
    OURS_IN_TRAINING,
    check_warmup,
    settings_of,
    training_of,
)


def candidate(**fields: Any) -> CandidateSection:
    """Return a candidate that is trained on rows."""
    return CandidateSection(name="mine", train="rows.jsonl", **fields)


@pytest.mark.parametrize("name", METHODS)
def test_the_defaults_of_every_method_are_known_to_the_libraries(name: str) -> None:
    """No default names a setting that PEFT or TRL lacks."""
    method = METHODS[name]
    assert method.name == name
    check(candidate(method=name, training=dict(method.training)))
    if method.config:
        check(candidate(method=name, settings=dict(method.settings)))


@pytest.mark.model
@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].config])
def test_settings_read_from_source_are_those_of_peft(name: str) -> None:
    """Reading the source without importing it finds exactly the dataclass fields."""
    import peft

    method = METHODS[name]
    real = {field.name for field in dataclasses.fields(getattr(peft, method.config or ""))}
    assert set(peft_fields(method.config or "", method.source)) == real
    assert real >= OURS_IN_SETTINGS - {"runtime_config", "megatron_config", "megatron_core"}


@pytest.mark.model
@pytest.mark.parametrize("name", OBJECTIVES)
def test_training_arguments_read_from_source_are_those_of_trl(name: str) -> None:
    """The same for TRL's arguments; ours are all among those of SFT."""
    import trl

    from harness.training.trl.preference import ORPOConfig

    objective = OBJECTIVES[name]
    config = ORPOConfig if name == "orpo" else getattr(trl, objective.config)
    real = {field.name for field in dataclasses.fields(config) if field.init}
    assert real <= set(training_fields(objective.config, objective.source))
    if name == "sft":
        assert set(OURS_IN_TRAINING) <= real
    check(candidate(objective=name, training=dict(objective.training)))


@pytest.mark.parametrize(
    ("objective", "method", "rate"),
    [("sft", "lora", 2e-4), ("dpo", "lora", 5e-6), ("dpo", "full", 5e-7), ("kto", "lora", 5e-6)],
)
def test_an_objective_scales_the_learning_rate(objective: str, method: str, rate: float) -> None:
    """Preferences are learnt in smaller steps, unless the study says how large."""
    chosen = training_of(candidate(objective=objective, method=method))
    assert chosen["learning_rate"] == pytest.approx(rate)
    given = candidate(objective=objective, method=method, training={"learning_rate": 0.5})
    assert training_of(given)["learning_rate"] == 0.5


def test_checking_loads_no_model_library() -> None:
    """A study is checked in milliseconds: torch is not loaded."""
    code = (
        "import sys; from harness.training import check; from harness.study import *\n"
        "check(CandidateSection(name='a', train='b', settings={'r': 8}))\n"
        "print(sorted(set(sys.modules) & {'torch', 'peft', 'trl', 'transformers', 'datasets'}))"
    )
    done = python("-c", code)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"method": "lroa"}, "unknown method 'lroa'; did you mean 'lora'?"),
        ({"settings": {"lora_alfa": 8}}, "'lora_alfa' is unknown; did you mean 'lora_alpha'?"),
        ({"training": {"lerning_rate": 1}}, "did you mean 'learning_rate'?"),
        ({"settings": {"learning_rate": 1e-3}}, "'learning_rate' belongs under 'training'"),
        ({"training": {"lora_alpha": 8}}, "'lora_alpha' belongs under 'settings'"),
        ({"settings": {"r": "many"}}, "'r' must be a number: found 'many'"),
        ({"settings": {"r": 8.5}}, "'r' must be a whole number: found 8.5"),
        ({"training": {"learning_rate": None}}, "'learning_rate' must be a number"),
        ({"training": {"learning_rate": [1]}}, "'learning_rate' must be a number: found [1]"),
        ({"training": {"seed": 3}}, "'seed' is not a study's to set; it is the study's 'seed'"),
        ({"training": {"fsdp": "full_shard"}}, "it is off: every process trains a whole copy"),
        ({"training": {"deepspeed": "zero3.json"}}, "it is off: every process trains a whole copy"),
        ({"training": {"hub_token": "x"}}, "never: nothing leaves the machine"),
        ({"settings": {"task_type": "CAUSAL_LM"}}, "'task_type' is unknown"),
        ({"method": "full", "settings": {"r": 8}}, "trains all weights and has no settings"),
        ({"objective": "dpo", "method": "pissa"}, "compares with the untuned base, which init"),
        ({"objective": "orpo", "method": "p_tuning"}, "ORPO cannot train virtual tokens"),
        (
            {"objective": "kto", "training": {"per_device_train_batch_size": 1}},
            "compares answers within a batch: set 'per_device_train_batch_size' to 2 or more",
        ),
        ({"training": {"beta": 0.1}}, "'beta' is unknown"),
        ({"training": {"learning_rate": -1e-4}}, "'learning_rate' must be above 0: found -0.0001"),
        ({"training": {"learning_rate": 0}}, "'learning_rate' must be above 0: found 0"),
        ({"training": {"learning_rate": "nan"}}, "'learning_rate' must be a finite number"),
        ({"training": {"weight_decay": float("inf")}}, "'weight_decay' must be a finite number"),
        ({"training": {"max_steps": 0}}, "'max_steps' must be at least 1: found 0"),
        ({"training": {"max_steps": -5}}, "'max_steps' must be at least 1: found -5"),
        ({"training": {"num_train_epochs": 0}}, "'num_train_epochs' must be above 0: found 0"),
        (
            {"training": {"per_device_train_batch_size": 0}},
            "'per_device_train_batch_size' must be at least 1: found 0",
        ),
        ({"training": {"warmup_steps": -1}}, "'warmup_steps' must be at least 0: found -1"),
        (
            {"training": {"warmup_steps": 51, "max_steps": 50}},
            "'warmup_steps' must be no more than all steps: found 51 of 50; a number below 1",
        ),
        ({"training": {"adam_beta2": 1.0}}, "'adam_beta2' must be at least 0 and below 1: found"),
        ({"settings": {"lora_dropout": 1.0}}, "'lora_dropout' must be at least 0 and below 1"),
        ({"settings": {"lora_alpha": 0}}, "'lora_alpha' must be above 0: found 0"),
        ({"settings": {"r": 0}}, "'r' must be at least 1: found 0"),
        (
            {"method": "p_tuning", "settings": {"num_virtual_tokens": 0}},
            "'num_virtual_tokens' must be at least 1: found 0",
        ),
        (
            {
                "sweep": {"training.learning_rate": [1e-3, 0.0]},
                "validation": 0.1,
            },
            "'learning_rate' must be above 0: found 0.0",
        ),
    ],
)
def test_what_is_not_known_is_refused(fields: dict[str, Any], message: str) -> None:
    """The message names the candidate, what was found and the nearest known name."""
    with pytest.raises(StudyError) as caught:
        check(candidate(**fields))
    assert message in str(caught.value)
    assert "candidate 'mine'" in str(caught.value)


def test_a_warm_up_must_end_before_the_rows_do() -> None:
    """Without 'max_steps' the rows say how many steps there are."""
    short = candidate(training={"warmup_steps": 31, "num_train_epochs": 3})
    check(short)
    with pytest.raises(StudyError, match="no more than all steps: found 31 of 30"):
        check_warmup(short, rows=80)
    check_warmup(short, rows=88)
    check_warmup(
        short.model_copy(update={"training": {"max_steps": 40, "warmup_steps": 31}}), rows=8
    )


def test_numbers_that_yaml_takes_for_text_are_read() -> None:
    """YAML reads 2e-4 as text; a learning rate written so is still a number."""
    merged = training_of(candidate(training={"learning_rate": "2e-4", "max_steps": "10"}))
    assert (merged["learning_rate"], merged["max_steps"]) == (2e-4, 10)
    assert merged["lr_scheduler_type"] == "cosine"


def test_a_candidate_overrides_the_defaults_of_its_method() -> None:
    """What a study says wins; what it leaves out is the method's."""
    merged = settings_of(candidate(method="dora", settings={"r": 4}))
    assert (merged["r"], merged["use_dora"], merged["lora_alpha"]) == (4, True, 32)


def test_an_adapter_from_elsewhere_takes_no_settings() -> None:
    """Settings beside a finished adapter would silently do nothing."""
    with pytest.raises(ValueError, match="'training' would change nothing"):
        CandidateSection(name="theirs", adapter="folder", training={"max_steps": 1})
