"""A study on a Ray cluster: what is refused, and what comes of nodes that die and join."""

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.command import HARNESS, harness, started
from support.shared_out import answers, assert_same, write_study

from harness import study
from harness.errors import HarnessError, InfrastructureError
from harness.files import sha256_of
from harness.pipeline.cluster import ray_driver
from harness.pipeline.cluster.cluster_job import ClusterJob, do
from harness.pipeline.plan import plan
from harness.pipeline.run import carry_out

NOWHERE = "127.0.0.1:9"
"""An address at which nothing answers."""


def test_a_node_that_sees_other_files_refuses(tmp_path: Path) -> None:
    """A folder that is not shared is told by name before anything is done there."""
    file = write_study(tmp_path)
    known = {str(file): sha256_of(file)}
    lock = tmp_path / "run" / "study.lock.json"
    job = ClusterJob(study=str(file), out=str(tmp_path / "run"), files=known | {str(lock): "0"})
    with pytest.raises(InfrastructureError, match=r"found nothing at .*lock\.json.* \(on node "):
        do(job)
    file.write_text(file.read_text() + "\n")
    with pytest.raises(InfrastructureError, match=r"found another file at .*study\.yaml"):
        do(job)


@pytest.mark.model
def test_a_node_that_computes_otherwise_refuses(tmp_path: Path) -> None:
    """Answers of another release or kind of device are none of this run's."""
    file = write_study(tmp_path)
    job = ClusterJob(study=str(file), out=str(tmp_path / "run"), machine={"torch": "1.0"})
    with pytest.raises(InfrastructureError, match=r"must compute alike: torch is .* and 1.0 where"):
        do(job)


def test_a_cluster_that_does_not_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray would wait for minutes, then end the process."""
    monkeypatch.setenv("RAY_ADDRESS", NOWHERE)
    with pytest.raises(InfrastructureError, match=f"nothing answers at {NOWHERE}; start it with"):
        ray_driver._connect()


def answered(run: Path) -> set[bytes]:
    """Return the keys of the answers in all shards' files."""
    found: set[bytes] = set()
    for path in run.glob("answers/*.db"):
        with sqlite3.connect(path) as database:
            found |= {key for (key,) in database.execute("SELECT key FROM answers")}
    return found


def until(happened: Callable[[], bool], seconds: int = 600) -> None:
    """Wait for something; the limit is a safety net."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Return a cluster of three nodes: a head, and two that work."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    head = {"num_cpus": 0, "include_dashboard": False}
    try:
        found = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    except Exception:  # noqa: BLE001 - it allows itself 30 s, however busy the machine is
        found = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        found.add_node(num_cpus=1)
    yield found
    found.shutdown()


@pytest.mark.nightly
def test_a_node_killed_and_one_added_change_nothing(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verdicts and texts are one process's; run again, nothing is asked and no cluster needed."""
    file, run = write_study(tmp_path), tmp_path / "run"
    where = {"RAY_ADDRESS": cluster.address}
    with (tmp_path / "printed").open("w") as printed:
        command = (*HARNESS, "run", file, "--on", "ray", "--out", run)
        with started(*command, env=where, out=printed) as process:
            until(lambda: bool(answered(run)) or process.poll() is not None)
            assert process.poll() is None, (tmp_path / "printed").read_text()
            cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
            cluster.add_node(num_cpus=1)
            code = process.wait()
    shards = len(list(run.glob("answers/*.db")))
    cluster.shutdown()

    alone = harness("run", file, "--out", tmp_path / "alone")
    assert code == alone.returncode, (tmp_path / "printed").read_text()
    assert shards == 8
    assert_same(run, tmp_path / "alone")
    merged = answers(run)

    def load(*_: object, **__: object) -> None:
        raise AssertionError("weights were loaded")

    monkeypatch.setattr("harness.engine.model.load_model_for_scoring", load)
    monkeypatch.setenv("RAY_ADDRESS", NOWHERE)
    carry_out(plan(study.load(file), out=run), on_ray=True)
    assert answers(run) == merged


@pytest.mark.nightly
def test_a_cluster_that_is_gone_is_one_sentence(cluster: Any, tmp_path: Path) -> None:
    """Its head dies: exit code 3, and what was answered is not asked again."""
    file, run = write_study(tmp_path), tmp_path / "run"
    with (tmp_path / "printed").open("w") as printed:
        command = (*HARNESS, "run", file, "--on", "ray", "--out", run)
        with started(*command, env={"RAY_ADDRESS": cluster.address}, out=printed) as process:
            until(lambda: bool(answered(run)) or process.poll() is not None)
            cluster.head_node.kill_gcs_server()
            code = process.wait()
    said = (tmp_path / "printed").read_text().splitlines()[-1]
    assert code == InfrastructureError.exit_code
    assert said.startswith("harness: a cluster must be there until its work is done"), said
    kept = answered(run)
    assert kept
    shutil.copytree(run, tmp_path / "on")
    done = harness("run", file, "--out", tmp_path / "on")
    assert done.returncode != HarnessError.exit_code, done.stderr
    assert kept <= answers(tmp_path / "on").keys()
