"""The golden lines of every suite: answers with the verdict that a careful person gives."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness import content
from harness.rating import JUDGES, judge_all
from harness.records import Response, Verdict
from harness.suites.catalogue import builtin_suites

GOLDEN = sorted(content.TASKS.glob("*/golden.jsonl"))


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the golden lines of a suite."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def by_loglikelihood(metric: str, row: dict[str, Any]) -> Verdict:
    """Score a multiple-choice line as lm-eval does: the first of the highest values is chosen."""
    texts = row["doc"]["choices"]["text"]
    values = [
        logprob / (len(text) if metric == "acc_norm" else 1)
        for logprob, text in zip(row["response"], texts, strict=True)
    ]
    chosen = row["doc"]["choices"]["label"][values.index(max(values))]
    right = chosen == row["doc"]["answerKey"]
    return Verdict(outcome="correct" if right else "incorrect", score=float(right))


def responses(row: dict[str, Any]) -> tuple[Response, ...]:
    """Return the response of a golden line, or those to all turns of a dialogue."""
    texts = row["responses"] if "responses" in row else [row["response"]]
    return tuple(Response(text=text, finish=row.get("finish")) for text in texts)


def verdicts(path: Path) -> list[Verdict]:
    """Judge every golden line of a suite."""
    suite, rows = builtin_suites().get(path.parent.name), lines(path)
    if suite is None or suite.judge is None:
        metric = suite.metric if suite else "acc_norm"
        return [by_loglikelihood(metric, row) for row in rows]
    return judge_all(
        suite.judge,
        [(row["doc"], responses(row)) for row in rows],
    )


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.parent.name)
def test_the_judge_agrees_with_every_golden_line(path: Path) -> None:
    """Verdict, score and, where a line gives them, labels are those of a careful person."""
    wrong = []
    for number, (row, found) in enumerate(zip(lines(path), verdicts(path), strict=True), start=1):
        expected = (row["verdict"], row["score"], row.get("labels", list(found.labels)))
        if (found.outcome, found.score, list(found.labels)) != expected:
            wrong.append(f"line {number}: {row['why']}: expected {expected}, got {found}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.parent.name)
def test_golden_lines_show_right_and_wrong(path: Path) -> None:
    """A contract that only holds one kind of verdict holds nothing."""
    assert {"correct", "incorrect"} <= {row["verdict"] for row in lines(path)}
    assert all(row["why"] for row in lines(path))


def test_every_suite_has_its_files() -> None:
    """A suite comes with a card and golden lines, and names a judge that exists."""
    listed = (content.TASKS / "README.md").read_text("utf-8")
    for name, suite in builtin_suites().items():
        folder = content.TASKS / name
        assert (folder / "card.md").is_file()
        assert (folder / "golden.jsonl").is_file()
        assert suite.judge is None or suite.judge in JUDGES
        assert suite.title
        row = f"[`{name}`]({name}/card.md)"
        assert row in listed, f"tasks/README.md lists no {name}"


def test_a_judged_suite_reports_its_primary_metric() -> None:
    """The declared metric is a column of the verdict, and equals the score."""
    for path in GOLDEN:
        suite = builtin_suites().get(path.parent.name)
        if suite is not None and suite.judge is not None:
            scored = [verdict for verdict in verdicts(path) if verdict.score is not None]
            assert all(verdict.metrics[suite.metric] == verdict.score for verdict in scored)
