"""Finetune Harness: did the fine-tune help, and what did it break?

`run`, `compare` and `rate` are what the commands of those names call. Nothing heavy is loaded
before one of them is called.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.records import Result
    from harness.study import Study

__all__ = ["HarnessError", "compare", "rate", "run"]

try:
    __version__ = metadata.version("finetune-harness")
except metadata.PackageNotFoundError:  # read from a checkout that is not installed
    __version__ = "0+unknown"


def run(
    study: "str | Path | Study", *, out: str | Path | None = None, until_decided: bool = False
) -> "Result":
    """Train, score, compare and report a study; see `harness.pipeline.run.run_study`.

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


def compare(  # noqa: PLR0913 - one keyword per declaration
    base: str | Path,
    tuned: str | Path,
    *,
    margin: float | None = None,
    alpha: float = 0.05,
    beta: float = 0.05,
    max_unscored: float = 0.05,
    metric: str | None = None,
    lower_is_better: bool = False,
    scale: tuple[float, float] | None = None,
    filter_name: str | None = None,
    cluster: str | None = None,
) -> "Result":
    """Compare two sets of scores item by item; see `harness.pipeline.finished.compare_scores`.

    Args:
        base: Scores of the base: a JSONL, another tool's log, or an arm's folder in a run.
        tuned: The same for the tuned model.
        margin: Largest acceptable drop in score units; by default what the suite declares.
        alpha: One-sided false-alarm rate.
        beta: One-sided false-pass rate at the margin.
        max_unscored: Share of unscored items above which a suite is invalid.
        metric: What to compare by; by default what is declared beside the samples or by the suite.
        lower_is_better: A rise of the metric is a loss.
        scale: What the metric's values lie between, by default 0 and 1; the margin is a share of
            it.
        filter_name: Which of a task's filters decides, or of the reducers of its epochs; by default
            its first.
        cluster: The field that items share where they are not independent.

    Raises:
        HarnessError: For everything a user can mend.
    """
    from harness.pipeline.finished import compare_scores

    return compare_scores.compare(
        Path(base),
        Path(tuned),
        margin=margin,
        alpha=alpha,
        beta=beta,
        max_unscored=max_unscored,
        metric=metric,
        lower_is_better=lower_is_better,
        scale=scale,
        filter_name=filter_name,
        cluster=cluster,
    )


def rate(
    suite: str,
    rows: Iterable[Mapping[str, object] | str],
    *,
    databases: str | Path | None = None,
    rule: str = "harness",
    allow: Sequence[str] = (),
) -> Iterator[dict[str, Any]]:
    """Judge answers made elsewhere, one output row each; see `harness.rating.rate_rows`.

    Args:
        suite: ``sql``, ``qa``, ``choice`` or ``coherence``.
        rows: Input rows, as mappings or lines of JSON.
        databases: For ``sql``: the folder of ``<db_id>/<db_id>.sqlite``, or the url of a PostgreSQL
            server (``postgresql://reader@host/shop``).
        rule: For ``sql``: ``harness``, or a paper's rule, ``spider`` or ``bird``.
        allow: For ``sql``: disputed differences that count as right.

    Raises:
        HarnessError: For everything a user can mend.
    """
    from harness import rating

    return rating.rate(suite, rows, databases=databases or None, rule=rule, allow=allow)
