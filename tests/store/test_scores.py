"""Scores to compare, from every format that people bring."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.growth import grows_linearly

from harness.errors import DataError
from harness.store import OWN, read_scores

GONE = ("filter", "metrics", "acc", "acc_norm")
"""What lines of lm-eval before 0.4.6 lack, and the metrics that a line here has by default."""


def lines(path: Path, rows: list[Any]) -> Path:
    """Write rows as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def logged(number: int, **changes: Any) -> dict[str, Any]:
    """Return a line as lm-eval 0.4.13 logs it."""
    return {
        "doc_id": number,
        "doc": {"question": f"what {number}", "filter": "x", "nested": {"a": 1, "filter": "y"}},
        "target": "1",
        "arguments": {"gen_args_0": {"arg_0": "what", "arg_1": " this"}},
        "resps": [[["-1.0", "False"]]],
        "filtered_resps": [["-1.0", "False"]],
        "filter": "none",
        "metrics": ["acc", "acc_norm"],
        "doc_hash": f"hash{number}",
        "prompt_hash": f"prompt{number}",
        "target_hash": "t",
        "acc": 1.0,
        "acc_norm": float(number % 2),
    } | changes


def test_plain_scores_have_ids_and_may_have_clusters(tmp_path: Path) -> None:
    """An item without a cluster is one of its own; null is unscored."""
    path = lines(
        tmp_path / "scores.jsonl",
        [
            {"id": 1, "score": 0.5, "cluster": 7},
            {"id": "b", "score": None},
            {"id": 3, "score": True},
        ],
    )
    items = read_scores(path)["scores"].by_filter[""]
    assert [(i.key, dict(i.scores), i.cluster) for i in items] == [
        (("1",), {OWN: 0.5}, "7"), (("b",), {OWN: None}, "b"), (("3",), {OWN: 1.0}, "3"),
    ]  # fmt: skip


def test_lm_evals_log_is_read_by_hash_and_filter_with_every_metric(tmp_path: Path) -> None:
    """Metrics are in the file's order; the date in the file's name is not the task's."""
    path = lines(
        tmp_path / "samples_arc_easy_2026-01-02T03-04-05.678901.jsonl", [logged(0), logged(1)]
    )
    for place in (path, tmp_path):
        suite = read_scores(place)["arc_easy"]
        items = suite.by_filter["none"]
        assert suite.metrics("none") == ("acc", "acc_norm")
        assert [i.scores["acc_norm"] for i in items] == [0.0, 1.0]
        assert items[0].key == ("none", "hash0", "0")
        assert items[0].prompt_hash == "prompt0"


def test_of_several_logs_of_one_task_the_last_counts(tmp_path: Path) -> None:
    """lm-eval adds a file with every run."""
    lines(tmp_path / "samples_t_2026-01-02T00-00-00.jsonl", [logged(0, acc_norm=0.0)])
    lines(tmp_path / "samples_t_2026-01-03T00-00-00.jsonl", [logged(0, acc_norm=1.0)])
    items = read_scores(tmp_path)["t"].by_filter["none"]
    assert [i.scores["acc_norm"] for i in items] == [1.0]


def test_lm_evals_output_folder_of_one_model_is_found(tmp_path: Path) -> None:
    """The folder that was given as --output_path has one folder a model below it."""
    lines(tmp_path / "model__a" / "samples_t_2026-01-02T00-00-00.jsonl", [logged(0)])
    assert list(read_scores(tmp_path)) == ["t"]
    lines(tmp_path / "model__b" / "samples_t_2026-01-02T00-00-00.jsonl", [logged(0)])
    with pytest.raises(DataError, match=r"one arm.*model__a, model__b"):
        read_scores(tmp_path)


def test_equal_documents_are_told_apart_by_occurrence(tmp_path: Path) -> None:
    """Two lines with one hash are two items."""
    path = lines(tmp_path / "samples_t.jsonl", [logged(0), logged(0)])
    assert [i.key[-1] for i in read_scores(path)["t"].by_filter["none"]] == ["0", "1"]


def test_items_of_several_filters_are_kept_apart(tmp_path: Path) -> None:
    """The file's first filter leads unless the results beside it name another."""
    rows = [logged(n, filter=name) for name in ("strict", "flexible") for n in range(3)]
    path = lines(tmp_path / "samples_t.jsonl", rows)
    suite = read_scores(path)["t"]
    assert suite.filters == ("strict", "flexible")
    assert [len(items) for items in suite.by_filter.values()] == [3, 3]
    named = {"configs": {"t": {"filter_list": [{"name": "flexible"}, {"name": "strict"}]}}}
    (tmp_path / "results_2026-01-02.json").write_text(json.dumps(named))
    assert read_scores(path)["t"].filters == ("flexible", "strict")


