"""Logs that Inspect itself writes are compared by what it scored."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.command import harness_here

import harness
from harness.errors import ComparisonError, DataError, StudyError
from harness.report import gate_json
from harness.store import read_scores

inspect_ai = pytest.importorskip("inspect_ai", reason="needs the extra 'inspect'")

COUNT = 60
"""Samples of a task."""


def answers(*wrong: int, epochs: int = 1) -> list[str]:
    """Return what a model says, epoch by epoch: yes, but for some samples."""
    return ["no" if n in wrong else "yes" for n in range(1, COUNT + 1) for _ in range(epochs)]


def log(
    folder: Path,
    said: Sequence[str],
    *,
    scorer: Callable[[int, int], object] | None = None,
    metrics: Any = None,
    model: str = "base",
    form: str = "eval",
    prompt: str = "Is {n} a number?",
    reducers: Any = None,
    epochs: int = 1,
    **more: Any,
) -> Path:
    """Run a task of one's own by Inspect, with a model that says what it is told; return its log.

    ``scorer`` gives a value by sample and epoch; by default Inspect's `includes` scores.
    """
    from inspect_ai import Epochs, Task, eval, task
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ModelOutput, ModelUsage, get_model
    from inspect_ai.scorer import Score, accuracy, includes
    from inspect_ai.scorer import scorer as declared
    from inspect_ai.solver import generate

    def output(text: str) -> ModelOutput:
        made = ModelOutput.from_content("mock", text)
        made.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
        return made

    @declared(metrics=metrics or [accuracy()], name="own")
    def own() -> Any:
        async def score(state: Any, target: Any) -> Any:
            assert scorer is not None
            value = scorer(int(state.sample_id), state.epoch)
            if isinstance(value, Exception):
                raise value
            return Score(value=value)

        return score

    @task
    def numbers() -> Task:
        rows = [
            Sample(prompt.format(n=n), target="yes", id=n, metadata={"page": f"p{n % 12}"})
            for n in range(1, COUNT + 1)
        ]
        return Task(
            dataset=rows,
            solver=generate(),
            scorer=own() if scorer else includes(),
            epochs=Epochs(epochs, reducers) if reducers else epochs,
        )

    (found,) = eval(
        numbers(),
        model=get_model(f"mockllm/{model}", custom_outputs=[output(text) for text in said]),
        log_dir=str(folder),
        log_format=form,
        max_connections=1,
        max_samples=1,
        display="none",
        **more,
    )
    return Path(found.location)


def check(result: Any) -> dict[str, Any]:
    """Return the one check of a comparison."""
    (found,) = gate_json(result)["checks"]
    return dict(found)


@pytest.mark.parametrize("form", ["eval", "json"])
def test_two_logs_are_compared_by_inspects_own_scores(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Means are those that Inspect computed; grades are better the higher they are."""
    from inspect_ai.log import read_eval_log

    base = log(tmp_path / "base", answers(1, 2), form=form)
    tuned = log(tmp_path / "tuned", answers(*range(1, 31)), form=form, model="tuned")
    monkeypatch.chdir(tmp_path)
    done = harness_here("compare", "base", str(tuned), "--json", "gate.json", "--out", "reports")
    assert done.returncode == 1, done.stderr
    (found,) = json.loads(Path("gate.json").read_text())["checks"]
    for side, path in (("base", base), ("tuned", tuned)):
        results = read_eval_log(str(path)).results
        assert found[side] == pytest.approx(results.scores[0].metrics["accuracy"].value)
    assert (found["suite"], found["metric"], found["n"]) == ("numbers", "includes", COUNT)
    assert found["label"] == "regressed"
    assert "numbers" in Path("reports", "report.md").read_text()


def test_grades_are_numbers_as_inspect_says_and_what_is_unscored_is_none(tmp_path: Path) -> None:
    """C is 1, P a half, I and N 0; a sample that failed or has no value is left out."""

    def graded(sample: int, _epoch: int) -> object:
        if sample == 5:
            return RuntimeError("no connection")
        return {1: "P", 2: "N", 3: "I", 4: math.nan}.get(sample, "C")

    path = log(tmp_path, answers(), scorer=graded, fail_on_error=False)
    (items,) = read_scores(path)["numbers"].by_filter.values()
    found = {item.key[0]: item.scores["own"] for item in items}
    assert len(found) == COUNT
    assert [found[str(n)] for n in range(1, 7)] == [0.5, 0.0, 0.0, None, None, 1.0]


