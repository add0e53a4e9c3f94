"""Write a finished run's scores for other tools: lm-eval's results, Every Eval Ever's records."""

import datetime
import json
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from harness.analysis.arm_scores import arm_score
from harness.errors import StudyError, nearest
from harness.files import whole_folder, write_lines, write_text
from harness.models.hub_id import hub_id
from harness.pipeline.answers.scored_run import ScoredRun, read_run
from harness.records import BASE, Arm, Document
from harness.store.interchange.every_eval_ever import LOCAL, EvaluatedModel, evaluation_record
from harness.store.interchange.lm_eval_results import lm_eval_results
from harness.store.run_folder import RunFolder

ScoreFormat = Literal["lm-eval", "eee"]


def export_scores(
    folder: RunFolder, out: Path, *, form: ScoreFormat, arms: Sequence[str] = ()
) -> list[str]:
    """Write arms' scores, items and answers; the folder is there when everything in it is.

    Args:
        folder: A finished run.
        out: Where to; must be empty or new.
        form: ``lm-eval``: by arm a folder of ``results_<date>.json`` and
            ``samples_<suite>_<date>.jsonl``. ``eee``: Every Eval Ever's ``data/``.
        arms: Which ones, by default all.

    Returns:
        The names of the arms that were written.

    Raises:
        StudyError: If there is no such arm, or the folder is not empty.
    """
    run = read_run(folder)
    known = {arm.name: arm for arm in run.arms}
    for name in arms:
        if name not in known:
            raise StudyError(f"no arm {name!r} in {folder.path}{nearest(name, known)}")
    chosen = [known[name] for name in arms or known]
    write = _lm_eval if form == "lm-eval" else _every_eval_ever
    with whole_folder(out) as part:
        for arm in chosen:
            write(folder, run, arm, part)
    return [arm.name for arm in chosen]


def _lm_eval(folder: RunFolder, run: ScoredRun, arm: Arm, out: Path) -> None:
    now = time.time()
    date = datetime.datetime.fromtimestamp(now).isoformat(timespec="microseconds")
    date = date.replace(":", "-")
    base = run.study.base.title
    document = lm_eval_results(
        arm.name,
        {suite: run.samples[arm.name, suite.name] for suite in run.suites},
        model_args={"pretrained": base} if arm.name == BASE else {"name": arm.name, "base": base},
        versions=run.versions,
        date=now,
    )
    (out / arm.name).mkdir()
    _write_json(out / arm.name / f"results_{date}.json", document)
    for suite in run.suites:
        copy = out / arm.name / f"samples_{suite.name}_{date}.jsonl"
        shutil.copyfile(folder.samples(arm.name, suite.name), copy)


def _every_eval_ever(folder: RunFolder, run: ScoredRun, arm: Arm, out: Path) -> None:
    model, now = _model(folder, run, arm), time.time()
    for suite in run.suites:
        samples = run.samples[arm.name, suite.name]
        record = evaluation_record(
            suite,
            samples,
            arm_score(arm.name, suite, samples),
            model=model,
            versions=run.versions,
            now=now,
        )
        if record:
            (out / record.path).parent.mkdir(parents=True, exist_ok=True)
            _write_json(out / record.path, record.document)
            write_lines(out / record.samples_path, record.lines)


def _model(folder: RunFolder, run: ScoredRun, arm: Arm) -> EvaluatedModel:
    """Say which model an arm is; what is not on the hub has the owner `LOCAL`."""
    base = run.study.base
    on_hub = hub_id(base.model, folder.base_path(run.study)) if not base.elsewhere else None
    named = Path(base.title).name if arm.name == BASE else f"{run.study.name}.{arm.name}"
    plain = re.sub(r"[^\w.-]+", "_", named)
    details = {"base_model": base.title} if arm.name != BASE else {}
    details |= {"method": arm.method, "weights_sha256": arm.weights_sha256}
    return EvaluatedModel(
        id=on_hub if on_hub and "/" in on_hub and arm.name == BASE else f"{LOCAL}/{plain}",
        name=base.title if arm.name == BASE else arm.name,
        details={name: value for name, value in details.items() if value},
    )


def _write_json(path: Path, document: Document) -> None:
    write_text(path, json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False) + "\n")
