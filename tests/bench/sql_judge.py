"""Measure the SQL judge on Spider, on hand-made verdicts and on planted faults.

    python tests/bench/sql_judge.py [cases] [open] [rules] [robust] [faults] [speed]

Needs ``../shared/data`` (Spider's development set, four systems' predictions, verdict cases).
Processor time is that of the judge and its workers together. The judge's own part is Python in
threads, of which one runs at a time: on two idle cores a run takes that part at least, and half of
the whole.
"""

import importlib.util
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.sql import Judge, judge_rows

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
DATA = ROOT.parent / "shared" / "data"
SPIDER = DATA / "spider"

PUBLISHED = {"codes-1b": 78.6, "codes-7b": 85.8, "c3-chatgpt": 82.8, "dail-sql-gpt4": 83.3}
"""Execution accuracy on these 972 questions, DISTINCT ignored, as the systems' papers score."""

WITHIN = 1.2
FAULTS_OF_A_KIND = 12


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _spider_rows(system: str) -> list[dict[str, Any]]:
    tables = {t["db_id"]: t for t in json.loads((SPIDER / "tables.json").read_text("utf-8"))}
    answers = {
        row["index"]: row["pred_sql"] for row in _lines(SPIDER / f"predictions/{system}.jsonl")
    }
    return [
        {
            "gold_sql": row["query"],
            "pred_text": answers[row["index"]],
            "question": row["question"],
            "db_id": row["db_id"],
            "tables": tables[row["db_id"]],
        }
        for row in _lines(SPIDER / "dev.jsonl")
    ]


class Clock:
    """Wall and processor seconds of a block, workers included once they have ended."""

    wall = processor = own = 0.0

    def __str__(self) -> str:
        best = max(self.own, self.processor / 2)
        return (
            f"{self.wall:.1f} s wall, {self.processor:.1f} s processor, {self.own:.1f} s of it the "
            f"judge's own (at best {best:.1f} s on 2 cores)"
        )


@contextmanager
def _timed() -> Iterator[Clock]:
    """Time a block; start and end the workers inside it."""
    clock = Clock()
    started, (own, workers) = time.monotonic(), _processor_seconds()
    yield clock
    own_now, workers_now = _processor_seconds()
    clock.wall, clock.own = time.monotonic() - started, own_now - own
    clock.processor = clock.own + workers_now - workers


def _processor_seconds() -> tuple[float, float]:
    """Return the seconds of this process, and of its workers that have ended."""
    own, workers = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime, workers.ru_utime + workers.ru_stime


def cases() -> None:
    """Count verdicts that no careful person would give."""
    rows = _lines(DATA / "sql_verdicts" / "cases.jsonl")
    with Judge() as judge:
        verdicts = list(judge_rows(rows, judge=judge))
    pairs = list(zip(rows, verdicts, strict=True))
    wrong = [(r, v) for r, v in pairs if v.outcome not in r["acceptable"]]
    plain = [r for r, _ in wrong if not r["contested"]]
    print(f"verdict cases: {len(rows)}, wrong: {len(plain)} uncontested, "
          f"{len(wrong) - len(plain)} contested")  # fmt: skip
    for row, verdict in wrong:
        print(f"  {row['id']}: {verdict.outcome}, {verdict.explanation}")


def open_faults() -> None:
    """Count, by class, the pairs that an earlier judge got wrong and that this one gets right."""
    rows = _lines(DATA / "sql_verdicts" / "open_faults.jsonl")
    with Judge() as judge:
        verdicts = list(judge_rows(rows, judge=judge))
    right, all_of = Counter[str](), Counter[str]()
    for row, verdict in zip(rows, verdicts, strict=True):
        all_of[row["class"]] += 1
        right[row["class"]] += verdict.outcome in row["acceptable"]
        if verdict.outcome not in row["acceptable"]:
            print(f"  {row['id']}: {verdict.outcome}, {verdict.explanation}")
    for name, count in all_of.most_common():
        print(f"{name:45} {right[name]:3} of {count}")
    print(f"open faults: {right.total()} of {all_of.total()} as wanted")


