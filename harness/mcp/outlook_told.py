"""A study before it is run, as a server tells it."""

from dataclasses import asdict
from pathlib import Path

from harness.mcp.lookups import Told
from harness.study import Study


def plan_study(study: Study, out: Path) -> Told:
    """Check a study, its rows and its suites; load no model and write nothing.

    Returns:
        Candidates, and per suite its items, how many its margin needs and what these can show.
    """
    from harness.pipeline.outlook import outlook
    from harness.pipeline.plan import plan

    planned = plan(study, out=out)
    return {
        "study": study.name,
        "candidates": [
            {
                "name": one.name,
                "method": one.section.method if one.section.train else "as it is",
                "rows": len(one.examples),
            }
            for one in planned.candidates
        ],
        "arms": list(planned.arms),
        "notes": list(planned.set_apart),
        "suites": [asdict(suite) for suite in outlook(planned, probe=False)],
    }
