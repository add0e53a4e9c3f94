"""The study file as a whole: read, checked, resolved, and its schema for editors."""

from pathlib import Path
from typing import Any

from pydantic import (
    BaseModel,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from harness import content
from harness.errors import StudyError, nearest
from harness.inputs import expanded, not_utf8, read_input
from harness.secrets import secrets_in
from harness.study.candidate_section import CandidateSection, KeepSection, OwnBaseSection
from harness.study.endpoint import Section
from harness.study.sections import (
    BaseSection,
    GateSection,
    Name,
    ReviewSection,
    Suites,
    SuiteSection,
)
from harness.study.strict_yaml import read_yaml
from harness.study.training_data import DataSection

BUILTIN_PREFIX = "builtin:"


class Study(Section):
    """A whole study file."""

    name: Name = Field(description="what it is called; the run goes to runs/NAME")
    base: OwnBaseSection = Field(description="the model that every candidate starts from")
    candidates: tuple[CandidateSection, ...] = Field(
        min_length=1, description="what is compared with the base, each on its own"
    )
    suites: tuple[Suites, ...] = Field(
        min_length=1, description="what is asked: names of suites, or entries with settings"
    )
    data: DataSection = Field(
        DataSection(), description="how training rows are cleaned and held against test items"
    )
    gate: GateSection = Field(
        GateSection(), description="error rates, and what invalidates a suite"
    )
    thinking_tokens: int | None = Field(
        None,
        ge=0,
        description="tokens that a reasoning model may think before an answer, whose own limit is "
        "the suite's; the same for every arm; by default up to 2048 where the base's chat "
        "template knows thoughts; 0: thought and answer share the suite's limit",
    )
    review: ReviewSection | None = Field(
        None, description="sheets for human raters, drawn when the run is done"
    )
    seed: int = Field(
        0, description="of training without 'seeds', the order of items and every draw"
    )
    folder: Path = Field(default_factory=Path.cwd, exclude=True)
    _file: str = PrivateAttr("")

    @model_validator(mode="after")
    def _distinct_names(self) -> "Study":
        for what, names in (
            ("candidate", [a for c in self.candidates for a in (*c.arms, *c.form_arms)]),
            ("suite", [suite.name for suite in self.suites]),
        ):
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"each {what} needs its own name: {name!r} is used twice")
        return self

    @model_validator(mode="after")
    def _reviews_its_suites(self) -> "Study":
        names = [suite.name for suite in self.suites]
        review = self.review or ReviewSection()
        form = review.form if isinstance(review.form, dict) else {}
        for name in (*review.suites, *form):
            if name not in names:
                raise ValueError(
                    f"review needs suites of the study: {name!r} is none{nearest(name, names)}"
                )
        return self

    @model_validator(mode="after")
    def _forms_of_candidates(self) -> "Study":
        known = [arm for one in self.candidates if not one.form_of for arm in one.arms]
        for one in self.candidates:
            if one.form_of and one.form_of not in known:
                raise ValueError(
                    f"candidate {one.name!r} can be a form of a candidate of the study that is no "
                    f"form itself: found form_of {one.form_of!r}{nearest(one.form_of, known)}"
                )
        return self

    @model_validator(mode="after")
    def _holds_no_secrets(self) -> "Study":
        if found := list(secrets_in(self.model_dump(mode="json"))):
            raise ValueError(
                f"a study is kept with its run and holds no keys: take {', '.join(found)} out, and "
                "set an environment variable such as HF_TOKEN or OPENAI_API_KEY"
            )
        return self

    @model_validator(mode="after")
    def _weights_are_here(self) -> "Study":
        for candidate in self.candidates:
            if candidate.gguf and not self.base.model:
                raise ValueError(
                    f"candidate {candidate.name!r} is a GGUF file, whose prompts the base's "
                    "tokenizer makes: name the model that it was converted from as base.model"
                )
            if self.base.elsewhere and not candidate.elsewhere:
                raise ValueError(
                    f"candidate {candidate.name!r} changes weights of the base, and those are not "
                    "here: the base is an endpoint or a GGUF file; serve the candidate too and "
                    "name its 'backend', or convert it and name its 'gguf'"
                )
        return self

    @property
    def file(self) -> str:
        """The name of the file that it was read from; empty where it was made otherwise."""
        return self._file

    def path(self, value: str) -> Path:
        """Return a path of the study file, relative ones taken from the study's folder."""
        return self.folder / expanded(value)

    def on_base_of(self, candidate: CandidateSection) -> "Study":
        """Return the study as it would be on a candidate's own base, with that candidate alone."""
        assert candidate.base is not None
        alone = candidate.model_copy(update={"base": None})
        return self.model_copy(update={"base": candidate.base, "candidates": (alone,)})

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
    local = folder / expanded(model)
    if local.is_dir():
        return str(local)
    if model.startswith((".", "/", "~")):
        raise StudyError(f"a model is a folder or a hub name: {local} is no folder")
    return model


def load(path: Path) -> Study:
    """Read and check a study file.

    Raises:
        StudyError: If the file is missing, no YAML, or breaks a rule; one sentence with a remedy.
    """
    try:
        data = read_yaml(read_input(path))
    except FileNotFoundError as error:
        remedy = "'harness init' writes one to start from"
        raise StudyError(f"no study file at {path}; {remedy}") from error
    except OSError as error:
        raise StudyError(f"a study must be a readable file: {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise StudyError(f"a study must be UTF-8 text: {path}: {not_utf8(error)}") from error
    except ValueError as error:
        raise StudyError(f"a study must be YAML: {path}{error}") from error
    if not isinstance(data, dict):
        raise StudyError(f"a study must be a YAML mapping with name, base, candidates: {path}")
    try:
        study = Study.model_validate({**data, "folder": path.resolve().parent})
    except ValidationError as error:
        raise StudyError(f"{path}: {_one_sentence(error)}") from error
    study._file = path.name
    return study


def json_schema() -> dict[str, Any]:
    """Return the JSON schema that lets an editor complete and check a study file."""
    schema = Study.model_json_schema()
    schema["properties"].pop("folder", None)
    suites = schema["properties"]["suites"]
    suites["items"] = {"anyOf": [{"type": "string"}, suites["items"]]}
    base = schema["properties"]["base"]
    said = base.pop("description")
    schema["properties"]["base"] = {"anyOf": [{"type": "string"}, base], "description": said}
    own = schema["$defs"]["CandidateSection"]["properties"]["base"]
    own["anyOf"] = [{"type": "string"}, *own["anyOf"]]
    forms = schema["$defs"]["CandidateSection"]["properties"]["as"]
    forms["anyOf"] = [forms["items"], {"type": forms.pop("type"), "items": forms.pop("items")}]
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
    if location and location[-1] == "keep":
        section = KeepSection
    return [field.alias or name for name, field in section.model_fields.items() if name != "folder"]
