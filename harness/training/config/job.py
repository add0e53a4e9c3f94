"""What one training has to do, with all defaults filled in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.records import Example
from harness.study import BaseSection
from harness.training.config.methods import Method
from harness.training.config.objectives import OBJECTIVES, Objective


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """What a training is checked on while it runs.

    ``held_out`` are validation rows from a source of their own (without them the candidate's
    ``validation`` share of its rows is held out). ``score`` is called now and then with the model
    in training and returns suite name -> mean score.
    """

    held_out: Sequence[Example] = ()
    score: Callable[[Any], Mapping[str, float]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A candidate ready to be trained.

    ``settings`` are PEFT's, ``arguments`` TRL's, both with the method's defaults; ``model`` is a
    folder or a hub name; ``checkpoints`` is where an interrupted training goes on from; ``score``
    is that of `Checks`.
    """

    name: str
    method: Method
    settings: Mapping[str, Any]
    arguments: Mapping[str, Any]
    model: str
    base: BaseSection
    seed: int
    checkpoints: Path
    score: Callable[[Any], Mapping[str, float]] | None = None
    objective: Objective = OBJECTIVES["sft"]
    note: str = ""


NO_CHECKS = Checks()
