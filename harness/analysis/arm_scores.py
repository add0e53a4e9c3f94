"""Mean scores of one arm on one suite."""

from collections.abc import Sequence

from harness import stats
from harness.analysis.thought_lengths import thought_length
from harness.records import AnswerLength, ArmScore, Sample, Suite


def arm_score(
    arm: str,
    suite: Suite,
    samples: Sequence[Sample],
    *,
    length: AnswerLength | None = None,
    base: Sequence[Sample] = (),
) -> ArmScore:
    """Summarise one arm's verdicts on one suite.

    Args:
        arm: The arm's name.
        suite: What the suite declares.
        samples: Its scored answers.
        length: How long they are, where samples have no texts.
        base: The base's samples, for how much more a candidate thinks.

    Returns:
        The mean score with its 90 % interval, the mean of every further metric, and how long the
        answers are.
    """
    scored = [sample for sample in samples if sample.verdict.score is not None]
    scores = [sample.verdict.score for sample in scored if sample.verdict.score is not None]
    mean = low = high = None
    if scores:
        clusters = [sample.item.cluster for sample in scored]
        mean, low, high = stats.interval_of_mean(
            scores, clusters=stats.shared_clusters(clusters), level=0.9
        )
    return ArmScore(
        arm=arm,
        suite=suite.name,
        metric=suite.metric,
        n=len(scored),
        unscored=len(samples) - len(scored),
        mean=mean,
        ci_low=low,
        ci_high=high,
        metrics=_means(scored),
        length=length or _length(samples),
        thought=thought_length(samples, base),
    )


def _length(samples: Sequence[Sample]) -> AnswerLength | None:
    written = [[r for r in sample.responses if r.text is not None] for sample in samples]
    written = [responses for responses in written if responses]
    if not written:
        return None
    characters = sum(len(response.text or "") for found in written for response in found)
    tokens = sum(r.tokens - r.thought_tokens for found in written for r in found)
    return AnswerLength(
        answers=len(written), characters=characters / len(written), tokens=tokens or None
    )


def _means(samples: Sequence[Sample]) -> dict[str, float]:
    names = {name for sample in samples for name in sample.verdict.metrics}
    means = {}
    for name in sorted(names):
        values = [s.verdict.metrics[name] for s in samples if name in s.verdict.metrics]
        values = [value for value in values if value == value]  # noqa: PLR0124 - drops NaN
        if values:
            means[name] = sum(values) / len(values)
    return means
