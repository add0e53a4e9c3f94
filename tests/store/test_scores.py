"""Scores to compare, from every format that people bring."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.growth import grows_linearly

from harness.errors import DataError
from harness.store import read_scores


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
    items = read_scores(path)["scores"]
    assert [(i.key, i.score, i.cluster) for i in items] == [
        (("1",), 0.5, "7"), (("b",), None, "b"), (("3",), 1.0, "3"),
    ]  # fmt: skip


def test_lm_evals_log_is_read_by_hash_filter_and_usual_metric(tmp_path: Path) -> None:
    """acc_norm before acc; the date in the file's name is not the task's."""
    path = lines(
        tmp_path / "samples_arc_easy_2026-01-02T03-04-05.678901.jsonl", [logged(0), logged(1)]
    )
    for place in (path, tmp_path):
        items = read_scores(place)["arc_easy"]
        assert [i.score for i in items] == [0.0, 1.0]
        assert items[0].key == ("none", "hash0", "0")
        assert items[0].prompt_hash == "prompt0"


def test_of_several_logs_of_one_task_the_last_counts(tmp_path: Path) -> None:
    """lm-eval adds a file with every run."""
    lines(tmp_path / "samples_t_2026-01-02T00-00-00.jsonl", [logged(0, acc_norm=0.0)])
    lines(tmp_path / "samples_t_2026-01-03T00-00-00.jsonl", [logged(0, acc_norm=1.0)])
    assert [i.score for i in read_scores(tmp_path)["t"]] == [1.0]


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
    assert [i.key[-1] for i in read_scores(path)["t"]] == ["0", "1"]


def test_of_several_filters_one_is_compared(tmp_path: Path) -> None:
    """The first filter of the file is taken, so that no item counts twice."""
    rows = [logged(n, filter=name) for name in ("strict", "flexible") for n in range(3)]
    items = read_scores(lines(tmp_path / "samples_t.jsonl", rows))["t"]
    assert {i.key[0] for i in items} == {"strict"}
    assert len(items) == 3


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
    items = read_scores(lines(tmp_path / "samples_t.jsonl", rows))["t"]
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
    (rows,) = read_scores(large).values()
    assert len(rows) == 100_000
