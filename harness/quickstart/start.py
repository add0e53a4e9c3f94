"""Write the built-in study, with its training rows, where a user can read and change it."""

import json
from pathlib import Path

import yaml

from harness.files import write_text
from harness.quickstart.row_sets import training_rows

STUDY = Path(__file__).with_name("study.yaml")
MORE_CANDIDATES = Path(__file__).with_name("more_candidates.yaml")


def write_study(folder: Path, *, every_candidate: bool = False) -> Path:
    """Write ``study.yaml`` and ``data/*.jsonl``, which are the same for every run.

    Args:
        folder: Where to write them.
        every_candidate: Add the specialised candidates: one per suite, prompt tuning, QLoRA.

    Returns:
        The path of the study file.

    Raises:
        InfrastructureError: If the folder cannot be written.
    """
    text = STUDY.read_text(encoding="utf-8")
    if every_candidate:
        text += MORE_CANDIDATES.read_text(encoding="utf-8")
    path = folder / "study.yaml"
    write_text(path, text)
    for train in {candidate["train"] for candidate in yaml.safe_load(text)["candidates"]}:
        rows = training_rows(Path(train).stem)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_text(folder / train, lines)
    return path
