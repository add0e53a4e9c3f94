"""The quickstart's own run, frozen: what its report is made from, in one compressed file."""

import hashlib
import io
import json
import re
import tarfile
from dataclasses import replace
from pathlib import Path

from support.paths import EXAMPLES

from harness.pipeline.conclude import reopen
from harness.records import Result
from harness.report.headline import lede
from harness.report.lost_items import losses
from harness.store.run_folder import RunFolder

EXAMPLE = EXAMPLES / "report"
FROZEN = EXAMPLE / "run.tar.xz"
AT_MOST = 1_000_000
"""Bytes that the frozen run may have."""

_PARTS = ("study.lock.json", "data/*.json", "samples/*/samples_*.jsonl")
_ABSENT = "not at hand, not checked: the weights of"
_HOME = re.compile(r'"(/|[A-Za-z]:\\)[^"\n]*"')


def freeze(run: Path, archive: Path = FROZEN) -> None:
    """Pack lock, data cards and samples of a run, without any path of the machine it ran on.

    The same run gives the same bytes.

    Raises:
        ValueError: If a path is left, or the archive is larger than `AT_MOST`.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:xz", preset=9) as packed:
        for part in _PARTS:
            for path in sorted(run.glob(part)):
                text = path.read_text(encoding="utf-8")
                if path.name == "study.lock.json":
                    text = _without_places(text)
                _refuse_paths(path.name, text, run)
                data = text.encode()
                member = tarfile.TarInfo(path.relative_to(run).as_posix())
                member.size = len(data)
                packed.addfile(member, io.BytesIO(data))
    if (size := archive.stat().st_size) > AT_MOST:
        raise ValueError(f"a frozen run may have {AT_MOST:,} bytes: this one has {size:,}")


def _without_places(text: str) -> str:
    """Return a lock that says nothing of where models lay; their hashes stay."""
    lock = json.loads(text)
    arms = [{**arm, "path": None} for arm in lock["arms"]]
    known = {**lock, "base_path": "", "arms": arms}
    return json.dumps(known, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _refuse_paths(name: str, text: str, run: Path) -> None:
    found = _HOME.search(text) if name.endswith(".json") else None
    if found or str(run.resolve().parent) in text:
        raise ValueError(f"a frozen run names no path of a machine: {name} has {found}")


def frozen_result(folder: Path) -> Result:
    """Unpack the frozen run into a folder and compare it again, as `harness report` does.

    That its weights are not at hand is left unsaid: they were when the run ended.
    """
    with tarfile.open(FROZEN) as packed:
        for member in packed:
            path = folder / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            held = packed.extractfile(member)
            assert held is not None, "freeze packs files only"
            path.write_bytes(held.read())
    result = reopen(RunFolder(folder))[1]
    return replace(
        result, notes=tuple(note for note in result.notes if not note.startswith(_ABSENT))
    )


def words_sha256(result: Result) -> str:
    """Return a hash of what the first screen says, by which its picture is known to be of it."""
    found = losses(result)
    said = [lede(result), result.recommendation, found.heading if found else ""]
    said += [item.question for item in found.items] if found else []
    return hashlib.sha256("\n".join(said).encode()).hexdigest()
