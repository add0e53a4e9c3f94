"""One part of a study as any node of a cluster does it: a candidate trained, a shard answered."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from harness.errors import HarnessError, InfrastructureError
from harness.files import sha256_of
from harness.pipeline.answers.shards import Shard, answer_shard
from harness.pipeline.plan import PlannedRun, plan
from harness.pipeline.train import train, trained
from harness.study import Study, load
from harness.versions import versions


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterJob:
    """What to do, and what must be so on the node that does it; plain data.

    ``candidate`` is to be trained; without one the shard ``shard`` (such as ``3/16``) is answered.
    ``files`` are those that all nodes share, by path with their sha256; ``machine`` has what has to
    be alike everywhere: `machine`.
    """

    study: str
    out: str
    candidate: str = ""
    shard: str = ""
    allow_identical: bool = False
    files: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, str] = field(default_factory=dict)


def machine(study: Study) -> dict[str, str]:
    """Return what answers depend on beside the study: the kind of device, and every release."""
    from harness.models.fingerprint import library_versions
    from harness.models.hardware import device_of

    names = (name for name in versions() if name != "python")
    return {"device": device_of(study.base.device).type, **library_versions(*names)}


def do(job: ClusterJob) -> None:
    """Do one part, on whatever node this is; its files appear in the run folder.

    Raises:
        HarnessError: For everything a user can mend, with the node's name.
    """
    try:
        _check_files(job.files)
        _check_machine(job.machine, machine(load(Path(job.study))))
        planned = _plan(job.study, job.out, job.allow_identical)
        if job.candidate:
            train(planned, only=[job.candidate])
        else:
            answer_shard(planned, trained(planned), Shard.parse(job.shard))
    except HarnessError as error:
        raise type(error)(f"{error} (on node {socket.gethostname()})") from None


@cache
def _plan(study: str, out: str, allow_identical: bool) -> PlannedRun:
    """Plan once in a process, however many shards it answers."""
    return plan(load(Path(study)), out=Path(out), allow_identical=allow_identical)


def _check_files(files: Mapping[str, str]) -> None:
    for name, sha256 in files.items():
        path = Path(name)
        if not path.is_file() or sha256_of(path) != sha256:
            found = "another file" if path.is_file() else "nothing"
            raise InfrastructureError(
                f"every node must see the study and its run folder at the same path: found {found} "
                f"at {path}; put both, the rows and local models into a folder that all nodes share"
            )


def _check_machine(wanted: Mapping[str, str], found: Mapping[str, str]) -> None:
    differing = [name for name in wanted if found.get(name) != wanted[name]]
    if differing:
        first = differing[0]
        raise InfrastructureError(
            f"every node must compute alike: {first} is {found.get(first, 'missing')} there and "
            f"{wanted[first]} where the command was given; use the same environment and the same "
            "kind of device"
        )
