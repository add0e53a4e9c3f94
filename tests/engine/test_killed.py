"""Scoring that is killed at any moment goes on where it was, and ends as if undisturbed."""

from pathlib import Path

import pytest
from support.command import PYTHON, SUPPORT, started
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


def test_killed_while_it_answers_it_ends_with_the_same_answers(tmp_path: Path) -> None:
    """Kill -9 while batches finish: none that was reported is lost, the rest is answered later."""
    base, path = llama(tmp_path / "base"), tmp_path / "answers.db"
    with started(*PYTHON, "-c", WORKER, base, path, env=SUPPORT) as worker:
        lines = [*go_on(worker, 4), *kill_within_a_step(worker)]
    store = AnswerStore(path)
    assert 0 < sum(map(int, lines)) <= len(store) < len(requests())
    engine = Engine.load(str(base), device="cpu")
    mark = engine.fingerprint(BASE)
    known = store.get(mark, requests())
    left = [request for request in requests() if request.key not in known]
    for batch in engine.answer(BASE, left):
        store.put(mark, batch)
    found = store.get(mark, requests())
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
