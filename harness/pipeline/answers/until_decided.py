"""Sequential evaluation: answer items block by block in a hashed order, until a look decides."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING

from harness.analysis.decisions import decide_early
from harness.errors import ComparisonError
from harness.pipeline.answers.ask import AnswerSession, part
from harness.pipeline.plan import PlannedRun
from harness.records import BASE, Arm, ItemKey, Sample
from harness.stats import Schedule, Scores, shuffled_order

if TYPE_CHECKING:
    from harness.engine import LoadedSuite
    from harness.records import Gate, Suite


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


class _UndecidedError(Exception):
    """The items that are answered so far leave a decision open."""


class _SequentialSuite:
    """One suite while it is answered: its order, and what is scored so far, by arm and place."""

    def __init__(self, loaded: "LoadedSuite", schedule: Schedule, seed: int) -> None:
        self.loaded, self.schedule = loaded, schedule
        self.order = order_of(loaded, seed)
        self.scored: dict[str, dict[int, Sample]] = {}

    def answer(
        self, session: AnswerSession, candidates: Sequence[str], places: Sequence[int]
    ) -> None:
        """Score the items at some places for the base, then for all candidates in one pass."""
        session.ask([BASE], [part(self.loaded, places)])
        session.ask(candidates, [part(self.loaded, places)])
        for arm in (BASE, *candidates):
            known = self.scored.setdefault(arm, {})
            missing = [place for place in places if place not in known]
            samples = session.samples(arm, self.loaded, missing)
            known.update(zip(missing, samples, strict=True))

    def is_open(self, candidate: str, declaration: "Suite", gate: "Gate", end: int) -> bool:
        """Tell whether a decision needs more than so many of the items in order."""
        try:
            decide_early(declaration, self._scores(candidate, end), self.schedule, gate)
        except _UndecidedError:
            return True
        except ComparisonError:  # nothing could be scored: the comparison says so
            pass
        return False

    def _scores(self, candidate: str, end: int) -> Iterator[Scores]:
        """Yield both arms' scores of the first items in order.

        Raises:
            _UndecidedError: If further ones are wanted.
        """
        for place in self.order[:end]:
            base, tuned = (self.scored[arm][place].verdict.score for arm in (BASE, candidate))
            yield None if base is None or tuned is None else (base, tuned)
        if end < self.schedule.planned:
            raise _UndecidedError

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
    """Let candidates answer block after block, each as long as its decision on a suite is open.

    The base answers a block first, then all candidates that are still open, together. Which items a
    decision uses depends on that candidate's and the base's scores alone. Items that must pass are
    answered in any case.

    Returns:
        The samples of each arm and suite, in the declared order.
    """
    gate, seed = planned.study.gate.rates, planned.study.seed
    suites = {
        loaded.suite.name: _SequentialSuite(loaded, schedules[loaded.suite.name], seed)
        for loaded in planned.loaded
    }
    candidates = [arm.name for arm in arms[1:]]
    for declaration in planned.suites:
        suite = suites[declaration.name]
        suite.answer(session, candidates, suite.places(planned.must_pass[declaration.name]))
        still_open = candidates
        for start, end in pairwise((0, *suite.schedule.sizes)):
            if not still_open:
                break
            suite.answer(session, still_open, suite.order[start:end])
            still_open = [
                name for name in still_open if suite.is_open(name, declaration, gate, end)
            ]
    return {
        (arm.name, name): suite.samples(arm.name) for arm in arms for name, suite in suites.items()
    }
