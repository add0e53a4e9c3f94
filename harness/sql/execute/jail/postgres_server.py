"""A PostgreSQL server of the judge's own: made in a folder that is deleted, ended with its parent.

Started as a script: prints the folder of its socket once it answers, and ends when stdin closes,
which happens however the parent ends. It listens to no network. Its role ``judge`` may create
databases and is no superuser; the kernel limits the memory of every process.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

from pg8000.exceptions import Error
from postgres_client import PostgresConnection  # type: ignore[import-not-found]

START = 30
MEMORY = 2_000_000_000
SETTINGS = {
    "listen_addresses": "", "shared_buffers": "32MB", "max_connections": "60", "work_mem": "16MB",
    "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "jit": "off",
    "wal_level": "minimal", "max_wal_senders": "0", "max_wal_size": "128MB",
    "temp_file_limit": "256MB", "max_parallel_workers": "0", "max_worker_processes": "1",
    "timezone": "UTC", "logging_collector": "off", "log_min_messages": "panic",
    "max_prepared_transactions": "0", "unix_socket_permissions": "0700", "huge_pages": "off",
}  # fmt: skip


class _As(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def identity(folder: Path) -> _As:
    """Return whom to run the server as: ourselves; another for root, whom PostgreSQL refuses."""
    if os.getuid():
        return {}
    import pwd

    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    chosen = known.get("postgres") or known["nobody"]
    os.chown(folder, chosen.pw_uid, chosen.pw_gid)
    return {"user": chosen.pw_uid, "group": chosen.pw_gid, "extra_groups": []}


def harden() -> None:
    """Limit the memory and the files of everything that is started from here on."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def make(programs: Path, data: Path, owner: _As) -> None:
    """Create the server's files, in a locale that knows all letters where there is one."""
    for locale in ("C.UTF-8", "C"):
        done = subprocess.run(
            [programs / "initdb", "-D", data, "-U", "owner", "-A", "trust", "-E", "UTF8",
             "--no-sync", f"--locale={locale}", "--no-instructions"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            cwd=data.parent, **owner,
        )  # fmt: skip
        if done.returncode == 0:
            return
        shutil.rmtree(data, ignore_errors=True)
    raise OSError((done.stderr or "initdb failed").strip().splitlines()[-1])


def wait(folder: Path, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers, and create the role that the judge uses."""
    where = {"socket": str(folder / ".s.PGSQL.5432"), "user": "owner"}
    deadline = time.monotonic() + START
    while True:
        try:
            connection = PostgresConnection(where, "postgres")
        except (Error, OSError) as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise OSError(f"the server did not start: {error}") from error
            time.sleep(0.05)
            continue
        connection.script("CREATE ROLE judge LOGIN CREATEDB")
        with suppress(Error):  # before version 15, keys are always checked while a script loads
            connection.script("GRANT SET ON PARAMETER session_replication_role TO judge")
        connection.close()
        return


def main() -> None:
    """Run the server until stdin closes."""
    programs = Path(sys.argv[1])
    base = "/tmp" if Path("/tmp").is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="harness-pg-", dir=base))
    server = None
    try:
        harden()
        owner = identity(folder)
        make(programs, folder / "data", owner)
        options = [f"-c{key}={value}" for key, value in SETTINGS.items()]
        server = subprocess.Popen(
            [programs / "postgres", "-D", folder / "data", "-k", folder, "-p", "5432", *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            cwd=folder, **owner,
        )  # fmt: skip
        wait(folder, server)
        print(folder, flush=True)  # noqa: T201 - this is the answer
        sys.stdin.read()
    except (OSError, Error) as error:
        print(f"error: {error}", flush=True)  # noqa: T201
    finally:
        if server is not None:
            server.send_signal(signal.SIGQUIT)  # at once: nothing in it is to be kept
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
