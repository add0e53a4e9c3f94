"""Which items a shard answers where verdicts may end early: one block of the declared order each.

Nothing is decided here. What the run has stored says which candidates are still open after which
block; the shards answer the blocks that follow for these, the first shard the first of them. Which
items a decision uses is up to the process that merges, by the schedule.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from harness.analysis.decisions import decide_early
from harness.errors import ComparisonError
from harness.pipeline.answers import until_decided
from harness.pipeline.answers.ask import AnswerSession
from harness.pipeline.answers.engine_when_asked import EngineWhenAsked
from harness.pipeline.answers.join_endpoints import longest
from harness.pipeline.plan import PlannedRun
from harness.records import BASE, Answerer, Arm, Suite
from harness.stats import Schedule, Scores
from harness.store.answers import AnswersInMemory

if TYPE_CHECKING:
    from harness.engine import LoadedSuite


class _OpenError(Exception):
    """What is stored does not decide."""


@dataclass(frozen=True, slots=True)
class Block:
    """Who is asked which items of a suite, by their places."""

    arms: tuple[str, ...]
    loaded: "LoadedSuite"
    places: Sequence[int]


def next_blocks(
    planned: PlannedRun,
    arms: Sequence[Arm],
    fingerprints: Mapping[str, str],
    *,
    number: int,
) -> Iterator[Block]:
    """Yield the ``number``-th block after those that are stored, of every suite that is open.

    What other shards have answered since does not count, or two might take the same block.

    Args:
        planned: The study.
        arms: Everything that answers, the base first.
        fingerprints: By arm.
        number: Counted from 1.
    """
    stored = AnswersInMemory.copy_of(planned.folder.answers)
    known = EngineWhenAsked(
        arms=(),  # nothing has to be proven of who is not asked
        fingerprints=fingerprints,
        table=stored,
        load=_nobody,
        allow_identical=True,
        max_length=longest(planned),
    )
    session = AnswerSession(known, stored, lambda **_: None)
    schedules = until_decided.schedules(planned)
    for declaration, loaded in zip(planned.suites, planned.loaded, strict=True):
        schedule = schedules[declaration.name]
        candidates = [arm.name for arm in arms[1:]]
        suite = _StoredSuite(planned, session, declaration, loaded, schedule, candidates)
        looks = [*pairwise((0, *schedule.sizes))]
        for at, (_, end) in enumerate(looks):
            if suite.open and not suite.is_stored(end):
                for start, stop in looks[at + number - 1 : at + number]:
                    yield Block((BASE, *suite.open), loaded, suite.order[start:stop])
                break


@dataclass(slots=True)
class _StoredSuite:
    """One suite as far as it is stored; ``open`` are the candidates not decided by that."""

    planned: PlannedRun
    session: AnswerSession
    declaration: Suite
    loaded: "LoadedSuite"
    schedule: Schedule
    open: list[str]
    order: Sequence[int] = field(init=False)
    _scores: dict[str, list[float | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.order = until_decided.order_of(self.loaded, self.planned.study.seed)

    def is_stored(self, end: int) -> bool:
        """Whether the open candidates have answered so many items; closes those decided then."""
        try:
            for arm in (BASE, *self.open):
                known = self._scores.setdefault(arm, [])
                samples = self.session.samples(arm, self.loaded, self.order[len(known) : end])
                known += [sample.verdict.score for sample in samples]
        except _OpenError:
            return False
        self.open = [name for name in self.open if self._is_open(name, end)]
        return True

    def _is_open(self, candidate: str, end: int) -> bool:
        def scored() -> Iterator[Scores]:
            for base, tuned in zip(self._scores[BASE], self._scores[candidate], strict=True):
                yield None if base is None or tuned is None else (base, tuned)
            if end < self.schedule.planned:
                raise _OpenError

        try:
            decide_early(self.declaration, scored(), self.schedule, self.planned.study.gate.rates)
        except _OpenError:
            return True
        except ComparisonError:  # nothing could be scored: the comparison says so
            pass
        return False


def _nobody() -> Answerer:
    """Load nothing: who would have to be asked is open."""
    raise _OpenError
