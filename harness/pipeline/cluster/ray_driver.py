"""Ray's driver, a process of its own: where the cluster's head dies, Ray ends its driver's process.

Reads lists of jobs, a line of JSON each; prints a line of JSON for each one that is finished, one
that is empty when all are, and one with ``refused`` where it goes no further.
"""

import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

from harness.errors import HarnessError, InfrastructureError
from harness.pipeline.cluster.cluster_job import ClusterJob, do

TRIES = 5
"""How often a job is given to another node after one was lost, or ran out of memory."""
SECONDS = 2.0
"""Between two words to whoever waits; they show at once when nobody does."""


def main() -> None:
    """Do the jobs of each line until there are no more lines."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # whatever Ray prints is none of the lines
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_task_oom_retries", str(TRIES))  # without end by default
    try:
        _connect()
        _tell(out, places=places(_alive()))
        for line in sys.stdin:
            _do_all([ClusterJob(**job) for job in json.loads(line)], out)
            _tell(out)
    except HarnessError as error:
        _tell(out, refused=str(error), exit_code=error.exit_code)
    except Exception as error:  # noqa: BLE001 - of Ray and of what runs on it
        said = (str(error).strip().splitlines() or [""])[0]
        said = f"a cluster must do its jobs: {type(error).__name__}: {said}"
        if "RAY_AUTH_MODE" in str(error.__cause__):
            said += "; it asks for a token: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to its own"
        _tell(out, refused=said, exit_code=InfrastructureError.exit_code)


def _tell(out: TextIO, **said: object) -> None:
    out.write(json.dumps(said) + "\n")


def _connect() -> None:
    """Join the cluster of ``RAY_ADDRESS`` or of this machine, or start one here.

    Raises:
        InfrastructureError: If the one that ``RAY_ADDRESS`` names does not answer.
    """
    named = os.environ.get("RAY_ADDRESS", "")
    if named not in ("", "auto", "local") and not _answers(named):
        raise InfrastructureError(
            f"a cluster must be running where RAY_ADDRESS says: nothing answers at {named}; start "
            "it with 'ray start --head', or unset RAY_ADDRESS to use this machine"
        )
    import ray
    from ray._private.services import canonicalize_bootstrap_address

    found = None if named else canonicalize_bootstrap_address(None)
    is_new = not named and (found is None or not _answers(found))  # none is here, or it has ended
    address = "local" if is_new else None  # Ray finds the address, and a token, as it does for all
    ray.init(address=address, log_to_driver=False, logging_level="ERROR", include_dashboard=False)


def _answers(address: str) -> bool:
    """Say whether somebody listens: Ray itself would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, ValueError):
        return False
    return True


def _do_all(jobs: Sequence[ClusterJob], out: TextIO) -> None:
    """Give all jobs to the cluster; nodes may leave and join while it works.

    Each job has a GPU of its own, or where the cluster has none as many CPUs as the smallest node:
    so no more models are loaded at once than there are GPUs or nodes, however many jobs wait.
    """
    import ray
    from ray.exceptions import RayTaskError

    task = ray.remote(do).options(max_retries=TRIES, **share_of(_alive()))
    waiting = [task.remote(job) for job in jobs]
    while waiting:
        done, waiting = ray.wait(waiting, num_returns=1, timeout=SECONDS)
        for one in done:
            try:
                ray.get(one)
            except RayTaskError as error:
                raise (error.cause if isinstance(error.cause, HarnessError) else error) from None
        _tell(out, done=len(jobs) - len(waiting), nodes=len(_alive()))


def _alive() -> list[Mapping[str, float]]:
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def share_of(nodes: Sequence[Mapping[str, float]]) -> dict[str, int]:
    """Return what one job takes of nodes with these resources, as arguments of Ray's tasks.

    >>> share_of([{"CPU": 16.0, "GPU": 4.0}, {"CPU": 2.0}])
    {'num_gpus': 1, 'num_cpus': 1}
    >>> share_of([{"CPU": 16.0}, {"CPU": 8.0}, {"memory": 1.0}])
    {'num_cpus': 8}
    """
    if any(node.get("GPU", 0) >= 1 for node in nodes):
        return {"num_gpus": 1, "num_cpus": 1}
    return {"num_cpus": min((int(n["CPU"]) for n in nodes if n.get("CPU", 0) >= 1), default=1)}


def places(nodes: Sequence[Mapping[str, float]]) -> int:
    """Return how many jobs nodes with these resources do at once.

    >>> places([{"CPU": 16.0, "GPU": 4.0}, {"CPU": 2.0}])
    4
    >>> places([{"CPU": 16.0}, {"CPU": 8.0}])
    3
    """
    share = share_of(nodes)
    kind, least = ("GPU", 1) if "num_gpus" in share else ("CPU", share["num_cpus"])
    return sum(int(node.get(kind, 0)) // least for node in nodes)


if __name__ == "__main__":
    main()
