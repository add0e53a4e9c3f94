"""Whole or absent: what every command's writes rest on."""

import errno
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command import PYTHON, harness_here, python, started

from harness.errors import InfrastructureError, StudyError
from harness.files import (
    alone,
    check_output,
    explained,
    json_line,
    whole_folder,
    write_bytes,
    write_lines,
    write_text,
)


def listing(folder: Path) -> list[str]:
    """Return the names in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    """An error in the middle of a text leaves the old one, and nothing beside it."""
    path = tmp_path / "report.md"
    write_text(path, "old")

    def lines() -> Iterator[str]:
        yield "new"
        raise ValueError("the text cannot be made")

    with pytest.raises(ValueError, match="cannot be made"):
        write_lines(path, lines())
    assert (path.read_text(), listing(tmp_path)) == ("old", ["report.md"])


LIMITED = """
import resource, signal, sys
from pathlib import Path
from harness.errors import InfrastructureError
from harness.files import whole_folder, write_text
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
for path in map(Path, sys.argv[1:]):
    try:
        if path.suffix:
            write_text(path, "new" * 10_000)
        else:
            with whole_folder(path) as part:
                write_text(part / "small", "new")
                (part / "large").write_text("new" * 10_000)
    except InfrastructureError as error:
        print(error)
"""


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """A limit on a file's size stands in for the disk: one sentence, and the old file as it was."""
    write_text(tmp_path / "gate.json", "old")
    done = python("-c", LIMITED, tmp_path / "gate.json", tmp_path / "export")
    assert done.stdout.count("cannot write") == done.stdout.count("File too large") == 2
    assert listing(tmp_path) == ["gate.json"]
    assert (tmp_path / "gate.json").read_text() == "old"


@pytest.mark.parametrize("kind", ["device", "pipe", "link", "folder", "dangling", "-"])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    """Nothing is replaced by a regular file that was none, and no link is written through."""
    path, target = tmp_path / "out", tmp_path / "target"
    target.write_text("kept")
    match kind:
        case "device":
            path = Path(os.devnull)
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "link" | "dangling":
            path.symlink_to(target if kind == "link" else tmp_path / "nowhere")
        case _:
            path = Path(kind)
    with pytest.raises(StudyError, match=r"an output (must be a new or a regular|is a) file"):
        write_text(path, "lost")
    assert target.read_text() == "kept"
    assert not (tmp_path / "nowhere").exists()
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_an_input_is_not_an_output(tmp_path: Path) -> None:
    """By whatever path it is named, also by a second link to the same file."""
    path = tmp_path / "base.jsonl"
    path.write_text("{}\n")
    (tmp_path / "again.jsonl").hardlink_to(path)
    for out in (path, tmp_path / "x" / ".." / "base.jsonl", tmp_path / "again.jsonl"):
        (tmp_path / "x").mkdir(exist_ok=True)
        with pytest.raises(StudyError, match="is an input"):
            check_output(out, inputs=[tmp_path / "missing", path])
    check_output(tmp_path / "new.json", inputs=[path])


@pytest.mark.parametrize(
    "command",
    [
        "compare base.jsonl tuned.jsonl --json {}",
        "rate qa answers.jsonl -o {}",
        "init {} --force",
    ],
)
@pytest.mark.parametrize("place", ["/dev/null", "/dev/stdout", "/dev/full", "pipe", "-", "own"])
def test_no_command_replaces_a_device_or_its_own_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, place: str
) -> None:
    """One sentence and exit 2, before any work; what was there is what it was."""
    monkeypatch.chdir(tmp_path)
    row = {"id": "a", "question": "?", "answers": ["x"], "response": "x"}
    for name in ("base", "tuned", "answers"):
        scores = [{**row, "id": n, "score": n % 2} for n in range(8)]
        Path(f"{name}.jsonl").write_text("".join(json.dumps(score) + "\n" for score in scores))
    os.mkfifo("pipe")
    own = {"compare": "tuned.jsonl", "rate": "answers.jsonl"}.get(command.split(maxsplit=1)[0])
    out = (own if place == "own" else place) or "pipe"
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.jsonl")}
    done = harness_here(*command.format(out).split())
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "an output" in done.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.jsonl")} == before
    assert sorted({*listing(tmp_path)} - {*before}) == ["pipe"]
    for device in ("/dev/null", "/dev/full"):
        assert stat.S_ISCHR(Path(device).stat().st_mode)