def test_samples_before_0_4_6_are_read(tmp_path: Path) -> None:
    """Neither ``filter`` nor ``metrics`` is there.

    Numbers that are no bookkeeping are metrics; a document that is logged twice under one id has
    two filters, which the results name.
    """
    rows = [
        {k: v for k, v in logged(n, exact_match=score).items() if k not in GONE}
        for score in (0.0, 1.0)
        for n in range(2)
    ]
    path = lines(tmp_path / "samples_t_2024-09-01T00-00-00.jsonl", rows)
    suite = read_scores(path)["t"]
    assert suite.filters == ("none", "filter 2")
    assert suite.metrics("none") == ("exact_match",)
    named = {"configs": {"t": {"filter_list": [{"name": "strict"}, {"name": "flexible"}]}}}
    (tmp_path / "results_2024-09-01T00-00-00.json").write_text(json.dumps(named))
    suite = read_scores(path)["t"]
    found = [
        (name, [dict(item.scores) for item in items]) for name, items in suite.by_filter.items()
    ]
    assert found == [
        ("strict", [{"exact_match": 0.0}] * 2),
        ("flexible", [{"exact_match": 1.0}] * 2),
    ]
    assert suite.by_filter["flexible"][0].key == ("flexible", "hash0", "0")


def test_a_perplexity_of_samples_is_no_score(tmp_path: Path) -> None:
    """lm-eval logs the log-likelihood under its name, where higher is better."""
    rows = [logged(0, metrics=["perplexity", "acc"], perplexity=-3.5)]
    assert read_scores(lines(tmp_path / "samples_t.jsonl", rows))["t"].metrics("none") == ("acc",)
    rows = [logged(0, metrics=["perplexity"], perplexity=-3.5)]
    with pytest.raises(DataError, match=r"a number for each item: found perplexity"):
        read_scores(lines(tmp_path / "samples_t.jsonl", rows))


def test_directions_stand_in_the_results_of_the_same_run(tmp_path: Path) -> None:
    """Those of the samples' date before others; metric_list before the section of directions."""
    path = lines(tmp_path / "samples_t_2026-01-02T00-00-00.jsonl", [logged(0)])
    for date, higher in (("2026-01-02T00-00-00", False), ("2026-01-03T00-00-00", True)):
        found = {
            "configs": {"t": {"metric_list": [{"metric": "acc", "higher_is_better": higher}]}},
            "higher_is_better": {"t": {"acc": None, "acc_norm": True}},
        }
        (tmp_path / f"results_{date}.json").write_text(json.dumps(found))
    declared = read_scores(path)["t"].declared
    assert declared.directions == {"acc": False, "acc_norm": True}
    (tmp_path / "results_2026-01-02T00-00-00.json").write_text("{")
    with pytest.raises(DataError, match=r"results beside samples must be readable JSON"):
        read_scores(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"id": 1, "score": 1}\n{"id": 2, "sco', r"scores\.jsonl:2: each line must be one JSON"),
        ("[1]\n", r"scores\.jsonl:1: .*found a list"),
        ('{"id": 1}\n', "needs 'id' and 'score'"),
        ('{"id": 1, "score": "high"}\n', "must be a number or null: found 'high'"),
        ('{"id": 1, "score": 1}\n{"id": 1, "score": 1}\n', "each id must stand once"),
        ("", "at least one item"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, message: str) -> None:
    """File, line and rule."""
    path = tmp_path / "scores.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_scores(path)


def test_a_folder_or_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """An empty folder and a missing file."""
    with pytest.raises(DataError, match="found none"):
        read_scores(tmp_path)
    with pytest.raises(DataError, match="missing"):
        read_scores(tmp_path / "missing.jsonl")


def test_long_logs_are_read_by_their_ends(tmp_path: Path) -> None:
    """Cutting the line gives the same as parsing it whole, whatever stands in the document."""
    tricky = '", "filter": "none", "metrics": ["acc"], "doc_hash": "fake'
    rows = [logged(0, doc={"text": tricky}), logged(1, resps=[[tricky]])]
    items = read_scores(lines(tmp_path / "samples_t.jsonl", rows))["t"].by_filter["none"]
    assert [i.key[1] for i in items] == ["hash0", "hash1"]


def test_cost_grows_with_the_number_of_rows(tmp_path: Path) -> None:
    """Reading is linear in the rows: a hundred thousand of them are no trouble."""

    def scores(count: int) -> Path:
        rows = (f'{{"id": {n}, "score": 0.5, "cluster": {n % 9}}}\n' for n in range(count))
        path = tmp_path / f"{count}.jsonl"
        path.write_text("".join(rows))
        return path

    small, large = scores(12_500), scores(100_000)
    assert grows_linearly(read_scores, small, large, times=8)
    (suite,) = read_scores(large).values()
    assert len(suite.by_filter[""]) == 100_000
