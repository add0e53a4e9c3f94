"""What a judge model is shown, and what its replies come to."""

import pytest
from pydantic import ValidationError

from harness.records import ItemKey
from harness.review.judging import BASE_FIRST, TUNED_FIRST, PairToJudge, preference, read_order
from harness.study import JudgeSection

PAIR = PairToJudge(
    set_name="sql-set-1",
    item=ItemKey("sql", "none", "0", 0),
    stratum="lost",
    answers="",
    question="Fill {a} and {b} in, \\1",
    reference="",
    base="{question} {0}",
    tuned="",
)


def test_texts_with_braces_stay_as_they_are() -> None:
    """What an item or an answer says is never taken for a place to fill."""
    asked = PAIR.prompt(BASE_FIRST, "{question}|{reference}|{a}|{b}|{c}")
    assert asked == "Fill {a} and {b} in, \\1|(none)|{question} {0}|(empty)|{c}"
    assert PAIR.prompt(TUNED_FIRST, "{a}|{b}") == "(empty)|{question} {0}"


@pytest.mark.parametrize(
    ("replies", "said"),
    [
        (["A", "A", "B"], 1),
        (["A", "B"], 0),
        (["C", "C", "A"], 0),
        (["The better answer is B.", "?"], -1),
        (["", "neither here nor there"], None),
        ([], None),
    ],
)
def test_an_order_is_what_more_than_half_of_its_replies_say(
    replies: list[str], said: int | None
) -> None:
    """With tuned on A; on B, the same replies say the opposite."""
    assert read_order(replies, TUNED_FIRST) == said
    assert read_order(replies, BASE_FIRST) == (said if said is None else -said)


def test_a_pair_is_what_both_orders_agree_on() -> None:
    """A judge that follows the side, or changes its mind, ties; one that says nothing is unread."""
    assert [preference(1, 1), preference(-1, -1), preference(0, 0)] == [1, -1, 0]
    assert [preference(1, -1), preference(1, 0), preference(0, -1)] == [0, 0, 0]
    assert [preference(None, 1), preference(1, None)] == [None, None]


@pytest.mark.parametrize(
    "change", [{"prompt": "Which of {a} and {b}?"}, {"samples": 0}, {"top": 1}]
)
def test_a_judge_that_cannot_be_asked_is_refused(change: dict[str, object]) -> None:
    """Its prompt shows question and answers; unknown settings are no settings."""
    with pytest.raises(ValidationError):
        JudgeSection.model_validate({"model": "builtin:tiny", **change})
