"""What training and answering took: shown beside scores, never decided on."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCost:
    """What one training took, on the ``machine`` that it names.

    ``steps`` are optimizer steps, ``tokens`` those of the rows over all epochs. ``seconds`` is wall
    time since step ``since`` (above 0 where an interrupted training went on). ``peak_bytes`` is the
    most memory in use meanwhile, of the GPU where there is one, else of the process.
    """

    steps: int
    tokens: int | None
    seconds: float
    machine: str = ""
    since: int = 0
    peak_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerTime:
    """How long an arm took over the answers to some items of a suite, made on one ``machine``.

    ``seconds`` is wall time of the harness, which answers in batches: times of other machines and
    of servers are another thing.
    """

    arm: str
    suite: str
    items: int
    seconds: float
    machine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ThoughtLength:
    """How much an arm thinks before its answers to one suite, in tokens an item.

    ``until_limit`` counts items whose thought was cut by its limit, so that no answer came.
    ``more`` is the mean difference to the base, item by item, with its 90 % interval; None for the
    base itself, and where no interval can be told.
    """

    mean: float
    median: float
    until_limit: int = 0
    more: float | None = None
    more_low: float | None = None
    more_high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLength:
    """How long an arm's written answers to one suite are, on average; thoughts are counted apart.

    ``answers`` were written, ``characters`` is their mean length, ``tokens`` the sum of what was
    generated (None where a backend does not say).
    """

    answers: int
    characters: float
    tokens: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What was run, for whoever runs it again.

    ``command`` does so. ``study_sha256`` is of the study as it was run, ``items`` by suite of its
    items and token ids, ``rows`` by candidate of its training rows. ``machine`` is where the models
    answered.
    """

    command: str = ""
    study_sha256: str = ""
    items: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, str] = field(default_factory=dict)
    machine: str = ""
