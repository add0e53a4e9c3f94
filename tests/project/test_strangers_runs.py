"""Run folders of strangers: whatever is in them, nothing outside is read, written or deleted."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from support.command import harness_here
from support.finished_runs import write_run
from support.rated_sheets import COLUMNS, drawn

from harness.errors import ModelError
from harness.pipeline.conclude import reopen
from harness.training.export_weights import copy

PRECIOUS = "the user's own file"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run with sheets."""
    path = tmp_path_factory.mktemp("made") / "run"
    folder = write_run(path, size=5)
    _, result = reopen(folder)
    drawn(result.comparisons, folder.review, items=4, raters=1)
    return path


@pytest.fixture
def run(tmp_path: Path, made: Path) -> Path:
    """Return a run of one's own, and a folder of the user's beside it."""
    path = tmp_path / "work" / "run"
    copytree(made, path)
    (tmp_path / "mine").mkdir()
    for name in ("notes.txt", "report.md", "gate.json", "key.json", "samples_sql.jsonl"):
        (tmp_path / "mine" / name).write_text(PRECIOUS)
    return path


def change_lock(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the lock as a stranger would."""
    file = run / "study.lock.json"
    lock = json.loads(file.read_text())
    change(lock)
    file.write_text(json.dumps(lock))


def change_key(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the key to the sheets as a stranger would."""
    file = next(run.glob("review/*/key.json"))
    key = json.loads(file.read_text())
    change(key)
    file.write_text(json.dumps(key))


def link(run: Path, name: str, to: str) -> None:
    """Put a link into the run folder, in the place of what is there."""
    place = run / name
    if place.is_dir():
        place.rename(run.parent / "moved away")
    place.unlink(missing_ok=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(run.parent.parent / "mine" / to)


def arm(name: str) -> Callable[[Path], None]:
    """Return an attack: an arm with a path for its name."""

    def attack(run: Path) -> None:
        def change(lock: dict[str, Any]) -> None:
            lock["arms"][1]["name"] = name
            lock["arms"][1]["seconds"] = 1.0  # trained here, so it has a data card

        change_lock(run, change)

    return attack


def suite(name: str) -> Callable[[Path], None]:
    """Return an attack: a suite with a path for its name."""

    def attack(run: Path) -> None:
        def change(lock: dict[str, Any]) -> None:
            lock["suites"][name] = {**next(iter(lock["suites"].values())), "name": name}
            lock["study_file"]["suites"][0]["name"] = name

        change_lock(run, change)

    return attack


def linked(name: str, to: str = "") -> Callable[[Path], None]:
    """Return an attack: a link that leads out of the run folder."""
    return lambda run: link(run, name, to)


def in_key(**changes: Any) -> Callable[[Path], None]:
    """Return an attack: other entries in the key."""
    return lambda run: change_key(run, lambda key: key.update(changes))


def in_file(name: str, text: str) -> Callable[[Path], None]:
    """Return an attack: another content of a file, ``*`` being any draw."""
    return lambda run: next(run.glob(name)).write_text(text)


ATTACKS: dict[str, Callable[[Path], None]] = {
    "arm: up": arm("../../../mine"),
    "arm: absolute": arm("/etc"),
    "arm: windows": arm("..\\..\\mine"),
    "arm: nothing": arm(""),
    "arm: dots": arm(".."),
    "arm: null": arm("a\0b"),
    "arm: drive": arm("C:mine"),
    "suite: up": suite("../../../mine/sql"),
    "suite: inside": suite("x/../../../mine/sql"),
    "link: samples of an arm": linked("samples/mixed"),
    "link: all samples": linked("samples"),
    "link: one file of samples": linked("samples/mixed/samples_sql.jsonl", "samples_sql.jsonl"),
    "link: report": linked("report.md", "report.md"),
    "link: gate file": linked("gate.json", "gate.json"),
    "link: review": linked("review"),
    "link: another draw": linked("review/00000000", ""),
    "link: baseline's folder": linked("against_baseline"),
    "link: noise floor": linked("aa"),
    "link: chats": linked("chats"),
    "link: adapters": linked("adapters"),
    "link: answers": linked("answers.db", "notes.txt"),
    "link: hashes": linked("hashes.json", "notes.txt"),
    "link: data cards": linked("data"),
    "link: who is at work": linked(".in_use", "notes.txt"),
    "link: to nothing": linked("gone", "not there"),
    "key: files outside": in_key(files={"../../../../mine/notes.txt": "0" * 64}),
    "key: an absolute file": in_key(files={"/etc/passwd": "0" * 64}),
    "key: no sets": in_key(sets=[]),
    "key: deep": in_file("review/*/key.json", "[" * 100_000 + "]" * 100_000),
    "key: endless number": in_file("review/*/key.json", '{"seed": ' + "9" * 5000 + "}"),
    "lock: deep": in_file("study.lock.json", "[" * 100_000 + "]" * 100_000),
    "lock: a list": in_file("study.lock.json", "[]"),
    "lock: endless number": in_file("study.lock.json", '{"study": ' + "9" * 5000 + "}"),
    "samples: deep": in_file("samples/mixed/samples_sql.jsonl", "[" * 100_000),
    "samples: endless number": in_file("samples/mixed/samples_sql.jsonl", '{"a":' + "9" * 5000),
    "samples: no object": in_file("samples/mixed/samples_sql.jsonl", "1\n"),
}

COMMANDS = (("report",), ("gate",), ("review", "draw"), ("review", "collect"))


def snapshot(folder: Path) -> dict[str, str]:
    """Return every file of a folder with its content."""
    return {str(f.relative_to(folder)): f.read_text() for f in sorted(folder.rglob("*"))}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_nothing_outside_is_touched(run: Path, attack: Callable[[Path], None]) -> None:
    """Every command ends in a verdict or in one sentence, and the user's files are as before."""
    mine = run.parent.parent / "mine"
    before = snapshot(mine)
    sheet = run.parent / "rated.csv"
    sheet.write_bytes(next(run.glob("review/*/for_raters/*/workbooks/*.csv")).read_bytes())
    attack(run)
    for command in COMMANDS:
        rated = [sheet] if command[-1] == "collect" else []
        done = harness_here(*command, run, *rated, folder=run.parent)
        said = done.stdout + done.stderr
        assert done.returncode in (0, 1, 2, 3, 4), said
        assert "Traceback" not in said
        assert PRECIOUS not in said
        assert len(done.stderr.strip().splitlines()) <= 6, done.stderr
    assert snapshot(mine) == before


def sparse_workbook(path: Path) -> None:
    """Write a workbook whose one cell stands in the last row and column that there are."""
    import xlsxwriter

    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("Ratings")
        sheet.write_row(0, 0, COLUMNS)
        sheet.write(1_048_575, 16_383, "x")


def entity_workbook(path: Path) -> None:
    """Write a workbook whose XML doubles an entity thirty times."""
    sparse_workbook(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    doubled = "".join(f'<!ENTITY e{n} "&e{n - 1};&e{n - 1};">' for n in range(1, 31))
    bomb = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "aaaa">{doubled}]><sst>&e30;</sst>'
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, bomb if name.endswith("sharedStrings.xml") else data)


def zeros_workbook(path: Path) -> None:
    """Write a workbook of 110 MB of spaces in a few hundred kilobytes."""
    sparse_workbook(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            padding = b" " * 110_000_000 if name.endswith("sharedStrings.xml") else b""
            archive.writestr(name, data + padding)


@pytest.mark.parametrize(
    "write",
    [
        sparse_workbook,
        entity_workbook,
        zeros_workbook,
        lambda path: path.write_bytes(b"PK\3\4" + bytes(100)),
        lambda path: path.write_bytes(b""),
    ],
    ids=["sparse", "entities", "zeros", "cut", "empty"],
)
def test_a_sheet_that_comes_back_is_no_bomb(run: Path, write: Callable[[Path], object]) -> None:
    """A workbook is read as far as a rating sheet goes, without entities, in bounded memory."""
    resource = pytest.importorskip("resource")
    sheet = run.parent / "rated.xlsx"
    write(sheet)
    before = resource.getrusage(resource.RUSAGE_SELF)
    done = harness_here("review", "collect", run, sheet, folder=run.parent)
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert done.returncode in (0, 2), done.stderr
    assert "Traceback" not in done.stderr
    assert after.ru_maxrss - before.ru_maxrss < 600_000  # KiB
    assert after.ru_utime - before.ru_utime < 10.0


def test_what_lies_elsewhere_is_not_exported(tmp_path: Path) -> None:
    """A link in an adapter's folder would hand a file of the user's over with it."""
    secret = tmp_path / "id_rsa"
    secret.write_text(PRECIOUS)
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    (folder / "vocab.txt").symlink_to(secret)
    with pytest.raises(ModelError, match=r"vocab\.txt is a link to"):
        copy(folder, tmp_path / "out", base_model="org/model")
    assert not (tmp_path / "out" / "vocab.txt").exists()


def test_links_of_the_hub_s_cache_are_its_own(tmp_path: Path) -> None:
    """A snapshot of the cache is nothing but links to the files beside it."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "0a1b"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    (blobs / "77").write_text("{}")
    (snapshot / "adapter_config.json").symlink_to(Path("..", "..", "blobs", "77"))
    copy(snapshot, tmp_path / "out", base_model="org/model")
    assert "org/model" in (tmp_path / "out" / "adapter_config.json").read_text()


def test_a_run_folder_may_be_reached_by_a_link(run: Path) -> None:
    """The folder itself may lie anywhere; only what is in it must stay in it."""
    (run.parent / "latest").symlink_to(run, target_is_directory=True)
    done = harness_here("gate", run.parent / "latest", folder=run.parent)
    assert "link" not in done.stderr
