"""Pairing two arms' answers, item by item."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.example_result import SUITES, example_result

from harness.analysis import answer_text, pair
from harness.errors import ComparisonError
from harness.records import Item, ItemKey, Response, Sample, Suite, Verdict

SUITE = Suite(name="facts", metric="exact_match")


def sample(number: int, outcome: str, *, arm: str = "base", prompt_hash: str = "p") -> Sample:
    """Build one answer to item ``number``."""
    item = Item(
        key=ItemKey("facts", "none", f"{number:064d}", 0),
        doc_id=number,
        doc={},
        prompt="What is it?",
        prompt_hash=prompt_hash,
        target="it",
        cluster=str(number),
    )
    score = None if outcome == "unscored" else float(outcome == "correct")
    verdict = Verdict(outcome=outcome, score=score)
    return Sample(item=item, arm=arm, responses=(Response(text="it"),), verdict=verdict)


OUTCOMES = st.sampled_from(["correct", "incorrect", "refused", "unscored"])


@pytest.mark.parametrize(
    ("base", "tuned", "transition"),
    [
        ("correct", "correct", "both_right"),
        ("correct", "incorrect", "lost"),
        ("correct", "refused", "lost"),
        ("incorrect", "correct", "gained"),
        ("refused", "incorrect", "both_wrong"),
        ("unscored", "correct", "unscored"),
        ("incorrect", "unscored", "unscored"),
    ],
)
def test_a_pair_says_how_the_item_moved(base: str, tuned: str, transition: str) -> None:
    """Right, wrong and unscored on both sides give the five transitions; refused is wrong."""
    (found,) = pair([sample(1, base)], [sample(1, tuned, arm="x")], SUITE)
    assert found.transition == transition


@given(st.lists(st.tuples(OUTCOMES, OUTCOMES), max_size=30), st.randoms())
def test_order_of_the_tuned_side_does_not_matter(outcomes: list, random: object) -> None:
    """Pairs follow the base's order, however the tuned samples are ordered."""
    base = [sample(number, outcome) for number, (outcome, _) in enumerate(outcomes)]
    tuned = [sample(number, outcome, arm="x") for number, (_, outcome) in enumerate(outcomes)]
    shuffled = tuned.copy()
    random.shuffle(shuffled)
    assert pair(base, tuned, SUITE) == pair(base, shuffled, SUITE)
    assert [found.base for found in pair(base, shuffled, SUITE)] == base


def test_a_missing_item_is_named() -> None:
    """An item that only one arm answered stops the comparison, with counts and an example."""
    with pytest.raises(ComparisonError, match=r"1 only in base \(such as 0{10}#0\), 1 in both"):
        pair([sample(0, "correct"), sample(1, "correct")], [sample(1, "correct")], SUITE)


def test_other_token_ids_are_refused() -> None:
    """Arms that saw different prompts may not be compared."""
    with pytest.raises(ComparisonError, match="same token ids: 1 of 1 items"):
        pair([sample(0, "correct")], [sample(0, "correct", prompt_hash="q")], SUITE)


def test_a_repeated_item_is_refused() -> None:
    """The same key twice on one side is a fault of the run, not two items."""
    with pytest.raises(ComparisonError, match="tuned has 0000000000#0 twice"):
        pair([sample(0, "correct")], [sample(0, "correct"), sample(0, "correct")], SUITE)


def test_items_of_another_suite_are_refused() -> None:
    """Samples of two suites are never mixed."""
    with pytest.raises(ComparisonError, match="must belong to suite 'other'"):
        pair([sample(0, "correct")], [], replace(SUITE, name="other"))


def test_the_answer_of_a_choice_is_its_option() -> None:
    """Where nothing was generated, people see the option that the arm preferred."""
    result = example_result(size=12)
    comparison = next(c for c in result.comparisons if c.suite is SUITES[3])
    choices = comparison.pairs[0].base.item.doc["choices"]["text"]
    assert answer_text(comparison.pairs[0].base) in choices
