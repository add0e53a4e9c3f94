"""Text that somebody else wrote: it is shown, and does nothing."""

import ast
import json
import re
from pathlib import Path

import pytest
import yaml
from support.command import harness_here
from support.finished_runs import write_run
from support.paths import ROOT

from harness.cli import console
from harness.pipeline.conclude import reopen

HOSTILE = (
    "[red]x[/] [/data/tickets] [INST] \x1b[31mred\x1b[0m \x1b]0;title\x07 \x00 \u202eback \r"
    "\n::error file=a.py::boom\n  ::set-output name=x::y\n##[error]no\n##vso[task.complete]done"
)
NAME = "{} [red]x[bold] [INST] \x1b[31mred \u202e##vso[task.complete]"
"""A suite's name that is a file's name too."""
FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069]|^\\s*::[a-z-]+|##\\[|##vso\\[",
    re.MULTILINE,
)


def lines(*rows: object) -> str:
    """Return rows as JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run, scores, rows and answers full of hostile text."""
    path = tmp_path_factory.mktemp("hostile")
    write_run(path / "run", note=HOSTILE, rename=NAME)
    name = HOSTILE.replace("/", "").replace("\x00", "")[:40]
    for side, score in (("base", 1), ("tuned", 0)):
        rows = [
            {"id": f"{n}{HOSTILE}", "score": score, "suite": NAME.format("s")} for n in range(9)
        ]
        (path / f"{side} {name}.jsonl").write_text(lines(*rows))
    (path / "other.jsonl").write_text(lines({"id": HOSTILE, "score": 1, "suite": HOSTILE}))
    (path / "train [v2].jsonl").write_text(
        lines({"question": f"?{HOSTILE}", "answer": f"!{HOSTILE}", HOSTILE: 1})
    )
    (path / "unknown.jsonl").write_text(lines({HOSTILE: 1}))
    (path / "rate.jsonl").write_text(
        lines(
            {"id": HOSTILE, "question": HOSTILE, "answers": [HOSTILE], "response": HOSTILE},
            {"id": 2, "question": HOSTILE, "answers": HOSTILE},
        )
    )
    study = {"name": "hostile", "base": HOSTILE, "candidates": [{"name": HOSTILE}], "suites": [1]}
    (path / "study.yaml").write_text(yaml.safe_dump(study))
    keyed = {"name": "hostile", "base": "builtin:tiny", HOSTILE: HOSTILE, "suites": ["sql"]}
    (path / "key.yaml").write_text(yaml.safe_dump(keyed))
    model = {**study, "candidates": [{"name": "a", "adapter": HOSTILE}], "suites": [HOSTILE]}
    (path / "model.yaml").write_text(yaml.safe_dump({**model, "base": f"./{HOSTILE}"}))
    (path / "suite.yaml").write_text(yaml.safe_dump({**model, "base": "builtin:tiny"}))
    return path


def commands(folder: Path) -> list[list[str]]:
    """Return commands that show what is in the folder, each with hostile text in another place."""
    base, tuned = (str(next(folder.glob(f"{side}*"))) for side in ("base", "tuned"))
    return [
        ["report", "run"],
        ["gate", "run"],
        ["gate", "run", "--write-baseline", f"base{HOSTILE[-30:].replace('/', '')}.jsonl"],
        ["gate", "run", "--write-baseline", "b.jsonl", "--arm", "mixed"],
        ["gate", "run", "--baseline", "b.jsonl"],
        ["gate", "run", "--write-baseline", "c.jsonl", "--arm", HOSTILE],
        ["gate", "run", "--baseline", "other.jsonl"],
        ["gate", HOSTILE.replace("\x00", "")],
        ["review", "draw", "run", "--items", "3"],
        ["review", "collect", "run", *map(str, folder.glob("run/review/*/*/*/workbooks/*.csv"))],
        ["review", "collect", "run", "other.jsonl"],
        ["export", "run", HOSTILE, "-o", "out"],
        ["compare", base, tuned],
        ["compare", base, tuned, "--json", "out [x].json"],
        ["compare", base, "other.jsonl"],
        ["compare", base, tuned, "--metric", HOSTILE],
        ["rate", "qa", "rate.jsonl", "-o", "rated [x].jsonl"],
        ["rate", HOSTILE, "rate.jsonl", "-o", "rated.jsonl"],
        ["rate", "qa", "unknown.jsonl", "-o", "rated.jsonl"],
        ["rate", "sql", "rate.jsonl", "-o", "rated.jsonl", "--rule", HOSTILE],
        ["data", "show", "train [v2].jsonl"],
        ["data", "show", "unknown.jsonl"],
        ["data", "show", "train [v2].jsonl", "--base", f"./{HOSTILE}"],
        ["init", "study [x] ::error::x.yaml"],
        ["plan", "study.yaml"],
        ["plan", "key.yaml"],
        ["plan", "model.yaml"],
        ["plan", "suite.yaml", "--no-probe"],
        ["run", "suite.yaml", "--out", HOSTILE],
        ["train", "study.yaml"],
        ["score", "key.yaml"],
        [HOSTILE],
        ["run", HOSTILE, HOSTILE],
        ["tasks", HOSTILE],
    ]


