"""How long answering takes, measured around the answers that come in and kept in the run's lock."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from harness.records import AnswerTime, ArmAnswerBatch


@dataclass(slots=True)
class AnswerClock:
    """Measures how long the answers of each arm to each suite take, by the machine of each arm."""

    machines: Mapping[str, str] = field(default_factory=dict)
    times: list[AnswerTime] = field(default_factory=list)

    def over(self, batches: Iterable[ArmAnswerBatch]) -> Iterator[ArmAnswerBatch]:
        """Pass batches of answers on, counting their items and the time in which they are made.

        A batch's time is shared by its answers alike, whichever arms and suites they are of.
        """
        items: Counter[tuple[str, str]] = Counter()
        seconds: dict[tuple[str, str], float] = {}
        begun = time.monotonic()
        for batch in batches:
            each = (time.monotonic() - begun) / max(1, len(batch))
            for arm, request, _ in batch:
                of = (arm, request.item.suite)
                items[of] += request.index == 0
                seconds[of] = seconds.get(of, 0.0) + each
            yield batch
            begun = time.monotonic()
        self.times += [
            AnswerTime(
                arm=arm,
                suite=suite,
                items=count,
                seconds=round(seconds[arm, suite], 3),
                machine=self.machines.get(arm, ""),
            )
            for (arm, suite), count in items.items()
            if count
        ]


def added_up(times: Iterable[AnswerTime]) -> tuple[AnswerTime, ...]:
    """Add up the times of one arm, suite and machine.

    >>> first = AnswerTime(arm="base", suite="sql", items=2, seconds=1.5, machine="cpu")
    >>> [(time.items, time.seconds) for time in added_up([first, first])]
    [(4, 3.0)]
    """
    total: dict[tuple[str, str, str], AnswerTime] = {}
    for one in times:
        key = one.arm, one.suite, one.machine
        known = total.get(key)
        total[key] = one if known is None else _sum(known, one)
    return tuple(total.values())


def added_since(
    times: Iterable[AnswerTime], earlier: Iterable[AnswerTime]
) -> tuple[AnswerTime, ...]:
    """Return what was added to some times since they were as ``earlier`` says.

    >>> first = AnswerTime(arm="base", suite="sql", items=2, seconds=1.5, machine="cpu")
    >>> [(time.items, time.seconds) for time in added_since([first, first], [first])]
    [(2, 1.5)]
    """
    negative = [replace(one, items=-one.items, seconds=-one.seconds) for one in earlier]
    return tuple(one for one in added_up([*times, *negative]) if one.items > 0)


def _sum(one: AnswerTime, more: AnswerTime) -> AnswerTime:
    seconds = round(one.seconds + more.seconds, 3)
    return replace(one, items=one.items + more.items, seconds=seconds)
