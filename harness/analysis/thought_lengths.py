"""How much an arm thinks before it answers, and how much more than the base."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, median

from harness import stats
from harness.records import Sample, ThoughtLength
from harness.thoughts import THINKING_TOKENS, UNTIL_LIMIT


def thought_length(samples: Sequence[Sample], base: Sequence[Sample]) -> ThoughtLength | None:
    """Summarise the tokens of an arm's thoughts; None where neither it nor the base thinks.

    An arm without thoughts has thoughts of no token.

    Args:
        samples: One arm's, of one suite.
        base: The base's; empty for the base itself.
    """
    mine = {s.item.key: s for s in samples if s.verdict.outcome != "unscored"}
    theirs = {s.item.key: s for s in base if s.verdict.outcome != "unscored"}
    if not mine or not any(map(_thinks, (*mine.values(), *theirs.values()))):
        return None
    tokens = [_tokens(sample) for sample in mine.values()]
    found = ThoughtLength(
        mean=fmean(tokens),
        median=median(tokens),
        until_limit=sum(UNTIL_LIMIT in sample.verdict.labels for sample in mine.values()),
    )
    both = [key for key in mine if key in theirs]
    if not both:
        return found
    more = [_tokens(mine[key]) - _tokens(theirs[key]) for key in both]
    low, high = _interval(more, [mine[key].item.cluster for key in both])
    return replace(found, more=fmean(more), more_low=low, more_high=high)


def _interval(more: Sequence[float], clusters: Sequence[str]) -> tuple[float | None, float | None]:
    """Return the 90 % interval of a mean difference; None where one cluster bounds nothing."""
    if len(set(clusters)) < 2:
        return None, None
    reach = max(map(abs, more))
    if max(more) == min(more):
        return more[0], more[0]
    shares = [0.5 + one / (4 * reach) for one in more]  # scores lie between 0 and 1
    _, low, high = stats.interval_of_mean(
        shares, clusters=stats.shared_clusters(list(clusters)), level=0.9
    )
    return (low - 0.5) * 4 * reach, (high - 0.5) * 4 * reach


def _thinks(sample: Sample) -> bool:
    return THINKING_TOKENS in sample.verdict.metrics


def _tokens(sample: Sample) -> float:
    return sample.verdict.metrics.get(THINKING_TOKENS, 0.0)
