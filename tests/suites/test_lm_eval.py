"""Every suite runs in plain lm-eval, offline, from its YAML alone."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.command import python

from harness import content
from harness.suites.catalogue import builtin_suites

OWN = ("arc_mini", "classification", "coherence", "domain_qa", "refusal", "sql", "summary", "tools")
CHOICE = ("arc_challenge", "arc_mini")

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def tasks() -> dict[str, Any]:
    """Load our suites as lm-eval does with ``--include_path tasks``."""
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(content.TASKS), include_defaults=False)
    assert set(manager.all_tasks) >= set(builtin_suites())
    return {name: manager.load([name])["tasks"][name] for name in OWN}


def test_rows_load_without_a_hub(tasks: dict[str, Any]) -> None:
    """Test and validation rows come from beside the YAML, with prompt and target."""
    for name, task in tasks.items():
        for docs in (task.test_docs(), task.validation_docs()):
            assert len(docs) > 0
            doc = docs[0]
            assert task.doc_to_text(doc)
            assert task.doc_to_target(doc) not in (None, "")
        assert task.has_test_docs(), name


def test_declared_clusters_and_slices_are_fields_of_every_row(tasks: dict[str, Any]) -> None:
    """A cluster or slice that a row lacks would make items look independent that are not."""
    for name, task in tasks.items():
        suite = builtin_suites()[name]
        columns = set(task.test_docs().column_names)
        assert {suite.cluster, *suite.slices} - {None} <= columns


def test_a_right_and_a_wrong_answer_get_their_metrics(tasks: dict[str, Any]) -> None:
    """What lm-eval calls per item returns the declared numbers: 1 for the target, 0 for noise."""
    for name in ("classification", "domain_qa", "coherence", "refusal", "sql", "summary", "tools"):
        task, metric = tasks[name], builtin_suites()[name].metric
        doc = task.test_docs()[0]
        right = task.process_results(doc, [str(task.doc_to_target(doc))])
        wrong = task.process_results(doc, ["blue cheese"])
        assert (right[metric], wrong[metric]) == (1.0, 0.0), name
        assert set(right) == set(task.aggregation())
        assert all(isinstance(value, float) for value in right.values())


def test_the_prompt_of_multiple_choice_is_arcs(tasks: dict[str, Any]) -> None:
    """arc_mini shows its questions exactly as lm-eval shows ARC."""
    task = tasks["arc_mini"]
    doc = task.test_docs()[0]
    assert task.doc_to_text(doc) == f"Question: {doc['question']}\nAnswer:"
    assert task.doc_to_choice(doc) == doc["choices"]["text"]
    assert doc["choices"]["label"][task.doc_to_target(doc)] == doc["answerKey"]


@pytest.mark.parametrize("name", CHOICE)
def test_lm_eval_agrees_with_the_golden_lines(name: str) -> None:
    """lm-eval itself gives each golden line of a multiple-choice suite its score."""
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask

    from harness.suites.catalogue import path_of, read_config

    rows = [json.loads(line) for line in (path_of(name).parent / "golden.jsonl").open()]
    config = read_config(path_of(name))
    docs = Dataset.from_list([row["doc"] for row in rows])
    for key in ("dataset_path", "dataset_name", "training_split", "validation_split"):
        config.pop(key, None)
    config |= {"custom_dataset": lambda **_: {"test": docs}, "fewshot_split": "test"}
    task = ConfigurableTask(config=config)
    metric = builtin_suites()[name].metric
    for row, doc in zip(rows, task.test_docs(), strict=True):
        found = task.process_results(doc, [(logprob, False) for logprob in row["response"]])
        assert found[metric] == row["score"], row["why"]


@pytest.mark.nightly
def test_the_command_of_lm_eval_runs_a_suite(tiny_base: Path, tmp_path: Path) -> None:
    """lm-eval's own command scores a random model on our suites, without any network."""
    done = python(
        *("-m", "lm_eval", "run", "--include_path", content.TASKS),
        *("--tasks", ",".join(OWN), "--limit", "2", "--gen_kwargs", "max_gen_toks=16"),
        *("--model", "hf", "--device", "cpu", "--batch_size", "4"),
        *("--model_args", f"pretrained={tiny_base}"),
        *("--output_path", tmp_path / "out", "--log_samples"),
        folder=tmp_path,
        env={"HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hub")},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (path,) = (tmp_path / "out").rglob("results_*.json")
    results = json.loads(path.read_text("utf-8"))["results"]
    for name in OWN:
        assert 0.0 <= results[name][f"{builtin_suites()[name].metric},none"] <= 1.0
    assert len(list((tmp_path / "out").rglob("samples_*.jsonl"))) == len(OWN)
