"""What a comparison shows beside its score: form, moves between causes, letters, confidence."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from harness.analysis import findings, pair
from harness.analysis.choice_patterns import letters, sureness
from harness.analysis.decisions import compare_pairs
from harness.analysis.form import form_shares
from harness.analysis.training_signs import training_signs
from harness.records import (
    Arm,
    Comparison,
    Gate,
    Item,
    ItemKey,
    LossPoint,
    Response,
    Sample,
    Suite,
    SuitePoint,
    Verdict,
)
from harness.stats.reliability import marginal_homogeneity, reliability

SUITE = Suite(name="s", metric="acc", kind="binary", margin=0.05)


def compared(
    count: int, answer: Callable[[str, int], tuple[str, Verdict, tuple[Response, ...]]]
) -> Comparison:
    """Compare two arms: ``answer`` gives target, verdict and responses by arm and number."""
    arms = []
    for arm in ("base", "tuned"):
        samples = []
        for number in range(count):
            target, verdict, responses = answer(arm, number)
            item = Item(
                key=ItemKey("s", "none", f"{number:064d}", 0),
                doc_id=number,
                doc={},
                prompt=f"Where is the boat number {number}?",
                prompt_hash="p",
                target=target,
                cluster=str(number),
            )
            samples.append(Sample(item=item, arm=arm, responses=responses, verdict=verdict))
        arms.append(samples)
    return compare_pairs("tuned", SUITE, pair(arms[0], arms[1], SUITE), Gate())


def verdict(label: str = "", **more: object) -> Verdict:
    """Return a right verdict, or a wrong one with a label."""
    outcome = "incorrect" if label else "correct"
    return replace(
        Verdict(outcome=outcome, score=float(not label), labels=(label,) if label else ()), **more
    )


def said(text: str) -> tuple[Response, ...]:
    """Return a generated answer."""
    return (Response(text=text, finish="stop"),)


def test_form_is_apart_from_right() -> None:
    """A wrong query is in the form asked for, no query is not; a choice by likelihood always is."""
    comparison = compared(
        40,
        lambda arm, n: (
            "x",
            verdict("no_sql" if arm == "base" else "filter_value" if n % 2 else ""),
            said("x"),
        ),
    )
    shares = form_shares(comparison)
    assert shares is not None
    assert (shares.base, shares.tuned, shares.total) == (0, 40, 40)
    assert shares.ci_low > 0.5
    chosen = compared(40, lambda *_: ("0", verdict(), (Response(logprob=-1.0),)))
    assert form_shares(chosen) is None


def test_causes_say_what_the_change_did_to_each() -> None:
    """Items move out of a cause, to right or to another cause, and into one from right."""
    kinds = [("no_sql", ""), ("no_sql", "values"), ("", "values"), ("values", "values")]
    comparison = compared(
        40, lambda arm, n: ("x", verdict(kinds[n % 4][arm == "tuned"]), said("x"))
    )
    causes = {f.title: f for f in findings(comparison) if f.kind == "cause"}
    moves = {name: (f.left, f.mended, f.entered, f.broken) for name, f in causes.items()}
    assert moves == {"no_sql": (20, 10, 0, 0), "values": (0, 0, 20, 10)}


def choosing(places: Callable[[str, int], int], sure: Callable[[str], float]) -> Comparison:
    """Compare two arms on questions of four choices whose right one is ``number % 4``."""

    def answer(arm: str, number: int) -> tuple[str, Verdict, tuple[Response, ...]]:
        chosen, share = places(arm, number), sure(arm)
        shares = [share if place == chosen else (1 - share) / 3 for place in range(4)]
        responses = tuple(Response(logprob=math.log(one)) for one in shares)
        label = "" if chosen == number % 4 else "wrong_choice"
        return str(number % 4), verdict(label, details={"chosen": chosen}), responses

    return compared(200, answer)


def test_a_lean_towards_a_letter_is_flagged_by_a_test() -> None:
    """A fifth of all questions moved to C is a lean; letters that move alike are none."""
    lean = choosing(lambda arm, n: 2 if arm == "tuned" and n % 5 == 0 else n % 4, lambda _: 0.9)
    found = letters(lean)
    assert found is not None
    assert found.favoured is not None
    assert (found.favoured.name, found.favoured.gold, found.favoured.tuned) == ("C", 50, 80)
    titles = [finding.title for finding in findings(lean)]
    assert "leans towards one letter" in titles
    mixed = choosing(lambda arm, n: (n + (arm == "tuned" and n % 5 == 0)) % 4, lambda _: 0.9)
    found = letters(mixed)
    assert found is not None
    assert found.favoured is None


def test_confidence_is_held_against_being_right() -> None:
    """An arm that is 97 % sure and half right has lost its calibration; the numbers are exact."""
    comparison = choosing(
        lambda arm, n: (n + (n // 4 % 4 == 0 if arm == "base" else n // 4 % 2)) % 4,
        lambda arm: 0.75 if arm == "base" else 0.97,
    )
    both = sureness(comparison)
    assert both is not None
    base, tuned = both
    assert base.right == 0.74
    assert tuned.reliability.ece == pytest.approx(0.47, abs=0.1)
    assert tuned.margin == pytest.approx(math.log(0.97 / 0.01))
    assert "confidence that means less" in [finding.title for finding in findings(comparison)]


def test_reliability_follows_its_sources() -> None:
    """Bins of equal mass with their counts; Brier is the mean squared distance."""
    found = reliability([0.2, 0.4, 0.6, 0.8], [False, False, True, True], bins=2)
    assert [one.items for one in found.bins] == [2, 2]
    assert found.ece == pytest.approx(0.3)
    assert found.brier == pytest.approx((0.04 + 0.16 + 0.16 + 0.04) / 4)
    # McNemar's chi-square is what Stuart's test is for two classes: (10 - 2)^2 / 12
    before, after = [0] * 12 + [1] * 20, [1] * 10 + [0] * 2 + [0] * 2 + [1] * 18
    assert marginal_homogeneity(before, after, 2) == pytest.approx(0.0209, abs=1e-4)


def loss(train: Sequence[float], held: Sequence[float]) -> tuple[LossPoint, ...]:
    """Return a training log of a hundred steps an entry."""
    both = enumerate(zip(train, held, strict=True))
    return tuple(LossPoint(step=100 * n, loss=a, eval_loss=b) for n, (a, b) in both)


def test_training_says_where_it_overfitted_or_forgot() -> None:
    """One sentence each; a healthy log and a loss that rises on both sides say nothing."""
    healthy = Arm(name="a", loss=loss([2.0, 1.0, 0.8], [2.1, 1.3, 1.2]))
    assert training_signs(healthy) == ()
    diverged = Arm(name="a", loss=loss([1.0, 2.0, 9.0], [1.0, 2.0, 9.0]))
    assert training_signs(diverged) == ()
    ill = Arm(
        name="a",
        loss=loss([2.0, 1.0, 0.2], [2.1, 1.3, 1.8]),
        watched=tuple(
            SuitePoint(step=step, suite="science", score=score)
            for step, score in ((0, 0.6), (100, 0.58), (200, 0.3))
        ),
    )
    overfitted, forgot = training_signs(ill)
    assert overfitted.startswith(
        "It overfitted: after step 100 the loss on held-out rows rose from 1.30 to 1.80"
    )
    assert forgot == (
        "It forgot: science fell from 60% to 30% on the slice watched while training, first at "
        "step 200"
    )


@pytest.mark.parametrize(
    ("title", "spoilt"),
    [
        ("wrong answers that decline", "I cannot answer that."),
        (
            "wrong answers in another language",
            "Das ist der Hafen von Norrby, und er ist nicht weit.",
        ),
        ("garbled or cut copies of the wanted answer", "Sandvlk harbr"),
    ],
)
def test_broken_answers_are_warned_of_by_their_kind(title: str, spoilt: str) -> None:
    """Refusals, another language and garbled copies have a warning each, healthy answers none."""

    def answer(arm: str, number: int) -> tuple[str, Verdict, tuple[Response, ...]]:
        is_spoilt = arm == "tuned" and number % 3 == 0
        label = "wrong_answer" if is_spoilt else ""
        return "Sandvik harbour", verdict(label), said(spoilt if is_spoilt else "Sandvik harbour")

    comparison = compared(60, answer)
    warned = [found.title for found in findings(comparison) if found.kind == "warning"]
    assert title in warned
    assert len(warned) == 1
    told = {"wrong answers that decline": "refusal"}.get(title, "summary")
    other = replace(comparison, suite=replace(comparison.suite, judge=told))
    kept = [found.title for found in findings(other) if found.kind == "warning"]
    assert kept == (warned if "language" in title else []), "the causes of such a suite say it"
