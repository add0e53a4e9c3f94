"""Scoring that is killed at any moment goes on where it was, and ends as if undisturbed."""

import random
from pathlib import Path

import pytest
from support.command import PYTHON, SUPPORT, run, started
from support.killing import go_on, kill_within_a_step, requests
from support.tiny_models import answers, llama

from harness.engine import Engine
from harness.records import BASE
from harness.store import AnswerStore

pytestmark = pytest.mark.model
WORKER = """
import sys
from pathlib import Path
from support.killing import requests
from harness.engine import Engine
from harness.records import BASE
from harness.store import AnswerStore

engine = Engine.load(sys.argv[1], device="cpu")
engine.runner.batch_tokens, engine.runner.prefill_chunk_tokens, engine.runner.max_rows = 60, 120, 3
store, mark = AnswerStore(Path(sys.argv[2])), engine.fingerprint(BASE)
known = store.get(mark, requests())
missing = [r for r in requests() if r.key not in known]
for batch in engine.answer(BASE, missing):
    sys.stdin.readline()
    store.put(mark, batch)
    print(len(batch), flush=True)
"""


def test_killed_three_times_it_ends_with_the_same_answers(tmp_path: Path) -> None:
    """Kill -9 while batches finish: none that was reported is lost, the rest is answered later."""
    base, stored = llama(tmp_path / "base"), tmp_path / "answers.db"
    command = (*PYTHON, "-c", WORKER, base, stored)
    draw = random.Random(0)
    reported = 0
    for _ in range(3):
        with started(*command, env=SUPPORT) as worker:
            lines = [*go_on(worker, draw.randint(1, 4)), *kill_within_a_step(worker)]
        reported += sum(map(int, lines))
        assert reported <= len(AnswerStore(stored)) < len(requests())
    done = run(*command, env=SUPPORT, text="\n" * len(requests()))
    assert done.returncode == 0, done.stderr
    last = sum(map(int, done.stdout.split()))
    assert 0 < last <= len(requests()) - reported
    engine = Engine.load(str(base), device="cpu")
    found = AnswerStore(stored).get(engine.fingerprint(BASE), requests())
    undisturbed = answers(engine, BASE, requests())
    for request, expected in zip(requests(), undisturbed, strict=True):
        response = found[request.key]
        assert response.text == expected.text
        assert response.logprob == pytest.approx(expected.logprob, abs=1e-4)


def test_two_arms_cannot_answer_at_once(tmp_path: Path) -> None:
    """A second arm's answers would be the first one's if both were active."""
    engine = Engine.load(str(llama(tmp_path / "base")), device="cpu")
    first = engine.answer(BASE, requests())
    next(first)
    with pytest.raises(RuntimeError, match="one arm answers at a time"):
        next(engine.answer(BASE, requests()))
    first.close()  # type: ignore[attr-defined]
    assert next(engine.answer(BASE, requests()))
