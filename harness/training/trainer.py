"""Train one candidate: from its rows to a finished adapter folder."""

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from harness.errors import HarnessError, StudyError
from harness.files import explained, write_text
from harness.models.hardware import forget_peak, machine_title, peak_bytes
from harness.models.load_model import load_tokenizer
from harness.records import Arm, LossPoint
from harness.study import BaseSection, CandidateSection
from harness.training import distributed, saved
from harness.training.config.job import Job, Watch
from harness.training.config.objectives import check_rows
from harness.training.config.settings import (
    check,
    method_of,
    objective_of,
    settings_of,
    training_of,
)
from harness.training.rows.tokenized import Encoded, TrainingRows, token_form
from harness.training.sweep import best_of
from harness.training.trl.quiet import library_warnings, quiet
from harness.training.trl.reporters import SHOWN_ONLY, reporting
from harness.versions import versions

LOGS = "_logs"
"""Where reporters write, beside the adapters."""

OnProgress = Callable[[LossPoint, int], None]
"""Is called with each point of the loss curve and the number of steps in all."""


def train(  # noqa: PLR0913 - what a training is made of, and how it is watched
    candidate: CandidateSection,
    rows: TrainingRows,
    *,
    model: str,
    base: BaseSection,
    out: Path,
    seed: int,
    on_progress: OnProgress | None = None,
    watch: Watch | None = None,
    must_be_trained: bool = False,
) -> Arm:
    """Train a candidate, or return the arm that a training with the same inputs left in ``out``.

    ``out`` appears only when everything in it is complete; until then work and checkpoints are in
    a hidden folder beside it, from which an interrupted training resumes.

    Args:
        candidate: Method, settings (PEFT's names) and training arguments (TRL's names).
        rows: Rows to train on and held-out ones; they are tokenized only if something is trained.
        model: What transformers can load: a folder or a hub name.
        base: How the base is loaded: precision, device, quantization, template.
        out: The adapter's folder (full weights for the method ``full``).
        seed: Of adapter initialisation, data order and dropout.
        on_progress: Called with each point of the loss curve and the number of steps in all, and
            once more when the point gets its validation loss.
        watch: Suites to score on the way, and whether they choose the checkpoint that is kept.
        must_be_trained: Refuse to train, and write nothing.

    Raises:
        StudyError: If method, settings or training arguments are not known, or it is not trained
            and has to be.
        DataError: If rows cannot be learnt from.
        ModelError: If the base cannot be loaded or trained so, the training diverges, or no
            checkpoint stays within the limits of ``watch``.
    """
    check(candidate)
    validation = rows.validation.examples if rows.validation is not None else ()
    check_rows(candidate.objective, [*rows.all_rows.examples, *validation])

    fingerprint_of = partial(
        saved.fingerprint,
        examples=rows.all_rows.examples,
        model=model,
        base=base,
        seed=seed,
        held_out=validation,
        keep=watch.keep if watch else None,
    )

    def fit(section: CandidateSection, folder: Path, report: OnProgress | None) -> Arm:
        job = _job(section, work=_work_folder(folder), model=model, base=base, seed=seed)
        fingerprint = fingerprint_of(section)
        if must_be_trained:
            return _trained(folder, fingerprint, candidate.name)
        shown = {"run_name": f"{candidate.name}-{fingerprint[:8]}", "project": "harness"}
        job = replace(job, watch=watch, arguments={**shown, **job.arguments})
        with reporting(job.arguments, out.parent / LOGS):
            return _fit(job, rows, folder, fingerprint, report)

    if candidate.sweep is None:
        arm = fit(candidate, out, on_progress)
    else:
        arm = best_of(
            candidate,
            fit,
            out=out,
            seed=seed,
            fingerprint_of=fingerprint_of,
            on_progress=on_progress,
        )
    return replace(arm, name=candidate.name, note=candidate.note)


def _trained(folder: Path, fingerprint: str, name: str) -> Arm:
    """Return the arm that a training has left."""
    done = saved.finished(folder, fingerprint)
    if done is None:
        raise StudyError(
            f"candidate {name!r} must be trained before its answers are shared out: {folder} has "
            f"no such training; run 'harness train STUDY --only {name}' first"
        )
    return done


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


def _fit(
    job: Job, rows: TrainingRows, out: Path, fingerprint: str, report: OnProgress | None
) -> Arm:
    """Train one job into a folder; of several processes, only rank 0 writes."""
    done = saved.finished(out, fingerprint)
    distributed.wait()
    if done is not None:
        return done
    distributed.require_ddp(job.name)
    work = job.checkpoints.parent
    if distributed.is_first():
        _claim(work, fingerprint)
    distributed.wait()
    result = work / "result"
    trained = saved.finished(result, fingerprint)
    distributed.wait()
    if trained is None:
        try:
            facts = _run(job, rows, result, report)
        except HarnessError:
            if distributed.is_first() and not any(job.checkpoints.glob("checkpoint-*")):
                shutil.rmtree(work)  # no checkpoint to resume from
            raise
        if distributed.is_first():
            saved.write_log(result, {**facts, "note": job.note, "fingerprint": fingerprint})
    if distributed.is_first():
        if out.exists():
            out.replace(work / "earlier")
        result.replace(out)
        shutil.rmtree(work, ignore_errors=True)
    distributed.wait()
    return saved.read_arm(out)


def _run(
    job: Job, rows: TrainingRows, result: Path, report: OnProgress | None
) -> dict[str, object]:
    """Train and write the weights into ``result``; return the training log's facts."""
    with quiet() as caught, explained(job.checkpoints.parent):
        from harness.training.trl import session

        learnt, held_out = rows.encoded(token_form(job.settings, job.arguments))
        tokenizer = load_tokenizer(job.model, job.base, padding=True)
        trainer = session.build(job, learnt, tokenizer, report, validation=held_out)
        device = trainer.args.device
        is_known = forget_peak(device)
        started = time.monotonic()
        session.fit(trainer)
        if job.keep is not None:
            session.check_kept(trainer, job.keep, job.name)
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
            "machine": machine_title(device),
            "peak_bytes": peak_bytes(device) if is_known else None,
            **_row_facts(rows, learnt, held_out),
            "notes": [*learnt.notes, *library_warnings(caught)],
            **session.facts(trainer, job.keep),
            "versions": versions(),
        }


def _row_facts(rows: TrainingRows, learnt: Encoded, held_out: Encoded | None) -> dict[str, object]:
    """Return what the training log says about the rows."""
    return {
        "data_sha256": saved.data_sha256([*rows.learnt_examples, *rows.held_out_examples]),
        "rows": len(learnt.rows),
        "rows_held_out": len(held_out.rows) if held_out else 0,
        "rows_too_long": learnt.too_long,
        "tokens": sum(len(row.input_ids) for row in learnt.rows),
        "tokens_learnt": sum(row.learnt for row in learnt.rows),
        "longest_row": learnt.longest,
    }


def _work_folder(out: Path) -> Path:
    """Return the hidden folder beside ``out`` with checkpoints and unfinished work."""
    return out.parent / f".{out.name}.training"


def _claim(work: Path, fingerprint: str) -> None:
    """Empty a work folder unless it is from the same inputs."""
    note = work / "fingerprint"
    if not (note.is_file() and note.read_text(encoding="utf-8") == fingerprint):
        shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    write_text(note, fingerprint)
