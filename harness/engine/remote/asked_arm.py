"""What an arm with weights of its own is asked by: an endpoint, or a file that llama.cpp reads."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from harness.records import AnswerBatch, Request
from harness.study import ArmSection


class AskedArm(Protocol):
    """Answers requests for one arm; its notes are what a person should know of that."""

    name: str
    section: ArmSection

    @property
    def fingerprint(self) -> str:
        """The sha256 of what is known to change an answer."""
        ...

    @property
    def batches(self) -> bool:
        """Whether several requests are answered at once."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What a person should know about how it answers."""
        ...

    def check(self, requests: Sequence[Request]) -> None:
        """Refuse what cannot answer these requests, before anything is scored."""
        ...

    def answer(self, requests: Sequence[Request]) -> Iterator[AnswerBatch]:
        """Answer requests of any kinds, yielding batches as they are done."""
        ...

    def ask_alone(self, requests: Sequence[Request]) -> AnswerBatch:
        """Answer requests one after another."""
        ...
