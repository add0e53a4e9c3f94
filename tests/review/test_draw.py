"""Which pairs raters see, and that sides tell nothing."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.example_result import moved

from harness.review.blind import readable, rows
from harness.review.draw import clean, draw

MOVES = st.lists(
    st.sampled_from(["both_right", "gained", "lost", "both_wrong", "unscored"]), max_size=60
)


@given(MOVES, st.integers(1, 40), st.integers(0, 5))
def test_a_draw_is_as_large_as_it_can_be(transitions: list, items: int, seed: int) -> None:
    """As many pairs as asked for, or all there are; half of them flips where there are enough."""
    found = draw(moved(transitions), items=items, seed=seed)
    available = sum(found.sizes.values())
    assert len(found.drawn) == min(items, available)
    flips = sum(entry.stratum == "flips" for entry in found.drawn)
    assert flips >= min(found.sizes["flips"], items // 2)
    assert available + found.identical + found.unscored == len(transitions)


@given(MOVES, st.integers(1, 40), st.integers(0, 5), st.integers(1, 4))
def test_sides_are_balanced_exactly(transitions: list, items: int, seed: int, rater: int) -> None:
    """Base stands on either side equally often, over all rows and among the flips."""
    found = draw(moved(transitions), items=items, seed=seed)
    sheet = rows(found.drawn, name="set", rater=rater, seed=seed)
    for part in (sheet, [row for row in sheet if row.drawn.pair.transition == "lost"]):
        sides = Counter(row.base_side for row in part)
        assert abs(sides["A"] - sides["B"]) <= (1 if part is sheet or rater == 1 else 2)


def test_a_second_rater_sees_half_of_the_sides_exchanged() -> None:
    """Every pair of raters disagrees on the side of half the rows."""
    found = draw(moved(["lost", "gained", "both_wrong", "both_right"] * 8), items=32, seed=1)
    sheets = []
    for rater in (1, 2, 3):
        sheet = rows(found.drawn, name="s", rater=rater, seed=1)
        sheets.append({row.drawn.pair.base.item.key: row.base_side for row in sheet})
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert sum(sheets[one][key] != sheets[other][key] for key in sheets[one]) == 16


def test_rows_show_each_answer_on_the_side_that_the_key_says() -> None:
    """The key's side is where the base's answer stands."""
    found = draw(moved(["lost", "gained"] * 5), items=10, seed=3)
    for row in rows(found.drawn, name="s", rater=2, seed=3):
        shown = {"A": row.answer_a, "B": row.answer_b}
        assert shown[row.base_side] == row.drawn.base
        assert {row.answer_a, row.answer_b} == {row.drawn.base, row.drawn.tuned}


def test_identical_answers_are_counted_and_not_sent() -> None:
    """A pair with equal answers is a tie without a rater."""
    found = draw(moved(["both_right"] * 10, same=4), items=10, seed=0)
    assert found.identical == 4
    assert len(found.drawn) == 6


def test_the_same_seed_draws_the_same() -> None:
    """Two draws are equal; another seed draws other pairs."""
    comparison = moved(["both_right"] * 60)
    assert draw(comparison, items=10, seed=0) == draw(comparison, items=10, seed=0)
    assert draw(comparison, items=10, seed=0) != draw(comparison, items=10, seed=1)


@settings(deadline=None, max_examples=10)
@given(st.integers(2, 5), st.integers(0, 9))
def test_candidates_share_no_question(parts: int, seed: int) -> None:
    """Dealt into shares, no item is drawn twice, so a recurring base answer cannot be noticed."""
    comparison = moved(["both_right", "lost"] * 30)
    drawn = [
        entry.pair.base.item.key
        for part in range(parts)
        for entry in draw(comparison, items=10, seed=seed, part=part, parts=parts).drawn
    ]
    assert len(drawn) == len(set(drawn))


def test_probabilities_are_those_of_the_draw() -> None:
    """Over many seeds each stratum's items are drawn as often as their probability says."""
    comparison = moved(["lost"] * 10 + ["both_wrong"] * 40)
    seen: Counter[str] = Counter()
    for seed in range(400):
        found = draw(comparison, items=8, seed=seed)
        seen.update(entry.pair.base.item.key.doc_hash for entry in found.drawn)
        assert {(e.stratum, e.probability) for e in found.drawn} == {
            ("flips", 0.4),
            ("others", 0.1),
        }
    for number in range(50):
        expected = 160 if number < 10 else 40
        assert abs(seen[f"{number:064d}"] - expected) < 0.35 * expected + 15


@pytest.mark.parametrize(
    "prompt",
    [
        "<|user|>Hi.<|end|><|assistant|>Hello.<|end|><|user|>Who?<|end|><|assistant|>",
        "<|im_start|>user\nHi.<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n"
        "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n",
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi.<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nHello.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nWho?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "User: Hi.\nAssistant: Hello.\nUser: Who?\nAssistant:",
    ],
)
def test_raters_see_turns_and_no_template(prompt: str) -> None:
    """Whatever the chat template, raters read who said what."""
    shown = [line for line in readable(prompt).splitlines() if line]
    assert shown == ["User: Hi.", "Assistant: Hello.", "User: Who?"]


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("SELECT 1;<|end|>", "SELECT 1;"),
        ("  yes </s> <|im_end|>\n", "yes"),
        ("a  \nb", "a\nb"),
        ("keep <|end|> inside", "keep <|end|> inside"),
        ("zero\x00width\u202e", "zero␀width⟨U+202E⟩"),
    ],
)
def test_answers_lose_what_would_tell_their_arm(text: str, cleaned: str) -> None:
    """Trailing template tokens and white space go; what is inside an answer stays."""
    assert clean(text) == cleaned
