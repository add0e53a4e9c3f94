"""A file of verdicts that grows while it is judged, and goes on from there after a kill."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import IO
from uuid import uuid4

from harness.files import check_output, explained, json_line, kept_until_whole, sha256_of
from harness.rating import embedding
from harness.rating.input_rows import check_file, read_rows
from harness.rating.rate_rows import check, rate
from harness.versions import versions

_FORMAT = 1
_DATABASES = (".sqlite", ".sql", ".duckdb", ".db", ".csv")


def rate_file(
    suite: str,
    source: Path,
    out: Path,
    *,
    databases: Path | str | None = None,
    rule: str = "harness",
    allow: Sequence[str] = (),
    measure: str | None = None,
) -> Counter[str]:
    """Judge a file of answers into a file of verdicts, one line each.

    ``out`` is there when it is whole. Until then its lines stand in a hidden file beside it, named
    by everything that decides a verdict: input, databases, rule and versions. The same call goes
    on with that file, whatever ended the call before.

    Args:
        suite: See `harness.rating.rate`, as for ``databases``, ``rule`` and ``allow``.
        source: JSONL, one answer a line.
        out: Where the verdicts go.
        databases: Where the rows' databases are. What a server has may change unseen: then the same
            call begins anew.
        rule: The comparison rule.
        allow: Disputed differences that count as right.
        measure: What conversations are scored by.

    Returns:
        How many rows got each verdict.

    Raises:
        StudyError: If something else than a regular file is at ``out``, or an input.
        InfrastructureError: If the disk is full, or another command writes the same file; what was
            judged is kept.
        HarnessError: See `harness.rating.rate`.
    """
    check(suite, rule, allow, measure)
    if suite == "coherence":
        measure = embedding.check_measure(measure or embedding.best())
    check_file(source)
    is_server = "://" in str(databases)
    used = [] if is_server or not databases else _files_of(Path(databases))
    check_output(out, inputs=[source, *used])
    name = uuid4().hex if is_server else _name(suite, source, used, rule, allow, measure)
    with kept_until_whole(out, name) as file:
        counts = _judged(file)
        verdicts = rate(
            suite, read_rows(source), databases=databases, rule=rule, allow=allow,
            measure=measure, done=counts.total(),
        )  # fmt: skip
        for row in verdicts:
            counts[str(row["verdict"])] += 1
            with explained(out):
                file.write(json_line(row).encode("utf-8", "backslashreplace"))
                file.flush()
    return counts


def _files_of(databases: Path) -> list[Path]:
    """Return the files of a folder of databases."""
    return sorted(path for path in databases.rglob("*") if path.suffix.lower() in _DATABASES)


def _name(
    suite: str,
    source: Path,
    used: Sequence[Path],
    rule: str,
    allow: Sequence[str],
    measure: str | None,
) -> str:
    """Return a hash of everything that decides a verdict."""
    stamps = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in used]
    told = (
        _FORMAT, versions(), suite, rule, sorted(allow), sha256_of(source), stamps, measure,
    )  # fmt: skip
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def _judged(file: IO[bytes]) -> Counter[str]:
    """Count the verdicts that an earlier call left in a file, and cut off what it was writing."""
    counts: Counter[str] = Counter()
    whole = 0
    file.seek(0)
    for line in file:
        try:
            verdict = json.loads(line)["verdict"]
        except (ValueError, KeyError, TypeError):
            break
        if not line.endswith(b"\n"):
            break
        counts[verdict] += 1
        whole += len(line)
    file.truncate(whole)
    return counts
