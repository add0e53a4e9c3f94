"""lm-eval's own command with our engine as its model."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.suites import write_rows
from support.tiny_models import llama, lora

from harness.errors import ModelError

pytestmark = pytest.mark.model

TASK = """
task: tiny_{kind}
custom_dataset: !function harness.suites.dataset.load
test_split: test
{body}
metadata:
  version: 1.0
"""
CHOICE = """output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_target: "{{choices.label.index(answerKey)}}"
doc_to_choice: "{{choices.text}}"
"""
GENERATE = """output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "w20"
generation_kwargs: {until: ["w20", "w30"], max_gen_toks: 6, do_sample: false}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
"""
ROLLING = """output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{question}}"
metric_list:
  - {metric: word_perplexity, aggregation: weighted_perplexity, higher_is_better: false}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a base, an adapter, and three tasks over the same rows."""
    folder = tmp_path_factory.mktemp("lm")
    lora(llama(folder / "base"), folder / "tuned")
    for kind, body in (("choice", CHOICE), ("generate", GENERATE), ("rolling", ROLLING)):
        tasks = folder / "tasks" / f"tiny_{kind}"
        write_rows(tasks / "data" / "test.jsonl", 8)
        (tasks / f"tiny_{kind}.yaml").write_text(TASK.format(kind=kind, body=body))
    return folder


def run(place: Path, out: str, *arguments: str) -> dict[str, Any]:
    """Run lm-eval's command; return the samples by task."""
    from harness.engine import lm_eval_model

    lm_eval_model.main(
        [
            "run", "--tasks", "tiny_choice,tiny_generate,tiny_rolling",
            "--include_path", str(place / "tasks"), "--device", "cpu", "--batch_size", "1",
            "--output_path", str(place / out), "--log_samples", *arguments,
        ]
    )  # fmt: skip
    return {
        file.name.split("_2")[0].removeprefix("samples_"): [
            json.loads(line) for line in file.read_text().splitlines()
        ]
        for file in (place / out).glob("**/samples_*.jsonl")
    }


def hf(place: Path) -> dict[str, Any]:
    """Run the same tasks with lm-eval's hf model; return the samples by task."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    model = HFLM(
        pretrained=str(place / "base"), peft=str(place / "tuned"), device="cpu", batch_size=1
    )
    results = simple_evaluate(
        model, tasks=["tiny_choice", "tiny_generate", "tiny_rolling"], bootstrap_iters=0,
        task_manager=TaskManager(include_path=str(place / "tasks"), include_defaults=False),
    )  # fmt: skip
    assert results is not None
    return dict(results["samples"])


def test_results_are_those_of_the_hf_model(place: Path) -> None:
    """Choices, generations and whole texts of an adapter, through lm-eval's unchanged command."""
    arguments = f"pretrained={place / 'base'},adapter={place / 'tuned'}"
    ours = run(place, "ours", "--model", "harness", "--model_args", arguments)
    theirs = hf(place)
    assert ours.keys() == theirs.keys() == {"tiny_choice", "tiny_generate", "tiny_rolling"}
    for left, right in zip(ours["tiny_choice"], theirs["tiny_choice"], strict=True):
        assert left["acc"] == right["acc"]
        for one, other in zip(left["resps"], right["resps"], strict=True):
            assert float(one[0][0]) == pytest.approx(float(other[0][0]), abs=1e-4)
    for left, right in zip(ours["tiny_generate"], theirs["tiny_generate"], strict=True):
        assert left["resps"] == [[str(text) for text in texts] for texts in right["resps"]]
    for left, right in zip(ours["tiny_rolling"], theirs["tiny_rolling"], strict=True):
        assert float(left["resps"][0][0]) == pytest.approx(float(right["resps"][0][0]), abs=1e-3)


def test_an_adapter_that_is_not_there_is_one_sentence(place: Path) -> None:
    """The rule, what was found and where."""
    from harness.engine.lm_eval_model import HarnessLM

    with pytest.raises(ModelError, match="a candidate must be a folder"):
        HarnessLM(str(place / "base"), adapter=str(place / "missing"), device="cpu")


def test_a_machine_without_cuda_needs_no_device(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lm-eval says cuda:0 where its user says nothing; what its user says otherwise is kept."""
    from harness.engine.lm_eval_model import UNSAID, HarnessLM

    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    model = HarnessLM(str(place / "base"), device=UNSAID)
    assert next(model.engine.switch.base.parameters()).device.type != "cuda"
    with pytest.raises(ModelError, match="no device 'cuda:1'"):
        HarnessLM(str(place / "base"), device="cuda:1")
