"""Which pairs raters see, and that sides tell nothing."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.example_result import example_result, moved

from harness.review.blind import readable, rows
from harness.review.draw import clean, draw
from harness.review.precision import precision
from harness.stats.win_rate import Stratum, population_win_rate

MOVES = st.lists(
    st.sampled_from(["both_right", "gained", "lost", "both_wrong", "unscored"]), max_size=60
)


@given(MOVES, st.integers(1, 40), st.integers(0, 5))
def test_a_draw_is_as_large_as_it_can_be(transitions: list, items: int, seed: int) -> None:
    """As many pairs as asked for, or all there are; every stratum gives some, at its own rate."""
    found = draw(moved(transitions), items=items, seed=seed)
    available = sum(found.sizes.values())
    assert len(found.drawn) == min(items, available)
    assert available + found.identical + found.unscored == len(transitions)
    counts = Counter(entry.stratum for entry in found.drawn)
    assert counts.keys() == found.sizes.keys()
    for entry in found.drawn:
        assert entry.probability == counts[entry.stratum] / found.sizes[entry.stratum] <= 1


@pytest.mark.parametrize(
    ("moves", "items", "wanted"),
    [
        ({"lost": 50, "gained": 50, "both_wrong": 50, "both_right": 50}, 40, (10, 10, 10, 10)),
        ({"lost": 4, "gained": 100, "both_wrong": 100, "both_right": 100}, 40, (4, 16, 10, 10)),
        ({"lost": 3, "gained": 0, "both_wrong": 100, "both_right": 25}, 20, (3, 0, 11, 6)),
        ({"lost": 400, "gained": 100, "both_wrong": 0, "both_right": 0}, 30, (20, 10, 0, 0)),
    ],
)
def test_half_of_a_draw_has_changed(
    moves: dict[str, int], items: int, wanted: tuple[int, ...]
) -> None:
    """Half to lost and gained as far as there are, and within a half by the root of the sizes."""
    found = draw(moved([m for m, n in moves.items() for _ in range(n)]), items=items, seed=1)
    counts = Counter(entry.stratum for entry in found.drawn)
    names = ("lost", "gained", "both wrong", "both right")
    assert tuple(counts[name] for name in names) == pytest.approx(wanted, abs=1)
    assert sum(counts.values()) == items


def test_strata_can_be_split_by_a_field_or_a_cause() -> None:
    """Values with enough items are strata of their own; the rare ones of a move are one."""
    comparison = example_result(size=120).comparisons[1]  # the handbook, with topics
    by_topic = draw(comparison, items=60, seed=0, by="topic")
    topics = {pair.base.item.slices["topic"] for pair in comparison.pairs}
    assert {name.partition(": ")[2] for name in by_topic.sizes} & topics
    assert len(by_topic.sizes) <= 15
    plain = draw(comparison, items=60, seed=0)
    assert sum(by_topic.sizes.values()) == sum(plain.sizes.values())
    labels = draw(comparison, items=60, seed=0, by="label")
    assert any(":" in name for name in labels.sizes)
    many = draw(moved(["lost"] * 40 + ["both_wrong"] * 40), items=16, seed=0, by="no such field")
    assert many.sizes == {"lost: none": 40, "both wrong: none": 40}


@given(MOVES, st.integers(1, 40), st.integers(0, 5), st.integers(1, 4))
def test_sides_are_balanced_exactly(transitions: list, items: int, seed: int, rater: int) -> None:
    """Base stands on either side equally often, over all rows, among the lost and among repeats."""
    found = draw(moved(transitions), items=items, seed=seed)
    sheet = rows(found.drawn, name="set", rater=rater, seed=seed)
    once = [row for row in sheet if not row.repeats]
    assert len(once) == len(found.drawn)
    for part, most in (
        (once, 1),
        ([row for row in once if row.drawn.pair.transition == "lost"], 1 if rater == 1 else 2),
        ([row for row in sheet if row.repeats], 1),
    ):
        sides = Counter(row.base_side for row in part)
        assert abs(sides["A"] - sides["B"]) <= most


def test_a_few_rows_come_twice_with_their_sides_exchanged() -> None:
    """One of twenty, far from the first, in every rater's own choice; none in a short sheet."""
    found = draw(moved(["lost", "both_wrong"] * 40), items=60, seed=0)
    chosen = []
    for rater in (1, 2):
        sheet = rows(found.drawn, name="s", rater=rater, seed=0)
        places = {row.shown.id: place for place, row in enumerate(sheet)}
        again = [row for row in sheet if row.repeats]
        assert (len(sheet), len(places), len(again)) == (63, 63, 3)
        for row in again:
            first = sheet[places[row.repeats]]
            assert first.drawn is row.drawn
            assert {first.base_side, row.base_side} == {"A", "B"}
            assert (first.shown.answer_a, first.shown.answer_b) == (
                row.shown.answer_b,
                row.shown.answer_a,
            )
            assert abs(places[row.repeats] - places[row.shown.id]) > 15
        chosen.append({row.drawn.pair.base.item.key for row in again})
    assert chosen[0] != chosen[1]
    assert not any(row.repeats for row in rows(found.drawn[:9], name="s", rater=1, seed=0))


