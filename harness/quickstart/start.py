"""Write the built-in study, with its training rows, where a user can read and change it."""

import json
from pathlib import Path

import yaml

from harness.errors import StudyError
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
        StudyError: If one is there and says something else: a user changed it.
        InfrastructureError: If the folder cannot be written.
    """
    few = STUDY.read_text(encoding="utf-8")
    every = few + MORE_CANDIDATES.read_text(encoding="utf-8")
    text = every if every_candidate else few
    path = folder / "study.yaml"
    files = {path: text}
    for train in {candidate["train"] for candidate in yaml.safe_load(text)["candidates"]}:
        rows = training_rows(Path(train).stem)
        files[folder / train] = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    for file, content in files.items():
        ours = (few, every) if file == path else (content,)
        if file.is_file() and file.read_bytes() not in [said.encode() for said in ours]:
            raise StudyError(
                f"the quickstart keeps what was changed: {file} is not as it writes it; go on "
                f"with 'harness run {path} --out {folder / 'run'}', or begin anew with another "
                "--out"
            )
    for file, content in files.items():
        write_text(file, content)
    return path
