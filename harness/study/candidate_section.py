"""The section of a study about one candidate: trained here, existing, or served elsewhere."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from harness.study.endpoint import OF_TRAINING, VLLM, ArmSection, Section, is_set
from harness.study.sections import BaseSection, Name, Seed, Share
from harness.study.training_data import Query


class KeepSection(Section):
    """Which checkpoint of a training is kept, by suites instead of by the loss."""

    best: str = Field(description="the suite of the study whose best checkpoint is kept")
    limit: dict[str, Annotated[float, Field(ge=0, lt=1)]] = Field(
        default_factory=dict,
        description="by suite, the most that a kept checkpoint may have lost since before training",
    )
    items: int = Field(
        50, gt=0, description="items of each such suite that choose, and so judge nothing"
    )

    @model_validator(mode="after")
    def _two_roles(self) -> "KeepSection":
        if self.best in self.limit:
            raise ValueError(f"{self.best!r} cannot be both what is best and what has a limit")
        return self

    @property
    def suites(self) -> tuple[str, ...]:
        """Every suite that it is decided by."""
        return (self.best, *self.limit)


def _model_by_name(value: object) -> object:
    return {"model": value} if isinstance(value, str) else value


OwnBaseSection = Annotated[BaseSection, BeforeValidator(_model_by_name)]

AS_IT_IS = "adapter"
"""The form of a candidate's weights in which it is always scored: its own."""


def _form_by_name(value: object) -> object:
    return (value,) if isinstance(value, str) else value


ShippedForms = Annotated[
    tuple[Literal["adapter", "merged", "4bit", "8bit"], ...], BeforeValidator(_form_by_name)
]


