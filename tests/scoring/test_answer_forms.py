"""The usual forms of an answer: own-written questions, and real ones where they are at hand."""

import json
from typing import Any

import pytest
from support.paths import SHARED

from harness.scoring import qa, read_choice

needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="needs real data beside the checkout (../shared/data)"
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

OWN_CHOICES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("ABCD", ("the ferry", "the night ferry", "the ferry to the island", "a rowing boat")),
    ("ABCD", ("12", "120", "1.2", "0.12")),
    ("1234", ("copper wire", "rubber gloves", "a wooden spoon", "an iron nail")),
    ("ABCDE", ("clay", "sand", "gravel", "silt", "peat")),
    ("ABC", ("It melts and then boils.", "It boils and then melts.", "It does neither.")),
    ("ABCD", ("tall and green", "tall", "green", "short and green")),
    ("ABCD", ("by heating water", "by cooling water", "by stirring water", "by salting water")),
    ("ABCD", ("a moth", "A hawk moth", "an owl", "the moth's wing")),
    ("ABCD", ("the sun's heat", "the moon's pull", "the wind's push", "the tide")),
    ("12345", ("a week", "a month", "a season", "a year", "a decade")),
    ("ABCD", ("north-east", "north", "east", "south-west")),
    ("ABCD", ("carbon dioxide", "oxygen and water", "water", "sugar and oxygen")),
)

OWN_POLAR = (
    ("Does sleep help the grafts to heal?", "yes",
     "Grafts of rested plants healed faster, whereas no difference was seen in shaded ones."),
    ("Is the lower dose as good?", "no",
     "The lower dose did worse in every group. Patients may yet benefit from it, we do not know."),
    ("Should the valve be replaced early?", "maybe",
     "Early replacement was of use in some, and there is no sign of harm; larger studies are due."),
    ("Can the test be read by nurses?", "yes",
     "Nurses read it as reliably as physicians. No training beyond an hour is needed."),
    ("Do taller trees store more water?", "no",
     "Height and stored water were unrelated; it is true that old trees store more."),
)  # fmt: skip


def rows(name: str) -> list[dict[str, Any]]:
    """Return the rows of a JSONL file."""
    return [json.loads(line) for line in (SHARED / name).read_text("utf-8").splitlines()]


def misread(form: str, labels: list[str], texts: list[str]) -> list[str]:
    """Return the answers of a form that are not read as the choice that they name."""
    said = [form.format(text=text, label=label) for text, label in zip(texts, labels, strict=True)]
    return [text for i, text in enumerate(said) if read_choice(texts, labels, text)[0] != i]


@pytest.mark.parametrize("form", CHOICE_FORMS)
def test_every_own_choice_is_read(form: str) -> None:
    """Numbers, sentences, choices inside other choices and labels of all kinds are read."""
    for labels, texts in OWN_CHOICES:
        assert not misread(form, list(labels), list(texts))


def test_own_long_answers_do_not_pass_for_yes_or_no() -> None:
    """Yes, no and maybe are read where they lead, and not out of a long answer's sentences."""
    for question, gold, long in OWN_POLAR:
        for said in (gold, f"{gold.capitalize()}. {long}", f"The answer is {gold}."):
            assert qa(question, [gold], said).score == 1.0, said
        assert qa(question, [gold], long).score == 0.0, long


@needs_shared
@pytest.mark.parametrize("form", CHOICE_FORMS)
def test_every_choice_of_arc_challenge_is_read(form: str) -> None:
    """In each usual form of an answer, all but one in a thousand real choices are read."""
    asked = wrong = 0
    for row in rows("arc_challenge/test.jsonl")[::4]:
        texts, labels = row["choices"]["text"], row["choices"]["label"]
        asked += len(texts)
        wrong += len(misread(form, labels, texts))
    assert asked > 1000
    assert wrong <= asked / 1000


@needs_shared
def test_the_long_answers_of_pubmedqa_do_not_pass_for_yes_or_no() -> None:
    """Yes, no and maybe are read where they lead, and not out of a long answer's sentences."""
    items = json.loads((SHARED / "pubmedqa" / "ori_pqal.json").read_text("utf-8")).values()
    passed = []
    for item in items:
        question, gold, long = item["QUESTION"], item["final_decision"], item["LONG_ANSWER"]
        for said in (gold, f"{gold.capitalize()}. {long}", f"The answer is {gold}."):
            assert qa(question, [gold], said).score == 1.0, said
        passed.append(qa(question, [gold], long).score)
    assert sum(passed) / len(passed) < 0.02
