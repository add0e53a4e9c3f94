"""A suite's scores in one's own training script, with the trainers of TRL and transformers.

```python
from harness.callbacks import SuiteCallback

trainer = SFTTrainer(...)                                             # as it is
trainer.add_callback(SuiteCallback(trainer, ["sql", "arc_mini"]))
trainer.train()
```
"""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from pydantic import ValidationError
from tqdm.auto import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from harness.errors import ModelError, StudyError, nearest
from harness.extras import require
from harness.files import write_text
from harness.models.protocols import CausalLM
from harness.pipeline.answers.ask import part
from harness.pipeline.checks.choosing import choosing_places
from harness.pipeline.checks.suite_rows import check_databases
from harness.study import SuiteSection
from harness.suites.items_used import write_items_used
from harness.training import KeepRule
from harness.training.distributed import WHOLE, is_spread, of_first

if TYPE_CHECKING:
    from harness.engine import LoadedSuite

log = logging.getLogger("harness.callbacks")

Scores = dict[str, float]
"""Suite -> mean score, in [0, 1]."""

PREFIX = "eval_harness_"
"""Beginning of a suite's name in the trainer's log and metrics: trackers put it under ``eval/``."""

WITHIN = "_within_limits"
"""End of the metric that is a suite's score while every limit holds, and below any score else."""

TIMES = 10
"""How often suites are scored in a training without evaluations, not counting the beginning."""


