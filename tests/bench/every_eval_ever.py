"""Every Eval Ever's own package reads what we write: `python tests/bench/every_eval_ever.py`.

Its package needs Python 3.12, so it gets an environment of its own, with whatever Python 3.12 is
here; its version is pinned, and it is downloaded the first time. It validates the records and
samples of a made run on four suites, by its own models and by its own command.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import which

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from support.finished_runs import write_run  # noqa: E402

from harness.pipeline.exported.export_scores import export_scores  # noqa: E402

PACKAGE = "every-eval-ever==0.3.0"
PLACE = Path(tempfile.gettempdir(), "harness-every-eval-ever")
READ = """
import json, sys
from pathlib import Path
from every_eval_ever.eval_types import EvaluationLog
from every_eval_ever.instance_level_types import InstanceLevelEvaluationLog
records = samples = 0
for path in sorted(Path(sys.argv[1]).rglob("*.json")):
    EvaluationLog.model_validate_json(path.read_text()); records += 1
for path in sorted(Path(sys.argv[1]).rglob("*.jsonl")):
    for line in path.read_text().splitlines():
        InstanceLevelEvaluationLog.model_validate_json(line); samples += 1
print(f"{records} records and {samples} samples are valid")
"""


def python312() -> str | None:
    """Return a Python 3.12 that starts: on the path, pyenv's, or uv's."""
    pyenv = sorted(Path.home().glob(".pyenv/versions/3.12.*/bin/python3.12"))
    tried = [which("python3.12"), *map(str, pyenv)]
    if uv := which("uv"):
        found = subprocess.run(
            [uv, "python", "find", "3.12"], capture_output=True, text=True, check=False
        )
        tried.append(found.stdout.strip())
    for path in filter(None, tried):
        started = subprocess.run([path, "-c", "import venv"], capture_output=True, check=False)
        if started.returncode == 0:
            return path
    return None


def main() -> int:
    """Make the environment where it is missing, write a run's records, and let them be read."""
    python = python312()
    if python is None:
        print("not read: Every Eval Ever's package needs Python 3.12, and none is here")
        return 0
    own = PLACE / "bin" / "python"
    if not own.exists():
        subprocess.run([python, "-m", "venv", PLACE], check=True)
    subprocess.run([own, "-m", "pip", "install", "--quiet", PACKAGE], check=True)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "records")
        export_scores(write_run(Path(folder, "run")), out, form="eee")
        models = subprocess.run([own, "-c", READ, out], check=False)
        files = sorted(path for path in out.rglob("*") if path.is_file())
        command = subprocess.run([own, "-m", "every_eval_ever", "validate", *files], check=False)
    return models.returncode or command.returncode


if __name__ == "__main__":
    sys.exit(main())