def rules() -> None:
    """Compare execution accuracy under each rule with the published figures."""
    print("system           published  spider    diff   bird  harness (base)")
    for system, published in PUBLISHED.items():
        rows = _spider_rows(system)
        scores = []
        for rule in ("spider", "bird", "harness"):
            with Judge(instances=0) as judge:
                verdicts = list(
                    judge_rows(rows, databases=SPIDER / "database", rule=rule, judge=judge)
                )
            scored = [v.score for v in verdicts if v.score is not None]
            scores.append(100 * sum(scored) / len(scored))
        within = "ok" if abs(scores[0] - published) <= WITHIN else "TOO FAR"
        print(f"{system:16} {published:9.1f} {scores[0]:7.2f} {scores[0] - published:+7.2f} "
              f"{scores[1]:6.2f} {scores[2]:8.2f}   {within}")  # fmt: skip


def robust() -> None:
    """Report execution accuracy with neighbour instances, and its causes of failure."""
    for system in PUBLISHED:
        with _timed() as clock, Judge() as judge:
            verdicts = list(
                judge_rows(_spider_rows(system), databases=SPIDER / "database", judge=judge)
            )
        scored = [v for v in verdicts if v.score is not None]
        base = sum(v.metrics["execution_accuracy"] for v in scored) / len(scored)
        score = sum(v.score or 0.0 for v in scored) / len(scored)
        strict = sum(v.metrics["strict_execution_accuracy"] for v in scored) / len(scored)
        fragile = sum("fragile" in v.labels for v in scored)
        untried = sum("untried" in v.labels for v in scored)
        refuted = sum("coincidental_match" in v.labels for v in scored)
        empty = sum("vacuous_match" in v.labels for v in scored)
        print(f"{system}: base {100 * base:.2f}, robust {100 * score:.2f}, strict "
              f"{100 * strict:.2f}, {refuted} refuted, {fragile} fragile, {untried} untried, "
              f"{empty} unconfirmed, {len(verdicts) - len(scored)} unscored; {clock}")  # fmt: skip
        causes = Counter(v.labels[0] for v in scored if v.labels and v.outcome != "correct")
        print("   ", ", ".join(f"{label} {count}" for label, count in causes.most_common(12)))


def speed() -> None:
    """Time the 972 questions, base verdicts only."""
    rows = _spider_rows("codes-7b")
    with _timed() as clock, Judge(instances=0) as judge:
        list(judge_rows(rows, databases=SPIDER / "database", judge=judge))
    print(f"{len(rows)} base verdicts: {clock}")


def faults() -> None:
    """Count planted faults of which the diagnosis names the label and the clause."""
    sys.path.insert(0, str(TESTS))  # for `support`, as pytest does
    spec = importlib.util.spec_from_file_location("faults", TESTS / "sql" / "test_faults.py")
    assert spec is not None
    assert spec.loader is not None
    planting = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(planting)
    told, labels, clauses = Counter[str](), Counter[str](), Counter[str]()
    with Judge(seconds=1.0) as judge:
        golds = planting.spider_golds(judge)
        for kind in planting.FAULTS:
            for planted in planting.plant(golds, kind, seed=3, count=FAULTS_OF_A_KIND):
                found = planting.diagnose_planted(judge, planted)
                if found is not None:
                    told[kind] += 1
                    labels[kind] += found[0]
                    clauses[kind] += found[1]
    print("planted fault           told  label  clause")
    for kind in told:
        print(f"{kind:22} {told[kind]:5} {labels[kind] / told[kind]:6.2f} "
              f"{clauses[kind] / told[kind]:7.2f}")  # fmt: skip
    print(f"{'all':22} {told.total():5} {labels.total() / told.total():6.3f} "
          f"{clauses.total() / told.total():7.3f}")  # fmt: skip


BENCHMARKS = {
    "cases": cases, "open": open_faults, "rules": rules, "robust": robust, "faults": faults,
    "speed": speed,
}  # fmt: skip


def main() -> None:
    """Run the benchmarks that are named, or all."""
    if not SPIDER.is_dir():
        sys.exit("no Spider data under ../shared/data/spider")
    for name in sys.argv[1:] or BENCHMARKS:
        BENCHMARKS[name]()


if __name__ == "__main__":
    main()
