"""The search space of a sweep, and the searches through it: grid and Optuna."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Protocol

from harness.errors import StudyError, nearest
from harness.extras import require
from harness.study import CandidateSection

if TYPE_CHECKING:
    import optuna

Choice = Mapping[str, object]
"""Settings of one trial by their place in the study, such as ``training.learning_rate``."""

CHANGES_LOSS = frozenset({"beta", "loss_type", "loss_weights", "label_smoothing", "ld_alpha"})
"""Training arguments that change what the validation loss measures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; ``log`` draws their order of magnitude."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What is tried: values or ranges by place; ``trials`` None tries every combination."""

    values: Mapping[str, tuple[object, ...] | Range]
    trials: int | None = None

    @property
    def size(self) -> int:
        """Return the number of trials."""
        return self.trials if self.trials is not None else len(grid(self))


def space_of(candidate: CandidateSection) -> Space:
    """Read a candidate's ``sweep``.

    Raises:
        StudyError: If it is not what a sweep may be; one sentence with a remedy.
    """
    where = f"candidate {candidate.name!r}: sweep"
    given = dict(candidate.sweep or {})
    trials = given.pop("trials", None)
    if trials is not None and (not isinstance(trials, int) or trials < 2):
        raise StudyError(f"{where}: 'trials' must be a whole number above 1: found {trials!r}")
    if not given:
        raise StudyError(f"{where} needs something to try, such as training.learning_rate: [...]")
    if candidate.validation is None:
        raise StudyError(
            f"{where} chooses by the loss on held-out rows: set 'validation', such as 0.1"
        )
    values = {
        place: _values(value, f"{where}: {place}", ranged=trials is not None)
        for place, value in given.items()
    }
    for place in values:
        section, _, name = place.partition(".")
        if section not in ("settings", "training") or not name:
            raise StudyError(
                f"{where}: {place!r} must begin with 'settings.' or 'training.'"
                f"{nearest(section, ('settings', 'training', 'trials'))}"
            )
        if name in CHANGES_LOSS:
            raise StudyError(
                f"{where}: {name!r} changes what the loss measures, so that trials could not be "
                "compared by it; make two candidates instead"
            )
    return Space(values=values, trials=trials)


def chosen(candidate: CandidateSection, choice: Choice) -> CandidateSection:
    """Return a candidate with one choice of its sweep written into its settings."""
    sections: dict[str, dict[str, object]] = {
        "settings": dict(candidate.settings),
        "training": dict(candidate.training),
    }
    for place, value in choice.items():
        section, _, name = place.partition(".")
        sections[section][name] = value
    return candidate.model_copy(update={**sections, "sweep": None})


def examples_of(space: Space) -> list[Choice]:
    """Return choices in which each declared value occurs alone, for checking."""
    ends = {
        place: (value.low, value.high) if isinstance(value, Range) else value
        for place, value in space.values.items()
    }
    return [{place: value} for place, values in ends.items() for value in values]


def grid(space: Space) -> list[Choice]:
    """Return every combination of declared values, the last place changing fastest."""
    lists = [value for value in space.values.values() if not isinstance(value, Range)]
    return [dict(zip(space.values, combination, strict=True)) for combination in product(*lists)]


class Search(Protocol):
    """Chooses the next trial of a sweep."""

    def ask(self) -> Choice:
        """Return the next choice."""
        ...

    def should_prune(self, number: int, loss: float) -> bool:
        """Tell whether the running trial may be pruned, from its latest validation loss.

        ``number`` is how far it is, in tenths.
        """
        ...

    def tell(self, losses: Sequence[float], state: str) -> None:
        """Report how the trial ended: ``finished``, ``pruned`` or ``diverged``."""
        ...


@dataclass(slots=True)
class Grid:
    """Every combination in turn; none is pruned."""

    space: Space
    asked: int = 0

    def ask(self) -> Choice:
        """Return the next combination."""
        self.asked += 1
        return grid(self.space)[self.asked - 1]

    def should_prune(self, number: int, loss: float) -> bool:  # noqa: ARG002
        """Never prune: the study names each combination."""
        return False

    def tell(self, losses: Sequence[float], state: str) -> None:
        """Ignore results: the order is fixed."""


@dataclass(slots=True)
class Optuna:
    """Optuna's TPE sampler, and its median pruner on validation losses.

    Deterministic: an interrupted sweep resumes by telling it the finished trials again.
    """

    space: Space
    seed: int
    _study: "optuna.Study" = field(init=False, repr=False)
    _trial: "optuna.Trial" = field(init=False, repr=False)
    _reported: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        require("sweep")
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        startup = max(2, min(5, (self.space.trials or 0) // 3))
        self._study = optuna.create_study(
            sampler=optuna.samplers.TPESampler(seed=self.seed, n_startup_trials=startup),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=startup, n_warmup_steps=2),
        )

    def ask(self) -> Choice:
        """Return the sampler's next choice."""
        self._trial = self._study.ask()
        self._reported = set()
        return {place: self._draw(place, value) for place, value in self.space.values.items()}

    def should_prune(self, number: int, loss: float) -> bool:
        """Tell whether the best loss so far is worse than the median of earlier trials."""
        if number not in self._reported:
            self._reported.add(number)
            self._trial.report(loss, number)
        return bool(self._trial.should_prune())

    def tell(self, losses: Sequence[float], state: str) -> None:
        """Report a trial's validation losses and how it ended."""
        from optuna.trial import TrialState

        if not self._reported:  # known from an earlier run
            for number, loss in enumerate(losses, start=1):
                self._trial.report(loss, number)
        ends = {"pruned": TrialState.PRUNED, "diverged": TrialState.FAIL}
        if state in ends:
            self._study.tell(self._trial, state=ends[state])
        else:
            self._study.tell(self._trial, min(losses))

    def _draw(self, place: str, value: tuple[object, ...] | Range) -> object:
        if not isinstance(value, Range):
            return value[self._trial.suggest_int(place, 0, len(value) - 1)]
        if isinstance(value.low, int) and isinstance(value.high, int):
            return self._trial.suggest_int(place, value.low, value.high, log=value.log)
        return self._trial.suggest_float(place, value.low, value.high, log=value.log)


def _values(value: object, where: str, *, ranged: bool) -> tuple[object, ...] | Range:
    if isinstance(value, list) and value:
        return tuple(value)
    if not isinstance(value, dict):
        raise StudyError(f"{where} must be a list of values: found {value!r}")
    if not ranged:
        raise StudyError(f"{where} is a range, which needs 'trials'; or list the values to try")
    unknown = set(value) - {"low", "high", "log"}
    if unknown:
        name = min(unknown)
        raise StudyError(f"{where}: unknown key {name!r}{nearest(name, ('low', 'high', 'log'))}")
    low, high = (_number(value.get(key)) for key in ("low", "high"))
    log = bool(value.get("log", False))
    if low is None or high is None or low >= high or (log and low <= 0):
        least = "above 0 and " if log else ""
        raise StudyError(f"{where} must have numbers 'low' {least}below 'high': found {value!r}")
    return Range(low=low, high=high, log=log)


def _number(value: object) -> float | None:
    """Read a number that YAML took for text, such as ``1e-5``."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return value
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None
