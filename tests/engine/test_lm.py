"""lm-eval's own command with our engine as its model."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.suites import write_rows
from support.tiny_models import llama, lora

from harness.errors import HarnessError, ModelError

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


def test_two_words_score_a_built_in_suite(tmp_path: Path) -> None:
    """Neither --model nor --include_path nor --device is needed; lm-eval's word for an adapter."""
    from harness.engine import lm_eval_model
    from harness.study import resolve_model

    lora(Path(resolve_model("builtin:tiny", Path())), tmp_path / "tuned")
    lm_eval_model.main(
        [
            "--model_args", f"pretrained=builtin:tiny,peft={tmp_path / 'tuned'}",
            "--tasks", "arc_mini", "--limit", "2", "--log_samples", "--output_path",
            str(tmp_path / "scores"),
        ]
    )  # fmt: skip
    [samples] = (tmp_path / "scores").glob("**/samples_arc_mini_*.jsonl")
    assert len(samples.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("pretrained=builtin:tiny,adaptor=x", "did you mean 'adapter'; known: adapter, batch_size"),
        ("pretrained=builtin:tiny,zzz=1", "'zzz' is not one of ours; known: adapter, batch_size"),
        ("pretrained=builtin:tin", "no built-in model 'tin'; did you mean 'tiny'"),
        ("pretrained=builtin:tiny,peft=/no/where", "a candidate must be a folder"),
        ("pretrained=builtin:tiny,peft=a,adapter=b", "'peft' is another word for 'adapter'"),
        ("dtype=float32", "Give --model_args pretrained=MODEL"),
    ],
)
def test_a_wrong_model_argument_is_refused_before_tasks_are_read(
    arguments: str, expected: str
) -> None:
    """The task that is named does not exist: its refusal would come after minutes of reading."""
    from harness.engine import lm_eval_model

    with pytest.raises(HarnessError, match=expected):
        lm_eval_model.main(["--model_args", arguments, "--tasks", "no_such_task"])


def test_lm_evals_file_wins_over_our_defaults(tmp_path: Path) -> None:
    """A model, a device and a folder of tasks that its --config names are used."""
    from argparse import Namespace

    from harness.engine import lm_eval_model

    (tmp_path / "config.yaml").write_text(
        "model: harness\ndevice: cpu\ninclude_path: own\nmodel_args: pretrained=builtin:tiny\n"
    )
    args = Namespace(
        command="run", config=str(tmp_path / "config.yaml"), model=None, model_args=None,
        device=None, include_path=None,
    )  # fmt: skip
    lm_eval_model.complete(args)
    assert (args.model, args.device) == ("harness", "cpu")
    assert args.include_path == [*lm_eval_model.builtin_suites(), "own"]
    assert args.model_args == {"pretrained": "builtin:tiny"}

    other = Namespace(command="run", config=None, model="hf", device=None, include_path=None)
    lm_eval_model.complete(other)
    assert (other.model, other.device) == ("hf", None)

    args.config, args.device = None, None
    lm_eval_model.complete(args)
    assert args.device == "auto"


def test_no_built_in_suite_takes_a_name_of_lm_evals_own() -> None:
    """A task that is asked for by lm-eval's name is lm-eval's."""
    import lm_eval.tasks

    from harness.engine.lm_eval_model import LM_EVALS_NAMES, builtin_suites

    theirs = {file.stem for file in Path(lm_eval.tasks.__file__).parent.rglob("*.yaml")}
    assert not theirs & {Path(place).name for place in builtin_suites()}
    assert theirs >= LM_EVALS_NAMES