class CandidateSection(ArmSection):
    """One fine-tune: trained here, an adapter that exists, or an endpoint that serves it.

    With a ``base`` of its own it may also be that model as it is.
    """

    name: Name = Field(description="what it is called in tables and folders")
    base: OwnBaseSection | None = Field(
        None,
        description="a model of another family that it starts from, with keys like the study's "
        "'base'; alone: that model as it is. Its prompts are made by its own template and "
        "tokenizer, and the report says that they differ",
    )
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
    keep: KeepSection | None = Field(
        None,
        description="keeps the checkpoint that is best on one suite among those that forget no "
        "more than a limit, such as {best: sql, limit: {arc_mini: 0.02}}; the items that choose "
        "are taken out of the suites, for every arm",
    )
    sweep: dict[str, Any] | None = Field(
        None,
        description="lists of values by place, such as training.learning_rate: all combinations "
        "are tried; with 'trials' so many, chosen by Optuna, also from low to high",
    )
    validation: Share | str | Query | None = Field(
        None,
        description="rows held out, a share of all by prompt or a source like 'train': training "
        "keeps the checkpoint that is best on them, and stops when it no longer improves (beside "
        "'keep' their loss is only shown)",
    )
    seeds: tuple[Seed, ...] = Field(
        (),
        description="training seeds, such as [0, 1, 2]: one adapter is trained and judged with "
        "each; three or more also decide about the recipe, whatever its seed",
    )

    ships_as: ShippedForms = Field(
        (),
        alias="as",
        description="the forms in which its weights are served, such as [merged, 4bit]: each is "
        "made from the adapter and the base, scored beside the adapter, and compared with it item "
        "by item; 4bit and 8bit are bitsandbytes' (nf4, int8)",
    )
    form_of: Name | None = Field(
        None,
        description="the candidate that this one is another form of, made elsewhere: its merged "
        "and quantized folder ('base'), or the server that serves it ('backend'); it has to get "
        "the base's prompts, and is compared with that candidate item by item",
    )

    @model_validator(mode="after")
    def _one_origin(self) -> "CandidateSection":
        if self.backend == VLLM:
            raise ValueError(
                f"candidate {self.name!r}: one vLLM serves the base and every adapter on it: set "
                "'backend: vllm' in 'base', and name this candidate by 'adapter' or 'train'"
            )
        given = (self.train, self.adapter, self.backend, self.gguf)
        origins = sum(origin is not None for origin in given)
        if self.base is not None and (self.elsewhere or self.base.backend or self.base.gguf):
            raise ValueError(
                f"candidate {self.name!r}: a base of its own is loaded here: leave 'backend' out, "
                "or 'base' (an endpoint has its own weights)"
            )
        if self.base is not None and not origins:
            return self
        if origins != 1:
            raise ValueError(
                f"candidate {self.name!r} needs either 'train' (rows to learn from), 'adapter' (a "
                "folder trained elsewhere), 'gguf' (a file for llama.cpp) or 'backend' (an "
                "endpoint that serves it), and only one"
            )
        if self.name == "base":
            raise ValueError("a candidate cannot be called 'base': that is the untuned model")
        return self

    @model_validator(mode="after")
    def _only_trainings_are_set(self) -> "CandidateSection":
        is_given = self.train is None and not self.elsewhere
        idle = [name for name in OF_TRAINING if is_given and is_set(self, name)]
        if idle:
            what = "an adapter" if self.adapter else "a model"
            raise ValueError(
                f"candidate {self.name!r} is {what} that exists already: "
                f"{', '.join(map(repr, idle))} would change nothing; remove what is set there, or "
                "name 'train' instead of 'adapter'"
            )
        return self

    @model_validator(mode="after")
    def _seeds_of_a_training(self) -> "CandidateSection":
        if not self.seeds:
            return self
        if len(set(self.seeds)) != len(self.seeds) or len(self.seeds) < 2:
            raise ValueError(
                f"'seeds' of candidate {self.name!r} need at least two different whole numbers: "
                f"found {list(self.seeds)}; one seed is the study's 'seed'"
            )
        for key in ("adapter", "backend", "gguf", "sweep"):
            if getattr(self, key):
                raise ValueError(
                    f"'seeds' of candidate {self.name!r} train one recipe several times: remove "
                    f"them, or {key!r}"
                )
        if self.train is None:
            raise ValueError(
                f"'seeds' of candidate {self.name!r} train one recipe several times: give it "
                "'train', or remove them"
            )
        return self

    @model_validator(mode="after")
    def _forms_of_an_adapter(self) -> "CandidateSection":
        told = f"candidate {self.name!r}"
        if len(set(self.ships_as)) != len(self.ships_as):
            raise ValueError(f"{told}: each form may stand once in 'as': {list(self.ships_as)}")
        if self.ships_as and not (self.train or self.adapter):
            raise ValueError(
                f"{told}: 'as' makes forms of weights that are trained here or named by 'adapter': "
                "leave it out; of a form that was made elsewhere say 'form_of'"
            )
        if self.form_of and self.ships_as:
            raise ValueError(f"{told} is a form already ('form_of'): leave 'as' out")
        if self.form_of and self.train:
            raise ValueError(
                f"{told} is trained here, so it is no other form of {self.form_of!r}: leave "
                "'form_of' out, or 'train'"
            )
        return self

    @model_validator(mode="after")
    def _kept_by_one_rule(self) -> "CandidateSection":
        if self.keep is None:
            return self
        if self.base is not None:
            raise ValueError(
                f"candidate {self.name!r}: 'keep' chooses by items of the study's base: leave it "
                "out beside a base of its own"
            )
        if self.sweep is not None:
            raise ValueError(
                f"candidate {self.name!r}: a sweep is decided by the loss on held-out rows, 'keep' "
                "by a suite: give one of the two"
            )
        twice = [name for name in self.keep.suites if name in self.eval_suites]
        if twice:
            raise ValueError(
                f"candidate {self.name!r}: 'keep' scores {twice[0]!r} while training already: take "
                "it out of 'eval_suites'"
            )
        return self

    @property
    def arms(self) -> tuple[str, ...]:
        """The names of the arms that this candidate becomes: itself, or one for each seed."""
        return tuple(f"{self.name}-seed{seed}" for seed in self.seeds) or (self.name,)

    @property
    def forms(self) -> tuple[str, ...]:
        """The forms that are scored beside each of its arms."""
        return tuple(form for form in self.ships_as if form != AS_IT_IS)

    @property
    def form_arms(self) -> tuple[str, ...]:
        """The names of the arms that its forms become."""
        return tuple(form_arm(arm, form) for arm in self.arms for form in self.forms)

    def per_seed(self) -> "tuple[CandidateSection, ...]":
        """Return one candidate for each of its ``seeds``, named like their `arms`."""
        return tuple(self.model_copy(update={"name": arm, "seeds": ()}) for arm in self.arms)


def form_arm(arm: str, form: str) -> str:
    """Return what the form of an arm is called.

    >>> form_arm("lora-r16", "4bit")
    'lora-r16-4bit'
    """
    return f"{arm}-{form}"