def test_epochs_are_reduced_as_the_task_says(tmp_path: Path) -> None:
    """Each of its reducers is a filter; a sample that was not scored in all epochs is unscored."""

    def every_other(sample: int, epoch: int) -> object:
        if sample == 9 and epoch == 2:
            return RuntimeError("no connection")
        return "C" if sample % 2 or epoch == 1 else "I"

    given: dict[str, Any] = {
        "scorer": every_other, "epochs": 2, "reducers": ["mean", "max"], "fail_on_error": False,
    }  # fmt: skip
    base = log(tmp_path / "base", answers(epochs=2), **given)
    tuned = log(tmp_path / "tuned", answers(epochs=2), **given, model="tuned")
    by_filter = read_scores(base)["numbers"].by_filter
    assert list(by_filter) == ["mean", "max"]
    assert {item.scores["own"] for item in by_filter["mean"]} == {0.5, 1.0, None}
    assert [i.key[0] for i in by_filter["max"] if i.scores["own"] is None] == ["9"]
    assert check(harness.compare(base, tuned))["base"] == pytest.approx(44 / 59)
    assert check(harness.compare(base, tuned, filter_name="max"))["base"] == 1.0


def test_a_scorer_with_several_values_is_compared_by_the_one_that_is_named(tmp_path: Path) -> None:
    """Whether more is better of a mean, the log does not say; groups are named by their field."""
    from inspect_ai.scorer import mean

    def two(sample: int, _epoch: int) -> object:
        return {"shares": sample / COUNT, "faults": sample % 3}

    given: dict[str, Any] = {"scorer": two, "metrics": {"*": [mean()]}}
    base = log(tmp_path / "base", answers(), **given)
    tuned = log(tmp_path / "tuned", answers(), **given, model="tuned")
    with pytest.raises(StudyError, match="own:shares, own:faults; give --metric"):
        harness.compare(base, tuned)
    asked: dict[str, Any] = {"metric": "own:faults", "lower_is_better": True, "scale": (0, 2)}
    found = check(harness.compare(base, tuned, **asked, cluster="page"))
    assert found["base"] == pytest.approx(0.5)  # of the scale: one fault of two
    with pytest.raises(StudyError, match="no item has 'book'"):
        harness.compare(base, tuned, **asked, cluster="book")
    clusters = {item.cluster for item in read_scores(base, cluster="page")["numbers"].by_filter[""]}
    assert clusters == {f"p{n}" for n in range(12)}


def test_what_is_no_whole_comparison_is_refused(tmp_path: Path) -> None:
    """Ended early, of two models, asked otherwise, without scores, or no log at all."""
    base = log(tmp_path / "base", answers())
    broken = log(tmp_path / "broken", answers(), scorer=lambda *_: RuntimeError("gone"))
    with pytest.raises(DataError, match=r"ended well: .*\.eval is 'error'; go on with"):
        harness.compare(base, broken)
    other = log(tmp_path / "base", answers(), model="other")
    with pytest.raises(ComparisonError, match="the logs are of mockllm/base, mockllm/other"):
        harness.compare(tmp_path / "base", other)
    asked = log(tmp_path / "asked", answers(), prompt="Is {n} one?")
    with pytest.raises(ComparisonError, match="the same prompts: 60 of 60"):
        harness.compare(base, asked)
    unscored = log(tmp_path / "unscored", answers(), score=False)
    with pytest.raises(DataError, match="samples and their scores"):
        harness.compare(base, unscored)
    torn = tmp_path / "torn.eval"
    torn.write_bytes(base.read_bytes()[:900])
    with pytest.raises(DataError, match=r"must be readable: .*torn\.eval"):
        harness.compare(base, torn)


def test_values_that_a_task_reads_in_a_way_of_its_own_are_refused(tmp_path: Path) -> None:
    """The log's mean and the mean of its values must agree."""
    from inspect_ai.scorer import accuracy, value_to_float

    own = [accuracy(to_float=value_to_float(correct="N", incorrect="C"))]
    path = log(
        tmp_path,
        answers(),
        scorer=lambda n, _: "C" if n > 20 else "N",
        metrics=own,
        reducers=["mode"],
    )
    with pytest.raises(DataError, match="must give its own means"):
        read_scores(path)
