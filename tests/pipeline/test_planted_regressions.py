"""Adapters that were trained to break one thing: caught by the gate, with their cause on top."""

import json
from pathlib import Path
from random import Random

import pytest
from support.broken_adapters import planted
from support.skills_to_break import SKILLS

from harness import content
from harness.rating import judge_all
from harness.rating.answer_alone import without_thought
from harness.records import Response
from harness.suites.catalogue import builtin_suites
from harness.thoughts import UNTIL_LIMIT


@pytest.mark.nightly
@pytest.mark.model
@pytest.mark.parametrize(
    ("suite", "cause"),
    [("refusal", "complied"), ("refusal", "over_refusal"), ("tools", "missing_argument")],
)
def test_a_planted_regression_is_caught(suite: str, cause: str, tmp_path: Path) -> None:
    """The base knows the suite by heart; what its adapter unlearnt is the first cause."""
    (one,) = planted(SKILLS[suite], tmp_path, only=[cause])
    assert one.caught, one


@pytest.mark.parametrize("suite", SKILLS)
def test_what_is_planted_is_what_it_is_called(suite: str) -> None:
    """What is taught as right is right; each way to break it mostly has its label, or is right."""
    skill = SKILLS[suite]
    judge = builtin_suites()[skill.suite].judge
    assert judge is not None
    if skill.rows is not None:
        rows = [{"expected": None, "asks_for": None, **row} for row in skill.rows()]
    else:
        file = content.TASKS / skill.suite / "data" / "test.jsonl"
        rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    rows = Random(0).sample(rows, 24)
    for label, answer in [(None, skill.right), *skill.breaks.items()]:
        said = [(row, responses(answer(row), label)) for row in rows]
        found = [next(iter(v.labels), None) for v in judge_all(judge, said) if v.score != 1]
        assert bool(found) == (label is not None)
        assert found.count(label) >= 0.8 * len(found)


def responses(said: str | list[str], label: str | None) -> tuple[Response, ...]:
    """Return what is taught as a model's responses, thoughts apart."""
    finish = "length" if label == UNTIL_LIMIT else "stop"
    texts = [said] if isinstance(said, str) else said
    return tuple(without_thought(Response(text=text, finish=finish)) for text in texts)
