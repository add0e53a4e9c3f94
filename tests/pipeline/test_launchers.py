"""The scripts of ``examples/scale``, on what is here: processes on CPUs, Slurm on one machine."""

import os
import sys
from pathlib import Path

import pytest
from support.command import harness, run
from support.paths import EXAMPLES
from support.shared_out import assert_same, write_study

PATH = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}


@pytest.mark.nightly
def test_torchrun_starts_processes_that_share_a_study(tmp_path: Path) -> None:
    """Two processes answer a part each; the run merges them and says what one process says."""
    file = write_study(tmp_path)
    done = run("bash", EXAMPLES / "scale" / "several-gpus.sh", file, "2", folder=tmp_path, env=PATH)
    found = tmp_path / "runs" / "small"
    assert len(list(found.glob("answers/*.db"))) == 2, done.stderr
    alone = harness("run", file, "--out", tmp_path / "alone")
    assert done.returncode == alone.returncode, done.stderr
    assert_same(found, tmp_path / "alone")
