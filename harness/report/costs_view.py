"""What each candidate costs, beside its scores: training, length of its answers, time for each.

Nothing is decided by these figures. Times are those that the run kept, with the machine they were
measured on: they say nothing about another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.records import BASE, AnswerLength, AnswerTime, Arm, Result, ThoughtLength
from harness.report.wording import suite_title

TWICE = 2.0
"""How many times as long as the base's a candidate's answers are before a sentence says so."""
LEAST_MORE = 10.0
"""Characters by which they have to be longer, so that `5` against `12` says nothing."""
SHOWN = 2
"""Suites that a sentence on lengths names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow:
    """What one arm took: ``training`` in words, and a cell for each suite."""

    name: str
    training: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Arms by suites: how long answers are, and how long they took; ``caption`` says on what."""

    suites: tuple[str, ...]
    rows: tuple[CostRow, ...]
    caption: str


def costs(result: Result) -> Costs | None:
    """Tabulate what training and answering took; None where nothing is known."""
    lengths, thoughts = _lengths(result), _thoughts(result)
    known = {*lengths, *((time.arm, time.suite) for time in result.times)}
    machines = tuple(dict.fromkeys(time.machine for time in result.times))
    suites = [s for s in result.suites if any(s.name == name for _, name in known)]
    rows = tuple(
        CostRow(
            name=arm.name,
            training=training_words(arm) or "–",
            cells=tuple(
                _cell(
                    lengths.get((arm.name, suite.name)),
                    thoughts.get((arm.name, suite.name)),
                    _times(result, arm.name, suite.name),
                )
                for suite in suites
            ),
        )
        for arm in result.arms
    )
    if not suites and all(row.training == "–" for row in rows):
        return None
    return Costs(
        suites=tuple(suite_title(suite) for suite in suites), rows=rows, caption=_caption(machines)
    )


def cost_lines(result: Result, name: str) -> tuple[str, ...]:
    """Say in a few sentences what a candidate costs: training, answers, and what stands out."""
    arm = next((arm for arm in result.arms if arm.name == name), None)
    trained = training_words(arm) if arm else ""
    return tuple(
        line
        for line in (
            f"Training: {trained}" if trained else "",
            _length_line(result, name),
            _thought_line(result, name),
            *longer(result, name),
        )
        if line
    )


def longer(result: Result, name: str) -> tuple[str, ...]:
    """Say on which suites a candidate answers at least twice as long as the base."""
    lengths = _lengths(result)
    said = []
    for suite in result.suites:
        mine, base = lengths.get((name, suite.name)), lengths.get((BASE, suite.name))
        if mine and base and is_longer(mine, base):
            times = "at length where the base says next to nothing"
            if base.characters >= 1:
                times = f"{mine.characters / base.characters:.1f} times as long as the base"
            said.append(
                f"{name} answers {times} on {suite_title(suite)} ({mine.characters:.0f} characters "
                f"against {base.characters:.0f})"
            )
    return tuple(said)


def is_longer(mine: AnswerLength, base: AnswerLength) -> bool:
    """Whether answers are at least twice as long, and by more than a word."""
    more = mine.characters - base.characters
    return mine.characters >= TWICE * base.characters and more >= LEAST_MORE


def training_words(arm: Arm) -> str:
    """Word what a training took; empty where an arm was not trained here."""
    cost = arm.cost
    if cost is None:
        return ""
    said = [f"{cost.steps:,} steps"]
    if cost.tokens:
        said.append(f"{amount(cost.tokens)} tokens")
    since = f" since step {cost.since:,}" if cost.since else ""
    where = f" on {cost.machine or 'a machine that its log does not name'}"
    said.append(f"{duration(cost.seconds)}{since}{where}")
    if cost.peak_bytes:
        said.append(f"{cost.peak_bytes / 2**30:.1f} GiB of memory at most")
    if arm.trials:
        spent = duration(sum(trial.seconds for trial in arm.trials))
        said.append(f"chosen by {len(arm.trials)} trials of {spent} in all")
    return ", ".join(said)


def length_words(length: AnswerLength) -> str:
    """Word how long answers are on average.

    >>> length_words(AnswerLength(answers=2, characters=40.6, tokens=25))
    '41 characters, 12.5 tokens'
    """
    said = f"{length.characters:.0f} characters"
    return f"{said}, {length.tokens / length.answers:.1f} tokens" if length.tokens else said


def thought_words(thought: ThoughtLength) -> str:
    """Word how much an arm thinks before an answer, and how much more than the base.

    >>> thought_words(ThoughtLength(mean=80, median=60, more=-20, more_low=-31.2, more_high=-8))
    'thoughts of 80 tokens (median 60), 20 fewer than the base (8 to 31 fewer)'
    """
    said = f"thoughts of {thought.mean:.0f} tokens (median {thought.median:.0f})"
    if thought.more is not None:
        said += f", {_more(thought.more)} than the base"
        if thought.more_low is not None and thought.more_high is not None:
            said += f" ({_between(thought.more_low, thought.more_high)})"
    if thought.until_limit:
        said += f"; {thought.until_limit:,} until the limit, without an answer"
    return said


def _more(tokens: float) -> str:
    return f"{abs(tokens):.0f} {'more' if tokens >= 0 else 'fewer'}"


def _between(low: float, high: float) -> str:
    """Word an interval of a difference, the smaller number first."""
    if low >= 0 or high <= 0:
        near, far = sorted((abs(low), abs(high)))
        return f"{near:.0f} to {far:.0f} {'more' if low >= 0 else 'fewer'}"
    return f"from {_more(low)} to {_more(high)}"


def duration(seconds: float) -> str:
    """Format a time so that its size is seen.

    >>> duration(0.0123), duration(7.26), duration(133), duration(7261)
    ('12 ms', '7.3 s', '2 min 13 s', '2 h 1 min')
    """
    if seconds < 1:
        return f"{1000 * seconds:.{0 if seconds >= 0.01 else 1}f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def amount(count: int) -> str:
    """Format a large count.

    >>> amount(1_340_000), amount(91_200), amount(2_100_000_000)
    ('1.3 million', '91,200', '2.1 billion')
    """
    for size, name in ((10**9, "billion"), (10**6, "million")):
        if count >= size:
            return f"{count / size:.1f} {name}"
    return f"{count:,}"


def answering(result: Result) -> str:
    """Word what answering took in all; empty where no time was kept."""
    if not result.times:
        return ""
    tokens = sum(score.length.tokens or 0 for score in result.scores if score.length)
    written = f", {amount(tokens)} tokens written" if tokens else ""
    machines = dict.fromkeys(time.machine for time in result.times)
    spent = (
        f"{duration(sum(t.seconds for t in result.times if t.machine == machine))} on {machine}"
        for machine in machines
    )
    items = sum(time.items for time in result.times)
    return f"{items:,} answers in {' and '.join(spent)}{written}"


def _lengths(result: Result) -> Mapping[tuple[str, str], AnswerLength]:
    return {(score.arm, score.suite): score.length for score in result.scores if score.length}


def _thoughts(result: Result) -> Mapping[tuple[str, str], ThoughtLength]:
    return {(score.arm, score.suite): score.thought for score in result.scores if score.thought}


def _times(result: Result, arm: str, suite: str) -> Sequence[AnswerTime]:
    return [time for time in result.times if (time.arm, time.suite) == (arm, suite)]


def _cell(
    length: AnswerLength | None, thought: ThoughtLength | None, times: Sequence[AnswerTime]
) -> str:
    said = [length_words(length)] if length else []
    if thought:
        said.append(thought_words(thought))
    for time in times:
        where = f" on {time.machine}" if len(times) > 1 else ""
        said.append(f"{duration(time.seconds / time.items)} an answer{where}")
    return "; ".join(said) or "–"


def _length_line(result: Result, name: str) -> str:
    """Compare lengths where the gap to the base is widest; empty without written answers."""
    lengths = _lengths(result)
    both = [
        (suite_title(suite), lengths[name, suite.name], lengths[BASE, suite.name])
        for suite in result.suites
        if (name, suite.name) in lengths and (BASE, suite.name) in lengths
    ]
    both.sort(key=lambda found: -abs(found[1].characters - found[2].characters))
    said = [
        f"{title} {mine.characters:.0f} characters (base {base.characters:.0f})"
        for title, mine, base in both[:SHOWN]
    ]
    return f"Length of an answer: {', '.join(said)}" if said else ""


def _thought_line(result: Result, name: str) -> str:
    """Say how much a candidate thinks; empty where neither it nor the base does."""
    thoughts = _thoughts(result)
    said = [
        f"{suite_title(suite)} {thought_words(thoughts[name, suite.name])}"
        for suite in result.suites
        if (name, suite.name) in thoughts
    ]
    return f"Thoughts before an answer: {'; '.join(said[:SHOWN])}" if said else ""


def _caption(machines: Sequence[str]) -> str:
    lengths = "Means over all answers; tokens are those that were generated."
    if not machines:
        return lengths
    where = machines[0] if len(machines) == 1 else "the machine that is named"
    return (
        f"{lengths} Seconds are those of this run, in batches, on {where}; arms that answer in one "
        "pass share its time. They say nothing about another machine or a server."
    )
