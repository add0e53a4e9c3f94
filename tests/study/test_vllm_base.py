"""A base with ``backend: vllm``: what a study may say beside it, and what it says instead."""

from typing import Any

import pytest
from pydantic import ValidationError

from harness.study import ArmSection, BaseSection, CandidateSection, JudgeSection


@pytest.mark.parametrize(
    ("section", "given", "sentence"),
    [
        (BaseSection, {}, "backend vllm needs the base's 'model'"),
        (BaseSection, {"model": "a", "device": "cuda:1"}, "remove 'device'.*CUDA_VISIBLE_DEVICES"),
        (BaseSection, {"model": "a", "quantization": "4bit"}, "quantized on disk"),
        (
            BaseSection,
            {"model": "a", "model_args": {"data_parallel_size": 4}},
            r"one process per copy.*harness score STUDY --shard 1/4",
        ),
        (CandidateSection, {"name": "sql"}, "one vLLM serves the base and every adapter on it"),
        (JudgeSection, {"model": "a"}, "a judge is loaded here or answers at an endpoint"),
    ],
)
def test_what_has_another_place_is_refused(
    section: type[ArmSection], given: dict[str, Any], sentence: str
) -> None:
    """The remedy is named."""
    with pytest.raises(ValidationError, match=sentence):
        section.model_validate({"backend": "vllm", **given})


def test_the_weights_are_here() -> None:
    """It is no endpoint: candidates are trained on it or are adapters, precision is its own."""
    base = BaseSection(model="a/b", backend="vllm", dtype="float32")
    assert not base.elsewhere
    assert base.title == "a/b"
    assert BaseSection(backend="local-completions").elsewhere
