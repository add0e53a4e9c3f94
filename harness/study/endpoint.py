"""The part of a study about what answers: vLLM here, or an endpoint; API keys are refused."""

import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from harness.secrets import secrets_in

OF_TRAINING = (
    "method", "objective", "settings", "training", "sweep", "validation", "eval_suites", "keep"
)  # fmt: skip
"""What changes nothing where a candidate is not trained here."""

OF_THE_HARNESS = frozenset(
    {
        "add_generation_prompt", "chat_template", "continue_final_message", "conversation",
        "documents", "max_length", "messages", "padding", "processor_kwargs",
        "return_assistant_tokens_mask", "return_dict", "return_tensors", "tokenize",
        "tokenizer_kwargs", "tools", "truncation",
    }
)  # fmt: skip
"""What is no argument of a chat template that a study may set: rows and suites say it."""

_LOCAL = ("device", "dtype", "quantization", *OF_TRAINING)
"""What changes nothing where the weights are elsewhere."""

VLLM = "vllm"
"""The backend that is no endpoint: vLLM generates here, for the base and every adapter on it."""

_NOT_VLLM = {
    "device": "vLLM chooses it (CUDA_VISIBLE_DEVICES limits the choice)",
    "quantization": "vLLM reads weights that are quantized on disk, and says so itself",
}


_MAY_BE_EMPTY = ("note", "model")
"""Texts that say nothing where they are empty; any other one would be read as something."""


class Section(BaseModel):
    """One part of a study file; unknown keys are refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), serialize_by_alias=True
    )

    @model_validator(mode="before")
    @classmethod
    def _nothing_empty(cls, data: object) -> object:
        """Refuse an empty text: read as a path it would be the study's own folder."""
        for key, value in data.items() if isinstance(data, dict) else ():
            if value == "" and key in cls.model_fields and key not in _MAY_BE_EMPTY:
                raise ValueError(f"{key!r} is empty: say what it is, or take it out")
        return data


def _of_a_template(options: dict[str, object]) -> dict[str, object]:
    for name in options:
        if name in OF_THE_HARNESS or name.endswith("_token"):
            raise ValueError(
                f"chat_template_kwargs are what a chat template takes beside the conversation, "
                f"such as enable_thinking: {name!r} is set by the harness; take it out"
            )
    try:
        json.dumps(options, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"chat_template_kwargs are plain values, as in JSON: {error}") from error
    return options


TemplateOptions = Annotated[dict[str, object], AfterValidator(_of_a_template)]
"""Arguments of a chat template by name."""


class ArmSection(Section):
    """What answers: weights that are loaded here, or an endpoint that lm-eval can ask."""

    backend: str | None = Field(
        None,
        description="lm-eval model that answers in place of weights loaded here: "
        "local-chat-completions, local-completions, ...; vllm (the base's only): one vLLM engine "
        "generates for the base and every adapter",
    )
    model_args: dict[str, Any] = Field(
        default_factory=dict,
        description="lm-eval's arguments of the backend, such as base_url, model, num_concurrent; "
        "vllm: vLLM's engine arguments, such as gpu_memory_utilization, tensor_parallel_size",
    )

    gguf: str | None = Field(
        None,
        description="a GGUF file that llama.cpp reads in place of weights of the base: what is "
        "served of it is scored; the base's 'model' says whose tokenizer makes the prompts",
    )

    @model_validator(mode="after")
    def _only_what_counts(self) -> "ArmSection":
        if self.gguf and self.backend:
            raise ValueError("an arm is a 'gguf' file or behind a 'backend': leave one out")
        if self.model_args and not self.backend:
            raise ValueError("model_args need a 'backend', such as local-chat-completions")
        if self.backend == VLLM:
            self._check_vllm()
        idle = [name for name in _LOCAL if self.elsewhere and is_set(self, name)]
        if idle:
            what = "a GGUF file" if self.gguf else "an endpoint"
            raise ValueError(f"{what} has its own weights: remove {', '.join(idle)}")
        secret = list(secrets_in(self.model_args))
        if "@" in _host(str(self.model_args.get("base_url", ""))):
            secret.append("the user in base_url")
        if secret:
            raise ValueError(
                f"a study is kept with its run and holds no keys: take {', '.join(secret)} out of "
                "model_args and set the backend's environment variable, such as OPENAI_API_KEY"
            )
        return self

    def _check_vllm(self) -> None:
        for name, why in _NOT_VLLM.items():
            if is_set(self, name):
                raise ValueError(f"remove {name!r} beside backend vllm: {why}")
        copies = str(self.model_args.get("data_parallel_size", 1))
        if copies != "1":
            raise ValueError(
                f"data_parallel_size {copies} has a better way: leave it out and start one process "
                "per copy, each with its GPU in CUDA_VISIBLE_DEVICES: harness score STUDY --shard "
                f"1/{copies} and so on, then harness run STUDY"
            )

    @property
    def elsewhere(self) -> bool:
        """Whether an endpoint, a library of lm-eval's or llama.cpp has weights of its own."""
        return bool(self.gguf) or (self.backend is not None and self.backend != VLLM)

    @property
    def endpoint(self) -> str:
        """What a report calls the backend: its model, and where it answers."""
        if self.gguf:
            return f"{Path(self.gguf).name} by llama.cpp"
        model = self.model_args.get("model") or self.model_args.get("pretrained") or "a model"
        return f"{model} at {self.model_args.get('base_url', self.backend)}"


def _host(address: str) -> str:
    try:
        return urlsplit(address).netloc
    except ValueError as error:
        raise ValueError(f"base_url must be an address: {error}") from error


def is_set(section: BaseModel, name: str) -> bool:
    """Tell whether a section has a key, with another value than its default."""
    field = type(section).model_fields.get(name)
    return field is not None and bool(
        getattr(section, name) != field.get_default(call_default_factory=True)
    )
