"""The built-in base, as users run it: every fast way against one plain forward pass at a time."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.adapter_kinds import KINDS
from support.suites import loaded
from support.tiny_models import adapter, answers, one_by_one, prompt, random_tree, step_by_step
from transformers import AutoModelForCausalLM

from harness import content
from harness.engine import Engine
from harness.engine.prefix.generate import TIE
from harness.records import BASE, Request

pytestmark = pytest.mark.model
TINY = content.BUILTIN_MODELS["tiny"]


@pytest.fixture(scope="module")
def engine() -> Engine:
    """Return an engine on the built-in base."""
    return Engine.load(str(TINY), device="cpu")


@pytest.fixture(scope="module")
def model() -> Any:
    """Return the built-in base as transformers loads it."""
    return AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32).eval()


def any_batches(engine: Engine, draw: random.Random) -> None:
    """Let the engine do any amount at once."""
    engine.runner.batch_tokens = draw.choice([1, 17, 64, 300, 2048])
    engine.runner.prefill_chunk_tokens = draw.choice([100, 700, 16384])
    engine.runner.max_rows = draw.randint(1, 40)


@pytest.mark.parametrize("seed", range(8))
def test_random_trees_in_random_batches_score_as_single_passes(
    engine: Engine, model: Any, seed: int
) -> None:
    """Whatever is shared and however it is batched, log-likelihoods are those of plain passes."""
    any_batches(engine, random.Random(seed))
    requests = random_tree(100 + seed)
    found = [response.logprob for response in answers(engine, BASE, requests)]
    assert found == pytest.approx(one_by_one(model, requests), abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_adapter_answers_as_plain_passes(kind: str, tmp_path: Path) -> None:
    """Scores and greedy texts of each method are those of PEFT's own model, one at a time."""
    from peft import PeftModel

    folder = adapter(TINY, tmp_path / kind, KINDS[kind])
    engine = Engine.load(str(TINY), device="cpu")
    engine.attach(kind, folder)
    draw = random.Random(kind)
    any_batches(engine, draw)
    base = AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32)
    plain = PeftModel.from_pretrained(base, str(folder)).eval()
    requests = random_tree(draw.randrange(1000), stems=2)
    found = [response.logprob for response in answers(engine, kind, requests)]
    assert found == pytest.approx(one_by_one(plain, requests), abs=1e-4)
    (end,) = engine.ends
    contexts = [(1, *draw.sample(range(20, 200), 2 + n)) for n in range(5)]
    asked = [prompt(n, context, max_new_tokens=6) for n, context in enumerate(contexts)]
    for context, response in zip(contexts, answers(engine, kind, asked), strict=True):
        ids = step_by_step(plain, context, 6, end=end)
        text = engine.tokenizer.decode(ids, skip_special_tokens=True)
        assert response.text == text or (response.gap or 1) < TIE


def real_prompts(engine: Engine, limit: int) -> tuple[list[Request], dict[Any, str]]:
    """Return prompts of three suites, at most 12 new tokens each, and references."""
    requests: list[Request] = []
    targets: dict[Any, str] = {}
    for name in ("domain_qa", "sql", "coherence"):
        suite = loaded(engine, Path(), name=name, template="auto", limit=limit)
        targets |= {item.key: item.target for item in suite.items}
        for request in suite.requests:
            settings = {**request.settings, "until": [], "max_new_tokens": 12}
            requests.append(replace(request, settings=settings))
    return requests, targets


@pytest.mark.parametrize("limit", [20, pytest.param(100, marks=pytest.mark.nightly)])
def test_drafted_greedy_is_step_by_step_greedy_on_real_prompts(
    engine: Engine, model: Any, limit: int
) -> None:
    """Right, half right, foreign and wrong drafts change no text; only ties within noise may."""
    requests, targets = real_prompts(engine, limit)
    truth = []
    for request in requests:
        ids = torch.tensor([request.context_ids])
        whole = model.generate(ids, max_new_tokens=12, do_sample=False, eos_token_id=[*engine.ends])
        new = whole[0, ids.shape[1] :]
        truth.append(engine.tokenizer.decode(new, skip_special_tokens=True))
    draw = random.Random(0)
    drafts = {}
    for request, text in zip(requests, truth, strict=True):
        guesses = [text, text[: len(text) // 2] + " no", draw.choice(truth), targets[request.item]]
        drafts[request.key] = draw.sample(guesses, draw.randint(0, 3))
    any_batches(engine, draw)
    found = answers(engine, BASE, requests, drafts=drafts)
    wrong = [
        (response.text, text)
        for response, text in zip(found, truth, strict=True)
        if response.text != text and (response.gap or 1) >= TIE
    ]
    assert len(requests) == 3 * limit
    assert wrong == []
