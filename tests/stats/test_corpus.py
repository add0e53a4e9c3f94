"""Corpus metrics and training seeds: what is no mean over items of one checkpoint."""

import numpy as np
import pytest
import sacrebleu
from scipy import stats as scipy_stats

from harness.errors import ComparisonError, StudyError
from harness.stats import (
    bleu,
    decide,
    decide_corpus,
    decide_recipe,
    label_statistics,
    macro_f1,
    macro_f1_of,
    mean_log_likelihood,
)
from harness.stats.recipe import two_way_error
from harness.stats.scores import Paired

REFERENCES = [
    "the lantern over the old bridge is lit every evening before the boats return",
    "a registry of all wells in the valley was kept by the baker's eldest daughter",
    "nobody in the village remembered who had planted the three walnut trees",
]


def documents(n: int, shift: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Log-likelihood sums and token counts of two arms whose means per token differ by shift."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(20, 200, n)
    base = np.stack([-tokens * (2.0 + 0.3 * rng.random(n)), tokens], axis=1)
    tuned = base.copy()
    tuned[:, 0] += tokens * (shift + 0.03 * rng.normal(size=n))
    return base, tuned


def bleu_statistics(answer: str, reference: str) -> list[float]:
    """What sacrebleu counts for one answer."""
    score = sacrebleu.corpus_bleu([answer], [[reference]], smooth_method="none")
    return [*score.counts, *score.totals, score.sys_len, score.ref_len]


def test_bleu_agrees_with_sacrebleu() -> None:
    """From the sums of its sufficient statistics, on the scale of 0 to 100."""
    answers = [line.replace("the", "a").replace("lit", "glowing") for line in REFERENCES]
    rows = np.array([bleu_statistics(*pair) for pair in zip(answers, REFERENCES, strict=True)])
    expected = sacrebleu.corpus_bleu(answers, [REFERENCES], smooth_method="none").score
    assert float(bleu(rows.sum(axis=0))) == pytest.approx(expected)
    assert float(bleu(np.zeros(10))) == 0.0


def test_perplexity_is_decided_by_documents() -> None:
    """A shift of 0.05 nats per token regresses beyond 0.03; none is unchanged."""
    worse = decide_corpus(*documents(200, -0.05, 1), mean_log_likelihood, margin=0.03)
    same = decide_corpus(*documents(200, 0.0, 1), mean_log_likelihood, margin=0.03)
    assert (worse.label, same.label) == ("regressed", "unchanged")
    assert worse.delta == pytest.approx(-0.05, abs=0.01)
    assert worse.n == 200


def test_interval_of_a_ratio_agrees_with_the_delta_method() -> None:
    """With equal document lengths the ratio is a mean, and the jackknife is Student's t."""
    base, tuned = documents(80, -0.002, 4)
    base[:, 0] *= 100 / base[:, 1]
    tuned[:, 0] *= 100 / tuned[:, 1]
    base[:, 1] = tuned[:, 1] = 100
    found = decide_corpus(base, tuned, mean_log_likelihood, margin=0.03)
    x = (tuned[:, 0] - base[:, 0]) / 100
    expected = scipy_stats.ttest_1samp(x, 0).confidence_interval(0.9)
    assert found.delta == pytest.approx(x.mean())
    assert found.ci_low <= expected.low + 1e-12
    assert found.ci_high >= expected.high - 1e-12
    assert found.ci_high - found.ci_low < 1.1 * (expected.high - expected.low)


def test_bleu_drop_is_found_and_swapped_arms_mirror_it() -> None:
    """Answers with a word lost are worse by several points of BLEU."""
    rng = np.random.default_rng(3)
    lines = [
        " ".join(rng.permutation((REFERENCES[index % 3] + " " + REFERENCES[0]).split()))
        for index in range(60)
    ]
    base = [bleu_statistics(line, line) for line in lines]
    tuned = [bleu_statistics(" ".join(line.split()[:-4]) + " x y", line) for line in lines]
    drop = decide_corpus(base, tuned, bleu, margin=2.0)
    gain = decide_corpus(tuned, base, bleu, margin=2.0)
    assert (drop.label, gain.label) == ("regressed", "improved")
    assert drop.delta == pytest.approx(-gain.delta)
    assert -40 < drop.delta < -5


def test_clusters_are_resampled_whole() -> None:
    """Copies of a document in one cluster add no evidence."""
    base, tuned = documents(40, -0.01, 7)
    once = decide_corpus(base, tuned, mean_log_likelihood, margin=0.03)
    copied = decide_corpus(
        np.repeat(base, 5, axis=0),
        np.repeat(tuned, 5, axis=0),
        mean_log_likelihood,
        margin=0.03,
        clusters=np.repeat(np.arange(40), 5).tolist(),
    )
    assert (copied.ci_low, copied.ci_high) == pytest.approx((once.ci_low, once.ci_high))
    assert copied.clusters == 40
    assert copied.n == 200


def test_identical_corpora_pass_from_59_units_on() -> None:
    """The same floor as for scores: one unit in twenty might differ unseen."""
    for n, verdict in ((59, "pass"), (58, "inconclusive")):
        base, _ = documents(n, 0.0, 1)
        assert decide_corpus(base, base, mean_log_likelihood, margin=0.03).verdict == verdict


def test_false_alarms_of_a_corpus_metric() -> None:
    """With no true difference at most 7.5 % of 400 seeded corpora regress (5 % nominal)."""
    alarms = 0
    for seed in range(400):
        base, tuned = documents(40, 0.0, 1000 + seed)
        decision = decide_corpus(base, tuned, mean_log_likelihood, margin=0.03, resamples=499)
        alarms += decision.p_regression <= 0.05
    assert alarms / 400 <= 0.075


@pytest.mark.parametrize(
    ("base", "tuned", "margin", "error", "message"),
    [
        ([[1.0, 2.0]], [[1.0, 2.0]], 0.1, ComparisonError, "at least two independent units"),
        (
            [[1.0, 2.0]] * 3,
            [[1.0, 2.0]] * 2,
            0.1,
            ComparisonError,
            "found shapes (3, 2) and (2, 2)",
        ),
        ([[np.nan, 2.0]] * 3, [[1.0, 2.0]] * 3, 0.1, ComparisonError, "finite numbers"),
        ([1.0, 2.0], [1.0, 2.0], 0.1, ComparisonError, "found shape (2,)"),
        ([[1.0, 2.0]] * 3, [[1.0, 2.0]] * 3, 0.0, StudyError, "margin must be above 0"),
    ],
)
def test_bad_statistics_are_refused(
    base: list, tuned: list, margin: float, error: type[Exception], message: str
) -> None:
    """Each refusal names the rule and what was found."""
    with pytest.raises(error) as caught:
        decide_corpus(base, tuned, mean_log_likelihood, margin=margin)
    assert message in str(caught.value)


def runs(shifts: list[float], seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """A base and the tuned scores of one training seed per true difference given."""
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 2, 600)
    tuned = []
    for d in shifts:
        lose, win = max(0.15 - d, 0), max(0.15 + d, 0)  # of items right, of items wrong
        flip = rng.random(600) < np.where(base == 1, lose, win)
        tuned.append(np.where(flip, 1 - base, base))
    return base, tuned


def test_one_checkpoint_cannot_speak_for_the_recipe() -> None:
    """Fewer than three training seeds are refused."""
    base, tuned = runs([0.0, 0.0], 1)
    with pytest.raises(ComparisonError, match="at least 3 training seeds: found 2"):
        decide_recipe(base, tuned, margin=0.05)


def test_a_recipe_is_decided_over_items_and_seeds() -> None:
    """A clear drop in every run is a regression of the recipe; scattered runs leave it open."""
    base, tuned = runs([-0.12] * 4, 2)
    assert decide_recipe(base, tuned, margin=0.05).label == "regressed"
    base, tuned = runs([-0.08, 0.0, 0.08], 3)
    scattered = decide_recipe(base, tuned, margin=0.05)
    single = decide(base, tuned[0], margin=0.05)
    assert scattered.ci_high - scattered.ci_low > 1.5 * (single.ci_high - single.ci_low)


def test_equal_runs_have_the_error_of_one() -> None:
    """Without any spread between seeds only the items count."""
    base, tuned = runs([0.0], 4)
    x = (tuned[0] - base).astype(float)
    error, df = two_way_error(
        np.stack([x, x, x]), Paired(x, base.astype(float), None, binary=False)
    )
    assert error == pytest.approx(x.std(ddof=1) / len(x) ** 0.5)
    assert df == pytest.approx(len(x) - 1)


def test_false_alarms_about_a_recipe() -> None:
    """Seeds that vary by 2 points: the nominal 5 % hold over seeds, not for one seed alone."""
    alarms = single = 0
    for seed in range(400):
        shifts = np.random.default_rng(seed).normal(0.0, 0.02, 5).tolist()
        base, tuned = runs(shifts, 5000 + seed)
        alarms += decide_recipe(base, tuned, margin=0.05).p_regression <= 0.05
        single += decide(base, tuned[0], margin=0.05).p_regression <= 0.05
    assert alarms / 400 <= 0.075
    assert single / 400 > 0.10


def named(golds: list[str], wrong: float, seed: int) -> list[str | None]:
    """Return answers of which a share names the next label, or none."""
    rng = np.random.default_rng(seed)
    order: list[str | None] = ["a", "b", "c", None]
    return [order[order.index(gold) + 1] if rng.random() < wrong else gold for gold in golds]


def test_macro_f1_is_scikit_learns() -> None:
    """Over the labels that occur, an answer without a label counts as one of its own."""
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(0)
    golds = [str(one) for one in rng.choice(["a", "b", "c"], size=200, p=[0.7, 0.25, 0.05])]
    said = named(golds, 0.4, 1)
    theirs = f1_score(
        golds, [one or "none" for one in said], labels=["a", "b", "c"], average="macro"
    )
    assert macro_f1_of(golds, said) == pytest.approx(theirs)


def test_a_label_that_is_lost_shows_in_macro_f1() -> None:
    """A rare label that is never named any more costs macro-F1 far more than accuracy."""
    golds = ["a"] * 180 + ["b"] * 20
    statistics = [label_statistics(golds, said, ["a", "b"]) for said in (golds, ["a"] * 200)]
    found = decide_corpus(*statistics, macro_f1, margin=0.05)
    assert found.verdict == "fail"
    assert found.delta < -0.5
    assert found.ci_high < -0.4


@pytest.mark.parametrize("labels", [["a", "b"], ["a", "b", "c", "d"]])
def test_losing_every_label_is_a_regression(labels: list[str]) -> None:
    """All right before and none after, whatever item is left out: worse, by 100 points at most."""
    golds = labels * 12
    before = label_statistics(golds, golds, labels)
    after = label_statistics(golds, [None] * len(golds), labels)
    lost = decide_corpus(before, after, macro_f1, margin=0.05, largest=1.0)
    won = decide_corpus(after, before, macro_f1, margin=0.05, largest=1.0)
    assert (lost.label, won.label) == ("regressed", "improved")
    assert (lost.delta, lost.ci_low) == (-1.0, -1.0)
    assert -0.95 <= lost.ci_high < -0.8
    assert (won.ci_low, won.ci_high) == (-lost.ci_high, 1.0)
    few = decide_corpus(before[:4], after[:4], macro_f1, margin=0.05, largest=1.0)
    assert few.label == "inconclusive", "four items lost by chance are one case in sixteen"


@pytest.mark.nightly
def test_macro_f1_keeps_its_error_rate() -> None:
    """Two arms that are equally good are called worse in about one run of twenty."""
    rng = np.random.default_rng(7)
    called = 0
    for run in range(200):
        golds = [str(one) for one in rng.choice(["a", "b", "c"], size=150, p=[0.6, 0.25, 0.15])]
        arms = [
            label_statistics(golds, named(golds, 0.3, 1000 * run + arm), ["a", "b", "c"])
            for arm in (1, 2)
        ]
        called += decide_corpus(*arms, macro_f1, margin=0.05, resamples=499).ci_high < 0
    assert called <= 20
