"""Small trainings on the tiny base, and rows tokenized for them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.records import Arm, Example, Message
from harness.study import BaseSection, CandidateSection
from harness.training import RowTokenizer, TokenizedRows, TrainingRows, train, training_rows

if TYPE_CHECKING:
    from harness.training.rows.tokenized import Encoded


def rows(count: int = 40) -> list[Example]:
    """Return questions with answers of several lengths."""
    return [
        Example(
            prompt=(Message(role="user", content=f"what is {i}?" + " please" * (i % 4)),),
            completion=(Message(role="assistant", content=f"it is {i * 7 % 13}"),),
            origin=f"rows.jsonl:{i + 1}",
        )
        for i in range(count)
    ]


def section(**fields: Any) -> CandidateSection:
    """Return a LoRA candidate that trains for a few steps."""
    training = {"max_steps": 4, "learning_rate": 0.01, **fields.pop("training", {})}
    return CandidateSection(name="mine", train="rows.jsonl", training=training, **fields)


def prepared(
    candidate: CandidateSection,
    examples: Sequence[Example],
    *,
    model: str,
    base: BaseSection,
    seed: int = 0,
) -> TrainingRows:
    """Return examples as `train` takes them."""
    tokenized = TokenizedRows(examples, RowTokenizer(model, base))
    return training_rows(candidate, tokenized, seed=seed)


def train_on(
    candidate: CandidateSection, examples: Sequence[Example], *, model: str, out: Path, **more: Any
) -> Arm:
    """Train a candidate on examples."""
    inputs = {"model": model, "base": BaseSection(model=model), "seed": 0}
    inputs |= {name: more.pop(name) for name in ("base", "seed") if name in more}
    rows = prepared(candidate, examples, **inputs)
    return train(candidate, rows, out=out, **inputs, **more)


def encoded(
    examples: Sequence[Example], tokenizer: Any, *, chat: bool = True, max_length: int = 256
) -> "Encoded":
    """Return examples as a training session takes them."""
    from harness.training.rows.encode import encode
    from harness.training.rows.tokenized import Encoded

    rows = tuple(encode(examples, tokenizer, chat=chat))
    longest = max(row.length for row in rows)
    return Encoded(rows=rows, too_long=0, longest=longest, max_length=max_length)


def run(tiny_base: Path, out: Path, candidate: CandidateSection | None = None, **more: Any) -> Arm:
    """Train on the tiny base."""
    data = more.pop("data", rows())
    return train_on(candidate or section(), data, model=str(tiny_base), out=out, **more)
