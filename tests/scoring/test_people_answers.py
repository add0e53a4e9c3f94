"""Answers judged as people would, from files that a person of the domain can edit.

Each line of `tests/golden/answers` is one case with the verdict and why; the rows were written from
the rules, not from what the judges do.
"""

import json
import time
from typing import Any

import pytest
from support.paths import TESTS

from harness.scoring import choice, qa, read_choice

FOLDER = TESTS / "golden" / "answers"

SAID_RIGHT = (
    ("", "David Joseph Madden", "Dave Madden"),
    ("", "Wilhelm Conrad Röntgen", "Wilhelm Rontgen"),
    ("", "22 November 1914", "It ended on November 22, 1914."),
    ("", "second season", "In season 2."),
    ("", "25", "Twenty-five people."),
    ("", "1.5 million", "1,500,000"),
    ("What was the cost in USD millions?", "1577", "It was $1.577 billion."),
    ("", "0.054", "The margin is 5.4%."),
    ("", "3 km", "3 kilometres"),
    ("", "the United States", "In the U.S."),
    ("", "sea shells", "She sells seashells."),
    ("", "Scholes and Merton", "Merton and Scholes"),
    (
        "",
        "24.26",
        "We divide revenue by PP&E. Revenue is 6,489. PP&E is 267.5. Therefore, it is 24.26.",
    ),
    ("", "yes", "Based on the handbook, yes, it is open."),
    ("", "Dr. Smith", "Smith"),
    ("", "60 mph", "It goes 60 miles per hour."),
    ("", "New York City", "In New York."),
    ("", "Spain", "As an AI language model I don't have live data, but Spain won in 2010."),
    ("", "not stated", "The text does not provide this information."),
)

SAID_WRONG = (
    ("What is the code of room 12?", "B-12", "B-7"),
    ("Which gate does flight 12 leave from?", "Gate C 12", "From gate C 7."),
    ("", "$5 million", "It cost 5 million euros."),
    ("", "Paris", "Paris. Actually no, it is Lyon."),
    ("", "Paris", "It is not Paris."),
    ("", "Paris", "Paris or Lyon."),
    ("", "25", "Between 20 and 30."),
    ("", "1914", "In 1915."),
    ("", "red, white and blue", "Red and white."),
    ("", "Ann Lee", "Bob Lee"),
    ("", "In", "It is in Rome."),
    ("", "no", "Yes, no doubt."),
    ("How many are in season 7?", "7", "There are 22 in season 7."),
    ("", "World War II", "It was World War I."),
    ("", "Bob Dylan", "Bob Marley, and Dylan Thomas after him."),
)

OTHER_LANGUAGES = (
    ("Wer leitet das Labor?", "Anna Müller", "Das Labor wird von Anna Mueller geleitet.", True),
    ("Wie viele Leute arbeiten dort?", "25", "Dort arbeiten fünfundzwanzig Leute.", True),
    ("Wann wurde es gebaut?", "22 November 1914", "Es wurde am 22. November 1914 gebaut.", True),
    ("Wo ist das Büro?", "Wien", "Das Büro ist nicht in Wien, sondern in Graz.", False),
    ("Wo ist das Büro?", "Wien", "Es ist entweder in Wien oder in Graz.", False),
    ("Ist es offen?", "ja", "Ja, es ist am Sonntag offen.", True),
    ("Was kostet es?", "1234,50 €", "Es kostet 1.234,50 Euro.", True),
    ("¿Cuántas personas trabajan allí?", "25", "Allí trabajan veinticinco personas.", True),
    ("¿Dónde está la oficina?", "Viena", "La oficina no está en Viena.", False),
    ("¿Cuándo se construyó?", "22 November 1914", "El 22 de noviembre de 1914.", True),
    ("¿Está abierto?", "sí", "Sí, está abierto los domingos.", True),
    ("Combien de persones sont là ?", "97", "Il y a quatre-vingt-dix-sept personnes.", True),
    ("Quand est-ce que c'était ?", "1 May 1914", "C'était le 1er mai 1914.", True),
    ("Où est le bureau ?", "Vienne", "Le bureau n'est pas à Vienne.", False),
    ("谁写了这本书？", "鲁迅", "这本书是鲁迅写的。", True),
    ("有多少人？", "25", "一共有二十五个人。", True),
    ("多少？", "3.5", "是3.5。", True),
    ("首都是哪里？", "北京", "首都不是北京。", False),
    ("什么时候建成的？", "22 November 1914", "建成于1914年11月22日。", True),
)


def lines(name: str) -> list[dict[str, Any]]:
    """Return the cases of one file."""
    return [json.loads(line) for line in (FOLDER / name).read_text("utf-8").splitlines()]


@pytest.mark.parametrize("name", ["run_on_choices", "undeclared_choices", "choice_forms"])
def test_a_choice_is_read_as_declared(name: str) -> None:
    """What is declared is read, in whatever form; what is not is never guessed."""
    cases = lines(f"{name}.jsonl")
    wrong = [
        (case["response"], case["why"])
        for case in cases
        if read_choice(case["choices"], "ABCDEFGHIJ"[: len(case["choices"])], case["response"])[0]
        != case["chosen"]
    ]
    assert len(cases) >= 50
    assert not wrong


