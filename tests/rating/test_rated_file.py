"""A file of verdicts: whole or absent, and no judgement lost to a kill or a full disk."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command import harness_here, python

from harness.errors import InfrastructureError
from harness.files import kept_until_whole
from harness.rating import JUDGES, rate_file
from harness.records import Response, Verdict
from harness.scoring import qa

ROWS = 200


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    """Return a file of answers: right and wrong ones, one that is no row, one with half a text."""
    path = tmp_path / "answers.jsonl"
    rows = [
        {"id": n, "question": "?", "answers": [f"right {n}"], "response": f"{side} {n}"}
        for n, side in zip(range(ROWS), ["right", "wrong"] * ROWS, strict=False)
    ]
    rows[7]["response"] = "half \ud83d"
    lines = [json.dumps(row) for row in rows]
    lines[11] = "{broken"
    path.write_text("\n".join(lines) + "\n")
    return path


KILLED = """
import os, signal, sys
from harness.cli import main
from harness.rating import rated_file

line, left = rated_file.json_line, int(sys.argv.pop(1))

def line_and_die(*row):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return line(*row)

rated_file.json_line = line_and_die
main()
"""


def hidden(folder: Path) -> list[Path]:
    """Return what is kept beside the files that a user sees."""
    return sorted(path for path in folder.iterdir() if path.name.startswith("."))


def test_a_killed_command_goes_on_where_it_was(answers: Path, monkeypatch: object) -> None:
    """No row is judged twice, and the file is the one that was never killed, byte for byte."""
    whole, out = answers.with_name("whole.jsonl"), answers.with_name("out.jsonl")
    told = rate_file("qa", answers, whole)
    assert told == {"correct": 100, "incorrect": 98, "unscored": 2}
    for written in (20, 50):
        done = python("-c", KILLED, str(written), "rate", "qa", answers, "-o", out)
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert not out.exists()
    (kept,) = hidden(answers.parent)
    assert kept.read_bytes() == b"".join(whole.read_bytes().splitlines(keepends=True)[:70])
    with kept.open("ab") as file:
        file.write(b'{"id": 70, "verd')  # what a loss of power cuts
    judged: list[str] = []

    def counting(doc: dict[str, object], responses: list[Response], **_: float) -> Verdict:
        judged.append(str(doc["id"]))
        return qa("?", list(doc["answers"]), responses[0].text)  # type: ignore[call-overload]

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(JUDGES, "qa", counting)
        assert rate_file("qa", answers, out) == told
    assert judged == [str(number) for number in range(70, ROWS)]
    assert out.read_bytes() == whole.read_bytes()
    assert hidden(answers.parent) == []


def test_another_question_begins_anew(answers: Path) -> None:
    """What was judged of another input, or by another rule, is not this one's."""
    out = answers.with_name("out.jsonl")
    python("-c", KILLED, "20", "rate", "qa", answers, "-o", out)
    lines = answers.read_text().splitlines()
    lines[0] = lines[0].replace("right 0", "other 0", 1)
    answers.write_text("\n".join(lines))
    assert rate_file("qa", answers, out)["correct"] == 99
    assert hidden(answers.parent) == []


def test_two_at_once_are_told(answers: Path) -> None:
    """The second of two equal commands says so, and harms neither file."""
    out = answers.with_name("out.jsonl")
    held: list[str] = []

    def hold(name: str) -> Iterator[None]:
        with kept_until_whole(out, name) as file:
            file.write(b"{}")
            yield

    def spy(path: Path, name: str) -> object:
        held.append(name)
        return kept_until_whole(path, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.rating.rated_file.kept_until_whole", spy)
        rate_file("qa", answers, out)
    other = hold(held[0])
    next(other)
    with pytest.raises(InfrastructureError, match="another command writes"):
        rate_file("qa", answers, out)
    other.close()


LIMITED = """
import resource, signal, sys
from harness.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
main()
"""


def test_a_full_disk_keeps_what_was_judged(answers: Path) -> None:
    """One sentence and exit 3; with room again, the same command ends with the same bytes."""
    whole, out = answers.with_name("whole.jsonl"), answers.with_name("out.jsonl")
    rate_file("qa", answers, whole)
    out.write_text("older verdicts")
    for size in (1000, 9000):
        done = python("-c", LIMITED, str(size), "rate", "qa", answers, "-o", out)
        assert (done.returncode, done.stderr.count("\n")) == (3, 1), done.stderr
        assert "cannot write" in done.stderr
        assert out.read_text() == "older verdicts"
        (kept,) = hidden(answers.parent)
        assert kept.stat().st_size <= size
    rate_file("qa", answers, out)
    assert out.read_bytes() == whole.read_bytes()
    assert hidden(answers.parent) == []


def test_nothing_scored_is_exit_2_with_the_reasons_in_the_file(tmp_path: Path) -> None:
    """Rows whose gold is empty are no zeros; an input without a row leaves no file at all."""
    path, out = tmp_path / "answers.jsonl", tmp_path / "out.jsonl"
    path.write_text(json.dumps({"id": 1, "question": "?", "answers": " ", "response": "a"}))
    assert harness_here("rate", "qa", path, "-o", out).returncode == 2
    assert json.loads(out.read_text())["labels"] == ["no_accepted_answer"]
    path.write_text("{}")
    assert harness_here("rate", "qa", path, "-o", tmp_path / "none.jsonl").returncode == 2
    assert sorted(each.name for each in tmp_path.iterdir()) == ["answers.jsonl", "out.jsonl"]
