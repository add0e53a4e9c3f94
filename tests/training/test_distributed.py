"""Several processes train one candidate together, as ``accelerate launch`` and torchrun start them.

Two processes on the CPU (gloo); several GPUs and hosts are not covered here.
"""

import json
from pathlib import Path

import pytest
from support.command import harness, python
from support.paths import TESTS

from harness.errors import StudyError
from harness.study import CandidateSection
from harness.training.distributed import SPREADING

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


@pytest.mark.parametrize("variable", SPREADING)
def test_a_spread_model_is_not_trained(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """What accelerate's flags or its config file ask for is refused, and nothing written.

    A candidate that is trained already stays good, and a flag that is off asks for nothing.
    """
    monkeypatch.setenv(variable, "true")
    with pytest.raises(StudyError, match=f"whole copies of its base: {variable} asks for"):
        run(str(tiny_base), tmp_path / "mine")
    assert not list(tmp_path.iterdir())
    if variable == "ACCELERATE_USE_FSDP":
        monkeypatch.setenv(variable, "false")
        run(str(tiny_base), tmp_path / "mine", max_steps=1)
        monkeypatch.setenv(variable, "true")
        run(str(tiny_base), tmp_path / "mine", max_steps=1)


@pytest.mark.nightly
@pytest.mark.parametrize("flag", ["--use_fsdp", "--multi_gpu"])
def test_accelerate_launch_trains_by_ddp_alone(tmp_path: Path, flag: str) -> None:
    """As users start it, in two processes; FSDP ends in exit code 2 and one sentence."""
    (tmp_path / "rows.jsonl").write_text(
        "".join(f'{{"prompt": "Door {n}?", "completion": " {n}"}}\n' for n in range(16))
    )
    (tmp_path / "study.yaml").write_text(
        "{name: a, base: 'builtin:tiny', suites: [{name: arc_mini, limit: 24}], candidates: "
        "[{name: b, train: rows.jsonl, training: {max_steps: 2}}]}"
    )
    done = python(
        "-m", "accelerate.commands.launch", flag, "--num_processes", "2", "--main_process_port",
        "0", "-m", "harness", "train", "study.yaml",
        folder=tmp_path, env={"CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    trained = (tmp_path / "runs" / "a" / "adapters" / "b").is_dir()
    if flag == "--use_fsdp":
        assert "ACCELERATE_USE_FSDP asks for FSDP; start 'accelerate launch" in done.stderr
        assert "exitcode  : 2" in done.stderr
        assert not trained
    else:
        assert done.returncode == 0, done.stderr[-3000:]
        assert trained


def _script(folder: Path) -> Path:
    path = folder / "train.py"
    path.write_text(SCRIPT.format(tests=[str(Path(__file__).parent), str(TESTS)]))
    return path
