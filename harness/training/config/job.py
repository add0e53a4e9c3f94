"""One training with all defaults filled in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.study import BaseSection
from harness.training.config.keep import KeepRule
from harness.training.config.methods import Method, Settings
from harness.training.config.objectives import OBJECTIVES, Objective

if TYPE_CHECKING:
    from harness.models.protocols import CausalLM

ScoreModel = Callable[["CausalLM"], Mapping[str, float]]
"""Evaluates suites on a model in training: returns suite name -> mean score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Suites that are scored while a model is trained; with ``keep`` they choose its checkpoint."""

    score: ScoreModel
    keep: KeepRule | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A candidate ready to be trained.

    ``settings`` are PEFT's, ``arguments`` TRL's, both with the method's defaults; ``model`` is a
    folder or a hub name; ``checkpoints`` is where an interrupted training resumes from; ``watch``
    scores suites during training.
    """

    name: str
    method: Method
    settings: Settings
    arguments: Settings
    model: str
    base: BaseSection
    seed: int
    checkpoints: Path
    watch: Watch | None = None
    objective: Objective = OBJECTIVES["sft"]
    note: str = ""

    @property
    def keep(self) -> KeepRule | None:
        """How suites choose its checkpoint; None where the last, or the lowest loss, is kept."""
        return self.watch.keep if self.watch else None
