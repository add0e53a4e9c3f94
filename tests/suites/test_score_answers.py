"""From answers to verdicts by lm-eval's own filters and metrics."""

import math
from collections.abc import Mapping
from typing import Any

import pytest

from harness.errors import StudyError
from harness.records import Item, ItemKey, Response, Suite, Verdict
from harness.suites import catalogue, score_answers
from harness.suites.lm_eval_task import quiet

ROWS = [
    {"q": "2+2?", "choices": ["three", "four"], "gold": 1},
    {"q": "the sky?", "choices": ["blue", "a very long wrong answer"], "gold": 0},
]
CHOICE = {
    "output_type": "multiple_choice", "doc_to_text": "{{q}}", "doc_to_target": "gold",
    "doc_to_choice": "{{choices}}",
    "metric_list": [
        {"metric": name, "aggregation": "mean", "higher_is_better": True}
        for name in ("acc", "acc_norm")
    ],
}  # fmt: skip
GENERATE = {
    "output_type": "generate_until", "doc_to_text": "{{q}}",
    "doc_to_target": "{{choices[gold]}}", "generation_kwargs": {"until": ["."]},
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
}  # fmt: skip


def judged(
    config: dict[str, Any], answers: list[list[Response]], *, metric: str, **suite: Any
) -> list[Verdict]:
    """Build a real lm-eval task over the rows and judge answers to it."""
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask

    data = {"test": Dataset.from_list(ROWS)}
    with quiet():
        task = ConfigurableTask(
            config={"task": "t", "test_split": "test", "custom_dataset": lambda **_: data} | config
        )
        task.build_all_requests()
    groups = [[i for i in task.instances if i.doc_id == n] for n in range(len(ROWS))]
    items = [
        Item(
            key=ItemKey("t", score_answers.first_filter(task), str(n), 0), doc_id=n, doc=row,
            prompt=row["q"], prompt_hash="", target=str(task.doc_to_target(row)), cluster=str(n),
        )
        for n, row in enumerate(task.eval_docs)
    ]  # fmt: skip
    given = [tuple(responses) for responses in answers]
    declared = Suite(name="t", metric=metric, **suite)
    return score_answers.judge(task, declared, items, groups, given, None)


def scores(*logprobs: float) -> list[Response]:
    """Return log-likelihood responses."""
    return [Response(logprob=logprob, is_greedy=False, tokens=1) for logprob in logprobs]


def test_a_choice_is_named_with_what_would_have_been_right() -> None:
    """The answer is the chosen text; its cause is labelled and the columns calibrate it."""
    wrong, right = judged(CHOICE, [scores(-1, -2), scores(-1, -3)], metric="acc")
    assert (wrong.outcome, wrong.score, wrong.labels) == ("incorrect", 0.0, ("wrong_choice",))
    assert wrong.answer == "three"
    assert wrong.explanation == "chose 'three'; right is 'four'"
    assert wrong.metrics["p_gold"] == pytest.approx(1 / (1 + math.e))
    assert wrong.metrics["margin"] == pytest.approx(-1)
    assert (right.outcome, right.score, right.labels) == ("correct", 1.0, ())
    assert right.metrics["margin"] == pytest.approx(2)


def test_the_chosen_text_is_that_of_the_primary_metric() -> None:
    """Normalised by length, the long choice wins; the margin is in nats a character."""
    _, verdict = judged(CHOICE, [scores(-1, -2), scores(-4, -12)], metric="acc_norm")
    assert verdict.metrics["acc"] == 1.0
    assert verdict.score == verdict.metrics["acc_norm"] == 0.0
    assert verdict.answer == "a very long wrong answer"
    assert verdict.metrics["margin"] == pytest.approx(-4 / 4 + 12 / 24)


def test_an_answer_that_could_not_be_had_is_unscored_for_its_reason() -> None:
    """One missing choice leaves the item out, and no other item."""
    first, second = judged(
        CHOICE, [[*scores(-1), Response(unscored="too long: 9 tokens")], scores(-1, -2)],
        metric="acc",
    )  # fmt: skip
    assert (first.outcome, first.score, first.labels) == ("unscored", None, ("too_long",))
    assert first.explanation == "too long: 9 tokens"
    assert second.outcome == "correct"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_what_is_not_a_number_is_unscored(value: float | None) -> None:
    """An overflow, stored as nothing or not, is never a zero that another answer could beat."""
    broken = [Response(logprob=value, is_greedy=False), *scores(-1)]
    first, second = judged(CHOICE, [broken, scores(-1, -2)], metric="acc")
    assert (first.outcome, first.score, first.labels) == ("unscored", None, ("not_a_number",))
    assert second.outcome == "correct"


