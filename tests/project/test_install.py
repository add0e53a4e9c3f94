"""What each install can do: the bare one compares, gates, reviews and rates; extras do the rest."""

import ast
import csv
import json
import os
import re
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from support import bare_install
from support.bare_install import PROJECT, modules_of, run_bare
from support.paths import ROOT
from support.tiny_models import lora

from harness import content, study
from harness.extras import EXTRAS, missing_extra
from harness.pipeline.run import run_study

OPTIONAL = {"bitsandbytes"}
"""Of an extra, but not on every platform: its users say so where it is missing."""
HEAVY = {"gguf", "inspect", "judges", "judges-light", "mcp", "monitor", "ray", "vllm"}
"""Extras that ``all`` leaves out: a server, weights, an engine of one GPU or a long build."""
QA = {"id": "1", "question": "Where is it?", "answers": ["Vienna"], "response": "In Vienna."}
SQL = {"id": "1", "schema_sql": "CREATE TABLE t (a)", "gold_sql": "SELECT 1", "pred_text": "no"}
STUDY = {
    "name": "release",
    "base": "builtin:tiny",
    "candidates": [{"name": "other", "adapter": "other"}],
    "suites": [
        {"name": "arc_mini", "limit": 40, "margin": 0.2},
        {"name": "domain_qa", "limit": 20, "margin": 0.2},
    ],
    "review": {"items_per_suite": 2, "raters": 1},
}
Harness = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a finished run and a file of each kind that a command reads."""
    folder = tmp_path_factory.mktemp("stored")
    lora(content.BUILTIN_MODELS["tiny"], folder / "other")
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY), "utf-8")
    run_study(study.load(folder / "study.yaml"), out=folder / "run")
    trained = {"name": "new", "train": "rows.jsonl"}
    suites = [*STUDY["suites"], "sql"]
    training = STUDY | {"name": "training", "candidates": [trained], "suites": suites}
    training["data"] = {"languages": ["en"]}
    (folder / "training.yaml").write_text(yaml.safe_dump(training), "utf-8")
    rows = {"rows": {"question": "Who?", "answer": "Ada"}, "qa": QA, "sql": SQL}
    for name, row in rows.items():
        (folder / f"{name}.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    for side in ("base", "tuned"):
        lines = [json.dumps({"id": n, "score": n % 3 > 0}) + "\n" for n in range(600)]
        (folder / f"{side}.jsonl").write_text("".join(lines), "utf-8")
    rated = folder / "rated.csv"
    sheet = next((folder / "run" / "review").rglob("*.csv"))
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        table = list(csv.reader(file))
    table[1][table[0].index("Preference")] = "both good"
    with rated.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(table)
    return folder


WORKS = {
    "compare": "compare base.jsonl tuned.jsonl --margin 0.1 --json verdict.json",
    "compare samples": "compare run/samples/base run/samples/other",
    "gate": "gate run",
    "write a baseline": "gate run --write-baseline baseline.jsonl",
    "gate against it": "gate run --baseline baseline.jsonl",
    "report": "report run",
    "rate": "rate qa qa.jsonl -o verdicts.jsonl",
    "review draw": "review draw run --items 2 --raters 1 --seed 0",
    "review collect": "review collect run rated.csv",
    "export an adapter": "export run other -o exported",
    "tasks": "tasks",
    "doctor": "doctor",
    "init": "init mine.yaml",
}
DECIDED = {0, 1, 4}
"""Exit codes of a command that came to its end, whatever it says of a random adapter."""
REFUSED = {
    "run training.yaml": "train,sql,languages",
    "plan training.yaml": "train,sql,languages",
    "train training.yaml": "train,sql,languages",
    "run study.yaml --out elsewhere": "engine",
    "quickstart": "train,sql",
    "rate sql sql.jsonl -o verdicts.jsonl": "sql",
    "export run other -o merged --as merged": "engine",
    "chat run": "engine",
    "lm-eval run": "engine",
    "mcp": "mcp",
    "data show rows.jsonl": "engine",
}


def do_all(harness: Harness, folder: Path) -> None:
    """Do with an install everything that the bare one can do, and see it refuse the rest."""
    for name, line in WORKS.items():
        done = harness(*line.split(), folder=folder)
        assert done.returncode in DECIDED, f"{name}: {done.stderr}"
    assert json.loads((folder / "verdict.json").read_text("utf-8"))["verdict"] == "pass"
    for line, extra in REFUSED.items():
        check_refused(harness(*line.split(), folder=folder), extra)


def check_refused(done: subprocess.CompletedProcess[str], extra: str) -> None:
    """Check that a command named the extra in one sentence and did nothing else."""
    assert done.returncode == 2, done.stderr
    (sentence,) = done.stderr.splitlines()
    assert "packages that are not installed (" in sentence
    assert sentence.endswith(f"): pip install 'finetune-harness[{extra}]'")


@pytest.mark.model
@pytest.mark.parametrize("name", WORKS)
def test_the_bare_install_works_on_what_is_stored(stored: Path, name: str) -> None:
    """Comparing, gating, reporting, rating and reviewing import nothing that an extra brings."""
    done = bare_install.harness(*WORKS[name].split(), folder=stored)
    assert done.returncode in DECIDED, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.model
@pytest.mark.parametrize("line", REFUSED)
def test_a_missing_extra_is_one_sentence_with_the_line_to_type(stored: Path, line: str) -> None:
    """What needs an extra says which, before anything is written, and exits with code 2."""
    before = sorted(path.name for path in stored.iterdir())
    check_refused(bare_install.harness(*line.split(), folder=stored), REFUSED[line])
    assert sorted(path.name for path in stored.iterdir()) == before


def test_python_callers_get_the_same_sentence(tmp_path: Path) -> None:
    """A missing extra is a `HarnessError` for whoever imports us, not an `ImportError`."""
    code = (
        "import harness\n"
        f"try: list(harness.rate('sql', [{SQL!r}]))\n"
        "except harness.HarnessError as error: print(error)"
    )
    done = run_bare(code, folder=tmp_path)
    assert done.stdout == (
        "judging SQL needs packages that are not installed (duckdb, sqlglot): "
        "pip install 'finetune-harness[sql]'\n"
    ), done.stderr


def test_every_missing_extra_is_named_at_once(tmp_path: Path) -> None:
    """A study that needs several extras says all of them, those that others include left out."""
    code = (
        "from harness import errors, extras\n"
        "try: extras.require('engine', 'train', 'sql', 'languages')\n"
        "except errors.MissingExtraError as error: print(error)"
    )
    done = run_bare(code, folder=tmp_path)
    assert done.stdout == (
        "training, judging SQL and choosing rows by language need packages that are not installed "
        "(accelerate, datasets, duckdb, ftfy, huggingface_hub, lm_eval, peft, psutil, py3langid, "
        "pyarrow, safetensors, sklearn, sqlglot, tokenizers, torch, tqdm, transformers, trl"
        "): pip install 'finetune-harness[train,sql,languages]'\n"
    ), done.stderr


@pytest.mark.parametrize("name", ["torch.no_such_part", "harness.no_such_room", "no_such_package"])
def test_a_failed_import_of_our_own_making_stays_a_bug(name: str) -> None:
    """Only a package that an extra brings, and that is not installed, is the user's to mend."""
    assert missing_extra(ModuleNotFoundError(f"No module named {name!r}", name=name)) is None


