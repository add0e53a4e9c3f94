"""Refuse a study whose packages are not installed, before any row is read or anything trained."""

from harness.extras import require
from harness.study import Study
from harness.suites.catalogue import builtin_suites


def check_installed(study: Study) -> None:
    """Require the extras that training, answering and judging this study take.

    Raises:
        MissingExtraError: If packages are missing; all of them are named at once.
    """
    needed = ["engine"]
    if any(candidate.train for candidate in study.candidates):
        needed.append("train")
    judges = {name: suite.judge for name, suite in builtin_suites().items()}
    if any(judges.get(section.name) == "sql" for section in study.suites):
        needed.append("sql")
    require(*needed)
