"""Statistical power and cost of a study, before it is run."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from harness import stats
from harness.pipeline.answers.ask import part
from harness.pipeline.answers.until_decided import order_of
from harness.pipeline.plan import PlannedRun
from harness.records import BASE, Answerer, Answers, Request
from harness.report.wording import grouping
from harness.suites.dialogue_turns import in_turns
from harness.suites.tokenize import distinct_tokens, most_new_tokens

if TYPE_CHECKING:
    from harness.engine import LoadedSuite

DISAGREEMENT = 0.15
"""Share of items on which base and tuned differ, where no pilot has measured it yet."""

STARTING = 0.1
"""How much of a shard's time may go by before its first answer."""

CORRELATION = 0.3
"""How alike the changes within one cluster are, where no pilot has measured it yet."""

PROBED = 24
"""How many items of each suite are answered to time an arm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """One suite before the run.

    ``effective`` is how many equal clusters they amount to, ``clusters_needed`` how many would let
    identical outputs pass where the base is always right, ``grouping`` what the decision is about.
    ``distinct`` counts the prompt tokens that are left when shared prefixes are prefilled once,
    ``generated`` the most tokens that one arm may write, ``seconds`` is about how long one arm
    takes here, ``loading`` how long loading the base took (None where it was not timed).
    """

    suite: str
    items: int
    clusters: int
    effective: float
    clusters_needed: int
    grouping: str
    tokens: int
    distinct: int
    generated: int
    seconds: float | None
    loading: float | None
    power: stats.Plan


def outlook(planned: PlannedRun, *, probe: bool = True) -> tuple[Outlook, ...]:
    """Return for each suite what its items can show, and what one arm costs.

    With ``probe`` the base is loaded and answers a few items of each suite; nothing is stored.
    """
    seconds, loading = _probe(planned) if probe else ({}, None)
    return tuple(
        Outlook(
            suite=suite.name,
            items=len(loaded.items),
            clusters=len(sizes),
            effective=stats.effective_count(sizes),
            clusters_needed=stats.clusters_needed(suite.margin, planned.study.gate.beta),
            grouping=grouping(suite),
            tokens=sum(len(_ids(request)) for request in loaded.requests),
            distinct=distinct_tokens([_ids(request) for request in loaded.requests]),
            generated=sum(most_new_tokens(r.settings) for r in loaded.requests),
            seconds=seconds.get(suite.name),
            loading=loading,
            power=stats.plan(
                margin=suite.margin,
                disagreement=DISAGREEMENT,
                alpha=planned.study.gate.alpha,
                available=len(loaded.items),
                design_effect=_design_effect(sizes),
            ),
        )
        for suite, loaded in zip(planned.suites, planned.loaded, strict=True)
        for sizes in (_cluster_sizes(loaded),)
    )


def _answers(engine: Answerer, asked: Sequence[Request]) -> Answers:
    return {
        request.key: response for batch in engine.answer(BASE, asked) for request, response in batch
    }


def merging_bytes(planned: PlannedRun) -> int:
    """Return the bytes that merging an adapter takes at most: a whole base in float32.

    0 where no candidate is scored in another form, or that is not known without weights.
    """
    from harness import training

    bases = [planned.study_of(one.name) for one in planned.candidates if one.forms]
    outlines = [training.outline(study.model_path, study.base) for study in bases]
    sizes = [sum(p.numel() for p in each.parameters()) for each in outlines if each is not None]
    return 4 * max(sizes, default=0)


def shards_that_pay(answering: float, starting: float) -> int:
    """Return into how many shards work can be cut before starting is over `STARTING` of each.

    Args:
        answering: Seconds that all arms take in one process.
        starting: Seconds from a process's start to its first answer: planning and loading, above 0.

    >>> shards_that_pay(3600, 30)
    13
    """
    return max(1, int(answering * STARTING / ((1 - STARTING) * starting)))


def _ids(request: Request) -> tuple[int, ...]:
    return (*request.context_ids, *request.continuation_ids)


def _cluster_sizes(loaded: "LoadedSuite") -> NDArray[np.float64]:
    """Return the number of items in each cluster, shape (clusters,)."""
    names = [item.cluster for item in loaded.items]
    return np.unique(names, return_counts=True)[1].astype(np.float64)


def _design_effect(sizes: NDArray[np.float64]) -> float:
    """Kish's design effect of clusters of these sizes, at a supposed correlation."""
    return float(1.0 + (np.sum(sizes**2) / np.sum(sizes) - 1.0) * CORRELATION)


def _probe(planned: PlannedRun) -> tuple[dict[str, float], float | None]:
    """Time one arm on a few items of each suite.

    Returns:
        The seconds that all items would take, by suite, and those of loading the base.
    """
    from harness.engine import open_engine

    if planned.study.base.backend:
        return {}, None  # another engine answers; an endpoint may be busy with others
    with planned.progress.task("time a few items", len(planned.loaded)) as advance:
        begun = monotonic()
        base = planned.study.base
        exact = base.model_copy(update={"dtype": base.weights_dtype})
        engine = open_engine(exact, planned.study.model_path)
        loading, found = monotonic() - begun, {}
        for done, loaded in enumerate(planned.loaded):
            advance(done=done, note=loaded.suite.name)
            some = part(loaded, order_of(loaded, planned.study.seed)[:PROBED])
            for timed in (some.requests[:1], some.requests):  # the first warms up
                begun = monotonic()
                in_turns(timed, lambda asked: _answers(engine, asked))
                taken = monotonic() - begun
            found[loaded.suite.name] = taken * len(loaded.items) / len(some.items)
    return found, loading