class SuiteCallback(TrainerCallback):
    """Scores slices of suites before, while and after a model is trained.

    The scores are in the trainer's log, wherever it reports to, as ``eval_harness_<suite>``, and
    among the metrics of its evaluations: ``metric_for_best_model="harness_sql"`` keeps the
    checkpoint that is best on ``sql``, and `EarlyStoppingCallback` stops by it. With ``limit``
    there is ``harness_sql_within_limits`` too: the same score while every limit holds, -1 else.

    Scoring leaves model, gradients and random states as they were: the training is the one that it
    would be without. Of several processes the first scores, and tells the others.

    When training ends, ``<output_dir>/harness`` holds the model as it is then (the best one, with
    ``load_best_model_at_end``), the record of the items that were looked at, and a study that
    judges it on others: ``harness run <output_dir>/harness/study.yaml``.
    """

    def __init__(
        self,
        trainer: Trainer,
        suites: Sequence[str | Mapping[str, object]],
        *,
        items: int = 50,
        every: int | None = None,
        limit: Mapping[str, float] | None = None,
        stop: bool = True,
        seed: int = 0,
    ) -> None:
        """Load the suites and draw their slices, so that nothing is found missing in mid-training.

        Args:
            trainer: Whose model is scored; call its ``add_callback`` with this object.
            suites: Names, or entries as a study has them; paths are relative to the working folder.
            items: How many items of each suite are looked at, whole clusters at a time. A study
                that judges the model later leaves them out.
            every: Score each so many steps, beside the trainer's evaluations; without evaluations
                ten times by default.
            limit: By suite, the most that it may lose from its score before training.
            stop: Whether training ends when a limit is broken.
            seed: Of the draw.

        Raises:
            StudyError: If a suite is not known, or has too few items.
            ModelError: If the model's weights are spread over processes, or its tokenizer is not
                given.
        """
        require("engine")
        if trainer.processing_class is None:
            raise ModelError(
                "suites need the model's tokenizer: give the trainer its 'processing_class'"
            )
        self._trainer = trainer
        self._require_whole()
        self._sections = [_section(entry) for entry in suites]
        self._every = every
        self._stop = stop
        self._slices = self._draw(items, seed)
        self._rule = KeepRule(
            best="",
            limit=dict(limit or {}),
            lower=frozenset(n for n, s in self._slices.items() if not s.suite.higher_is_better),
        )
        for name in self._rule.limit:
            if name not in self._slices:
                raise StudyError(
                    f"a limit is held by a suite that is scored: {name!r} is none"
                    f"{nearest(name, self._slices)}"
                )
        self._before: Scores = {}
        self._last: tuple[int, Scores] | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, _: TrainerControl, **__: object
    ) -> None:
        """Score the model before the first step, or find those scores in a resumed log.

        From here on this callback comes first, so that others find the scores in the metrics.

        Raises:
            StudyError: If limits are to be held against scores that a resumed log does not have.
        """
        others = self._trainer.callback_handler.callbacks
        others.insert(0, others.pop(others.index(self)))
        if self._every is None and args.eval_strategy == "no":
            self._every = max(1, math.ceil(state.max_steps / TIMES))
        if state.global_step == 0:
            self._before = self._scores(0)
        else:
            first = [entry for entry in state.log_history if entry["step"] == 0]
            logged = {name: value for entry in first for name, value in entry.items()}
            self._before = {
                suite: logged[f"{PREFIX}{suite}"]
                for suite in self._slices
                if f"{PREFIX}{suite}" in logged
            }
        if not set(self._rule.limit) <= set(self._before):
            raise StudyError(
                "a limit is held against the scores before the first step, which this checkpoint's "
                "log does not have: train from the beginning, or leave 'limit' out"
            )

    def on_step_end(
        self, _: TrainingArguments, state: TrainerState, control: TrainerControl, **__: object
    ) -> None:
        """Score the model if its turn has come."""
        if self._every and state.global_step % self._every == 0:
            due = control.should_log
            scores = self._scores(state.global_step)
            control.should_log = due  # logging the scores counts as the step's log
            self._hold(scores, control)

    def on_evaluate(
        self,
        _: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        metrics: Scores | None = None,
        **__: object,
    ) -> None:
        """Put the suites' scores among an evaluation's metrics."""
        scores = self._scores(state.global_step)
        if self._trainer.is_in_train:
            self._hold(scores, control)
        if metrics is None:
            return
        metrics.update({f"{PREFIX}{suite}": score for suite, score in scores.items()})
        if self._rule.limit and self._trainer.is_in_train:
            for suite in scores:
                metrics[f"{PREFIX}{suite}{WITHIN}"] = self._value(suite, scores, within=True)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, _: TrainerControl, **__: object
    ) -> None:
        """Write beside a checkpoint which items have been looked at."""
        if state.is_world_process_zero:
            self._record(Path(args.output_dir), state)
            self._record(
                Path(args.output_dir, f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"), state
            )

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, _: TrainerControl, **__: object
    ) -> None:
        """Write the folder that ``harness run`` goes on from."""
        self._last = None  # the best checkpoint may have been loaded since
        if not state.is_world_process_zero:
            return
        best = (args.metric_for_best_model or "").endswith(WITHIN)
        if best and (state.best_metric is None or state.best_metric < 0):
            _tell("no checkpoint stayed within the limits: the one that is kept is not, too")
        elif kept := self._kept(args, state):
            _tell(kept)
        folder = Path(args.output_dir, "harness")
        model = self._trainer.accelerator.unwrap_model(self._trainer.model)
        is_adapter = hasattr(model, "peft_config")
        chosen = {"selected_adapters": model.active_adapters} if is_adapter else {}
        model.save_pretrained(folder / "model", **chosen)
        self._trainer.processing_class.save_pretrained(folder / "model")
        self._record(folder / "model", state)
        self._record(Path(args.output_dir), state)
        base = str(getattr(model.config, "_name_or_path", "") or "")
        if base:
            write_text(folder / "study.yaml", self._study(base, model, Path(args.output_dir).name))
            _tell(f"the model is judged by: harness run {folder / 'study.yaml'}")

    def _kept(self, args: TrainingArguments, state: TrainerState) -> str:
        """Say which checkpoint was loaded as the best by a suite; empty where none was."""
        metric = "eval_" + (args.metric_for_best_model or "").removeprefix("eval_")
        within = metric.endswith(WITHIN)
        suite = metric.removesuffix(WITHIN).removeprefix(PREFIX)
        if not args.load_best_model_at_end or f"{PREFIX}{suite}" != metric.removesuffix(WITHIN):
            return ""
        if not state.best_model_checkpoint or suite not in self._slices:
            return ""
        evaluated = {entry["step"] for entry in state.log_history if "eval_runtime" in entry}
        later = [
            self._value(suite, _suites_of(entry), within=within)
            for entry in state.log_history
            if f"{PREFIX}{suite}" in entry and entry["step"] in evaluated
            if entry["step"] > state.best_global_step
        ]
        equal = later.count(state.best_metric)
        said = f", which {equal} later {'one equals' if equal == 1 else 'ones equal'}"
        kept = Path(state.best_model_checkpoint).name
        return (
            f"kept {kept}: {metric.removeprefix('eval_')} {state.best_metric:.2f}"
            f"{said if equal else ''}"
        )

    def _value(self, suite: str, scores: Scores, *, within: bool) -> float:
        """Return a suite's metric of an evaluation: its score, or what counts within the limits."""
        if not within:
            return scores[suite]
        broken = self._rule.broken(self._before, scores)
        return -1.0 if broken else self._slices[suite].suite.oriented(scores[suite])

    def _draw(self, items: int, seed: int) -> "dict[str, LoadedSuite]":
        from harness.engine import load_suite
        from harness.engine.interim import undisturbed

        tokenizer = self._trainer.processing_class
        slices: dict[str, LoadedSuite] = {}
        with undisturbed(self._trainer.model):
            for section in self._sections:
                suite = load_suite(
                    section,
                    engine_tokenizer=getattr(tokenizer, "tokenizer", tokenizer),
                    template="auto",
                    seed=seed,
                    folder=Path.cwd(),
                )
                if any(one.kind == "loglikelihood_rolling" for one in suite.requests):
                    raise StudyError(
                        f"suite {section.name!r} scores whole texts, which training cannot watch"
                    )
                if suite.suite.judge == "sql":
                    require("sql")
                slices[section.name] = part(suite, choosing_places(suite, items, seed=seed))
            check_databases(list(slices.values()))
        return slices

    def _scores(self, step: int) -> Scores:
        """Return the scores of the model as it is now, and log them; once a step of a training."""
        if self._trainer.is_in_train and self._last is not None and self._last[0] == step:
            return self._last[1]
        self._require_whole()
        model = self._trainer.accelerator.unwrap_model(self._trainer.model)
        scores = of_first(lambda: self._score(model))
        # TRL's own log would add means over half a step
        Trainer.log(self._trainer, {f"{PREFIX}{suite}": score for suite, score in scores.items()})
        self._last = (step, scores)
        return scores

    def _require_whole(self) -> None:
        """Refuse a model of which this process holds a part, as it was wrapped or will be."""
        trainer = self._trainer
        spread = is_spread(trainer.model) or is_spread(trainer.model_wrapped)
        if spread or trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
            raise ModelError(WHOLE)

    def _score(self, model: CausalLM) -> Scores:
        from harness.engine.interim import answer_suites, undisturbed

        slices = list(self._slices.values())
        with undisturbed(model):
            answers = answer_suites(model, slices[0].tokenizer, slices)
            return {
                one.suite.name: one.mean_score("in training", answers[one.suite.name])
                for one in slices
            }

    def _hold(self, scores: Scores, control: TrainerControl) -> None:
        """Tell of falls beyond their limit; end the training if there are any."""
        broken = self._rule.broken(self._before, scores)
        for suite, fall in broken.items():
            _tell(
                f"{suite} lost {fall:.3f} since before training, more than "
                f"{self._rule.limit[suite]:.3f}{': training ends' if self._stop else ''}"
            )
        control.should_training_stop |= bool(broken) and self._stop

    def _record(self, folder: Path, state: TrainerState) -> None:
        seen = [
            {"step": entry["step"], **{k: v for k, v in entry.items() if k.startswith(PREFIX)}}
            for entry in state.log_history
            if any(name.startswith(PREFIX) for name in entry)
        ]
        used = {name: suite.items for name, suite in self._slices.items()}
        write_items_used(folder, used, more={"scores": seen})

    def _study(self, base: str, model: CausalLM, name: str) -> str:
        """Return a study that judges the model on the items that were not looked at."""
        section: dict[str, object] = {"model": str(Path(base).resolve()) if is_dir(base) else base}
        for bits in ("4bit", "8bit"):
            if getattr(model, f"is_loaded_in_{bits}", False):
                section["quantization"] = bits
        suites = [
            {
                key: str(Path(str(value)).resolve()) if is_path(key, value) else value
                for key, value in one.model_dump(mode="json", exclude_unset=True).items()
            }
            for one in self._sections
        ]
        text = yaml.safe_dump(
            {
                "name": "".join(c if c.isascii() and c.isalnum() else "-" for c in name).strip("-")
                or "trained",
                "base": section,
                "candidates": [{"name": "trained", "adapter": "model"}],
                "suites": suites,
            },
            sort_keys=False,
        )
        return f"# Judges the model on items that were not looked at while it was trained.\n{text}"


def _tell(said: str) -> None:
    """Log a warning that begins on a line of its own, above the trainer's progress bar."""
    with logging_redirect_tqdm(tqdm_class=tqdm):
        log.warning(said)


def _suites_of(entry: Mapping[str, float]) -> Scores:
    """Return the suites' scores of one entry of a trainer's log."""
    return {k.removeprefix(PREFIX): v for k, v in entry.items() if k.startswith(PREFIX)}


def is_dir(path: str) -> bool:
    """Tell whether a model's name is a folder here, and not the hub's."""
    return Path(path).is_dir()


def is_path(key: str, value: object) -> bool:
    """Tell whether an entry of a suite is a path, which a study takes from its own folder."""
    return key in ("folder", "data", "databases") and "://" not in str(value)


def _section(entry: str | Mapping[str, object]) -> SuiteSection:
    try:
        given = {"name": entry} if isinstance(entry, str) else dict(entry)
        return SuiteSection.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(one) for one in first["loc"])
        raise StudyError(
            f"a suite of SuiteCallback is a name or an entry of a study: {where}: {first['msg']}"
        ) from error
