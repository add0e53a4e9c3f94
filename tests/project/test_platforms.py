"""What a system lacks is said in one sentence; nothing fails at an import."""

import ast
from pathlib import Path

import pytest
from support.command import python
from support.paths import ROOT

PACKAGE = ROOT / "harness"

UNIX_ONLY = {"resource", "fcntl", "termios", "pwd", "grp", "pty", "tty", "posix", "syslog", "crypt"}
"""Modules that Windows lacks."""

UNIX_SCRIPTS = {"postgres_server.py"}
"""Started on Unix alone, by what says so elsewhere."""

HIDE = """
import os, signal, sys
for name in {hidden!r}:
    sys.modules[name] = None
for place, names in ((os, {os_lacks!r}), (signal, {signal_lacks!r})):
    for name in names:
        if hasattr(place, name):
            delattr(place, name)
"""
HIDE = HIDE.format(
    hidden=sorted(UNIX_ONLY - {"posix"} | {"bitsandbytes"}),
    os_lacks=["fork", "forkpty", "killpg", "getuid", "geteuid", "setsid", "mkfifo", "getpgid"],
    signal_lacks=["SIGKILL", "SIGALRM", "SIGVTALRM", "SIGQUIT", "SIGHUP", "setitimer", "alarm"],
)


def test_modules_of_unix_are_imported_where_they_are_used() -> None:
    """At the top of a file they would end every command on Windows, whatever it does."""
    unguarded = [
        f"{file.relative_to(PACKAGE)}: {alias.name}"
        for file in PACKAGE.rglob("*.py")
        if file.name not in UNIX_SCRIPTS
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name in UNIX_ONLY
    ]
    assert not unguarded


def test_without_unix_the_light_commands_work(tmp_path: Path) -> None:
    """Scores are compared and answers judged on a system without limits, forks and signals."""
    rows = '{"id": "1", "score": 1}\n{"id": "2", "score": 0}\n'
    (tmp_path / "a.jsonl").write_text(rows)
    (tmp_path / "b.jsonl").write_text(rows)
    done = python(
        "-c",
        f"{HIDE}\nimport harness.cli, harness.store.run_folder, harness.models.bounds as bounds\n"
        "import harness\n"
        "harness.compare('a.jsonl', 'b.jsonl')\n"
        "rows = [{'id': '1', 'question': 'q', 'answers': ['42'], 'response': 'It is 42.'}]\n"
        "print(list(harness.rate('qa', rows))[0]['verdict'])\n"
        "with bounds._time_limit(1.0), bounds._memory_limit(1):\n"
        "    print('unlimited')\n"
        "bounds.check_patterns({'target_modules': '.*_proj'}, ['q_proj'], where='it')\n",
        folder=tmp_path,
    )
    assert done.stdout.splitlines()[-2:] == ["correct", "unlimited"], done.stderr


def test_sql_on_windows_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its workers need limits and pipes that Windows does not have."""
    from harness.errors import InfrastructureError
    from harness.sql.execute.worker import WorkerProcess

    monkeypatch.setattr("sys.platform", "win32")
    with pytest.raises(InfrastructureError, match="judge it on Linux, on macOS or in WSL"):
        WorkerProcess()


@pytest.mark.model
def test_a_mac_s_gpu_is_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is taken where there is no CUDA card; elsewhere asking for it is one sentence."""
    import torch

    from harness.errors import ModelError
    from harness.models.hardware import check_quantization, device_of, precision_of

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    if not torch.backends.mps.is_available():
        with pytest.raises(ModelError, match="the GPU of a Mac with Apple's processor"):
            device_of("mps")
    with pytest.raises(ModelError, match="use auto, cpu, cuda, cuda:N or mps"):
        device_of("tpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert (device_of("auto").type, device_of("mps").type) == ("mps", "mps")
    assert precision_of(device_of("mps")) == "fp32"
    with pytest.raises(ModelError, match="need bitsandbytes, which does not run here"):
        check_quantization("4bit", device_of("mps"))
