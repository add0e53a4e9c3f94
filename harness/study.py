"""The study file: what to train, what to score, and what counts as a regression.

A study is one YAML file. Unknown keys are refused with the nearest known one; relative paths are
relative to the study file, so that a study folder can be moved to another machine.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator

from harness import content
from harness.data import DataSection, Query
from harness.endpoint import ArmSection, Section
from harness.errors import StudyError, nearest

BUILTIN_PREFIX = "builtin:"
VERIFIED = "bfloat16_verified"

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Share = Annotated[float, Field(gt=0, lt=1)]


class BaseSection(ArmSection):
    """The base model that every candidate starts from."""

    model: str = Field(
        "",
        description="hub name, local folder, or builtin:tiny; beside a backend: whose tokenizer "
        "and chat template make the prompts",
    )
    revision: str | None = Field(None, description="commit or tag of a hub model")
    dtype: Literal["float32", "bfloat16", "float16", "bfloat16_verified"] = Field(
        "float32",
        description="precision of scoring; float32 makes scores reproducible; bfloat16_verified "
        "gives float32's verdicts faster: a first pass in bf16, a second in float32 where a "
        "verdict could flip (needs both copies of the weights; trains in float32)",
    )
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    quantization: Literal["none", "4bit", "8bit"] = Field(
        "none", description="load the base through bitsandbytes"
    )
    template: str = Field(
        "auto", description="auto: the model's chat template if it has one; none: plain text"
    )
    trust_remote_code: bool = False

    @model_validator(mode="after")
    def _answers(self) -> "BaseSection":
        if not (self.model or self.backend):
            raise ValueError("the base needs a 'model', or a 'backend' that answers elsewhere")
        if self.dtype == VERIFIED and self.quantization != "none":
            raise ValueError(
                f"dtype {VERIFIED} needs weights that are not quantized: found quantization "
                f"{self.quantization!r}; use dtype bfloat16 with it, or quantization none"
            )
        return self

    @property
    def weights_dtype(self) -> str:
        """The precision of the weights that are trained on, and that have the last word."""
        return "float32" if self.dtype == VERIFIED else self.dtype

    @property
    def title(self) -> str:
        """What a report calls the base."""
        return self.endpoint if self.backend else self.model


class CandidateSection(ArmSection):
    """One fine-tune: trained here, an adapter that exists, or an endpoint that serves it."""

    name: Name
    note: str = Field("", description="one line for the report: what this candidate is for")
    method: str = Field(
        "lora",
        description="lora, qlora, dora, rslora, pissa, ia3, vera, oft, prompt_tuning, p_tuning, "
        "prefix_tuning or full",
    )
    objective: Literal["sft", "dpo", "orpo", "kto"] = Field(
        "sft", description="sft learns the rows' answers; the others from chosen and rejected ones"
    )
    train: str | Query | None = Field(
        None,
        description="training rows: a file (JSONL, JSON, CSV, TSV, Parquet), a folder of texts, "
        "hub:owner/name, or the url and query of a database",
    )
    adapter: str | None = Field(None, description="folder of an adapter trained elsewhere")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="PEFT's names, such as r, lora_alpha, target_modules"
    )
    training: dict[str, Any] = Field(
        default_factory=dict, description="TRL's names, such as learning_rate, max_steps"
    )
    eval_suites: dict[str, int] = Field(
        default_factory=dict,
        description="items of the study's suites to score ten times while training, such as "
        "sql: 50; shows forgetting while it happens, decides nothing",
    )
    sweep: dict[str, Any] | None = Field(
        None,
        description="lists of values by place, such as training.learning_rate: all combinations "
        "are tried; with 'trials' so many, chosen by Optuna, also from low to high",
    )
    validation: Share | str | Query | None = Field(
        None,
        description="rows held out, a share of all by prompt or a source like 'train': training "
        "keeps the checkpoint that is best on them, and stops when it no longer improves",
    )

    @model_validator(mode="after")
    def _one_origin(self) -> "CandidateSection":
        if sum(origin is not None for origin in (self.train, self.adapter, self.backend)) != 1:
            raise ValueError(
                f"candidate {self.name!r} needs either 'train' (rows to learn from), 'adapter' (a "
                "folder trained elsewhere) or 'backend' (an endpoint that serves it), and only one"
            )
        if self.name == "base":
            raise ValueError("a candidate cannot be called 'base': that is the untuned model")
        return self


def _suite_by_name(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class SuiteSection(Section):
    """One suite to score: its name alone, or with changes."""

    name: str = Field(description="a built-in suite or any lm-eval task")
    margin: Share | None = Field(None, description="largest drop that is still acceptable")
    limit: int | None = Field(None, gt=0, description="score only so many items (hash-shuffled)")
    num_fewshot: int | None = Field(None, ge=0)
    data: str | None = Field(None, description="a JSONL file or folder in the suite's row shape")
    databases: str | None = Field(None, description="sql: folder of <db_id>/<db_id>.sqlite files")
    allow: tuple[Literal["extra_columns", "all_ties", "text_numbers"], ...] = Field(
        (), description="sql: disputed differences from the gold that count as right"
    )
    template: str | None = Field(None, description="overrides base.template for this suite")
    split: str = Field("test", description="which of a built-in suite's own splits to score")
    truncation: Literal["none", "left"] = Field(
        "none",
        description="items beyond the context: none leaves them unscored, left cuts their start",
    )
    must_pass: tuple[str, ...] = Field(
        (), description="items that a candidate must answer right: row ids, or starts of doc_hash"
    )


Suites = Annotated[SuiteSection, BeforeValidator(_suite_by_name)]


class GateSection(Section):
    """When a candidate passes. Declared before any tuned answer is scored."""

    margin: Share | None = Field(None, description="for every suite that does not set its own")
    alpha: Share = Field(0.05, description="false-alarm rate of 'regressed', one-sided")
    beta: Share = Field(0.05, description="false-pass rate at the margin, one-sided")
    max_unscored: float = Field(0.05, ge=0, le=1, description="above this share a run is invalid")


class ReviewSection(Section):
    """Blinded sheets for human raters."""

    items_per_suite: int = Field(20, ge=0, description="0 writes no sheets")
    raters: int = Field(2, ge=1)


class Study(Section):
    """A whole study file."""

    name: Name
    base: Annotated[
        BaseSection, BeforeValidator(lambda v: {"model": v} if isinstance(v, str) else v)
    ]
    candidates: tuple[CandidateSection, ...] = Field(min_length=1)
    suites: tuple[Suites, ...] = Field(min_length=1)
    data: DataSection = DataSection()
    gate: GateSection = GateSection()
    review: ReviewSection = ReviewSection()
    seed: int = 0
    folder: Path = Field(default_factory=Path.cwd, exclude=True)

    @model_validator(mode="after")
    def _distinct_names(self) -> "Study":
        for what, names in (
            ("candidate", [candidate.name for candidate in self.candidates]),
            ("suite", [suite.name for suite in self.suites]),
        ):
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"each {what} needs its own name: {name!r} is used twice")
        return self

    @model_validator(mode="after")
    def _weights_are_here(self) -> "Study":
        for candidate in self.candidates:
            if self.base.backend and not candidate.backend:
                raise ValueError(
                    f"candidate {candidate.name!r} changes weights of the base, and those are not "
                    "here: the base is an endpoint; serve the candidate too and name its 'backend'"
                )
        return self

    def path(self, value: str) -> Path:
        """Return a path of the study file, relative ones taken from the study's folder."""
        return self.folder / Path(value).expanduser()

    @property
    def model_path(self) -> str:
        """What to load: a folder for ``builtin:`` and local models, else the hub name."""
        return resolve_model(self.base.model, self.folder) if self.base.model else ""


