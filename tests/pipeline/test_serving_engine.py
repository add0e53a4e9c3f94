"""Which engine serves a study: a rule over what is known of the study and the machine."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from support.command import harness

from harness.pipeline.checks.serving_engine import LONG, ServingFacts, serving_engine
from harness.study import Study

CPU = ServingFacts(gpus=0, gpu_bytes=0, vllm="", weight_bytes=0, quantized="", new_tokens=2 * LONG)
GPU = replace(CPU, gpus=2, gpu_bytes=80 * 10**9, vllm="0.32.0")


def study(**base: object) -> Study:
    """Return a study of one adapter."""
    return Study.model_validate(
        {
            "name": "s",
            "base": {"model": "builtin:tiny", **base},
            "candidates": [{"name": "c", "adapter": "a"}],
            "suites": ["sql"],
        }
    )


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (CPU, "vLLM would not"),
        (replace(GPU, new_tokens=LONG), "vLLM would not"),
        (GPU, "vLLM may serve it better: up to 100,000 new tokens on a GPU"),
        (replace(CPU, quantized="awq"), "quantized by awq; not installed: pip install"),
        (
            replace(GPU, weight_bytes=140 * 10**9),
            "140 GB of weights need several GPUs",
        ),
    ],
)
def test_our_engine_serves_and_vllm_where_it_pays(facts: ServingFacts, said: str) -> None:
    """Long texts on a GPU, weights over several, and files that vLLM has kernels for."""
    ours, other = serving_engine(study(), facts)
    assert ours.startswith("our own")
    assert re.search(said, other)


def test_what_a_study_names_is_said() -> None:
    """With what is missing for it."""
    assert serving_engine(study(backend="vllm"), CPU) == [
        "texts by vLLM (not installed: pip install 'finetune-harness[vllm]'), log-likelihoods by "
        "our own engine"
    ]
    assert "vLLM (0.32.0)" in serving_engine(study(backend="vllm"), GPU)[0]


def test_the_doctor_says_it(tmp_path: Path) -> None:
    """For a study file, after what the machine can do."""
    path = tmp_path / "study.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "name": "s",
                "base": {"model": "builtin:tiny"},
                "candidates": [{"name": "c", "train": "rows.jsonl"}],
                "suites": [{"name": "domain_qa", "limit": 4}],
            }
        )
    )
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n' * 8)
    said = harness("doctor", str(path))
    assert "engine" in said.stdout
    assert "our own: at most" in said.stdout
