"""The sections of a study file: base, candidates, suites, gate, review."""

import datetime
from collections.abc import Collection
from math import isfinite
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from harness.records import SMALLEST, Gate
from harness.study.endpoint import VLLM, ArmSection, Section, TemplateOptions

AUTO, VERIFIED = "auto", "bfloat16_verified"
"""Precisions that are no format of weights: as the device allows, and bf16 checked by float32."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Share = Annotated[float, Field(gt=0, lt=1)]


def share_of_scale(given: object) -> object:
    """Refuse a margin in points or percent; everything else is for the field's own bounds.

    Raises:
        ValueError: With what to write.
    """
    try:
        is_share = float(given) < 1  # type: ignore[arg-type]  # what is no number raises
    except (TypeError, ValueError):
        is_share = False
    if is_share:
        return given
    raise ValueError(f"a margin is a share of the scale: 0.05 is five points; found {given!s:.40}")


Margin = Annotated[float, BeforeValidator(share_of_scale), Field(ge=SMALLEST, lt=1)]
Rate = Annotated[float, Field(ge=SMALLEST, lt=0.5)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class BaseSection(ArmSection):
    """The base model that every candidate starts from."""

    model: str = Field(
        "",
        description="hub name, local folder, or builtin:tiny; beside a backend: whose tokenizer "
        "and chat template make the prompts",
    )
    revision: str | None = Field(None, description="commit or tag of a hub model")
    dtype: Literal["auto", "float32", "bfloat16", "float16", "bfloat16_verified"] = Field(
        "auto",
        description="precision of scoring; auto: float32 on a processor, bfloat16_verified on a "
        "GPU that has bf16; float32 makes scores reproducible; bfloat16_verified gives float32's "
        "verdicts faster: a first pass in bf16, a second in float32 where a verdict could flip "
        "(needs room for both copies of the weights; trains in float32)",
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:N or mps")
    quantization: Literal["none", "4bit", "8bit"] = Field(
        "none", description="load the base through bitsandbytes"
    )
    template: str = Field(
        "auto", description="auto: the model's chat template if it has one; none: plain text"
    )
    chat_template_kwargs: TemplateOptions = Field(
        default_factory=dict,
        description="arguments of the chat template for training, scoring and chat alike, such as "
        "{enable_thinking: false}; each has to be one that it reads",
    )
    trust_remote_code: bool = Field(
        False, description="let Python code that comes with the model run: it can do what you can"
    )
    date: datetime.date | None = Field(
        None,
        description="the day that a chat template writes which writes today's, such as "
        "2026-11-28; by default the day on which the run folder was begun",
    )

    @model_validator(mode="after")
    def _answers(self) -> "BaseSection":
        if self.gguf and not self.model:
            raise ValueError("a base that is a GGUF file needs 'model': whose tokenizer it has")
        if not (self.model or self.backend):
            raise ValueError("what answers needs a 'model', or a 'backend' that answers elsewhere")
        if self.backend == VLLM and not self.model:
            raise ValueError("backend vllm needs the base's 'model' (a hub name or a folder)")
        if self.dtype == VERIFIED and self.quantization != "none":
            raise ValueError(
                f"dtype {VERIFIED} needs weights that are not quantized: found quantization "
                f"{self.quantization!r}; use dtype bfloat16 with it, or quantization none"
            )
        return self

    @property
    def weights_dtype(self) -> str:
        """The precision of the weights that are trained on, and that have the last word."""
        return "float32" if self.dtype in (AUTO, VERIFIED) else self.dtype

    @property
    def title(self) -> str:
        """What a report calls the base."""
        return self.endpoint if self.elsewhere else self.model


JUDGE_PROMPT = """Two assistants were asked the same. Compare their answers.

What they were asked:
{question}

A reference answer:
{reference}

Answer A:
{a}

Answer B:
{b}

