"""Keys kept between the turns of dialogues: the same texts, and only what is new is read."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from peft import PromptTuningConfig
from support.tiny_models import adapter, lora

from harness import content
from harness.engine import Engine
from harness.engine.decoding.kept_turns import KeptTurns
from harness.records import Answers, ItemKey, Request
from harness.suites.dialogue_turns import askable, dialogue_requests
from harness.suites.tokenize import Encoder

pytestmark = pytest.mark.model
BASE = content.BUILTIN_MODELS["tiny"]
ROWS = [
    json.loads(line)
    for line in (content.TASKS / "conversation/data/test.jsonl").read_text("utf-8").splitlines()
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Return an engine with an adapter that shares passes and one with virtual tokens."""
    folder = tmp_path_factory.mktemp("kept")
    made = Engine.load(str(BASE), dtype="float32")
    made.attach("low", lora(BASE, folder / "low", seed=3, lora_alpha=32))
    virtual = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=8)
    made.attach("virtual", adapter(BASE, folder / "virtual", virtual, trained=True, seed=2))
    return made


def dialogues(engine: Engine, rows: Sequence[Any], **settings: Any) -> list[Request]:
    """Return the requests of some dialogues."""
    encoder, made = Encoder(engine.tokenizer), list[Request]()
    given = {"until": [], "max_new_tokens": 24} | settings
    for number, row in enumerate(rows):
        key = ItemKey("conversation", "none", str(number), 0)
        made += dialogue_requests(row, key, encoder, template=encoder.tokenizer, settings=given)
    return made


@contextmanager
def counted(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Count the tokens of every forward pass."""
    read, forward = list[int](), engine.runner.forward
    with monkeypatch.context() as patch:
        patch.setattr(
            type(engine.runner),
            "forward",
            lambda _, ids, *rest: (read.append(ids.shape[1]), forward(ids, *rest))[1],
        )
        yield read


def lead(engine: Engine, arms: Sequence[str], requests: Sequence[Request], *, keep: bool) -> Any:
    """Lead dialogues round by round, with what is kept between turns or anew each time."""
    known: dict[str, Answers] = {arm: {} for arm in arms}
    engine.kept.clear()
    while asked := {arm: new for arm in arms if (new := askable(requests, known[arm]))}:
        if not keep:
            asked = {a: [replace(r, turn=None) for r in found] for a, found in asked.items()}
        for batch in engine.answer_arms(asked):
            for arm, request, response in batch:
                known[arm][request.key] = response
    return {arm: {k: one.text for k, one in found.items()} for arm, found in known.items()}


def test_texts_are_those_of_reading_everything_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the base, an adapter beside it and virtual tokens; far fewer tokens are read."""
    requests, arms = dialogues(engine, ROWS[::10]), ("base", "low", "virtual")
    with counted(engine, monkeypatch) as kept:
        found = lead(engine, arms, requests, keep=True)
    with counted(engine, monkeypatch) as anew:
        assert found == lead(engine, arms, requests, keep=False)
    assert all(found.values())
    assert sum(kept) < 0.8 * sum(anew)


def test_sampled_turns_are_those_of_reading_everything_again(engine: Engine) -> None:
    """Chance depends on the seed and the context alone."""
    settings = {"do_sample": True, "temperature": 1.0, "seed": 4, "repeat": 0}
    requests = dialogues(engine, ROWS[:4], **settings)
    assert lead(engine, ("base",), requests, keep=True) == lead(
        engine, ("base",), requests, keep=False
    )


def test_dialogues_that_begin_alike_share_what_they_keep(engine: Engine) -> None:
    """A long system prompt is held once, and each dialogue goes on from it."""
    system = "You help the readers of a large library. " * 12
    rows = [{**row, "system": system} for row in ROWS[:6]]
    requests = dialogues(engine, rows)
    assert lead(engine, ("base", "low"), requests, keep=True) == lead(
        engine, ("base", "low"), requests, keep=False
    )


def test_what_there_is_no_room_for_is_read_again(engine: Engine) -> None:
    """The oldest goes first, nothing is wrong, and what is over is forgotten."""
    requests = dialogues(engine, ROWS[:8])
    anew = lead(engine, ("base",), requests, keep=False)
    before, engine.runner.kv_cache_tokens = engine.runner.kv_cache_tokens, 300
    try:
        assert lead(engine, ("base",), requests, keep=True) == anew
    finally:
        engine.runner.kv_cache_tokens = before
    kept: KeptTurns = engine.kept
    assert kept.tokens <= 150


def test_nothing_is_kept_once_a_dialogue_is_over(engine: Engine) -> None:
    """Its memory is free for others."""
    lead(engine, ("base",), dialogues(engine, ROWS[:4]), keep=True)
    assert engine.kept.tokens == 0


def test_another_answer_than_was_generated_is_heard(engine: Engine) -> None:
    """Where the next prompt differs from what was read, only the common beginning is used."""
    requests = dialogues(engine, ROWS[:3])
    known: Answers = {}
    for batch in engine.answer("base", askable(requests, known)):
        known |= {request.key: response for request, response in batch}
    changed = {key: replace(one, text="Quite another answer.") for key, one in known.items()}
    second = askable(requests, dict(changed))
    found = {r.key: one.text for batch in engine.answer("base", second) for r, one in batch}
    fresh = [replace(request, turn=None) for request in second]
    anew = {r.key: one.text for batch in engine.answer("base", fresh) for r, one in batch}
    assert found == anew
