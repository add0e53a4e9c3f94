"""Every scoring function as an `evaluate` module, loadable by path and offline.

    import evaluate
    from harness import metrics

    metric = evaluate.load(metrics.path("qa"))
    metric.compute(predictions=["In Vienna."], references=[["Vienna"]])

So they work inside `evaluate.combine`, `evaluate.evaluator` and TRL's ``compute_metrics``.
"""

from pathlib import Path

from harness.errors import StudyError, nearest

NAMES = (
    "choice", "classification", "coherence", "qa", "refusal", "sql", "summary", "tools",
)  # fmt: skip


def path(name: str) -> str:
    """Return the folder of an `evaluate` module, for `evaluate.load`.

    Raises:
        StudyError: If there is no such module.
    """
    if name not in NAMES:
        raise StudyError(f"there is no metric {name!r}{nearest(name, NAMES)}")
    return str(Path(__file__).parent / name)
