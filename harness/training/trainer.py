"""One candidate from rows to a finished adapter folder."""

import logging
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.corpus import hold_out, text_of
from harness.errors import HarnessError
from harness.records import Arm, Example, LossPoint
from harness.study import BaseSection, CandidateSection
from harness.training import saved
from harness.training.card import prepare
from harness.training.job import NO_CHECKS, Checks, Job
from harness.training.loading import load_tokenizer
from harness.training.objectives import check_rows
from harness.training.settings import check, method_of, objective_of, settings_of, training_of
from harness.versions import versions


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
    mark = saved.fingerprint(
        candidate, examples, model=model, base=base, seed=seed, held_out=checks.held_out
    )
    done = saved.finished(out, mark)
    if done is not None:
        return replace(done, name=candidate.name, note=candidate.note)
    work = _workplace(out, mark)
    job = Job(
        name=candidate.name,
        method=method_of(candidate),
        objective=objective_of(candidate),
        settings=settings_of(candidate),
        arguments=training_of(candidate),
        model=model,
        base=base,
        seed=seed,
        checkpoints=work / "checkpoints",
        validation=candidate.validation if isinstance(candidate.validation, float) else None,
    )
    result = work / "result"
    if saved.finished(result, mark) is None:
        try:
            facts = _run(job, examples, result, on_progress, checks)
        except HarnessError:
            if not any(job.checkpoints.glob("checkpoint-*")):
                shutil.rmtree(work)  # nothing to go on from
            raise
        saved.write_log(result, {**facts, "note": candidate.note, "fingerprint": mark})
    shutil.rmtree(out, ignore_errors=True)
    result.replace(out)
    shutil.rmtree(work, ignore_errors=True)
    return saved.read_arm(out)


def _run(
    job: Job,
    examples: Sequence[Example],
    result: Path,
    on_progress: Callable[[LossPoint, int], None] | None,
    checks: Checks,
) -> dict[str, Any]:
    """Train and write the weights into ``result``; return what the log says about it."""
    with _quiet() as heard:
        from harness.training import session

        tokenizer = load_tokenizer(job.model, job.base)
        learnt, held = (examples, checks.held_out) if checks.held_out else _split(job, examples)
        rows = prepare(job, learnt, tokenizer)
        unseen = prepare(job, held, tokenizer) if held else None
        trainer = session.build(job, rows, tokenizer, on_progress, validation=unseen)
        started = time.monotonic()
        session.fit(trainer)
        seconds = time.monotonic() - started
        shutil.rmtree(result, ignore_errors=True)
        session.write(trainer, tokenizer, result)
        return {
            "name": job.name,
            "method": job.method.name,
            "objective": job.objective.name,
            "settings": job.settings,
            "training": dict(job.arguments),
            "seed": job.seed,
            "seconds": round(seconds, 2),
            "data_sha256": saved.data_sha256(examples),
            "rows": len(rows.rows),
            "rows_held_out": len(unseen.rows) if unseen else 0,
            "rows_too_long": rows.too_long,
            "tokens": sum(len(row.input_ids) for row in rows.rows),
            "tokens_learnt": sum(row.learnt for row in rows.rows),
            "longest_row": rows.longest,
            "notes": [*rows.notes, *_remarks(heard)],
            **session.facts(trainer),
            "versions": versions(),
        }


def _workplace(out: Path, mark: str) -> Path:
    """Return the hidden work folder beside ``out``, emptied unless it is from the same inputs."""
    work = out.parent / f".{out.name}.training"
    note = work / "fingerprint"
    if not (note.is_file() and note.read_text(encoding="utf-8") == mark):
        shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    note.write_text(mark, encoding="utf-8")
    return work


def _split(job: Job, examples: Sequence[Example]) -> tuple[Sequence[Example], Sequence[Example]]:
    """Split off the validation rows; rows with the same prompt stay on one side."""
    if job.validation is None:
        return examples, ()
    prompts = [text_of(replace(example, completion="", rejected=None)) for example in examples]
    kept, held = hold_out(prompts, share=job.validation, seed=job.seed)
    return [examples[i] for i in kept], [examples[i] for i in held]


@contextmanager
def _quiet() -> Iterator[list[warnings.WarningMessage]]:
    """Silence the libraries' own bars and notices; yield the list that warnings are kept in."""
    import datasets
    import transformers

    # The first warns about optional kernels on every import, the second about what is decided here.
    talkers = [logging.getLogger(name) for name in ("bitsandbytes", "trl")]
    levels = transformers.logging.get_verbosity(), [talker.level for talker in talkers]
    for talker in talkers:
        talker.setLevel(logging.ERROR)
    bars = os.environ.get("TQDM_DISABLE")
    os.environ["TQDM_DISABLE"] = "1"  # TRL's bar for the reference's opinion
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    try:
        with warnings.catch_warnings(record=True) as heard:
            yield heard
    finally:
        datasets.enable_progress_bars()
        transformers.logging.enable_progress_bar()
        transformers.logging.set_verbosity(levels[0])
        for talker, level in zip(talkers, levels[1], strict=True):
            talker.setLevel(level)
        os.environ.pop("TQDM_DISABLE")
        if bars is not None:
            os.environ["TQDM_DISABLE"] = bars


def _remarks(heard: Sequence[warnings.WarningMessage]) -> list[str]:
    """Return what PEFT and TRL remarked about this training, without their deprecations."""
    return sorted(
        {
            str(warning.message)
            for warning in heard
            if {"peft", "trl"} & set(Path(warning.filename).parts)
            and not issubclass(warning.category, (FutureWarning, DeprecationWarning))
        }
    )
