"""The evaluation itself in an experiment tracker, beside the curves of the training.

One run for each candidate: scores, changes and intervals by suite, the verdict, a table of all
checks, and where the report lies. Rows' texts, keys and the environment stay here.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness import report
from harness.errors import InfrastructureError, StudyError, nearest
from harness.records import Result
from harness.store.run_folder import RunFolder
from harness.study import Study
from harness.training.trainer import LOGS
from harness.training.trl.reporters import reporters_of, reporting

TRACKERS = ("trackio", "wandb")
"""Reporters of ``report_to`` that keep more than curves."""
PROJECT = "harness"
"""Whose runs these are, unless ``WANDB_PROJECT`` or ``TRACKIO_PROJECT`` says otherwise."""
FIGURES = ("base", "tuned", "delta", "ci_low", "ci_high")
COLUMNS = ("suite", "metric", "n", "used", *FIGURES, "margin", "label", "verdict")


def trackers_of(study: Study) -> tuple[str, ...]:
    """Return the trackers that candidates of a study report their training to."""
    named = [
        name
        for candidate in study.candidates
        for name in reporters_of(candidate.training, f"candidate {candidate.name!r}")
    ]
    return tuple(name for name in dict.fromkeys(named) if name in TRACKERS)


def track(folder: RunFolder, result: Result, to: Sequence[str]) -> Path:
    """Log a result, in one run for each candidate.

    Args:
        folder: The run's folder.
        result: Its result.
        to: Which of `TRACKERS`.

    Returns:
        Where they keep it: on this machine, unless the environment says otherwise.

    Raises:
        StudyError: If a tracker is unknown, or its package is not installed.
        InfrastructureError: If it fails.
    """
    for name in to:
        if name not in TRACKERS:
            raise StudyError(
                f"an evaluation is logged to {' or '.join(TRACKERS)}: {name!r} is neither"
                f"{nearest(name, TRACKERS)}"
            )
    place = folder.path / "adapters" / LOGS
    with reporting({"report_to": list(to), "run_name": "evaluation", "project": PROJECT}, place):
        for name in to:
            log = _trackio if name == "trackio" else _wandb
            for arm in result.arms[1:]:
                checks = [c for c in _checks(result) if c["candidate"] == arm.name]
                try:
                    log(f"{arm.name}-evaluation", _about(folder, result, arm.name), checks)
                except Exception as error:  # of a server, a disk, a package of another version
                    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
                    raise InfrastructureError(
                        f"{name} could not keep the evaluation of {arm.name}: {reason[:200]}; the "
                        f"verdict stands in {folder.path / 'gate.json'}"
                    ) from error
    return place


def _checks(result: Result) -> list[Mapping[str, object]]:
    checks = report.gate_json(result)["checks"]
    assert isinstance(checks, list)
    return checks


def _about(folder: RunFolder, result: Result, arm: str) -> dict[str, object]:
    """Return what an evaluation is of, and where its report lies."""
    return {
        "study": result.study,
        "base_model": result.base_model,
        "candidate": arm,
        "run_verdict": result.verdict,
        "recommended": result.recommended == arm,
        "report": str((folder.path / "report.html").resolve()),
        "seed": result.seed,
        "versions": dict(sorted(result.versions.items())),
    }


def _figures(checks: Sequence[Mapping[str, object]]) -> dict[str, object]:
    return {
        f"harness/{check['suite']}/{name}": check[name]
        for check in checks
        for name in FIGURES
        if check[name] is not None
    }


def _said(checks: Sequence[Mapping[str, object]]) -> dict[str, object]:
    return {
        f"harness/{check['suite']}/{name}": check[name]
        for check in checks
        for name in ("label", "verdict")
    }


def _rows(checks: Sequence[Mapping[str, object]]) -> list[list[object]]:
    return [[check[name] for name in COLUMNS] for check in checks]


def _trackio(name: str, about: Mapping[str, object], checks: list[Mapping[str, object]]) -> None:
    import os

    import trackio

    project = os.environ.get("TRACKIO_PROJECT", PROJECT)
    trackio.init(
        project, name=name, group=str(about["study"]), config={**about, **_said(checks)},
        resume="allow", embed=False, auto_log_gpu=False, auto_log_cpu=False,
    )  # fmt: skip
    trackio.log({**_figures(checks), "checks": trackio.Table(list(COLUMNS), _rows(checks))})
    trackio.finish()


def _wandb(name: str, about: Mapping[str, object], checks: list[Mapping[str, object]]) -> None:
    import wandb

    run = wandb.init(
        name=name, group=str(about["study"]), job_type="evaluation", config=dict(about),
        settings=wandb.Settings(
            disable_git=True, disable_code=True, save_code=False, console="off",
            x_disable_meta=True, x_disable_stats=True, x_save_requirements=False, silent=True,
        ),
    )  # fmt: skip
    run.log({**_figures(checks), "checks": wandb.Table(list(COLUMNS), _rows(checks))})
    run.summary.update(_said(checks))
    run.finish()