def import_names(requirements: list[str]) -> set[str]:
    """Return what each requirement is imported as; by its own name, where it has a module so."""
    found = set()
    for line in requirements:
        own = re.sub(r"\W", "_", re.match(r"[\w.-]+", line)[0].lower())
        modules = modules_of([line])
        found.add(own if own in modules else min(modules))
    return found


@pytest.mark.parametrize("name", EXTRAS)
def test_the_table_of_extras_is_that_of_the_package(name: str) -> None:
    """An extra's modules are those of its requirements, so that no sentence names a wrong one."""
    requirements = PROJECT["optional-dependencies"][name]
    ours = [line for line in requirements if line.startswith(PROJECT["name"])]
    included = EXTRAS[name].includes
    assert ours == ([f"{PROJECT['name']}[{included}]"] if included else [])
    theirs = [line for line in requirements if line not in ours]
    if name == "endpoints":  # lm-eval's extra, of which this is the package that it misses first
        theirs = ["tenacity"]
    assert set(EXTRAS[name].modules) == import_names(theirs) - OPTIONAL


def test_all_brings_every_extra_but_the_heavy_ones() -> None:
    """``[all]`` is what the README installs: whoever types it meets no missing package."""
    (line,) = PROJECT["optional-dependencies"]["all"]
    named = line.partition("[")[2].rstrip("]").split(",")
    brought = {*named, *(EXTRAS[name].includes for name in named)} - {""}
    assert brought == EXTRAS.keys() - HEAVY
    assert EXTRAS.keys() == PROJECT["optional-dependencies"].keys() - {"all"}


def test_every_import_is_declared() -> None:
    """Whatever a file imports is a requirement of ours, not one that another package brings."""
    declared = {*sys.stdlib_module_names, "harness", *OPTIONAL}
    declared |= modules_of(PROJECT["dependencies"])
    declared.update(module for extra in EXTRAS.values() for module in extra.modules)
    for path in (ROOT / "harness").rglob("*.py"):
        beside = {other.stem for other in path.parent.glob("*.py")}  # the jail is no package
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            assert {name.partition(".")[0] for name in names} <= declared | beside, path


@pytest.mark.nightly
@pytest.mark.model
def test_a_real_bare_install(stored: Path, tmp_path: Path) -> None:
    """A venv with the wheel alone is small, typed, and does the same; needs an index for pip."""
    wheels, home = tmp_path / "wheels", tmp_path / "venv"
    constraints = {**os.environ, "PIP_CONSTRAINT": str(ROOT / "constraints.txt")}
    pip = [sys.executable, "-m", "pip", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", wheels, ROOT], env=constraints, check=True)
    (wheel,) = wheels.glob("finetune_harness-*.whl")
    subprocess.run([*pip, "download", "-d", wheels, wheel], env=constraints, check=True)
    assert sum(path.stat().st_size for path in wheels.glob("*.whl")) <= 120e6
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    install = [python, "-m", "pip", "-q", "install", "--no-index", "--find-links", wheels, wheel]
    subprocess.run(install, check=True)
    where = "import harness, pathlib; print(pathlib.Path(harness.__file__).parent)"
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, capture_output=True, text=True, cwd=folder, env=clean, check=False
        )

    package = Path(run(python, "-c", where, folder=tmp_path).stdout.strip())
    assert package.is_relative_to(home)
    assert (package / "py.typed").exists()
    do_all(lambda *line, folder: run(home / "bin" / "harness", *line, folder=folder), folder=stored)
