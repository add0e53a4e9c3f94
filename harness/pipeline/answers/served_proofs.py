"""Proofs that an endpoint answers as the model that a study names, before and while it is scored.

A server's weights cannot be hashed. So a few requests are asked one at a time, twice before
anything else, and again at every later start and after the last answer. A server that does not
repeat itself, answers for all names with one model, or serves other weights than before is told by
its own words.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from harness.engine.remote.asked_arm import AskedArm
from harness.errors import ComparisonError, EndpointError
from harness.records import AnswerBatch, Answers, Request, Response
from harness.store.answers import AnswerTable, answer_key

PROBES = 8
"""Requests by which an endpoint is known again."""

_NEW_TOKENS = 32
_NOISE = 0.05
"""How far a log-likelihood may move between two askings, in nats, and as a share of itself."""


def probes_of(
    requests: Sequence[Request], store: AnswerTable, fingerprints: Collection[str]
) -> list[Request]:
    """Return the requests by which endpoints are known again: the same ones for the same study.

    Generations are greedy and short; each kind of request has an equal part. What an endpoint was
    asked before comes first: a study that got more suites since still tells whether it moved.

    Args:
        requests: All of the study.
        store: What was asked before.
        fingerprints: Of the endpoints.
    """
    ordered = [_greedy(one) for one in sorted(requests, key=lambda one: answer_key("", one))]
    stored = {key for one in fingerprints for key in store.get(alone(one), ordered)}
    by_kind: dict[str, list[Request]] = {}
    for request in sorted(ordered, key=lambda one: one.key not in stored):
        by_kind.setdefault(request.kind, []).append(request)
    return [one for group in by_kind.values() for one in group[: PROBES // len(by_kind)]]


def alone(fingerprint: str) -> str:
    """Return under what an arm's answers to its probes are stored, apart from those scored."""
    return f"{fingerprint} asked alone"


def _greedy(request: Request) -> Request:
    if request.kind != "generate_until":
        return request
    new = min(_NEW_TOKENS, int(request.settings["max_new_tokens"]))
    names = ("until", "chat_template_kwargs")
    kept = {name: request.settings[name] for name in names if name in request.settings}
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

    arm: AskedArm
    probes: Sequence[Request]
    store: AnswerTable

    def begin(self) -> str | None:
        """Ask the probes; return what a person should know of a server that varies.

        Raises:
            EndpointError: If it hardly ever says the same twice.
            ComparisonError: If it said something else when its stored answers were given.
            InfrastructureError: If it cannot be reached.
        """
        new = [probe for probe in self.probes if probe.key not in self.said]
        self.hold()
        for asking in (self._first, self._second):
            answers = self.arm.ask_alone(new)
            self._require_some(answers)
            self.store.put(asking, answers)
        varied, of = len(self._varied()), len(self.said)
        if 2 * varied > of:
            raise EndpointError(
                f"a server must say the same again: of {of} greedy requests that {self.arm.name!r} "
                f"({self.arm.section.endpoint}) was asked twice, {varied} were answered otherwise; "
                "look for sampling settings or for several models behind one name"
            )
        self._hold_together()
        return (
            f"{self.arm.name} varies: of {of} greedy requests asked twice, {varied} were answered "
            "otherwise the second time; a part of any difference is this"
            if varied
            else None
        )

    def _require_some(self, answers: AnswerBatch) -> None:
        """Refuse a server of which hardly any answer could be scored."""
        reasons = Counter(response.unscored for _, response in answers if response.unscored)
        if 2 * reasons.total() > len(answers):
            raise EndpointError(
                f"a server must answer whole prompts as long as it is asked to: {self.arm.name!r} "
                f"({self.arm.section.endpoint}) fails at {reasons.total()} of {len(answers)} "
                f"requests: {reasons.most_common(1)[0][0]}"
            )

    def _hold_together(self) -> None:
        """Ask the probes as all others will be: several at once, where the study says so.

        Raises:
            EndpointError: If more of the answers are others than a server may vary by.
        """
        if not self.arm.batches:
            return
        said = self.said
        asked = [probe for probe in self.probes if probe.key in said]
        together = {key.key: one for batch in self.arm.answer(asked) for key, one in batch}
        moved = [key for key, one in together.items() if differ(said[key], one)]
        if len(moved) > max(len(self._varied()), len(asked) // 4):
            raise EndpointError(
                f"a server must answer several requests at once as it answers each alone: of "
                f"{len(asked)} that {self.arm.name!r} ({self.arm.section.endpoint}) was asked both "
                f"ways, {len(moved)} were answered otherwise; set batch_size: 1 and "
                "num_concurrent: 1 in its model_args, or mend the server"
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
    candidate: ServedProof, other: Answers, *, whose: str = "the base", allow_identical: bool
) -> str | None:
    """Refuse a candidate that says what another arm says; return a note where it is allowed.

    Args:
        candidate: What the candidate was asked.
        other: Another arm's answers to the same probes.
        whose: What errors call that arm.
        allow_identical: Whether a candidate may be the other itself.

    Raises:
        EndpointError: If every answer is the other's and that is not allowed.
    """
    said = candidate.said
    both = said.keys() & other.keys()
    if not both or any(_other_words(said[key], other[key]) for key in both):
        return None
    found = (
        f"{candidate.arm.name} ({candidate.arm.section.endpoint}) answers {len(both)} of "
        f"{len(both)} requests exactly as {whose}"
    )
    if allow_identical:
        return found
    raise EndpointError(
        f"a candidate must differ from {whose}: {found}; the server ignores the model's name, its "
        "adapter is not applied, or something on the way (a cache) answers for both; if it may be "
        "unchanged, say so with --allow-identical"
    )


def _other_words(one: Response, other: Response) -> bool:
    if one.logprob is None or other.logprob is None:
        return one.text != other.text
    return abs(one.logprob - other.logprob) > 1e-3