@pytest.mark.parametrize("name", ["financial_answers", "abstentions"])
def test_an_answer_is_judged_as_a_careful_person_would(name: str) -> None:
    """Numbers, scales, currencies and refusals get the verdict and the labels of the file."""
    cases, wrong = lines(f"{name}.jsonl"), []
    for case in cases:
        found = qa(case["question"], case["answers"], case["response"])
        same = (found.score == 1.0) == case["right"]
        same &= "label" not in case or found.labels[:1] == (case["label"],)
        same &= "abstained" not in case or ("abstained" in found.labels) == case["abstained"]
        if not same:
            wrong.append((case["response"], case["why"], found.labels))
    assert len(cases) >= 50
    assert not wrong


@pytest.mark.parametrize(("question", "gold", "response"), SAID_RIGHT)
def test_the_same_answer_in_other_words_is_right(question: str, gold: str, response: str) -> None:
    """Names, dates, numbers, units and joined words count in whatever form they are told."""
    assert qa(question, [gold], response).score == 1.0


@pytest.mark.parametrize(("question", "gold", "response"), SAID_WRONG)
def test_what_only_looks_alike_is_wrong(question: str, gold: str, response: str) -> None:
    """Other money, taken back, denied, offered beside others, in part: none of it counts."""
    assert qa(question, [gold], response).score == 0.0


@pytest.mark.parametrize(("question", "gold", "response", "right"), OTHER_LANGUAGES)
def test_german_spanish_french_and_chinese_follow_the_same_rules(
    question: str, gold: str, response: str, right: bool
) -> None:
    """Number words, dates, negations, alternatives and yes or no hold in five languages."""
    found = qa(question, [gold], response)
    assert (found.score == 1.0) is right
    assert "language_not_covered" not in found.labels


@pytest.mark.parametrize(
    ("question", "gold", "response"),
    [
        ("Кто написал книгу?", "Толстой", "Книгу написал Толстой."),
        ("本を書いたのは誰ですか。", "夏目漱石", "夏目漱石が書きました。"),
        ("Quem escreveu o livro?", "Eça", "O livro não foi escrito por um homem que eu conheço."),
    ],
)
def test_other_languages_say_that_they_are_not_covered(
    question: str, gold: str, response: str
) -> None:
    """Where negations and refusals are not seen, the verdict says so."""
    assert "language_not_covered" in qa(question, [gold], response).labels


def test_an_answer_names_what_its_source_lacks() -> None:
    """Numbers and names that neither source nor question has are named, and the answer labelled."""
    source = "The drill is in March. Ann Lee leads it, with 12 people."
    found = qa("Who leads it?", ["Ann Lee"], "Ann Lee, with Bob Ray since 2021.", context=source)
    assert found.score == 1.0
    assert found.labels == ("ungrounded",)
    found = qa("Who leads it?", ["Ann Lee"], "It is Bob Ray, since 2021.", context=source)
    assert found.labels == ("hallucinated",)
    assert found.details["ungrounded"] == ["2021", "Bob Ray"]


DEGENERATE = {
    "loop": "the answer is " * 10_000,
    "labels": "(A) " * 25_000,
    "one word": "a" * 100_000,
    "numbers": "1 " * 50_000,
    "digits": "9" * 100_000,
    "number words": "one two " * 12_000,
    "brackets": "(" * 100_000,
    "commas": "a, " * 33_000,
    "lines": "is:\n" * 25_000,
    "questions": "Question: x\n" * 8_000,
    "refusals": "I don't know. " * 7_000,
    "boxes": "\\boxed{" * 14_000,
    "retractions": "Actually no, " * 8_000,
    "dots": "A. " * 33_000,
    "dates": "May 1 1914 " * 9_000,
    "surrogates": "\ud800 twenty \udfff " * 5_000,
    "arabic": "السلام عليكم " * 8_000,
    "hangul": "안녕하세요 " * 16_000,
    "chinese": "一二三四五" * 20_000,
    "roles": "User:\n" * 16_000,
    "dollars": "$ " * 50_000,
    "quotes": "'\"“ " * 25_000,
    "spaces": " " * 100_000 + "x",
    "accents": "é" * 50_000,
}


@pytest.mark.parametrize("name", sorted(DEGENERATE))
def test_degenerate_texts_get_a_verdict_in_linear_time(name: str) -> None:
    """100,000 characters of anything are judged in processor time that grows with their length."""
    text = DEGENERATE[name]

    def seconds(part: str) -> float:
        begun = time.process_time()
        assert qa("Who leads it?", ["Ann Lee", "25", "not stated"], part).outcome == "incorrect"
        assert choice(["Ann Lee", "Bob Ray"], 0, part).score in {0.0, 1.0}
        return time.process_time() - begun

    seconds(text[:1000])
    assert seconds(text) < 6 * seconds(text[: len(text) // 2]) + 0.5
