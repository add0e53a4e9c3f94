"""A study as Slurm jobs on this machine, beside one process: ``examples/scale/slurm.sh`` is run.

    python tests/bench/slurm.py [--shards 4]

Starts Debian's Slurm (``apt-get install slurm-wlm``) with one node on two cores, in a folder of its
own and without munge, submits the script, waits for its jobs and compares the verdict, every text
and every log-likelihood with a run of one process. Needs root, as Slurm's daemons do. Prints JSON.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.command import harness, run
from support.paths import EXAMPLES
from support.shared_out import CANDIDATES, answers, assert_same, write_study

CONF = """\
ClusterName=here
SlurmctldHost={host}
AuthType=auth/none
CredType=cred/none
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldPort={port}
SlurmdPort={next_port}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
MinJobAge=3600
NodeName={host} CPUs=2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@contextmanager
def slurm(folder: Path) -> Iterator[Mapping[str, str]]:
    """Run a Slurm of one node; yield the variables that its commands need."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    host, port = socket.gethostname(), 16817
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(folder=folder, host=host, port=port, next_port=port + 1))
    env = {"SLURM_CONF": str(conf)}
    daemons = []
    for name in ("slurmctld", "slurmd"):
        log = (folder / f"{name}.log").open("w")
        command = [f"/usr/sbin/{name}", "-D"]
        daemons.append(subprocess.Popen(command, env={**os.environ, **env}, stdout=log, stderr=log))
    try:
        wait(lambda: "idle" in run("sinfo", "-h", "-o", "%T", env=env).stdout)
        yield env
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait()


def main() -> None:
    """Run the study both ways and say how they compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=4)
    shards = parser.parse_args().shards
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with tempfile.TemporaryDirectory() as name, slurm(Path(name) / "slurm") as env:
        folder = Path(name)
        file = write_study(folder)
        script = ("bash", EXAMPLES / "scale" / "slurm.sh", file, str(shards), " ".join(CANDIDATES))
        done = run(*script, folder=folder, env={**env, "PATH": path})
        assert done.returncode == 0, done.stderr
        wait(lambda: not run("squeue", "-h", env=env).stdout.split())
        found = folder / "runs" / "small"
        printed = "\n".join(each.read_text() for each in sorted(folder.glob("slurm-*.out")))
        assert (found / "gate.json").exists(), printed
        ended = run("squeue", "-h", "-t", "all", "-o", "%j %T", env=env).stdout.split("\n")
        alone = harness("run", file, "--out", folder / "alone")
        assert_same(found, folder / "alone")
        said = {
            "jobs": sorted(line for line in ended if line),
            "shards": len(list(found.glob("answers/*.db"))),
            "answers": len(answers(found)),
            "exit code": json.loads((found / "gate.json").read_text())["exit_code"],
            "exit code of one process": alone.returncode,
            "verdicts, texts and log-likelihoods (1e-4)": "equal",
        }
    print(json.dumps(said, indent=1))


def wait(happened: Callable[[], bool]) -> None:
    """Wait for something."""
    while not happened():
        time.sleep(0.5)


if __name__ == "__main__":
    main()