def test_generated_answers_go_through_the_tasks_filters() -> None:
    """The first filter decides; the others' metrics are further columns."""
    filters = [
        {"name": "word", "filter": [{"function": "regex", "regex_pattern": "is (\\w+)"},
                                    {"function": "take_first"}]},
        {"name": "whole", "filter": [{"function": "take_first"}]},
    ]  # fmt: skip
    answers = [
        [Response(text="It is four", finish="stop")],
        [Response(text="blue", finish="length")],
    ]
    first, second = judged(GENERATE | {"filter_list": filters}, answers, metric="exact_match")
    assert (first.outcome, first.answer) == ("correct", "four")
    assert first.metrics == {"exact_match": 1.0, "exact_match,whole": 0.0}
    assert (second.outcome, second.labels) == ("incorrect", ("truncated",))
    assert second.metrics["exact_match,whole"] == 1.0


def test_a_scorer_that_fails_costs_its_item_and_not_the_run() -> None:
    """lm-eval would lose all answers to one bad value after the last of them was given."""

    def process(doc: dict[str, Any], results: list[str]) -> dict[str, Any]:
        if doc["q"] == "2+2?":
            raise ValueError("cannot score this")
        return {"exact_match": 1.0, "note": "no number"}

    answers = [[Response(text="a", finish="stop")], [Response(text="b", finish="stop")]]
    first, second = judged(GENERATE | {"process_results": process}, answers, metric="exact_match")
    assert first.outcome == "unscored"
    assert first.explanation == "scorer failed: ValueError: cannot score this"
    assert (second.score, second.metrics) == (1.0, {"exact_match": 1.0})


def test_a_metric_that_no_item_has_is_an_error() -> None:
    """The message names those that there are."""
    with pytest.raises(StudyError, match="no metric 'bleu' per item: found acc, acc_norm"):
        judged(CHOICE, [scores(-1, -2), scores(-1, -2)], metric="bleu")


def graded(*values: float, **suite: Any) -> list[Verdict]:
    """Judge two answers whose metric has these values."""
    given = dict(zip((row["q"] for row in ROWS), values, strict=True))

    def process(doc: dict[str, Any], results: list[str]) -> dict[str, Any]:
        return {"distance": given[doc["q"]]}

    answers = [[Response(text="a", finish="stop")], [Response(text="b", finish="stop")]]
    return judged(GENERATE | {"process_results": process}, answers, metric="distance", **suite)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_no_number_leaves_its_item_out(value: float) -> None:
    """No scale could hold it; the item is unscored, and the other one is not."""
    first, second = graded(value, 0.5)
    assert (first.outcome, first.score, first.labels) == ("unscored", None, ("scorer_failed",))
    assert second.score == 0.5


@pytest.mark.parametrize("value", [8.1, -0.01, 1.001])
def test_a_score_outside_its_scale_is_refused_and_never_cut(value: float) -> None:
    """8.1 nats are not 100 %."""
    with pytest.raises(
        StudyError, match=r"between 0 and 1: distance of item .* is .*'scale: \[low"
    ):
        graded(0.5, value)
    choices = CHOICE | {"process_results": lambda *_: {"distance": value}}
    with pytest.raises(StudyError, match="between 0 and 1: distance of item"):
        judged(choices, [scores(-1, -2), scores(-1, -2)], metric="distance")


def test_a_scale_is_kept() -> None:
    """A score is a value's place on it; the column keeps the value; rounding is no excess."""
    first, second = graded(42.0, 100.0 + 1e-12, scale=(0.0, 100.0))
    assert (first.score, first.metrics["distance"]) == (0.42, 42.0)
    assert first.explanation == "distance is 42"
    assert second.score == 1.0


def test_where_lower_is_better_the_least_is_right() -> None:
    """An answer is right up to the threshold."""
    low, high = graded(0.2, 0.21, higher_is_better=False, threshold=0.2)
    assert (low.outcome, high.outcome) == ("correct", "incorrect")
    assert (low.score, high.score) == (0.2, 0.21)


def test_a_metric_that_is_no_number_scores_nothing() -> None:
    """It would be a zero otherwise: the worst or the best there is."""
    first, second = graded(math.nan, 0.5)
    assert (first.outcome, first.score, first.labels) == ("unscored", None, ("scorer_failed",))
    assert second.score == 0.5


@pytest.mark.parametrize(("said", "higher"), [({"higher_is_better": False}, False), ({}, True)])
def test_a_task_says_which_way_is_good(said: Mapping[str, Any], higher: bool) -> None:
    """By its YAML, else by what lm-eval knows of the metric."""
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask

    metrics = [{"metric": "acc", "aggregation": "mean", **said}]
    data = {"test": Dataset.from_list(ROWS)}
    with quiet():
        task = ConfigurableTask(
            config={"task": "t", "test_split": "test", "custom_dataset": lambda **_: data}
            | CHOICE
            | {"metric_list": metrics}
        )
    suite = catalogue.declaration("t", score_answers.declared_config(task))
    assert (suite.metric, suite.higher_is_better) == ("acc", higher)
    assert suite.threshold == float(higher)