SLOW = """
import sys, time
from pathlib import Path
from harness.files import write_lines
def lines():
    yield "x" * 100_000
    print("begun", flush=True)
    time.sleep(60)
write_lines(Path(sys.argv[1]), lines())
"""


def test_two_processes_write_one_file(tmp_path: Path) -> None:
    """Neither takes the other's half: the last one that ends is there, whole."""
    path = tmp_path / "verdicts.jsonl"
    with started(*PYTHON, "-c", SLOW, path) as writer:
        assert writer.stdout.readline().strip() == "begun"
        write_text(path, "mine")
        assert path.read_text() == "mine"
        assert len(listing(tmp_path)) == 2, "the other's half is still its own"
        writer.kill()
        writer.wait()
    write_text(path, "again")
    assert listing(tmp_path) == ["verdicts.jsonl"], "what a killed process left is cleared away"


HOLDER = """
import sys, time
from pathlib import Path
from harness.files import alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_has_one_command_at_a_time(tmp_path: Path) -> None:
    """The second says so at once; after a kill the folder is free without anybody's help."""
    with started(*PYTHON, "-c", HOLDER, tmp_path / "run") as holder:
        assert holder.stdout.readline().strip() == "held"
        with (
            pytest.raises(InfrastructureError, match="another is at work in"),
            alone(tmp_path / "run"),
        ):
            pass
        holder.kill()
        holder.wait()
    with alone(tmp_path / "run"), pytest.raises(InfrastructureError), alone(tmp_path / "run"):
        pass
    with alone(tmp_path / "run"):
        pass


def test_a_folder_is_there_when_everything_in_it_is(tmp_path: Path) -> None:
    """A block that fails leaves nothing; one that ends leaves its files and no other."""
    with pytest.raises(InfrastructureError, match="No space left"), whole_folder(tmp_path / "out"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert listing(tmp_path) == []
    (tmp_path / "out").mkdir()
    with whole_folder(tmp_path / "out") as part:
        write_text(part / "sub" / "file", "x")
        assert listing(tmp_path / "out") == []
    assert listing(tmp_path / "out") == ["sub"]
    with pytest.raises(StudyError, match="new or empty"), whole_folder(tmp_path / "out"):
        pass


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
        RuntimeError("[enforce fail at inline_container.cc] . PytorchStreamWriter failed writing"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_library_that_cannot_write_is_one_sentence(error: Exception) -> None:
    """Whatever a library makes of a full disk; what else it says is its own."""
    with (
        pytest.raises(InfrastructureError, match="cannot write adapters"),
        explained(Path("adapters")),
    ):
        raise error
    with pytest.raises(RuntimeError, match="shapes differ"), explained(Path("adapters")):
        raise RuntimeError("shapes differ")


def test_half_a_character_is_kept_as_its_escape(tmp_path: Path) -> None:
    """UTF-8 has no lone surrogate; JSON does, and gets the same string back."""
    path = tmp_path / "rows.jsonl"
    write_text(path, json_line({"text": "half \ud83d of 😀 ü"}))
    assert json.loads(path.read_text(encoding="utf-8")) == {"text": "half \ud83d of 😀 ü"}


def test_json_is_json_for_every_program() -> None:
    """What is no number is null."""
    line = json_line({"a": float("nan"), "b": [float("-inf"), 1.5], "c": "NaN"})
    assert line == '{"a": null, "b": [null, 1.5], "c": "NaN"}\n'


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_read_only_folder_is_one_sentence(tmp_path: Path) -> None:
    """The message names the file and the reason."""
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(InfrastructureError, match=r"gate\.json: Permission denied"):
        write_bytes(tmp_path / "gate.json", [b"{}"])
