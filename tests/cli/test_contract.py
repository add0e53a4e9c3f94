"""What every command promises: help with an example, documented exit codes, no traceback."""

import re
import sqlite3
from pathlib import Path

import pytest
from support.command import HARNESS, PYTHON, harness, run
from typer.main import get_command

from harness.cli import app


def commands() -> list[str]:
    """Return every command as it is typed, subcommands included."""
    names = []
    for name, command in get_command(app).commands.items():
        inner = getattr(command, "commands", {})
        names += [f"{name} {sub}" for sub in inner] if inner else [name]
    return names


@pytest.mark.parametrize("name", [name for name in commands() if name != "lm-eval"])
def test_every_command_has_help_with_an_example(name: str) -> None:
    """``--help`` says what a command does and shows how to type it."""
    done = harness(*name.split(), "--help")
    assert done.returncode == 0
    assert re.search(rf"harness {name}\b", done.stdout.split("Usage:")[1].split("\n", 1)[1])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "none.yaml"], "no study file"),
        (["plan", "none.yaml"], "harness init"),
        (["compare", "a.jsonl", "b.jsonl"], "a.jsonl"),
        (["data", "show", "none.jsonl"], "no data file at"),
        (["report", "none"], "must hold a scored run"),
        (["gate", "none"], "must hold a scored run"),
        (["rate", "sqll", "x.jsonl", "-o", "y.jsonl"], "sql"),
        (["rate", "sql", "x.jsonl", "-o", "y.jsonl"], "x.jsonl"),
        (["rnu"], "No such command"),
        (["run"], "Missing argument"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    tmp_path: Path, arguments: list[str], expected: str
) -> None:
    """Usage errors name what was found and never print a traceback."""
    done = harness(*arguments, folder=tmp_path)
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir()), "nothing may be written"


def test_notices_of_optional_kernels_are_kept_from_the_terminal_and_errors_are_not() -> None:
    """What bitsandbytes lacks for 4 bits is nobody's concern where nothing is in 4 bits."""
    code = (
        "import contextlib, logging\n"
        "from harness.cli import main\n"
        "with contextlib.suppress(SystemExit): main()\n"
        "ops = logging.getLogger('bitsandbytes.backends.cpu.ops')\n"
        "ops.warning('Failed to load CPU gemm_4bit_forward from kernels-community')\n"
        "ops.error('a library is broken')\n"
    )
    done = run(*PYTHON, "-c", code, "--version")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "a library is broken\n"


def test_init_writes_a_study_that_loads(tmp_path: Path) -> None:
    """The commented study is valid, can be planned, and is not overwritten by accident."""
    from harness import study

    assert harness("init", folder=tmp_path).returncode == 0
    loaded = study.load(tmp_path / "study.yaml")
    assert loaded.suites
    assert (tmp_path / "study.schema.json").exists()
    planned = harness("plan", "study.yaml", "--no-probe", folder=tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert "candidate first: lora on 8 rows" in planned.stdout
    again = harness("init", folder=tmp_path)
    assert again.returncode == 2
    assert "--force" in again.stderr


@pytest.mark.parametrize(
    ("verb", "steps", "message"),
    [
        ("plan", "{learning_rate: 0}", "'learning_rate' must be above 0: found 0"),
        ("train", "{warmup_steps: 9}", "'warmup_steps' must be no more than all steps: found 9 of"),
    ],
)
def test_settings_that_teach_nothing_are_refused_before_anything_is_loaded(
    tmp_path: Path, verb: str, steps: str, message: str
) -> None:
    """A training that would go on in vain is one sentence and exit code 2, with no run begun."""
    (tmp_path / "rows.jsonl").write_text('{"question": "a?", "answer": "b"}\n' * 8)
    (tmp_path / "study.yaml").write_text(
        "{name: a, base: 'builtin:tiny', suites: [sql], candidates: "
        f"[{{name: mine, train: rows.jsonl, training: {steps}}}]}}"
    )
    done = harness(verb, "study.yaml", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "candidate 'mine'" in done.stderr
    assert not list(tmp_path.rglob("adapters"))


def test_doctor_says_what_scores_and_judges_here() -> None:
    """The precision that ``dtype: auto`` comes to with its reason, and the engines that run SQL."""
    done = harness("doctor")
    assert done.returncode == 0, done.stderr
    told = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert told["dtype"].startswith(("auto         float32: ", "auto         bfloat16_verified: "))
    assert told["sqlite"] == sqlite3.sqlite_version
    assert told["duckdb"]


def test_the_version_is_the_package_s() -> None:
    """``harness --version`` is what the package says."""
    from harness import __version__

    assert harness("--version").stdout.strip() == f"harness {__version__}"


def test_a_reader_that_is_gone_changes_no_exit_code(tmp_path: Path) -> None:
    """Output to a closed pipe or a full disk is lost; the verdict's exit code is not."""
    (tmp_path / "base.jsonl").write_text("".join(f'{{"id": {n}, "score": 1}}\n' for n in range(99)))
    (tmp_path / "tuned.jsonl").write_text(
        "".join(f'{{"id": {n}, "score": 0}}\n' for n in range(99))
    )
    typed = f"{' '.join(HARNESS)} compare base.jsonl tuned.jsonl --margin 0.03"
    for where in ("> /dev/full", "| true", "> /dev/full 2>&1"):
        line = f"{typed} {where}; echo ${{PIPESTATUS[0]}} > code"
        done = run("bash", "-c", line, folder=tmp_path)
        assert (tmp_path / "code").read_text() == "1\n", (where, done.stderr)
        assert "Traceback" not in done.stderr


def test_too_little_memory_is_told_before_anything_is_loaded(tmp_path: Path) -> None:
    """Numerical libraries would ask for it without end."""
    line = f"ulimit -v 153600; {' '.join(HARNESS)} compare base.jsonl tuned.jsonl"
    done = run("bash", "-c", line, folder=tmp_path)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "needs 512 MiB of address space: the limit here is 150 MiB" in done.stderr
