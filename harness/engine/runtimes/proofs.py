"""Proofs, before anything is scored, that another engine answers as the arms of a study.

Short greedy texts are asked of every arm: the base before any adapter was used, each arm alone, and
all arms mixed in one batch. Each arm alone must say what our own engine says on the same weights,
candidates must differ from the base, and a mixed batch must change nothing. Where only the last
fails, arms are asked one after another, and that is proven, too.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.engine.decoding.sampling import SamplingParams
from harness.engine.runtimes.token_engine import TokenEngine, TokenReply, TokenRequest
from harness.errors import ModelError
from harness.records import BASE, Request, RequestKey, Response
from harness.suites.tokenize import tokens_needed

PROBES = 16
"""Prompts that every arm is asked."""

_NEW_TOKENS = 32

Said = dict[str, list[TokenReply]]
"""What each arm said to the probes, in their order."""


@dataclass(frozen=True, slots=True)
class RoundingBounds:
    """How far right answers of two engines may be apart.

    Attributes:
        tie: Two best logits that are closer than this may come out in either order.
        noise: How far the log-likelihood of one text may move, in nats and as a share of itself.
    """

    tie: float
    noise: float

    @classmethod
    def of(cls, dtype: str) -> "RoundingBounds":
        """Return the bounds of a dtype: rounding of half precision moves a logit of 20 by .1."""
        return cls(0.01, 0.001) if dtype == "float32" else cls(0.5, 0.05)


@dataclass(frozen=True, slots=True)
class Proven:
    """How an engine may be used: with arms in one batch or ``apart``, and what to tell."""

    apart: bool
    notes: tuple[str, ...]


def probes_of(requests: Iterable[Request], max_length: int) -> list[Request]:
    """Return the prompts that arms are proven by: the same ones for the same study.

    They are the study's own, each once, asked for a short greedy text.
    """
    texts = (
        one
        for one in requests
        if one.kind == "generate_until" and not (one.turn and one.turn.is_open)
    )
    ordered = sorted(texts, key=lambda one: (one.item.doc_hash, one.item.suite, one.index))
    distinct = {one.context_ids: _greedy(one) for one in reversed(ordered)}
    fitting = [one for one in reversed(distinct.values()) if tokens_needed(one) <= max_length]
    return fitting[:PROBES]


def _greedy(request: Request) -> Request:
    new = min(_NEW_TOKENS, int(request.settings["max_new_tokens"]))
    return replace(request, settings={"max_new_tokens": new, "until": []}, turn=None)


@dataclass(slots=True)
class RuntimeProof:
    """One engine, held against the arms of a study.

    Attributes:
        engine: What is proven.
        arms: The base and the candidates on it.
        probes: From `probes_of`.
        text_of: Turns token ids into a text, as for the answers that are scored.
        precision: What may be rounding.
    """

    engine: TokenEngine
    arms: Sequence[str]
    probes: Sequence[Request]
    text_of: Callable[[Request, Sequence[int]], str]
    precision: RoundingBounds

    def prove(
        self,
        ours: Mapping[str, Mapping[RequestKey, Response]] | None,
        identical: Collection[str],
    ) -> Proven:
        """Ask the probes, and return how the engine may be used.

        Args:
            ours: By arm what our own engine says to the probes; None where the weights have no
                room here.
            identical: Candidates that are the base itself, and may be.

        Raises:
            ModelError: If an arm answers as another model than its own.
        """
        alone = {arm: self._ask([arm])[arm] for arm in self.arms}  # the base's is the first
        if ours is not None:
            for arm in self.arms:
                self._check_weights(arm, alone[arm], ours[arm])
        for arm in self.arms:
            if arm != BASE and arm not in identical:
                self._check_acts(arm, alone)
        wrong = self._differing(alone, self._ask(self.arms), ours) if ours is not None else {}
        held = "" if ours is not None else ", not held against transformers: no room for both"
        proven = f"proven on {len(self.probes)} prompts per arm{held}"
        if ours is not None and not wrong:
            return Proven(False, (f"texts are {self.engine.title}'s: {proven}",))
        for arm, replies in {arm: self._ask([arm])[arm] for arm in self.arms}.items():
            if self._differing({arm: alone[arm]}, {arm: replies}, ours):
                raise ModelError(
                    f"{self.engine.title} must answer for an arm as before others were asked: "
                    f"{arm!r} does not; leave 'backend: vllm' out"
                )
        found = ", ".join(f"{arm} {count} of {len(self.probes)}" for arm, count in wrong.items())
        why = f" (in one batch it answered wrongly: {found})" if wrong else ""
        return Proven(True, (f"texts are {self.engine.title}'s, asked arm by arm{why}: {proven}",))

    def _ask(self, arms: Sequence[str]) -> Said:
        """Put every probe to some arms in one batch, each prompt to all arms in turn."""
        asked = [
            (arm, TokenRequest(None if arm == BASE else arm, probe.context_ids, params))
            for probe in self.probes
            for params in [SamplingParams.of(probe.settings)]
            for arm in arms
        ]
        replies: dict[int, TokenReply] = {}
        for batch in self.engine.stream([request for _, request in asked]):
            replies |= batch
        said: Said = {arm: [] for arm in arms}
        for number, (arm, _) in enumerate(asked):
            said[arm].append(replies[number])
        return said

    def _check_weights(
        self, arm: str, replies: Sequence[TokenReply], ours: Mapping[RequestKey, Response]
    ) -> None:
        same = wrong = 0
        for probe, reply in zip(self.probes, replies, strict=True):
            own = ours[probe.key]
            if own.unscored is None:
                equal = self.text_of(probe, reply.ids) == own.text
                same += equal
                wrong += not equal and not self._is_tie(own)
        if wrong or 2 * same < len(self.probes):
            raise ModelError(
                f"{self.engine.title} must answer as transformers does on the same weights: of "
                f"{len(self.probes)} short greedy texts of {arm!r} only {same} are the same; leave "
                "'backend: vllm' out, or give another 'dtype' to the base"
            )

    def _check_acts(self, arm: str, alone: Said) -> None:
        pairs = zip(alone[BASE], alone[arm], strict=True)
        if all(self._same(one, other) for one, other in pairs):
            raise ModelError(
                f"a candidate must differ from the base: {self.engine.title} answers "
                f"{len(self.probes)} of {len(self.probes)} prompts for {arm!r} exactly as for the "
                "base, so its adapter is not applied; leave 'backend: vllm' out"
            )

    def _differing(
        self,
        one: Said,
        other: Said,
        ours: Mapping[str, Mapping[RequestKey, Response]] | None,
    ) -> dict[str, int]:
        """Return by arm how many probes were answered otherwise, more than rounding explains."""
        found = {}
        for arm, replies in one.items():
            count = 0
            for probe, a, b in zip(self.probes, replies, other[arm], strict=True):
                tie = ours is not None and a.ids != b.ids and self._is_tie(ours[arm][probe.key])
                count += not tie and not self._same(a, b)
            if count:
                found[arm] = count
        return found

    def _same(self, one: TokenReply, other: TokenReply) -> bool:
        if one.ids != other.ids or one.logprob is None or other.logprob is None:
            return one.ids == other.ids
        return abs(one.logprob - other.logprob) <= self.precision.noise * max(1, abs(one.logprob))

    def _is_tie(self, own: Response) -> bool:
        return own.gap is not None and own.gap < self.precision.tie
