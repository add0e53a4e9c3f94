"""Long reference answers: a sentence of the same meaning is labelled, and right only on demand."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.rating import judge_all, rate
from harness.rating.similar_answers import LABEL_ONLY, Answered, Encode, add_similar, available
from harness.records import Response, Verdict
from harness.scoring import qa

GOLD = "The plant was closed because demand for paper fell in all the markets of the region."
NEAR = "They shut the mill since hardly anybody there bought paper any more."
FAR = "The weather was fine on that day, and the children played outside until late."


def encode() -> Encode:
    """Return an encoder of one dimension for paper, one for weather, one for everything else."""

    def vectors(texts: Sequence[str]) -> NDArray[np.float32]:
        topics = [("paper", "mill", "plant"), ("weather", "children"), ("",)]
        found = [[sum(word in text for word in topic) for topic in topics] for text in texts]
        array = np.array(found, dtype=np.float32) * np.array([3, 3, 0.5], dtype=np.float32)
        return np.asarray(array / np.linalg.norm(array, axis=1, keepdims=True))

    return vectors


def judged(gold: str, response: str, least: float = LABEL_ONLY) -> Verdict:
    """Return the verdict with the label, where it gets one."""
    verdict = qa("Why was it closed?", [gold], response)
    return add_similar([Answered([gold], response)], [verdict], encode, least=least)[0]


def test_a_sentence_of_the_same_meaning_is_labelled_and_stays_wrong() -> None:
    """The label names the sentence and its cosine; the verdict does not change."""
    found = judged(GOLD, f"{FAR} {NEAR}")
    assert found.outcome == "incorrect"
    assert found.labels[-1] == "similar"
    assert found.details["similar"]["sentence"] == NEAR


def test_it_counts_as_right_where_a_suite_says_so() -> None:
    """With a least cosine of the suite's, and only from there."""
    assert judged(GOLD, NEAR, 0.6).score == 1.0
    assert judged(GOLD, FAR, 0.6).score == 0.0


@pytest.mark.parametrize(
    ("gold", "response"),
    [
        ("Vienna", NEAR),
        (f"Yes. {GOLD}", f"No. {NEAR}"),
        (f"{GOLD} It cost 12 million.", f"{NEAR[:-1]} for 15 million."),
        (GOLD, "I don't know."),
        (GOLD, FAR),
    ],
)
def test_what_contradicts_or_declines_is_never_similar(gold: str, response: str) -> None:
    """A short reference, the opposite, other numbers, a refusal, another topic: no label."""
    assert "similar" not in judged(gold, response).labels


@pytest.mark.model
@pytest.mark.skipif(not available(), reason="needs the extra 'judges'")
def test_the_packages_own_model_finds_a_paraphrase() -> None:
    """Rating labels it and leaves it wrong; a suite's judge with a least cosine counts it."""
    response = "They shut it down since customers everywhere in the region bought less paper."
    row = {"id": 1, "question": "Why was it closed?", "answers": [GOLD], "response": response}
    found = next(iter(rate("qa", [row])))
    assert found["verdict"] == "incorrect"
    assert found["labels"] == ["wrong_answer", "similar"]
    asked = [(row, (Response(text=response),))]
    assert judge_all("qa", asked, similar=0.6)[0].score == 1.0
    assert judge_all("qa", asked)[0].score == 0.0
