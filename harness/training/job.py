"""What one training has to do, with all defaults filled in."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.study import BaseSection
from harness.training.methods import Method


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A candidate ready to be trained.

    ``settings`` are PEFT's, ``arguments`` TRL's, both with the method's defaults; ``model`` is a
    folder or a hub name; ``validation`` is the share of rows held out (None: all are learnt);
    ``checkpoints`` is where an interrupted training goes on from.
    """

    name: str
    method: Method
    settings: Mapping[str, Any]
    arguments: Mapping[str, Any]
    model: str
    base: BaseSection
    seed: int
    checkpoints: Path
    validation: float | None = None
