"""A small training on the tiny base."""

from pathlib import Path
from typing import Any

from harness.records import Example, Message
from harness.study import BaseSection, CandidateSection
from harness.training import train


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


def run(tiny_base: Path, out: Path, candidate: CandidateSection | None = None, **more: Any) -> Any:
    """Train on the tiny base."""
    inputs = {"model": str(tiny_base), "base": BaseSection(model=str(tiny_base)), "seed": 0}
    return train(candidate or section(), more.pop("data", rows()), out=out, **{**inputs, **more})
