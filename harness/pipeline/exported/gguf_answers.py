"""Whether a GGUF file that was just converted answers as what was scored."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from harness.errors import ComparisonError, HarnessError
from harness.extras import lacks
from harness.pipeline.exported.same_answers import AskedAgain, count_same

if TYPE_CHECKING:
    from harness.study import Study

_ENOUGH = 0.5
"""The least share of equal answers. Conversion to 16 bits turns a text here and there; a file that
is read otherwise than it was written answers next to nothing as before."""


class GgufAnswers(NamedTuple):
    """How many items a file was asked, and how many it answered as what was scored.

    ``asked`` is 0 where llama.cpp is not installed, so that nothing was checked.
    """

    asked: int
    same: int


def check_gguf(file: Path, study: "Study", model: str, asked: AskedAgain) -> GgufAnswers:
    """Let llama.cpp read a converted file, and answer what was answered when it was scored.

    Args:
        file: What was converted.
        study: Of the run.
        model: Whose tokenizer made the prompts.
        asked: Items of the run, and its answers.

    Raises:
        HarnessError: If it cannot be read, has other tokens, or answers otherwise; it is deleted.
    """
    if lacks("gguf"):
        return GgufAnswers(0, 0)
    from harness.engine import context_length, load_tokenizer
    from harness.engine.runtimes.gguf_arm import GgufArm, longest_of
    from harness.study import CandidateSection

    tokenizer = load_tokenizer(model, study.base)
    context = context_length(model, study.base, tokenizer)
    arm = GgufArm(
        name=file.stem,
        section=CandidateSection(name="file", gguf=str(file)),
        path=file,
        tokenizer=tokenizer,
        longest=longest_of(asked.requests, context),
    )
    try:
        arm.check(asked.requests)
        now = {request.key: one for batch in arm.answer(asked.requests) for request, one in batch}
    except HarnessError:
        file.unlink()
        raise
    found = GgufAnswers(len(asked.samples), count_same(asked, now))
    if found.same < _ENOUGH * found.asked:
        file.unlink()
        raise ComparisonError(
            f"a GGUF file must answer as what was scored: {file.name} does so on {found.same} of "
            f"{found.asked} items, so it was deleted; take a converter and a llama-cpp-python that "
            "know this architecture"
        )
    return found
