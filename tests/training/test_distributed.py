"""Several processes train one candidate together, as ``accelerate launch`` and torchrun start them.

Two processes on the CPU (gloo); several GPUs, hosts and FSDP are not covered here.
"""

import json
from pathlib import Path

import pytest
from support.command import harness, python
from support.paths import TESTS

from harness.study import CandidateSection

pytestmark = pytest.mark.model

BASE_STEPS = {"max_steps": 4, "learning_rate": 0.01, "warmup_steps": 0, "bf16": False}

SCRIPT = """
import os, sys
from pathlib import Path
sys.path[:0] = {tests!r}
import test_distributed as t
out = Path(sys.argv[2])
t.run(sys.argv[1], out / "mine", per_device_train_batch_size=4)
t.run(sys.argv[1], out / "swept", sweep=t.SWEEP, per_device_train_batch_size=4)
(out / ("done-" + os.environ["RANK"])).touch()
"""

SWEEP = {"training.learning_rate": [1e38, 0.01]}


def run(base: str, out: Path, *, sweep: dict[str, list[float]] | None = None, **steps: int) -> None:
    """Train a candidate with rows held out."""
    from support.trainings import rows, train_on

    candidate = CandidateSection(
        name="mine",
        train="rows.jsonl",
        validation=0.2,
        sweep=sweep,
        training=BASE_STEPS | {"max_grad_norm": 0.0} | steps,
    )
    train_on(candidate, rows(), model=base, out=out)


@pytest.mark.nightly
def test_two_processes_learn_what_one_learns(tiny_base: Path, tmp_path: Path) -> None:
    """Half the rows a step in each of two processes gives the same losses and one adapter.

    The same holds for a sweep, of which a diverging trial is given up by both.
    """
    done = python(
        "-m", "torch.distributed.run", "--nproc_per_node", "2",
        "--master_port", "0", "--rdzv_backend", "c10d", "--rdzv_endpoint", "localhost:0",
        _script(tmp_path), tiny_base, tmp_path, env={"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert {path.name for path in tmp_path.glob("done-*")} == {"done-0", "done-1"}
    run(str(tiny_base), tmp_path / "alone", per_device_train_batch_size=8)
    together, alone = (
        json.loads((tmp_path / name / "training_log.json").read_text())
        for name in ("mine", "alone")
    )
    assert together["epochs"] == pytest.approx(alone["epochs"])
    losses = [[point["loss"] for point in log["loss"]] for log in (together, alone)]
    assert losses[0] == pytest.approx(losses[1], abs=0.02)
    states = [row["state"] for row in json.loads((tmp_path / "swept.trials.json").read_text())]
    assert states == ["diverged", "finished"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
        "alone", "mine", "swept",
    ]  # fmt: skip


def test_a_run_is_refused_to_several_processes(tmp_path: Path) -> None:
    """Only training is shared out; the message says what to do."""
    (tmp_path / "study.yaml").write_text(
        "{name: a, base: 'builtin:tiny', candidates: [{name: b, adapter: c}], suites: [sql]}"
    )
    done = harness("run", "study.yaml", folder=tmp_path, env={"WORLD_SIZE": "2", "RANK": "0"})
    assert done.returncode == 2
    assert "a run scores in one process: found 2; let them do 'harness train'" in done.stderr


def _script(folder: Path) -> Path:
    path = folder / "train.py"
    path.write_text(SCRIPT.format(tests=[str(Path(__file__).parent), str(TESTS)]))
    return path
