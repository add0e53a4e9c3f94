"""Sequential evaluation: answer items block by block in a hashed order, until a look decides."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING

from harness.analysis.decisions import decide_early
from harness.errors import ComparisonError
from harness.pipeline.answers.ask import AnswerSession
from harness.pipeline.plan import PlannedRun
from harness.records import BASE, Arm, ItemKey, Sample
from harness.stats import Schedule, Scores, shuffled_order

if TYPE_CHECKING:
    from harness.engine import LoadedSuite


def schedules(planned: PlannedRun) -> dict[str, Schedule]:
    """Return every suite's planned items, their order, and how many suites share alpha."""
    found = {}
    for loaded in planned.loaded:
        order = order_of(loaded, planned.study.seed)
        clusters = [loaded.items[place].cluster for place in order]
        ends = [n for n, (one, two) in enumerate(pairwise(clusters), 1) if one != two]
        sizes = tuple(b - a for a, b in pairwise((0, *ends, len(clusters))))
        names = "\n".join(str(loaded.items[place].key) for place in order)
        found[loaded.suite.name] = Schedule(
            planned=len(order),
            order=sha256(names.encode()).hexdigest(),
            cluster_sizes=() if max(sizes) == 1 else sizes,
            family=len(planned.loaded),
        )
    return found


def order_of(loaded: "LoadedSuite", seed: int) -> tuple[int, ...]:
    """Return the places of a suite's items in the order in which they are answered."""
    return shuffled_order(
        [str(tuple(item.key)) for item in loaded.items],
        clusters=[item.cluster for item in loaded.items],
        seed=seed,
    )


class _SequentialSuite:
    """One suite while it is answered: its order, and what is scored so far, by arm and place."""

    def __init__(self, loaded: "LoadedSuite", schedule: Schedule, seed: int) -> None:
        self.loaded, self.schedule = loaded, schedule
        self.order = order_of(loaded, seed)
        self.scored: dict[str, dict[int, Sample]] = {}

    def score(self, session: AnswerSession, arm: str, places: Sequence[int]) -> None:
        known = self.scored.setdefault(arm, {})
        missing = [place for place in places if place not in known]
        samples = session.samples(arm, self.loaded, missing)
        known.update(zip(missing, samples, strict=True))

    def scores(self, session: AnswerSession, arm: str) -> Iterator[Scores]:
        """Yield both arms' scores in order, answering a block when its first item is wanted."""
        for start, end in pairwise((0, *self.schedule.sizes)):
            block = self.order[start:end]
            for each in (BASE, arm):
                self.score(session, each, block)
            for place in block:
                base, tuned = (self.scored[each][place].verdict.score for each in (BASE, arm))
                yield None if base is None or tuned is None else (base, tuned)

    def places(self, keys: Collection[ItemKey]) -> list[int]:
        return [place for place, item in enumerate(self.loaded.items) if item.key in keys]

    def samples(self, arm: str) -> list[Sample]:
        """Return an arm's samples, in the declared order."""
        known = self.scored[arm]
        return [known[place] for place in self.order if place in known]


def until_decided(
    planned: PlannedRun,
    arms: Sequence[Arm],
    session: AnswerSession,
    *,
    schedules: Mapping[str, Schedule],
) -> dict[tuple[str, str], list[Sample]]:
    """Let every candidate answer block after block while its decision on a suite is open.

    The base answers a block first, unless it did for an earlier candidate, then the candidate.
    Items that must pass are answered in any case.

    Returns:
        The samples of each arm and suite, in the declared order.
    """
    gate, seed = planned.study.gate.rates, planned.study.seed
    suites = {
        loaded.suite.name: _SequentialSuite(loaded, schedules[loaded.suite.name], seed)
        for loaded in planned.loaded
    }
    for arm in arms[1:]:
        for declaration in planned.suites:
            name = declaration.name
            for each in (BASE, arm.name):
                suites[name].score(session, each, suites[name].places(planned.must_pass[name]))
            with suppress(ComparisonError):  # nothing could be scored: the comparison says so
                decide_early(
                    declaration,
                    suites[name].scores(session, arm.name),
                    schedules[name],
                    gate,
                )
    return {
        (arm.name, name): suite.samples(arm.name) for arm in arms for name, suite in suites.items()
    }