def resolve_model(model: str, folder: Path) -> str:
    """Turn a study's base model into what transformers can load.

    Raises:
        StudyError: If a ``builtin:`` name or a path that is meant to be local does not exist.
    """
    if model.startswith(BUILTIN_PREFIX):
        name = model.removeprefix(BUILTIN_PREFIX)
        if name not in content.BUILTIN_MODELS:
            known = nearest(name, content.BUILTIN_MODELS)
            raise StudyError(f"no built-in model {name!r}{known}")
        return str(content.BUILTIN_MODELS[name])
    local = folder / Path(model).expanduser()
    if local.is_dir():
        return str(local)
    if model.startswith((".", "/", "~")):
        raise StudyError(f"base.model must be a model folder or a hub name: {local} is no folder")
    return model


def load(path: Path) -> Study:
    """Read and check a study file.

    Raises:
        StudyError: If the file is missing, no YAML, or breaks a rule; one sentence with a remedy.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        remedy = "'harness init' writes one to start from"
        raise StudyError(f"no study file at {path}; {remedy}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"a study must be a readable text file: {path}: {error}") from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise StudyError(f"a study must be YAML: {path}{line}: {problem}") from error
    if not isinstance(data, dict):
        raise StudyError(f"a study must be a YAML mapping with name, base, candidates: {path}")
    try:
        return Study.model_validate({**data, "folder": path.resolve().parent})
    except ValidationError as error:
        raise StudyError(f"{path}: {_one_sentence(error)}") from error


def json_schema() -> dict[str, Any]:
    """Return the JSON schema that lets an editor complete and check a study file."""
    schema = Study.model_json_schema()
    schema["properties"].pop("folder", None)
    suites = schema["properties"]["suites"]
    suites["items"] = {"anyOf": [{"type": "string"}, suites["items"]]}
    base = schema["properties"]["base"]
    schema["properties"]["base"] = {"anyOf": [{"type": "string"}, base]}
    return schema


def _one_sentence(error: ValidationError) -> str:
    # A mistyped key also makes the right one missing: the typo is the better sentence.
    # In a choice of forms, the sentence of a rule of ours says more than what a form needs.
    rank = {"extra_forbidden": 0, "value_error": 1}
    found_first = sorted(error.errors(), key=lambda e: rank.get(e["type"], 2))
    first = found_first[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        return f"unknown key {where!r}{nearest(key, _keys_at(first['loc'][:-1]))}"
    if first["type"] == "missing":
        return f"a study needs {where!r}"
    message = first["msg"].removeprefix("Value error, ")
    found = "" if first["type"] == "value_error" else f": found {first['input']!r}"
    return f"{where}: {message}{found}" if where else message


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    sections: dict[str, type[BaseModel]] = {
        "base": BaseSection,
        "candidates": CandidateSection,
        "suites": SuiteSection,
        "data": DataSection,
        "gate": GateSection,
        "review": ReviewSection,
    }
    section = sections.get(str(location[0]), Study) if location else Study
    return [name for name in section.model_fields if name != "folder"]
