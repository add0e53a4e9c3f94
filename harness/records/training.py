"""How a candidate was trained: its rows, its loss, the trials of a sweep."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.records.items import Document

_NOTHING: Document = {}  # one for all turns: there may be millions


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a conversation; ``role`` is ``system``, ``user``, ``assistant`` or ``tool``.

    ``extras`` are further fields for the chat template, such as ``tool_calls``. ``learnt`` is what
    the row says of an assistant turn: True (always), False (never), or None (nothing).
    """

    role: str
    content: str
    extras: Document = field(default_factory=lambda: _NOTHING, hash=False)
    learnt: bool | None = None

    @property
    def text(self) -> str:
        """All that the turn says: its content, and its further fields as JSON."""
        if not self.extras:
            return self.content
        return "\n".join([self.content, *(_json(value) for value in self.extras.values())])


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One training row: the loss is on the completion only.

    ``prompt`` and ``completion`` are both plain text, or both turns of a conversation.
    ``origin`` says where the row came from (``file:line``) so that errors can name it.
    ``rejected`` makes it a preference pair: an answer that is worse than ``completion``.
    ``desirable`` judges the completion alone, as KTO's ``label`` does. ``tools`` are declared to
    the chat template.
    """

    prompt: str | tuple[Message, ...]
    completion: str | tuple[Message, ...]
    origin: str
    rejected: str | tuple[Message, ...] | None = None
    desirable: bool | None = None
    tools: tuple[Document, ...] = field(default=(), hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LossPoint:
    """One entry of a training log.

    ``loss`` is the mean negative log-likelihood in nats (with another objective, its loss),
    ``eval_loss`` the same on held-out rows, ``tokens_per_second`` the speed so far.
    """

    step: int
    loss: float
    learning_rate: float | None = None
    eval_loss: float | None = None
    tokens_per_second: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuitePoint:
    """The mean score on a slice of a suite at one step of a training; 0 is the untuned base."""

    step: int
    suite: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One training of a sweep.

    ``choice`` are its settings by their place in the study, ``state`` is ``finished``, ``pruned``
    (given up) or ``diverged``, ``losses`` are those on held-out rows, in order.
    """

    number: int
    choice: Document
    state: str
    losses: tuple[float, ...]
    steps: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A test item that occurs in a candidate's training text.

    ``item`` is its `harness.records.ItemKey`. ``kind`` is ``exact`` (the whole item), ``ngram``
    (13 words in a row) or ``near`` (most of its three-word stretches). ``origin`` is the training
    row, ``shared`` are words that both have.
    """

    item: tuple[str, str, str, int]
    kind: Literal["exact", "ngram", "near"]
    origin: str
    shared: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """A candidate's training rows: what cleaning did to them, and which test items are in them.

    ``read`` counts the rows of ``source``, ``rows`` those that are trained on. ``changed``,
    ``dropped`` and ``flagged`` map a step to its number of rows. ``tokens`` counts those of one
    epoch, ``learnt`` those that the loss is on; ``lengths`` is a histogram: (longest row of the bin
    in tokens, rows in it). ``excluded`` says that copied items are left out of the comparison.
    ``fingerprint`` is of everything that the card depends on.
    """

    candidate: str
    source: str
    shape: str
    read: int
    rows: int
    changed: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    flagged: Mapping[str, int] = field(default_factory=dict)
    tokens: int = 0
    learnt: int = 0
    too_long: int = 0
    longest: int = 0
    max_length: int = 0
    lengths: tuple[tuple[int, int], ...] = ()
    validation: int = 0
    copies: tuple[Copy, ...] = ()
    excluded: bool = False
    ignored: Mapping[str, int] = field(default_factory=dict)
    fingerprint: str = ""


def _json(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
