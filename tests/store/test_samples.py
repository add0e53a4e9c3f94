"""Samples on disk: lm-eval's layout, and nothing of ours lost."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.example_result import example_result

from harness.errors import DataError, InfrastructureError
from harness.records import Item, ItemKey, Response, Sample, Verdict
from harness.store import OWN, read_samples, read_scores, write_samples
from harness.store.samples import SampleReader

LM_EVAL = [
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics",
    "doc_hash", "prompt_hash", "target_hash",
]  # fmt: skip


def choice(number: int = 0, *, score: float | None = 1.0) -> Sample:
    """Return an answered multiple-choice item."""
    texts = ["red", "blüe \n\u2028"]
    return Sample(
        item=Item(
            key=ItemKey("arc", "none", f"{number:064x}", 0),
            doc_id=number,
            doc={"question": "Which?", "choices": texts},
            prompt="Question: Which?\nAnswer:",
            prompt_hash="ids",
            target="0",
            cluster=f"fact{number // 2}",
            slices={"relation": "colour"},
            arguments=tuple(("Question: Which?\nAnswer:", f" {text}") for text in texts),
        ),
        arm="base",
        responses=tuple(
            Response(logprob=-1.25 - i, is_greedy=not i, tokens=2) for i in range(len(texts))
        ),
        verdict=Verdict(
            outcome="unscored" if score is None else "correct" if score else "incorrect",
            score=score,
            labels=() if score else ("wrong_choice",),
            answer="red",
            explanation="chose 'red'",
            metrics={} if score is None else {"acc": score, "acc_norm": score, "p_gold": 0.7},
            details={"chosen": 0},
        ),
    )


def test_samples_come_back_as_they_were(tmp_path: Path) -> None:
    """Every field of every record survives, odd characters too."""
    path = tmp_path / "samples" / "base" / "samples_arc.jsonl"
    samples = [choice(0), choice(1, score=0.0), choice(2, score=None)]
    write_samples(path, samples)
    assert read_samples(path) == samples
    assert list(path.parent.iterdir()) == [path]


def test_a_metric_may_be_named_like_a_key_of_the_line(tmp_path: Path) -> None:
    """As `arguments` of tool calls is, and `score` or `cut` of a judge of one's own."""
    path, sample = tmp_path / "samples.jsonl", choice(0)
    metrics = {"acc": 1.0, "arguments": 0.5, "score": 0.25, "cut": 0.75}
    sample = replace(sample, verdict=replace(sample.verdict, metrics=metrics))
    write_samples(path, [sample])
    assert read_samples(path) == [sample]
    assert SampleReader(texts=()).read(path)[0].verdict.metrics == metrics
    line = json.loads(path.read_text("utf-8"))
    assert all(isinstance(line[name], float) for name in line["metrics"])
    before = {k: v for k, v in line.items() if not k.startswith("metric_")}
    path.write_text(json.dumps(before | {"metrics": ["acc", "arguments"]}) + "\n", "utf-8")
    assert read_samples(path)[0].verdict.metrics == {"acc": 1.0}


def test_samples_of_generations_come_back_too(tmp_path: Path) -> None:
    """Also those of the report's example, whose rows have every kind of verdict."""
    samples = [p.base for c in example_result(size=20).comparisons for p in c.pairs]
    write_samples(tmp_path / "samples_x.jsonl", samples)
    back = read_samples(tmp_path / "samples_x.jsonl")
    assert [s.verdict for s in back] == [s.verdict for s in samples]
    assert [s.item.key for s in back] == [s.item.key for s in samples]
    assert [s.responses for s in back] == [s.responses for s in samples]


def test_a_line_has_lm_evals_keys_in_its_order_and_form(tmp_path: Path) -> None:
    """What reads lm-eval's logs reads ours: responses as text, named arguments, flat metrics."""
    path = tmp_path / "samples_arc.jsonl"
    write_samples(path, [choice()])
    row = json.loads(path.read_text(encoding="utf-8"))
    assert list(row)[: len(LM_EVAL)] == LM_EVAL
    assert row["resps"] == [[["-1.25", "True"]], [["-2.25", "False"]]]
    assert row["filtered_resps"] == [["-1.25", "True"], ["-2.25", "False"]]
    assert row["arguments"]["gen_args_0"] == {
        "arg_0": "Question: Which?\nAnswer:", "arg_1": " red",
    }  # fmt: skip
    assert row["metrics"] == ["acc", "acc_norm", "p_gold"]
    assert row["acc"] == 1.0


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    """The file and the line stand in the message."""
    path = tmp_path / "samples_arc.jsonl"
    write_samples(path, [choice(), choice(1)])
    path.write_text(path.read_text(encoding="utf-8")[:-40], encoding="utf-8")
    with pytest.raises(DataError, match=r"samples_arc\.jsonl:2"):
        read_samples(path)


def test_a_place_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    """The message names the file."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(InfrastructureError, match="cannot write"):
        write_samples(tmp_path / "taken" / "samples_arc.jsonl", [choice()])


def test_scores_of_a_run_are_its_verdicts(tmp_path: Path) -> None:
    """Score and cluster are the run's own; an unscored item has no score."""
    write_samples(
        tmp_path / "samples_arc.jsonl", [choice(0), choice(1, score=0.0), choice(2, score=None)]
    )
    (items,) = read_scores(tmp_path)["arc"].by_filter.values()
    assert [item.scores[OWN] for item in items] == [1.0, 0.0, None]
    assert [item.cluster for item in items] == ["fact0", "fact0", "fact1"]
    assert len({item.key for item in items}) == 3
    assert items[0].prompt_hash
