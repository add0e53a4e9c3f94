"""One candidate from rows to a finished adapter folder."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.corpus import hold_out, text_of
from harness.errors import HarnessError
from harness.models.load_model import load_tokenizer
from harness.records import Arm, Example, LossPoint
from harness.study import BaseSection, CandidateSection
from harness.training import distributed, saved
from harness.training.config.job import NO_CHECKS, Checks, Job
from harness.training.config.objectives import check_rows
from harness.training.config.settings import (
    check,
    method_of,
    objective_of,
    settings_of,
    training_of,
)
from harness.training.rows.card import prepare
from harness.training.sweep import best_of
from harness.training.trl.quiet import quiet, remarks
from harness.training.trl.reporters import SHOWN_ONLY, reporting
from harness.versions import versions

LOGS = "_logs"
"""Where reporters write, beside the adapters."""

Told = Callable[[LossPoint, int], None]
Rows = tuple[Sequence[Example], Sequence[Example]]
"""Those to learn from, and those held out."""


def train(
    candidate: CandidateSection,
    examples: Sequence[Example],
    *,
    model: str,
    base: BaseSection,
    out: Path,
    seed: int,
    on_progress: Callable[[LossPoint, int], None] | None = None,
    checks: Checks = NO_CHECKS,
) -> Arm:
    """Train a candidate, or return what an earlier run with the same inputs left in ``out``.

    ``out`` appears only when everything in it is complete; until then work and checkpoints are in
    a hidden folder beside it, from which an interrupted training continues.

    Args:
        candidate: Method, settings (PEFT's names) and training arguments (TRL's names).
        examples: Rows to learn from; the loss is on their completions.
        model: What transformers can load: a folder or a hub name.
        base: How the base is loaded: precision, device, quantization, template.
        out: The adapter's folder (full weights for the method ``full``).
        seed: Decides adapter initialisation, data order and dropout.
        on_progress: Called with each point of the loss curve and the number of steps in all, and
            once more when the point gets its validation loss.
        checks: Validation rows of a source of their own, and what else is watched.

    Raises:
        StudyError: If method, settings or training arguments are not known.
        DataError: If rows cannot be learnt from.
        ModelError: If the base cannot be loaded or trained so, or the training diverges.
    """
    check(candidate)
    check_rows(candidate.objective, [*examples, *checks.held_out])
    inputs: dict[str, Any] = {"model": model, "base": base, "seed": seed}
    rows = (examples, checks.held_out) if checks.held_out else split(candidate, examples, seed=seed)

    def mark(section: CandidateSection) -> str:
        return saved.fingerprint(section, examples, **inputs, held_out=checks.held_out)

    def fit(section: CandidateSection, folder: Path, told: Told | None) -> Arm:
        job = _job(section, work=_workplace(folder), **inputs)
        fingerprint = mark(section)
        shown = {"run_name": f"{candidate.name}-{fingerprint[:8]}", "project": "harness"}
        job = replace(job, score=checks.score, arguments={**shown, **job.arguments})
        with reporting(job.arguments, out.parent / LOGS):
            return _fit(job, rows, folder, fingerprint, told)

    if candidate.sweep is None:
        arm = fit(candidate, out, on_progress)
    else:
        arm = best_of(candidate, fit, out=out, seed=seed, mark=mark, on_progress=on_progress)
    return replace(arm, name=candidate.name, note=candidate.note)


def split(
    candidate: CandidateSection, examples: Sequence[Example], *, seed: int
) -> tuple[Sequence[Example], Sequence[Example]]:
    """Split off a candidate's ``validation`` share of its rows, as its training does.

    Returns:
        The rows to learn from and those held out; rows with the same prompt stay on one side.
    """
    if not isinstance(candidate.validation, float):
        return examples, ()
    prompts = [text_of(replace(row, completion="", rejected=None)) for row in examples]
    kept, held = hold_out(prompts, share=candidate.validation, seed=seed)
    return [examples[i] for i in kept], [examples[i] for i in held]


def _job(
    candidate: CandidateSection, *, work: Path, model: str, base: BaseSection, seed: int
) -> Job:
    return Job(
        name=candidate.name,
        method=method_of(candidate),
        objective=objective_of(candidate),
        settings=settings_of(candidate),
        arguments=training_of(candidate),
        model=model,
        base=base,
        seed=seed,
        checkpoints=work / "checkpoints",
        note=candidate.note,
    )


def _fit(job: Job, rows: Rows, out: Path, mark: str, told: Told | None) -> Arm:
    """Train one job into a folder; of several processes, the first alone touches the disk."""
    done = saved.finished(out, mark)
    distributed.wait()
    if done is not None:
        return done
    work = job.checkpoints.parent
    if distributed.is_first():
        _claim(work, mark)
    distributed.wait()
    result = work / "result"
    trained = saved.finished(result, mark)
    distributed.wait()
    if trained is None:
        try:
            facts = _run(job, rows, result, told)
        except HarnessError:
            if distributed.is_first() and not any(job.checkpoints.glob("checkpoint-*")):
                shutil.rmtree(work)  # nothing to go on from
            raise
        if distributed.is_first():
            saved.write_log(result, {**facts, "note": job.note, "fingerprint": mark})
    if distributed.is_first():
        shutil.rmtree(out, ignore_errors=True)
        result.replace(out)
        shutil.rmtree(work, ignore_errors=True)
    distributed.wait()
    return saved.read_arm(out)


def _run(job: Job, given: Rows, result: Path, told: Told | None) -> dict[str, Any]:
    """Train and write the weights into ``result``; return what the log says about it."""
    learnt, held = given
    with quiet() as heard:
        from harness.training.trl import session

        tokenizer = load_tokenizer(job.model, job.base, padding=True)
        rows = prepare(job, learnt, tokenizer)
        unseen = prepare(job, held, tokenizer) if held else None
        trainer = session.build(job, rows, tokenizer, told, validation=unseen)
        started = time.monotonic()
        session.fit(trainer)
        seconds = time.monotonic() - started
        if distributed.is_first():
            shutil.rmtree(result, ignore_errors=True)
        session.write(trainer, tokenizer, result)
        return {
            "name": job.name,
            "method": job.method.name,
            "objective": job.objective.name,
            "settings": job.settings,
            "training": {k: v for k, v in job.arguments.items() if k not in SHOWN_ONLY},
            "seed": job.seed,
            "seconds": round(seconds, 2),
            "data_sha256": saved.data_sha256([*learnt, *held]),
            "rows": len(rows.rows),
            "rows_held_out": len(unseen.rows) if unseen else 0,
            "rows_too_long": rows.too_long,
            "tokens": sum(len(row.input_ids) for row in rows.rows),
            "tokens_learnt": sum(row.learnt for row in rows.rows),
            "longest_row": rows.longest,
            "notes": [*rows.notes, *remarks(heard)],
            **session.facts(trainer),
            "versions": versions(),
        }


def _workplace(out: Path) -> Path:
    """Return the hidden work folder beside ``out``."""
    return out.parent / f".{out.name}.training"


def _claim(work: Path, mark: str) -> None:
    """Empty a work folder unless it is from the same inputs."""
    note = work / "fingerprint"
    if not (note.is_file() and note.read_text(encoding="utf-8") == mark):
        shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    note.write_text(mark, encoding="utf-8")