@pytest.mark.model
def test_foreign_text_is_shown_and_does_nothing(folder: Path) -> None:
    """Brackets, ANSI, NUL, bidi and workflow commands reach no terminal as what they are."""
    for arguments in commands(folder):
        done = harness_here(*arguments, folder=folder)
        said = done.stdout + done.stderr
        assert said.strip(), arguments
        assert not (found := FORBIDDEN.search(said)), (arguments, found, said)
        assert not re.search("MarkupError|Traceback|please report", said), (arguments, said)
        assert done.returncode in (0, 1, 2, 3, 4), (arguments, done)


def test_the_exit_code_is_the_file_s(folder: Path) -> None:
    """What was written is what the command exits with, whatever a note holds."""
    done = harness_here("report", "run", folder=folder)
    gate = json.loads((folder / "run" / "gate.json").read_text())
    assert done.returncode == 0
    assert harness_here("gate", "run", folder=folder).returncode == gate["exit_code"] != 3
    assert "[INST]" in done.stdout
    assert "[/data/tickets]" in done.stdout


def test_the_files_of_a_run_hold_no_live_foreign_text(folder: Path) -> None:
    """Reports for people and programs escape what they show."""
    harness_here("report", "run", folder=folder)
    for name in ("report.md", "report.html", "junit.xml"):
        text = (folder / "run" / name).read_text(encoding="utf-8")
        assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]", text), (
            name
        )
    assert not re.search(r"^\s*::error", (folder / "run" / "report.md").read_text(), re.MULTILINE)


def test_everything_is_printed_by_one_function() -> None:
    """No command prints by itself: only `harness.cli.console` knows the streams."""
    found = [
        f"{path.name}:{node.lineno}"
        for path in (ROOT / "harness" / "cli").glob("*.py")
        if path.name not in ("console.py", "boundary.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and re.fullmatch(
            r"print|\w*\.?(echo|secho)|Console|sys\.std(out|err)\.write|\w*console\.print",
            ast.unparse(node.func),
        )
    ]
    assert not found


def test_a_long_name_leaves_the_numbers_in_80_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The name of a suite is folded; items, base, tuned, change, interval and verdict stay."""
    monkeypatch.setenv("COLUMNS", "80")
    name = "mmlu_continuation_high_school_european_history_{}"
    result = reopen(write_run(tmp_path / "run", rename=name))[1]
    console.show(result)
    said = capsys.readouterr().out
    table = [line for line in said.splitlines() if re.search(r"[+-]\d+\.\d to ", line)]
    assert len(table) == 4
    for line in table:
        assert len(line) <= 80
        assert len(re.findall(r"\d+\.\d", line)) >= 5
        assert re.search(r"improved|regressed|inconclusive|unchanged|worse", line)
    told = re.sub(r"\s", "", "".join(line[:12] for line in said.splitlines()))
    assert "mmlu_continuation"[:8] in told