def test_a_second_rater_sees_half_of_the_sides_exchanged() -> None:
    """Every pair of raters disagrees on the side of half the rows."""
    found = draw(moved(["lost", "gained", "both_wrong", "both_right"] * 8), items=32, seed=1)
    sheets = []
    for rater in (1, 2, 3):
        sheet = rows(found.drawn, name="s", rater=rater, seed=1)
        once = [row for row in sheet if not row.repeats]
        sheets.append({row.drawn.pair.base.item.key: row.base_side for row in once})
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert sum(sheets[one][key] != sheets[other][key] for key in sheets[one]) == 16


def test_rows_show_each_answer_on_the_side_that_the_key_says() -> None:
    """The key's side is where the base's answer stands."""
    found = draw(moved(["lost", "gained"] * 5), items=10, seed=3)
    for row in rows(found.drawn, name="s", rater=2, seed=3):
        shown = {"A": row.shown.answer_a, "B": row.shown.answer_b}
        assert shown[row.base_side] == row.drawn.base
        assert set(shown.values()) == {row.drawn.base, row.drawn.tuned}


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
    draws = [draw(comparison, items=10, seed=seed, part=part, parts=parts) for part in range(parts)]
    taken = [entry.pair.base.item.key for found in draws for entry in found.drawn]
    assert len(taken) == len(set(taken))
    for found in draws:
        assert sum(found.sizes.values()) == 60
        assert {entry.stratum for entry in found.drawn} == set(found.sizes)


def test_probabilities_are_those_of_the_draw() -> None:
    """Over many seeds each stratum's items are drawn as often as their probability says."""
    comparison = moved(["lost"] * 10 + ["both_wrong"] * 40)
    seen: Counter[str] = Counter()
    for seed in range(400):
        found = draw(comparison, items=8, seed=seed)
        seen.update(entry.pair.base.item.key.doc_hash for entry in found.drawn)
        assert {(e.stratum, e.probability) for e in found.drawn} == {
            ("lost", 0.4),
            ("both wrong", 0.1),
        }
    rates = [seen[pair.base.item.key.doc_hash] / 400 for pair in comparison.pairs]
    assert rates[:10] == pytest.approx([0.4] * 10, abs=0.11)
    assert rates[10:] == pytest.approx([0.1] * 40, abs=0.07)


def test_the_precision_is_told_before_anybody_rates() -> None:
    """At worst it is that of toss-ups; more items help, and a stratum seen whole is known."""
    sizes = {"lost": 40, "both wrong": 160}
    few, many = (precision({"lost": n, "both wrong": n}, sizes, 100) for n in (10, 40))
    assert many.worst < few.worst
    assert few.hopeful < few.worst
    tossed = [Stratum(size, [1.0] * 5 + [0.0] * 5) for size in sizes.values()]
    _, low, high = population_win_rate(tossed, ties=100, level=0.9)
    assert few.worst == pytest.approx((high - low) / 2)
    assert precision(sizes, sizes, 100).worst == 0


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
