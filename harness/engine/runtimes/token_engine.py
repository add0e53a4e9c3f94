"""What another inference engine is asked and says: token ids in, token ids out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.engine.decoding.sampling import SamplingParams
from harness.errors import ModelError
from harness.models.adapter_folder import read_adapter_folder


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """One continuation that is asked for.

    Attributes:
        adapter: The candidate whose adapter is applied; None asks the base.
        ids: The prompt.
        params: How tokens are chosen, and where to stop.
    """

    adapter: str | None
    ids: tuple[int, ...]
    params: SamplingParams


@dataclass(frozen=True, slots=True)
class TokenReply:
    """What was generated.

    Attributes:
        ids: The new tokens; a token that ended them is the last.
        logprob: The natural log of their probability, as far as the engine says it.
    """

    ids: tuple[int, ...]
    logprob: float | None = None


@dataclass(frozen=True, slots=True)
class LoraFolder:
    """A LoRA adapter: where it lies, and its largest rank."""

    path: Path
    rank: int

    @classmethod
    def read(cls, name: str, path: Path) -> "LoraFolder":
        """Read what a candidate's folder declares.

        Raises:
            ModelError: If it is no LoRA adapter.
        """
        folder = read_adapter_folder(path)
        if folder.kind != "LORA" or folder.config.get("use_dora"):
            kind = "a DoRA" if folder.kind == "LORA" else folder.kind or "a whole model"
            raise ModelError(
                f"vLLM answers for a base and plain LoRA adapters on it: {name!r} is {kind} "
                f"({folder.path}); leave 'backend: vllm' out"
            )
        patterns = folder.config.get("rank_pattern")
        ranks = [*patterns.values()] if isinstance(patterns, Mapping) else []
        return cls(folder.path, max(int(str(rank)) for rank in (folder.config.get("r", 8), *ranks)))


class TokenEngine(Protocol):
    """An engine that has loaded a base and adapters on it.

    It knows the tokens that end an answer, and stops at stop strings where it sees them: a hint
    that saves time. Where an answer ends is decided here, by our own decoder.
    """

    @property
    def title(self) -> str:
        """Name and version."""
        ...

    def stream(self, asked: Sequence[TokenRequest]) -> Iterator[list[tuple[int, TokenReply]]]:
        """Answer all requests in batches of the engine's choice, arms mixed as they come.

        Yields:
            Whenever some are finished, ``(index, reply)`` of each.

        Raises:
            ModelError: If the engine refuses a request, or fails.
        """
        ...
