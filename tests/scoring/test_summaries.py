"""Summaries: what a rule can find wrong in the source, and overlap with a reference."""

import random
import re

import pytest

from harness.scoring import summary
from harness.scoring.summaries.grounding import ungrounded
from harness.scoring.summaries.rouge import rouge

SOURCE = (
    "The United Nations opened an office in Germany on 3 May 2021. David Madden leads its 1,577 "
    "people, and 12.4 percent of them work at home. In 2019 the office had cost 2.5 million euros. "
    "Five people left, and the magnetic resonance imaging unit was closed."
)


@pytest.mark.parametrize(
    "said",
    [
        "Dave Madden leads the UN office.",
        "The German office opened on May 3, 2021.",
        "The office opened in May 2021.",
        "About 1.58 thousand people work there, 12% of them at home.",
        "It cost €2,500,000 in 2019.",
        "Two things happened: people left and the MRI unit closed.",
        "However, five people left.",
        "1. The office opened. 2. It has 1577 people. 3. Some left.",
        "UN Opens Office For Refugee Aid",
    ],
)
def test_what_the_source_says_in_another_form_is_there(said: str) -> None:
    """Nicknames, acronyms, dates, scales, rounding and small counts are no inventions."""
    assert not ungrounded(SOURCE, said)


@pytest.mark.parametrize(
    ("said", "kind", "found"),
    [
        ("It has 1,977 people.", "figures", "1,977 people"),
        ("Some 15% work at home.", "figures", "15%"),
        ("It cost 2.5 million dollars; 3.1 million euros in all.", "figures", "3.1 million euros"),
        ("Seven people left.", "figures", "7 people"),
        ("The office opened on 4 May 2021.", "dates", "2021-05-04"),
        ("The office opened in June 2021.", "dates", "2021-06"),
        ("The office is led by David Smith.", "names", "David Smith"),
        ("It was opened in Oslo by the UN.", "names", "Oslo"),
    ],
)
def test_what_the_source_does_not_have_is_named(said: str, kind: str, found: str) -> None:
    """A figure, a date or a name, with its words."""
    assert found in getattr(ungrounded(SOURCE, said), kind)


def test_a_source_has_all_that_it_says_itself() -> None:
    """No text is accused by itself."""
    assert not ungrounded(SOURCE, SOURCE)


def test_names_are_not_looked_for_in_german() -> None:
    """Every noun has a capital there; figures are looked for all the same."""
    text = "Der Laden in Graz verkaufte im Mai 120 Lampen und damit mehr als im April."
    assert ungrounded(text, "Das Geschäft in Graz verkaufte im Mai 150 Leuchten.").figures
    assert not ungrounded(text, "Das Geschäft verkaufte im Mai 120 Leuchten.")


def test_rouge_is_that_of_the_package() -> None:
    """On texts in ASCII all three F measures are equal to ``rouge_score``'s."""
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(
        ["rouge1", "rouge2", "rougeL"]
    )
    rng = random.Random(0)
    words = [
        "the",
        "a",
        "shop",
        "sold",
        "lamps",
        "in",
        "May,",
        "twice",
        "as",
        "many;",
        "it's",
        "3.5",
        "km!",
        "over-all",
        "END",
    ]
    for _ in range(50):
        one, two = (" ".join(rng.choices(words, k=rng.randint(1, 40))) for _ in range(2))
        theirs = {name: value.fmeasure for name, value in scorer.score(one, two).items()}
        assert rouge(one, two) == pytest.approx(theirs)


def test_rouge_counts_any_script() -> None:
    """Umlauts are letters, and Chinese characters words."""
    assert rouge("Röntgen sah Öl", "Röntgen sah Öl")["rouge2"] == 1.0
    assert rouge("北京是首都", "北京是首都")["rougeL"] == 1.0


def test_length_is_held_to_what_the_row_asks_for() -> None:
    """``max_words``, else three times the reference; a quarter of it at least."""
    said = "The United Nations opened an office in Germany, and people work there."
    assert summary(SOURCE, said).score == 1.0
    assert summary(SOURCE, said, max_words=8).labels == ("too_long",)
    assert summary(SOURCE, "An office opened.", reference=SOURCE).labels == ("too_short",)
    reference = "The UN opened."
    assert summary(SOURCE, f"{said} {said[:-1]} too.", reference=reference).labels[-1] == "too_long"


def test_a_copy_up_to_the_limit_is_a_copy() -> None:
    """Where a model writes its source down again, the limit only cuts it."""
    long = f"{SOURCE} {SOURCE.replace('office', 'shop')}"
    cut = summary(long, SOURCE[:230], finish="length")
    assert cut.labels == ("truncated", "copied")


def test_another_metric_can_decide() -> None:
    """ROUGE-L is the score then; right is what is sound and above what other texts reach."""
    said = "David Madden leads the office."
    near = summary(SOURCE, said, reference="David Madden leads it.", decides="rougeL")
    assert near.score == near.metrics["rougeL"]
    assert near.outcome == "correct"
    far = summary(SOURCE, said, reference="Five people left Germany in 2019.", decides="rougeL")
    assert far.labels == ("off_reference",)


def test_a_long_answer_is_judged_in_time() -> None:
    """The work grows with the text, not with its square: a loop is read to its end."""
    verdict = summary(SOURCE * 20, "office " * 20_000)
    assert "repetition" in verdict.labels
    assert re.search("repetition", verdict.explanation)