Which answer is better? Reply with one letter: A, B, or C if neither is better."""


class JudgeSection(BaseSection):
    """A model that rates the pairs that people rate; declared before it is asked."""

    prompt: str = Field(
        JUDGE_PROMPT,
        description="what it is asked, with {question}, {reference}, {a} and {b}; it is to name A, "
        "B, or C for a tie",
    )
    samples: int = Field(5, ge=1, le=100, description="how often each order of a pair is asked")
    temperature: float = Field(
        0.7, gt=0, le=2, description="how freely the judge draws its answers, which are asked again"
    )
    max_new_tokens: int = Field(64, ge=1, description="where its reply is cut")
    thinking_tokens: int | None = Field(
        None, ge=0, description="where a thought before it is cut; by default as for suites"
    )
    seed: Seed = Field(0, description="of the judge's draws")

    @model_validator(mode="after")
    def _shows_both(self) -> "JudgeSection":
        if self.backend == VLLM:
            raise ValueError(
                "a judge is loaded here or answers at an endpoint: leave 'backend: vllm' out, or "
                "start 'vllm serve' and use local-chat-completions"
            )
        missing = [name for name in ("{question}", "{a}", "{b}") if name not in self.prompt]
        if missing:
            raise ValueError(f"a judge's prompt shows the pair: add {', '.join(missing)}")
        return self


def _increasing(scale: tuple[float, float]) -> tuple[float, float]:
    low, high = scale
    if not (low < high and isfinite(high - low)):
        raise ValueError(f"a scale runs from a number to a larger one: found {low:g}, {high:g}")
    return scale


def _suite_by_name(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class SuiteSection(Section):
    """One suite to score: its name alone, or with changes."""

    name: str = Field(description="a built-in suite, any lm-eval task, or one of your own")
    folder: str | None = Field(
        None, description="a suite of your own: the folder with <name>.yaml and its data"
    )
    trust: tuple[Literal["judge", "code"], ...] = Field(
        (),
        description="a suite of your own: judge lets the code of its own judge run, code what its "
        "YAML names with !function",
    )
    margin: Margin | None = Field(None, description="largest drop that is still acceptable")
    metric: str | None = Field(
        None, description="which of an lm-eval task's metrics decides, if not its first"
    )
    at_least: Share | None = Field(
        None, description="a score that a candidate has to reach itself, beside its margin"
    )
    target: bool = Field(
        False, description="what the model is tuned for: the best candidate is chosen by these"
    )
    scale: Annotated[tuple[float, float], AfterValidator(_increasing)] | None = Field(
        None, description="what the metric's values lie between; margins are shares of it"
    )
    limit: int | None = Field(None, gt=0, description="score only so many items (hash-shuffled)")
    num_fewshot: int | None = Field(
        None, ge=0, description="solved examples before each question; by default the task's own"
    )
    data: str | None = Field(None, description="a JSONL file or folder in the suite's row shape")
    databases: str | None = Field(
        None,
        description="sql: folder of <db_id>/<db_id>.sqlite files, or postgresql://reader@host/name",
    )
    allow: tuple[Literal["extra_columns", "all_ties", "text_numbers"], ...] = Field(
        (), description="sql: disputed differences from the gold that count as right"
    )
    similar: Share | None = Field(
        None,
        description="qa: cosine from which an answer that means much the same as a long reference "
        "counts as right, such as 0.6; needs the extra 'judges'",
    )
    measure: Literal["minilm", "wordllama", "words"] | None = Field(
        None,
        description="coherence, rows without answers: what the score is measured by; by default "
        "the first of these that is installed when the run is first declared",
    )
    cluster: str | None = Field(
        None,
        description="field of the rows whose values are a sample: the decision is about documents "
        "or databases like these",
    )
    strata: str | None = Field(
        None,
        description="field of the rows whose values are all that counts: the decision is about "
        "these documents or databases, with items as the unit",
    )
    template: str | None = Field(None, description="overrides base.template for this suite")
    chat_template_kwargs: TemplateOptions = Field(
        default_factory=dict,
        description="arguments of the chat template for this suite's prompts, beside and before "
        "those under 'base'",
    )
    thinking_tokens: int | None = Field(
        None, ge=0, description="overrides the study's thinking_tokens for this suite"
    )
    split: str = Field("test", description="which of a built-in suite's own splits to score")
    truncation: Literal["none", "left"] = Field(
        "none",
        description="items beyond the context: none leaves them unscored, left cuts their start",
    )
    must_pass: tuple[str, ...] = Field(
        (), description="items that a candidate must answer right: row ids, or starts of doc_hash"
    )

    @model_validator(mode="after")
    def _one_grouping(self) -> "SuiteSection":
        if self.cluster and self.strata:
            raise ValueError(
                f"suite {self.name!r} is either about things like these ('cluster', a sample) or "
                "about these alone ('strata'): give one of the two"
            )
        return self


Suites = Annotated[SuiteSection, BeforeValidator(_suite_by_name)]


class GateSection(Section):
    """When a candidate passes. Declared before any tuned answer is scored."""

    margin: Margin | None = Field(None, description="for every suite that does not set its own")
    alpha: Rate = Field(0.05, description="false-alarm rate of 'regressed', one-sided")
    beta: Rate = Field(0.05, description="false-pass rate at the margin, one-sided")
    max_unscored: float = Field(0.05, ge=0, le=1, description="above this share a run is invalid")

    @property
    def rates(self) -> Gate:
        """What decisions are made with."""
        return Gate(alpha=self.alpha, beta=self.beta, max_unscored=self.max_unscored)


Form = Literal["preference", "direct"]


class ReviewSection(Section):
    """Blinded sheets for human raters, drawn at the end of a run; without it none are."""

    items_per_suite: int = Field(
        20, ge=0, description="pairs of each suite and candidate; 0 draws no sheets"
    )
    raters: int = Field(2, ge=1, description="people who rate every pair")
    suites: tuple[str, ...] = Field((), description="suites to be rated; all if it is left out")
    form: Form | dict[str, Form] = Field(
        "preference",
        description="preference: which answer is better, on six points; direct: both get a score "
        "from 1 to 5; or one of the two by suite",
    )
    by: str | None = Field(
        None,
        description="a field of the rows by which strata are split beside what became of an item, "
        "or 'label', the cause that scoring gave",
    )
    seed: Seed | None = Field(None, description="of the draw; the study's if it is left out")
    judge: JudgeSection | None = Field(
        None, description="a model that rates the same pairs, for `harness review judge`"
    )

    def forms(self, suites: Collection[str]) -> dict[str, Form]:
        """Return how each suite is rated."""
        if isinstance(self.form, str):
            return dict.fromkeys(suites, self.form)
        return dict(self.form)
