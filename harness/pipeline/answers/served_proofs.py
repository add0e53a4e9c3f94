"""Proofs that an endpoint answers as the model that a study names, before and while it is scored.

A server's weights cannot be hashed. So a few requests are asked one at a time, twice before
anything else, and again at every later start and after the last answer. A server that does not
repeat itself, answers for all names with one model, or serves other weights than before is told by
its own words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.engine.remote.arm import RemoteArm
from harness.errors import ComparisonError, ModelError
from harness.records import Answers, Request, Response
from harness.store.answers import AnswerTable, answer_key

PROBES = 8
"""Requests by which an endpoint is known again."""

_NEW_TOKENS = 32
_NOISE = 0.05
"""How far a log-likelihood may move between two askings, in nats, and as a share of itself."""


def probes_of(requests: Sequence[Request]) -> list[Request]:
    """Return the requests by which an endpoint is known again: the same ones for the same study.

    Generations are greedy and short; each kind of request has an equal part.
    """
    by_kind: dict[str, list[Request]] = {}
    for request in sorted(requests, key=lambda one: answer_key("", one)):
        by_kind.setdefault(request.kind, []).append(_greedy(request))
    return [one for group in by_kind.values() for one in group[: PROBES // len(by_kind)]]


def alone(fingerprint: str) -> str:
    """Return under what an arm's answers to its probes are stored, apart from those scored."""
    return f"{fingerprint} asked alone"


def _greedy(request: Request) -> Request:
    if request.kind != "generate_until":
        return request
    new = min(_NEW_TOKENS, int(request.settings["max_new_tokens"]))
    kept = {name: request.settings[name] for name in ("until",) if name in request.settings}
    return replace(request, settings={**kept, "max_new_tokens": new})


def differ(one: Response, other: Response) -> bool:
    """Return whether two answers to one request are another model's, beyond rounding."""
    if one.logprob is None or other.logprob is None:
        return one.text != other.text
    return abs(one.logprob - other.logprob) > _NOISE * max(1.0, abs(one.logprob))


@dataclass(slots=True)
class ServedProof:
    """What one endpoint said to its probes, kept beside its answers.

    Args:
        arm: The endpoint.
        probes: What it is known by; see `probes_of`.
        store: Where its words are kept, apart from the answers that are scored.
    """

    arm: RemoteArm
    probes: Sequence[Request]
    store: AnswerTable

    def begin(self) -> str | None:
        """Ask the probes; return what a person should know of a server that varies.

        Raises:
            ModelError: If it hardly ever says the same twice.
            ComparisonError: If it said something else when its stored answers were given.
            InfrastructureError: If it cannot be reached.
        """
        new = [probe for probe in self.probes if probe.key not in self.said]
        self.hold()
        for asking in (self._first, self._second):
            self.store.put(asking, self.arm.ask_alone(new))
        varied, of = len(self._varied()), len(self.said)
        if 2 * varied > of:
            raise ModelError(
                f"a server must say the same again: of {of} greedy requests that {self.arm.name!r} "
                f"({self.arm.section.endpoint}) was asked twice, {varied} were answered otherwise; "
                "look for sampling settings or for several models behind one name"
            )
        return (
            f"{self.arm.name} varies: of {of} greedy requests asked twice, {varied} were answered "
            "otherwise the second time; a part of any difference is this"
            if varied
            else None
        )

    def hold(self) -> None:
        """Ask again what was asked before.

        Raises:
            ComparisonError: If the answers have moved, by more than the server varies.
        """
        first, second = self.said, self.store.get(self._second, self.probes)
        moved = [probe for probe in self.probes if probe.key in first and probe.key in second]
        for _ in range(2):  # a second look at those that moved: a busy server may vary once
            now = {request.key: response for request, response in self.arm.ask_alone(moved)}
            moved = [
                probe
                for probe in moved
                if now[probe.key].unscored is None
                and differ(first[probe.key], now[probe.key])
                and differ(second[probe.key], now[probe.key])
            ]
        if len(moved) > len(self._varied()):
            raise ComparisonError(
                f"an endpoint must stay the same model while it is compared: {self.arm.name!r} "
                f"({self.arm.section.endpoint}) answers {len(moved)} of {len(first)} stored "
                "requests otherwise than before: its weights or settings changed; serve what "
                "answered before, or give another --out"
            )

    @property
    def said(self) -> Answers:
        """What it said first, by request."""
        return self.store.get(self._first, self.probes)

    @property
    def _first(self) -> str:
        return alone(self.arm.fingerprint)

    @property
    def _second(self) -> str:
        return f"{self.arm.fingerprint} asked alone again"

    def _varied(self) -> list[Request]:
        first, second = self.said, self.store.get(self._second, self.probes)
        both = [probe for probe in self.probes if probe.key in first and probe.key in second]
        return [probe for probe in both if differ(first[probe.key], second[probe.key])]


def require_different(
    candidate: ServedProof, base: Answers, *, allow_identical: bool
) -> str | None:
    """Refuse a candidate that says what the base says; return a note where it is allowed.

    Args:
        candidate: What the candidate was asked.
        base: The base's answers to the same probes.
        allow_identical: Whether a candidate may be the base itself.

    Raises:
        ModelError: If every answer is the base's and that is not allowed.
    """
    said = candidate.said
    both = said.keys() & base.keys()
    if not both or any(_other_words(said[key], base[key]) for key in both):
        return None
    found = (
        f"{candidate.arm.name} ({candidate.arm.section.endpoint}) answers {len(both)} of "
        f"{len(both)} requests exactly as the base"
    )
    if allow_identical:
        return found
    raise ModelError(
        f"a candidate must differ from the base: {found}; the server ignores the model's name or "
        "its adapter is not applied; if it may be unchanged, say so with --allow-identical"
    )


def _other_words(one: Response, other: Response) -> bool:
    if one.logprob is None or other.logprob is None:
        return one.text != other.text
    return abs(one.logprob - other.logprob) > 1e-3
