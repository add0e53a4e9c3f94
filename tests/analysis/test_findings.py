"""What error analysis notices, and what it must not claim."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from support.example_result import example_result

from harness.analysis import findings, pair
from harness.analysis.decisions import compare_pairs
from harness.analysis.labels import PLAIN
from harness.records import (
    Comparison,
    Finding,
    Gate,
    Item,
    ItemKey,
    Response,
    Sample,
    Suite,
    Verdict,
)

SUITE = Suite(name="facts", metric="exact_match", kind="binary", slices=("colour",), margin=0.05)


def build(
    count: int,
    base: Callable[[int], bool],
    tuned: Callable[[int], bool],
    *,
    colour: Callable[[int], str] = lambda _: "red",
    text: Callable[[str, int], str] = lambda arm, number: f"{arm} says {number}",
    finish: Callable[[str], str] = lambda _: "stop",
) -> Comparison:
    """Compare two arms whose answers are given by functions of the item's number."""

    def sample(arm: str, number: int, *, is_right: bool) -> Sample:
        item = Item(
            key=ItemKey("facts", "none", f"{number:064d}", 0),
            doc_id=number,
            doc={},
            prompt=f"Question {number}?",
            prompt_hash="p",
            target=str(number),
            cluster=str(number),
            slices={"colour": colour(number)},
        )
        verdict = Verdict(
            outcome="correct" if is_right else "incorrect",
            score=float(is_right),
            labels=() if is_right else ("wrong_answer",),
        )
        response = Response(text=text(arm, number), finish=finish(arm))
        return Sample(item=item, arm=arm, responses=(response,), verdict=verdict)

    pairs = pair(
        [sample("base", number, is_right=base(number)) for number in range(count)],
        [sample("tuned", number, is_right=tuned(number)) for number in range(count)],
        SUITE,
    )
    return compare_pairs("tuned", SUITE, pairs, Gate())


def always(_: int) -> bool:
    """Answer right."""
    return True


def of_kind(comparison: Comparison, kind: str) -> list[Finding]:
    """Return the findings of one kind."""
    return [finding for finding in findings(comparison) if finding.kind == kind]


def test_causes_count_each_wrong_answer_once() -> None:
    """Primary labels of either side add up to that side's wrong answers."""
    for comparison in example_result().comparisons:
        causes = of_kind(comparison, "cause")
        for side, count in (("base", "base_count"), ("tuned", "tuned_count")):
            wrong = sum(getattr(p, side).verdict.outcome == "incorrect" for p in comparison.pairs)
            assert sum(getattr(cause, count) for cause in causes) == wrong


def test_a_new_cause_names_its_items() -> None:
    """The keys of a cause are the items that show it now and did not before."""
    comparison = build(40, always, lambda number: number % 4 > 0)
    (cause,) = of_kind(comparison, "cause")
    assert (cause.title, cause.base_count, cause.tuned_count) == ("wrong_answer", 0, 10)
    assert [int(key.doc_hash) for key in cause.keys] == list(range(0, 40, 4))
    assert cause.ci_low > 0


def test_a_slice_that_lost_is_found_though_the_suite_did_not() -> None:
    """A group that breaks while the rest gains is the first slice, and is called worse."""
    comparison = build(
        300,
        lambda number: number % 3 == 0,
        lambda number: number % 3 == 1,
        colour=lambda number: ("blue", "green", "red")[number % 3],
    )
    slices = of_kind(comparison, "slice")
    assert [found.title for found in slices] == ["colour = blue", "colour = red", "colour = green"]
    assert slices[0].delta == -1.0
    assert "clearly worse than the suite as a whole" in slices[0].text
    assert "no clear difference" in slices[1].text


def test_slices_of_noise_are_rarely_called_different() -> None:
    """With twenty groups and no true difference, at most a few runs of forty raise an alarm."""
    alarms = 0
    for seed in range(40):
        draw = random.Random(seed)
        right = [[draw.random() < 0.6 for _ in range(400)] for _ in range(2)]
        comparison = build(
            400, right[0].__getitem__, right[1].__getitem__, colour=lambda number: str(number % 20)
        )
        alarms += any("clearly" in found.text for found in of_kind(comparison, "slice"))
    assert alarms <= 6


