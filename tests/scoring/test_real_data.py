"""Reading answers about real questions that nobody here wrote."""

import json
from typing import Any

import pytest
from support.paths import SHARED

from harness.scoring import qa, read_choice

DATA = SHARED

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="needs real data beside the checkout (../shared/data)"
)

CHOICE_FORMS = (
    "{label}",
    "({label})",
    "**{label}**",
    "{label}) {text}",
    "{label}: {text}",
    "The answer is {label}.",
    "The correct answer is ({label}) {text}.",
    "Let's think step by step. It rains. Therefore, the answer is {label}: {text}",
    "\\boxed{{{label}}}",
    "It is {label}.",
    "I would choose {label}",
    "{label} because {text}",
    "{text}",
    "I think the answer is {text}",
    "Based on the question, {text} is the best choice.",
)


def rows(name: str) -> list[dict[str, Any]]:
    """Return the rows of a JSONL file."""
    return [json.loads(line) for line in (DATA / name).read_text("utf-8").splitlines()]


@pytest.mark.parametrize("form", CHOICE_FORMS)
def test_every_choice_of_arc_challenge_is_read(form: str) -> None:
    """In each usual form of an answer, all but one in a thousand real choices are read."""
    asked = wrong = 0
    for row in rows("arc_challenge/test.jsonl")[::4]:
        texts, labels = row["choices"]["text"], row["choices"]["label"]
        for index, (text, label) in enumerate(zip(texts, labels, strict=True)):
            asked += 1
            said = form.format(text=text, label=label)
            wrong += read_choice(texts, labels, said)[0] != index
    assert asked > 1000
    assert wrong <= asked / 1000


def test_the_long_answers_of_pubmedqa_do_not_pass_for_yes_or_no() -> None:
    """Yes, no and maybe are read where they lead, and not out of a long answer's sentences."""
    items = json.loads((DATA / "pubmedqa" / "ori_pqal.json").read_text("utf-8")).values()
    passed = []
    for item in items:
        question, gold, long = item["QUESTION"], item["final_decision"], item["LONG_ANSWER"]
        for said in (gold, f"{gold.capitalize()}. {long}", f"The answer is {gold}."):
            assert qa(question, [gold], said).score == 1.0, said
        passed.append(qa(question, [gold], long).score)
    assert sum(passed) / len(passed) < 0.02
