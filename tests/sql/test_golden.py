"""Verdicts that a person who knows SQL wrote down, in tests/golden/sql/."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from support.paths import TESTS
from support.postgres import require_postgres

from harness.sql import Database, Judge, Question

ESCAPE = re.compile(r"\\n|\\u([0-9a-f]{4})")
GOLDEN = TESTS / "golden" / "sql"


class Pair(NamedTuple):
    """One block of a golden file; ``database`` names the SQL script beside it."""

    database: str
    title: str
    gold: str
    answer: str
    outcome: str
    label: str


def read_pairs(path: Path) -> Iterator[Pair]:
    """Read the blocks of a golden file; its head explains the format."""
    for block in path.read_text(encoding="utf-8").split("\n\n"):
        lines = [line for line in block.splitlines() if line.strip()]
        fields = {}
        for line in lines:
            key, colon, value = line.partition(":")
            if colon and key in {"gold", "answer", "verdict"}:
                fields[key] = value.strip()
            elif line.startswith("  ") and "answer" in fields and "verdict" not in fields:
                fields["answer"] += "\n" + line.strip()
        if len(fields) == 3:
            outcome, _, label = fields["verdict"].partition(" ")
            answer = ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else "\n", fields["answer"])
            yield Pair(
                path.stem.partition("_")[0],
                lines[0].lstrip("# "),
                fields["gold"],
                answer,
                outcome,
                label.strip(),
            )


PAIRS = [pair for path in sorted(GOLDEN.glob("*.txt")) for pair in read_pairs(path)]


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """One judge for all pairs."""
    with Judge() as judge:
        yield judge


@pytest.mark.parametrize("pair", PAIRS, ids=[f"{pair.database}: {pair.title}" for pair in PAIRS])
def test_verdict_is_the_one_a_person_gives(pair: Pair, judge: Judge) -> None:
    """The outcome and the primary label are those in the golden file."""
    engine = "sqlite"
    if pair.database == "postgres":
        require_postgres()
        engine = "postgres"
    database = Database(path=GOLDEN / f"{pair.database}.sql", engine=engine)
    question = Question(gold_sql=pair.gold, database=database, dialect=engine)
    verdict = judge.judge(question, pair.answer)
    assert verdict.outcome == pair.outcome, verdict
    if pair.label:
        assert verdict.labels[0] == pair.label, verdict.labels
    assert verdict.explanation


def test_golden_files_have_every_outcome() -> None:
    """The golden files show answers that are right, wrong, refused, and items without a verdict."""
    assert len(PAIRS) >= 200
    outcomes = {pair.outcome for pair in PAIRS}
    assert outcomes == {"correct", "incorrect", "refused", "unscored"}
