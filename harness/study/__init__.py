"""The study file: what to train, what to score, and what counts as a regression.

A study is one YAML file. Unknown keys are refused with the nearest known one; relative paths are
relative to the study file, so that a study folder can be moved to another machine.
"""

from harness.study.candidate_section import AS_IT_IS, CandidateSection, KeepSection, form_arm
from harness.study.endpoint import OF_THE_HARNESS, VLLM, ArmSection, TemplateOptions
from harness.study.sections import (
    AUTO,
    VERIFIED,
    BaseSection,
    GateSection,
    JudgeSection,
    ReviewSection,
    SuiteSection,
)
from harness.study.strict_yaml import StrictLoader
from harness.study.study_file import BUILTIN_PREFIX, Study, json_schema, load, resolve_model
from harness.study.training_data import DataSection, Query

__all__ = [
    "AS_IT_IS",
    "AUTO",
    "BUILTIN_PREFIX",
    "OF_THE_HARNESS",
    "VERIFIED",
    "VLLM",
    "ArmSection",
    "BaseSection",
    "CandidateSection",
    "DataSection",
    "GateSection",
    "JudgeSection",
    "KeepSection",
    "Query",
    "ReviewSection",
    "StrictLoader",
    "Study",
    "SuiteSection",
    "TemplateOptions",
    "form_arm",
    "json_schema",
    "load",
    "resolve_model",
]
