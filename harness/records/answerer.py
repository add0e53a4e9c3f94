"""What answers the requests of every arm: an engine here, endpoints elsewhere, or both."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from harness.records.items import AnswerBatch, ArmAnswerBatch, Drafts, Request


class Answerer(Protocol):
    """Answers requests for the base and for every attached candidate."""

    @property
    def notes(self) -> list[str]:
        """What a person should know about how the arms answered."""
        ...

    @property
    def identical(self) -> frozenset[str]:
        """The candidates that are proven to give the base's own logits on any prompt."""
        ...

    def fingerprint(self, arm: str) -> str:
        """Return the sha256 of everything that is known to change an answer of this arm."""
        ...

    def attach(self, name: str, path: Path, *, allow_identical: bool = False) -> str:
        """Add a candidate by the folder of its weights; return their sha256."""
        ...

    def answer(
        self, arm: str, requests: Sequence[Request], *, drafts: Drafts | None = None
    ) -> Iterator[AnswerBatch]:
        """Answer requests of any kinds for one arm; see `answer_arms`."""
        ...

    def answer_arms(
        self,
        asked: Mapping[str, Sequence[Request]],
        *,
        drafts: Mapping[str, Drafts] | None = None,
    ) -> Iterator[ArmAnswerBatch]:
        """Answer what each arm is asked, yielding batches as they are done, in no set order.

        Arms may share the work; what one answers never depends on which others are asked.
        """
        ...


def answers_of_one(
    answerer: Answerer, arm: str, requests: Sequence[Request], drafts: Drafts | None
) -> Iterator[AnswerBatch]:
    """Answer requests for one arm by the way in which several are answered."""
    for batch in answerer.answer_arms({arm: requests}, drafts={arm: drafts or {}}):
        yield [(request, response) for _, request, response in batch]
