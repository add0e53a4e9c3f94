"""Ask for as few items as the verdicts need: block by block, in an order that nobody chose."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING

from harness.analysis.decisions import decide_early
from harness.errors import ComparisonError
from harness.pipeline.answers.ask import Asking
from harness.pipeline.plan import PlannedRun
from harness.records import BASE, Arm, ItemKey, Sample
from harness.stats import Schedule, Scores, shuffled_order

if TYPE_CHECKING:
    from harness.engine import LoadedSuite


def schedules(planned: PlannedRun) -> dict[str, Schedule]:
    """Say for every suite how many items are planned, in which order, and who shares alpha."""
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
    """Return the places of a suite's items in the order in which they are asked."""
    return shuffled_order(
        [str(tuple(item.key)) for item in loaded.items],
        clusters=[item.cluster for item in loaded.items],
        seed=seed,
    )


class _Suite:
    """One suite being asked: its order, and what has been judged so far, by arm and place."""

    def __init__(self, loaded: "LoadedSuite", schedule: Schedule, seed: int) -> None:
        self.loaded, self.schedule = loaded, schedule
        self.order = order_of(loaded, seed)
        self.judged: dict[str, dict[int, Sample]] = {}

    def judge(self, asking: Asking, arm: str, places: Sequence[int]) -> None:
        known = self.judged.setdefault(arm, {})
        missing = [place for place in places if place not in known]
        samples = asking.samples(arm, self.loaded, missing)
        known.update(zip(missing, samples, strict=True))

    def scores(self, asking: Asking, arm: str) -> Iterator[Scores]:
        """Yield both arms' scores in order, asking for a block when its first item is wanted."""
        for start, end in pairwise((0, *self.schedule.sizes)):
            block = self.order[start:end]
            for each in (BASE, arm):
                self.judge(asking, each, block)
            for place in block:
                base, tuned = (self.judged[each][place].verdict.score for each in (BASE, arm))
                yield None if base is None or tuned is None else (base, tuned)

    def places(self, keys: Collection[ItemKey]) -> list[int]:
        return [place for place, item in enumerate(self.loaded.items) if item.key in keys]

    def samples(self, arm: str) -> list[Sample]:
        """Return what an arm answered, in the declared order."""
        known = self.judged[arm]
        return [known[place] for place in self.order if place in known]


def until_decided(
    planned: PlannedRun,
    arms: Sequence[Arm],
    asking: Asking,
    *,
    declared: Mapping[str, Schedule],
) -> dict[tuple[str, str], list[Sample]]:
    """Ask every candidate block after block while its verdict on a suite is open.

    A block's items are asked of the base first, where no earlier candidate has had them asked, then
    of the candidate. Items that must pass are asked in any case.

    Returns:
        What each arm answered, by arm and suite, in the declared order.
    """
    gate, seed = planned.study.gate, planned.study.seed
    suites = {
        loaded.suite.name: _Suite(loaded, declared[loaded.suite.name], seed)
        for loaded in planned.loaded
    }
    for arm in arms[1:]:
        for declaration in planned.suites:
            name = declaration.name
            for each in (BASE, arm.name):
                suites[name].judge(asking, each, suites[name].places(planned.must_pass[name]))
            with suppress(ComparisonError):  # nothing could be scored: the comparison says so
                decide_early(
                    declaration,
                    suites[name].scores(asking, arm.name),
                    declared[name],
                    alpha=gate.alpha,
                    beta=gate.beta,
                    max_unscored=gate.max_unscored,
                )
    return {
        (arm.name, name): suite.samples(arm.name) for arm in arms for name, suite in suites.items()
    }
