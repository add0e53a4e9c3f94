"""Runs as a history keeps them, made without any model: what is asked for and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.history.entries import HistoryRun, KeptItem, SuiteScores
from harness.records import Gate, Suite
from harness.store.baseline_file import declaration


def scores_of(
    scores: Sequence[float | None],
    *,
    suite: Suite | None = None,
    scorer: str = "qa, finetune-harness 1",
    prompt: str = "p",
    first: int = 0,
    cluster: int = 1,
    planned: int | None = None,
) -> SuiteScores:
    """Return scores of the items ``first``, ``first + 1``, …; ``cluster`` of them are one group."""
    return SuiteScores(
        declared=declaration(suite or Suite(name="qa", metric="f1", margin=0.05)),
        scorer=scorer,
        planned=planned or len(scores),
        items=tuple(
            KeptItem(f"{n:016x}", prompt, f"{n // cluster:x}" if cluster > 1 else "")
            for n in range(first, first + len(scores))
        ),
        scores=tuple(scores),
    )


def run_with(number: int, suites: Mapping[str, SuiteScores], **facts: object) -> HistoryRun:
    """Return the run of this number; ``facts`` are further fields of it."""
    known = {
        "study": "made", "base": "org/base", "candidate": "lora", "verdict": "pass",
        "version": "1", "gate": Gate(),
    }  # fmt: skip
    return HistoryRun(
        sha256=f"{number:064x}",
        scores={
            ("lora", name): replace(kept, declared={**kept.declared, "name": name})
            for name, kept in suites.items()
        },
        means={name: kept.mean for name, kept in suites.items()},
        **known | facts,
    )


def right(n: int, *, of: int, wrong: Sequence[int] = ()) -> list[float]:
    """Return 0/1 scores of which the first ``n`` are right, without those at ``wrong``."""
    return [float(place < n and place not in wrong) for place in range(of)]