def test_small_groups_have_counts_and_no_interval() -> None:
    """A group of fewer than ten items is listed, after the others, and claims nothing."""
    comparison = build(
        60,
        always,
        lambda number: number > 8,
        colour=lambda number: "rare" if number < 9 else f"kind {number % 2}",
    )
    *others, rare = of_kind(comparison, "slice")
    assert "colour = rare" not in [found.title for found in others]
    assert (rare.title, rare.base_count, rare.tuned_count, rare.total) == ("colour = rare", 9, 0, 9)
    assert rare.delta is rare.ci_low is rare.ci_high is None


def only_tuned(spoilt: str) -> Callable[[str, int], str]:
    """Let the tuned arm say ``spoilt`` to everything, with the number where ``{}`` stands."""
    return lambda arm, number: spoilt.format(number) if arm == "tuned" else str(number)


@pytest.mark.parametrize(
    ("title", "change"),
    [
        (
            "answers cut at the length limit",
            {"finish": lambda arm: "length" if arm == "tuned" else "stop"},
        ),
        ("answers that repeat themselves", {"text": only_tuned("so it is {0} " * 20)}),
        ("empty answers", {"text": only_tuned("")}),
        ("both arms answer the same", {"text": lambda _, number: str(number)}),
        ("one answer to everything", {"text": only_tuned("blue")}),
    ],
)
def test_symptoms_are_warned_of(title: str, change: dict) -> None:
    """Each sign that a model broke, or that a score measures something else, gives a warning."""
    healthy = build(30, always, lambda number: number > 3)
    assert title not in [found.title for found in of_kind(healthy, "warning")]
    ill = build(30, always, lambda number: number > 3, **change)
    assert title in [found.title for found in of_kind(ill, "warning")]


def test_choosing_by_position_is_warned_of() -> None:
    """A model that always takes the third option has learnt nothing about the questions."""
    comparison = build(40, lambda number: number % 2 == 0, lambda number: number % 4 == 0)

    def choosing(tuned: Callable[[int], int]) -> Comparison:
        pairs = []
        for number, pair_ in enumerate(comparison.pairs):
            base, new = (
                replace(side, verdict=replace(side.verdict, details={"chosen": place}))
                for side, place in ((pair_.base, number % 4), (pair_.tuned, tuned(number)))
            )
            pairs.append(replace(pair_, base=base, tuned=new))
        return replace(comparison, pairs=tuple(pairs))

    title = "one position whatever it says"
    assert title not in [f.title for f in of_kind(choosing(lambda n: (n + 1) % 4), "warning")]
    (warning,) = (f for f in of_kind(choosing(lambda _: 2), "warning") if f.title == title)
    assert (
        warning.text == "the tuned model chooses option 3 for 40 of 40 questions, the base for 10"
    )


def test_unscored_items_are_told_with_their_reasons() -> None:
    """What counts for neither arm is a warning that says why."""
    comparison = build(30, always, always)
    first = comparison.pairs[0]
    verdict = Verdict(outcome="unscored", score=None, explanation="gold does not run")
    broken = replace(first, base=replace(first.base, verdict=verdict), transition="unscored")
    comparison = replace(comparison, pairs=(broken, *comparison.pairs[1:]), unscored=1)
    texts = [found.text for found in of_kind(comparison, "warning")]
    assert "1 of 30 items count for neither arm: gold does not run (1)" in texts


def test_a_comparison_without_pairs_has_no_findings() -> None:
    """Comparing plain score files leaves nothing to analyse, and that is no error."""
    comparison = build(30, always, always)
    assert findings(replace(comparison, pairs=())) == ()


def test_plain_words_are_plain() -> None:
    """No label is explained by itself."""
    assert all("_" not in words and words != label for label, words in PLAIN.items())
