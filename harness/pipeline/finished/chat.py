"""Chat with the arms of a finished run side by side; every arm sees the same turns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import StudyError
from harness.pipeline.conclude import reopen
from harness.records import BASE, Comparison
from harness.store.run_folder import RunFolder
from harness.store.transcripts import add_turn, comparisons

if TYPE_CHECKING:
    from harness.engine import LocalEngine


@dataclass(slots=True)
class ArmsChat:
    """A conversation with all arms at once; made by `open_chat`.

    After each turn the history goes on with the answer of the arm ``continue_with``, so that all
    arms get the same prompt, and raters can compare what they answered.
    """

    engine: "LocalEngine"
    arms: tuple[str, ...]
    continue_with: str
    transcript: Path
    turns: list[Mapping[str, str]] = field(default_factory=list)

    def send(
        self,
        text: str,
        *,
        on_text: Callable[[str, str], None],
        max_new_tokens: int = 256,
        temperature: float = 0.0,
    ) -> Mapping[str, str]:
        """Let every arm answer, and add the turn to the transcript.

        Args:
            text: The user's turn.
            on_text: Called with an arm's name and each piece of its answer as it is generated.
            max_new_tokens: Where an answer is cut.
            temperature: 0 is greedy.

        Returns:
            What each arm said, thoughts included; the history and the transcript have none.
        """
        from harness.engine.reply import reply

        prompt = [*self.turns, {"role": "user", "content": text}]
        said = {}
        for arm in self.arms:
            said[arm] = reply(
                self.engine, arm, prompt, tell=partial(on_text, arm),
                max_new_tokens=max_new_tokens, temperature=temperature,
            )  # fmt: skip
        answers = {arm: one.answer for arm, one in said.items()}
        add_turn(self.transcript, prompt, answers)
        self.turns = [*prompt, {"role": "assistant", "content": answers[self.continue_with]}]
        return {arm: one.text for arm, one in said.items()}

    def clear(self) -> None:
        """Clear the history; the transcript keeps it."""
        self.turns = []


def open_chat(folder: RunFolder, *, trust_remote_code: bool = False) -> ArmsChat:
    """Load the base and every candidate on it of a finished run for a conversation.

    Args:
        folder: A finished run.
        trust_remote_code: Run code that comes with the base; its lock cannot allow it.

    Raises:
        StudyError: If the folder holds no scored run, or the base answers elsewhere.
        ModelError: If the base or an adapter can no longer be loaded.
    """
    from harness.engine import open_engine

    study, result = reopen(folder)
    base = study.base.model_copy(update={"trust_remote_code": trust_remote_code})
    if base.elsewhere:
        raise StudyError(
            f"chat needs a base that is loaded here: this one answers at {base.endpoint}"
        )
    engine = open_engine(base, folder.base_path(study))
    arms = [arm for arm in result.arms if arm.path and arm.base is None and not arm.form]
    for arm in arms:
        engine.attach(arm.name, folder.weights(arm), allow_identical=True)
    names = (BASE, *(arm.name for arm in arms))
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    return ArmsChat(
        engine=engine,
        arms=names,
        continue_with=names[-1],
        transcript=folder.chats / f"{stamp}.jsonl",
    )


def chat_comparisons(folder: RunFolder) -> Sequence[Comparison]:
    """Return the transcripts of a run as pairs for raters."""
    return comparisons(folder.chats)
