"""What was run, from a run's lock, for whoever runs it again."""

import hashlib
import json
import shlex

from harness.records import Origin
from harness.store.run_lock import RunLock


def origin_of(lock: RunLock) -> Origin:
    """Return the command that makes a run again, and the hashes of what went into it."""
    declared = lock.declared
    study = json.dumps(lock.study_file, sort_keys=True, ensure_ascii=False).encode()
    machines = dict.fromkeys(time.machine for time in lock.times)
    return Origin(
        command=_command(lock),
        study_sha256=hashlib.sha256(study).hexdigest(),
        items=dict(declared.items) if declared else {},
        rows={arm.name: arm.data_sha256 for arm in lock.arms if arm.data_sha256},
        machine="; ".join(machines) or lock.versions.get("device", ""),
    )


def _command(lock: RunLock) -> str:
    """Return what runs the study again; empty where it was not read from a file."""
    if not lock.file:
        return ""
    is_early = bool(lock.declared and lock.declared.schedules)
    said = ["harness run", shlex.quote(lock.file), "--until-decided" if is_early else ""]
    said.append("--allow-identical" if any(arm.identical for arm in lock.arms) else "")
    return " ".join(filter(None, said))
