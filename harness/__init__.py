"""Finetune Harness: did the fine-tune help, and what did it break?

`run`, `compare` and `rate` are what the commands of those names call. Nothing heavy is loaded
before one of them is called.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.records import Result
    from harness.study import Study

__version__ = "0.1.0"
__all__ = ["compare", "rate", "run"]


def run(
    study: "str | Path | Study", *, out: str | Path | None = None, until_decided: bool = False
) -> "Result":
    """Train, score, compare and report a study; see `harness.pipeline.run`.

    Args:
        study: A study file's path, or a loaded study.
        out: The run folder; ``runs/<study name>`` by default.
        until_decided: Ask for further items only while a verdict is open.

    Raises:
        HarnessError: For everything a user can mend.
    """
    from harness import study as studies
    from harness.pipeline.run import run_study

    loaded = studies.load(Path(study)) if isinstance(study, str | Path) else study
    return run_study(loaded, out=Path(out) if out else None, until_decided=until_decided)


def compare(base: str | Path, tuned: str | Path, **declared: Any) -> "Result":
    """Compare two sets of scores item by item; see `harness.pipeline.finished.compare_scores`."""
    from harness.pipeline.finished import compare_scores

    return compare_scores.compare(Path(base), Path(tuned), **declared)


def rate(suite: str, rows: Iterable[Mapping[str, Any]], **options: Any) -> Iterator[dict[str, Any]]:
    """Judge answers made elsewhere; see `harness.rating.rate_rows`."""
    from harness import rating

    return rating.rate(suite, rows, **options)
