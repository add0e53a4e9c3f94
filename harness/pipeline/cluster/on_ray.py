"""``--on ray``: let a cluster train and answer what is missing, before a run goes on as ever."""

import json
import os
import subprocess
import sys
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from typing import Self

from harness.errors import HarnessError, InfrastructureError, StudyError
from harness.extras import require
from harness.files import sha256_of
from harness.pipeline.answers.shards import Shard, cut, merge_shards, shard_origin
from harness.pipeline.checks.own_bases import fingerprints_of
from harness.pipeline.cluster.cluster_job import ClusterJob, machine
from harness.pipeline.plan import PlannedRun
from harness.pipeline.progress import Advance
from harness.pipeline.train import trained, untrained
from harness.records import Arm, Request
from harness.store import AnswerStore
from harness.suites.dialogue_turns import followed

SHARDS_A_PLACE = 4
"""How many shards there are for each model that can be loaded at once: a node that joins late, or
is lost, changes the end of a run by a quarter of a place's work."""
LEAST_ITEMS = 16
"""Items of a shard, at least: each loads the model."""
SECONDS_TO_LEAVE = 30


class RayCluster:
    """A cluster, from the first job on that it is given; its driver is a process of its own."""

    def __init__(self) -> None:
        require("ray")
        self._process: subprocess.Popen[str] | None = None
        self._places = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the cluster, and end what still runs there; one that was started here ends."""
        if self._process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            self._process.communicate(timeout=SECONDS_TO_LEAVE)
        self._process.kill()

    @property
    def places(self) -> int:
        """How many jobs it does at once."""
        self._driver()
        return self._places

    def do(self, jobs: Sequence[ClusterJob], advance: Advance) -> None:
        """Let all jobs be done.

        Raises:
            HarnessError: If one cannot be done, or the cluster is gone; what is done is kept.
        """
        driver = self._driver()
        assert driver.stdin is not None
        with suppress(BrokenPipeError):  # read says what happened
            driver.stdin.write(json.dumps([asdict(job) for job in jobs]) + "\n")
            driver.stdin.flush()
        while "done" in (said := self._hear()):
            nodes = said["nodes"]
            advance(done=said["done"], note=f"{nodes} node{'' if nodes == 1 else 's'}")

    def _driver(self) -> "subprocess.Popen[str]":
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "harness.pipeline.cluster.ray_driver"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if "HARNESS_DEBUG" in os.environ else subprocess.DEVNULL,
                text=True,
            )
            self._places = self._hear()["places"]
        return self._process

    def _hear(self) -> dict[str, int]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise InfrastructureError(
                "a cluster must be there until its work is done: it is gone, or its head is; what "
                "was trained and answered is kept, so give the same command again"
            )
        said: dict[str, int] = json.loads(line)
        if "refused" in said:
            kind: type[HarnessError] = StudyError if said["exit_code"] == 2 else InfrastructureError
            raise kind(str(said["refused"]))
        return said


def train_on(cluster: RayCluster, planned: PlannedRun, only: Collection[str] = ()) -> None:
    """Let a cluster train the candidates that are not trained yet, each in a job of its own.

    Args:
        cluster: It is used only if something is not trained.
        planned: The study.
        only: Names of candidates; all by default.

    Raises:
        HarnessError: If one cannot be trained, or the cluster is gone; what is trained is kept.
    """
    names = [name for name in untrained(planned) if not only or name in only]
    if not names:
        return
    planned.folder.claim(planned.study)
    with planned.progress.task("train on Ray", len(names)) as advance:
        job = _job(planned)
        cluster.do([replace(job, candidate=name) for name in names], advance)


def answer_on(cluster: RayCluster, planned: PlannedRun) -> None:
    """Let a cluster answer what is missing, in shards that the run merges.

    Raises:
        HarnessError: If something cannot be answered, or the cluster is gone; what is answered is
            kept.
    """
    planned.folder.claim(planned.study)
    arms = trained(planned)
    if not _missing(planned, arms, 1):
        return
    items = sum(len(loaded.items) for loaded in planned.loaded)
    count = max(1, min(SHARDS_A_PLACE * cluster.places, items // LEAST_ITEMS))
    shards = _missing(planned, arms, count)
    with planned.progress.task("answer on Ray", len(shards)) as advance:
        job = _job(planned)
        cluster.do([replace(job, shard=str(shard)) for shard in shards], advance)


def _missing(planned: PlannedRun, arms: Sequence[Arm], count: int) -> list[Shard]:
    """Return which of so many shards have requests that some arm has not answered yet."""
    fingerprints = fingerprints_of(planned.study, arms, planned.own, planned.loaded)
    store = AnswerStore(planned.folder.answers)
    merge_shards(planned, store, shard_origin(planned, fingerprints))
    requests = [request for loaded in planned.loaded for request in loaded.requests]
    return [
        Shard(index, count)
        for index, mine in enumerate(cut(requests, count), 1)
        if any(
            followed(_asked_of(planned, arm, mine), {}, partial(store.get, one))
            for arm, one in fingerprints.items()
        )
    ]


def _asked_of(planned: PlannedRun, arm: str, mine: Sequence[Request]) -> Sequence[Request]:
    """Return requests as an arm reads them, without items that no arm is asked."""
    if not planned.own:
        return mine
    items = {request.item for request in mine} - planned.unscored.keys()
    return [
        request
        for loaded in planned.read_by(arm)
        for request in loaded.requests
        if request.item in items
    ]


def _job(planned: PlannedRun) -> ClusterJob:
    """Return what all jobs of a run have in common."""
    study = planned.study
    file, out = study.folder / study.file, planned.folder.path.resolve()
    return ClusterJob(
        study=str(file),
        out=str(out),
        allow_identical=planned.allow_identical,
        files={str(path): sha256_of(path) for path in (file, out / planned.folder.lock_file.name)},
        machine=machine(study),
    )
