"""``report_to``: transformers' experiment trackers, with their files on this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from harness.errors import StudyError, nearest
from harness.training.config.methods import Settings

REPORTERS = ("tensorboard", "trackio", "wandb", "mlflow")
"""What ``report_to`` may name; each is a package of that name."""

SHOWN_ONLY = frozenset({"report_to", "run_name", "project"})
"""Training arguments that change what is logged and not what is learnt."""


def reporters_of(arguments: Settings, where: str) -> tuple[str, ...]:
    """Return what a candidate's ``report_to`` names.

    Raises:
        StudyError: If one is unknown, or its package is not installed.
    """
    given = arguments.get("report_to") or ()
    listed = given if isinstance(given, (list, tuple)) else [given]
    names = tuple(str(name) for name in listed if name != "none")
    for name in names:
        if name not in REPORTERS:
            raise StudyError(f"{where}: unknown 'report_to' {name!r}{nearest(name, REPORTERS)}")
        if find_spec(name) is None:
            raise StudyError(f"{where}: reporting to {name} needs its package: pip install {name}")
    return names


@contextmanager
def reporting(arguments: Settings, folder: Path) -> Iterator[None]:
    """Let reporters write below a folder, unless the environment says where.

    Weights & Biases keeps its runs there too, until ``WANDB_MODE=online`` is set.
    """
    # Trackio reads its folder when it is imported, which TRL does whether it is wanted or not.
    places: dict[str, object] = {"TRACKIO_DIR": folder / "trackio"}
    if reporters_of(arguments, "training"):
        folder.mkdir(parents=True, exist_ok=True)
        places |= {
            "TENSORBOARD_LOGGING_DIR": folder / "tensorboard" / str(arguments["run_name"]),
            "WANDB_DIR": folder,
            "WANDB_MODE": "offline",
            "WANDB_PROJECT": str(arguments["project"]),
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
            "GRADIO_ANALYTICS_ENABLED": "False",
        }
    ours = {name: str(value) for name, value in places.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)
