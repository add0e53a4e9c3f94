"""Generation: batches, refills, shared prefixes and drafts against decoding step by step."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from support.memory import memory_for
from support.tiny_models import VOCABULARY, answers, llama, prompt, step_by_step, words
from transformers import AutoModelForCausalLM, GenerationConfig

from harness.engine import Engine
from harness.engine.decoding.sampling import SamplingParams
from harness.engine.prefix.drafts import TRIAL, DraftRecord
from harness.engine.prefix.prefilled import PrefilledTrie, Prompt
from harness.records import BASE, Request, Response

pytestmark = pytest.mark.model
SPECIAL = {0, 1, 2}
"""Tokens that a text does not show."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small Llama's folder."""
    return llama(tmp_path_factory.mktemp("generation") / "base")


@pytest.fixture(scope="module")
def engine(folder: Path) -> Engine:
    """Return an engine on it."""
    return Engine.load(str(folder), device="cpu")


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    """Return the model as transformers loads it."""
    return AutoModelForCausalLM.from_pretrained(folder).eval()


def random_prompts(seed: int, count: int = 24) -> list[Request]:
    """Return prompts that share prefixes, with different lengths to generate."""
    draw = random.Random(seed)
    contexts = [(1, *range(3, 40))]
    for _ in range(count):
        tail = tuple(draw.randrange(3, VOCABULARY) for _ in range(draw.randint(1, 20)))
        contexts.append(draw.choice(contexts)[: draw.randint(1, 60)] + tail)
    return [
        prompt(n, context, max_new_tokens=draw.choice([1, 3, 9, 16]))
        for n, context in enumerate(contexts[1:])
    ]


def expected(model: Any, requests: list[Request]) -> list[str]:
    """Decode each prompt alone, reading everything again for each token."""
    return [
        words(tuple(t for t in step_by_step(model, r.context_ids, limit) if t not in SPECIAL))
        for r in requests
        for limit in [r.settings["max_new_tokens"]]
    ]


def texts(responses: list[Response]) -> list[str | None]:
    """Return what was generated."""
    return [response.text for response in responses]


@pytest.mark.parametrize(("seed", "max_rows"), [(0, 1), (1, 7), (2, 64)])
def test_batched_decoding_gives_what_each_prompt_gives_alone(
    engine: Engine, model: Any, seed: int, max_rows: int
) -> None:
    """Sharing, batching, refilling and leaving at different times change no token."""
    requests = random_prompts(seed)
    engine.runner.max_rows = max_rows
    found = answers(engine, BASE, requests)
    assert texts(found) == expected(model, requests)
    assert all(
        response.tokens == r.settings["max_new_tokens"]
        for response, r in zip(found, requests, strict=True)
        if response.finish == "length"
    )


@pytest.mark.parametrize("seed", range(3))
def test_drafts_never_change_an_answer(engine: Engine, model: Any, seed: int) -> None:
    """Right, half right, wrong, empty and overlong guesses all end in the same text."""
    requests = random_prompts(seed + 10, count=24)
    truth = expected(model, requests)
    draw = random.Random(seed)
    drafts = {}
    for request, text in zip(requests, truth, strict=True):
        parts = text.split()
        half = " ".join(parts[: len(parts) // 2])
        guesses = [text, half + " w77 w78", "w5 w6", "", text + " w4 w4", half]
        drafts[request.item, 0] = draw.sample(guesses, draw.randint(1, 3))
    engine.runner.max_rows = 16
    assert texts(answers(engine, BASE, requests, drafts=drafts)) == truth


def smallest_gap(model: Any, request: Request) -> float:
    """Return how near the second best token came, over plain forward passes."""
    ids, gaps = list(request.context_ids), []
    for _ in range(request.settings["max_new_tokens"]):
        with torch.no_grad():
            top = model(input_ids=torch.tensor([ids])).logits[0, -1].topk(2)
        gaps.append(float(top.values[0] - top.values[1]))
        if (token := int(top.indices[0])) == 2:
            break
        ids.append(token)
    return min(gaps)


def test_an_answer_says_how_near_another_came(engine: Engine, model: Any) -> None:
    """The gap is that of plain passes, drafted or not; a drawn answer has none."""
    requests = random_prompts(20, count=12)
    gaps = [smallest_gap(model, request) for request in requests]
    drafts = {
        (r.item, 0): [t, "w5 w6"] for r, t in zip(requests, expected(model, requests), strict=True)
    }
    assert [r.gap for r in answers(engine, BASE, requests)] == pytest.approx(gaps, abs=1e-4)
    found = answers(engine, BASE, requests, drafts=drafts)
    assert [r.gap for r in found] == pytest.approx(gaps, abs=1e-4)
    drawn = prompt(0, (1, 20, 30), do_sample=True, temperature=1.5)
    assert answers(engine, BASE, [drawn])[0].gap is None


def test_a_right_draft_saves_the_decoding(engine: Engine, model: Any) -> None:
    """With the answer itself as the draft, hardly any forward pass is left to do."""
    every = random_prompts(5)
    both = [
        (r, text)
        for r, text in zip(every, expected(model, every), strict=True)
        if len(text.split()) == r.settings["max_new_tokens"]  # a text shows no special token
    ]
    requests, truth = [r for r, _ in both], [text for _, text in both]
    calls: list[int] = []
    handle = engine.runner.model.register_forward_pre_hook(lambda *_: calls.append(1))
    try:
        answers(engine, BASE, requests)
        plain = len(calls)
        calls.clear()
        drafts = {(r.item, 0): [text] for r, text in zip(requests, truth, strict=True)}
        answers(engine, BASE, requests, drafts=drafts)
    finally:
        handle.remove()
    assert plain >= 16
    assert len(calls) <= 8  # one per level of the tries, that of the first drafts and the others


def test_a_stop_string_ends_its_own_row_only(engine: Engine, model: Any) -> None:
    """lm-eval's hf model goes on until every row of a batch has stopped; here rows are alone."""
    context = (1, 20, 30, 40)
    whole = step_by_step(model, context, 12)
    stop = f"w{whole[3]}"
    first = whole.index(whole[3])
    requests = [
        prompt(0, context, until=[stop]),
        prompt(1, (1, 50, 60), until=["never"]),
        prompt(2, (1, 70), until=[stop, "never"]),
    ]
    together = answers(engine, BASE, requests)
    alone = [answers(engine, BASE, [request])[0] for request in requests]
    assert together == alone
    assert together[0].finish == "stop"
    assert together[0].tokens == first + 1
    assert (together[0].text or "").split() == words(tuple(whole[:first])).split()
    assert together[1].finish == "length"


def test_the_end_token_stops_a_row_and_is_not_in_its_text(folder: Path, tmp_path: Path) -> None:
    """Generation ends where the model says so, and the finish tells it from the length limit."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    context = (1, 20, 30, 40)
    third = step_by_step(model, context, 3)[2]
    model.generation_config = GenerationConfig(eos_token_id=[2, third])
    model.save_pretrained(tmp_path)
    for file in folder.glob("tokenizer*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (response,) = answers(Engine.load(str(tmp_path), device="cpu"), BASE, [prompt(0, context)])
    assert (response.finish, response.tokens) == ("stop", 2)
    assert f"w{third}" not in (response.text or "")


def test_the_checkpoints_generation_settings_do_not_leak(
    engine: Engine, folder: Path, tmp_path: Path
) -> None:
    """A repetition penalty, a length or sampling that a checkpoint carries changes no answer."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.generation_config = GenerationConfig(
        repetition_penalty=1.8, max_new_tokens=2, do_sample=True, temperature=2.0, eos_token_id=2
    )
    model.save_pretrained(tmp_path)
    for file in folder.glob("tokenizer*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    requests = random_prompts(7, count=10)
    loaded = Engine.load(str(tmp_path), device="cpu")
    assert answers(loaded, BASE, requests) == answers(engine, BASE, requests)
    loaded.switch.packs = False
    assert answers(loaded, BASE, requests) == answers(engine, BASE, requests)


def test_sampling_depends_on_the_seed_and_not_on_batch_mates(engine: Engine) -> None:
    """The same request draws the same text in any company; another seed or repeat draws anew."""
    sampled = {"do_sample": True, "temperature": 1.5, "max_new_tokens": 10}
    one = prompt(0, (1, 20, 30), **sampled)
    others = [prompt(n, (1, 20, 30 + n), **sampled) for n in range(1, 6)]
    again = prompt(8, (1, 20, 30), **sampled, repeat=1)
    other_seed = prompt(9, (1, 20, 30), **sampled, seed=5)
    alone = answers(engine, BASE, [one])[0].text
    company = answers(engine, BASE, [*others, one, again, other_seed])
    assert company[5].text == alone
    assert len({alone, company[6].text, company[7].text}) == 3


def test_top_k_of_one_is_greedy(engine: Engine, model: Any) -> None:
    """Sampling among a single candidate cannot differ from the greedy answer."""
    requests = random_prompts(3, count=6)
    sampled = [
        prompt(n, r.context_ids, do_sample=True, temperature=2.0, top_k=1)
        for n, r in enumerate(requests)
    ]
    greedy = [prompt(n, r.context_ids) for n, r in enumerate(requests)]
    assert texts(answers(engine, BASE, sampled)) == texts(answers(engine, BASE, greedy))


def test_memory_running_out_while_decoding_only_slows_the_run(engine: Engine, model: Any) -> None:
    """Preempted rows wait, and then continue where they were."""
    from support.memory import memory_for

    requests = random_prompts(4, count=30)
    engine.runner.max_rows = 32
    with memory_for(engine.runner.model, 900) as sizes:
        limit = 9

        def check(_: Any, args: Any, kwargs: Any) -> None:
            if kwargs["logits_to_keep"].numel() == kwargs["input_ids"].numel() > limit:
                raise torch.OutOfMemoryError("out of memory")

        handle = engine.runner.model.register_forward_pre_hook(check, with_kwargs=True)
        try:
            found = answers(engine, BASE, requests)
        finally:
            handle.remove()
    assert sizes
    assert texts(found) == expected(model, requests)


@pytest.fixture(scope="module")
def looping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a Llama that repeats itself, as models do that are lost."""
    folder = llama(tmp_path_factory.mktemp("looping") / "base", seed=3)
    lost = AutoModelForCausalLM.from_pretrained(folder)
    after = torch.tensor([token - token % 5 + (token + 1) % 5 for token in range(VOCABULARY)])
    lost.lm_head.weight.data[after] = lost.model.embed_tokens.weight.data
    for layer in lost.model.layers:  # what came before matters, but not much
        layer.mlp.down_proj.weight.data *= 0.02
        layer.self_attn.o_proj.weight.data *= 0.02
    lost.save_pretrained(folder)
    return folder


def test_what_an_answer_repeats_is_read_ahead_and_changes_no_token(looping: Path) -> None:
    """Few rows are decoded in fewer steps, greedy or drawn, with other rows or alone."""
    engine = Engine.load(str(looping), device="cpu")
    model = AutoModelForCausalLM.from_pretrained(looping).eval()
    phrase = tuple(range(30, 36))
    greedy = [
        prompt(n, (1, 50 + n, *phrase, 60 + n, *phrase[: 2 + n]), max_new_tokens=24 - n)
        for n in range(4)
    ]
    drawn = prompt(9, greedy[0].context_ids, do_sample=True, seed=3, max_new_tokens=20)
    with memory_for(engine.runner.model, 10**9) as sizes:
        found = answers(engine, BASE, [*greedy, drawn])
    assert texts(found[:4]) == expected(model, greedy)
    assert len(sizes) < 20, "steps are saved"
    engine.runner.max_rows = 1
    assert texts([answers(engine, BASE, [r])[0] for r in (*greedy, drawn)]) == texts(found)
    with memory_for(engine.runner.model, 60):
        assert texts(answers(engine, BASE, greedy[:1])) == texts(found[:1])


def test_rows_of_a_large_batch_read_ahead_each_as_far_as_it_repeats(looping: Path) -> None:
    """Rows that repeat something take fewer steps beside rows that do not, and no token changes."""
    engine = Engine.load(str(looping), device="cpu")
    model = AutoModelForCausalLM.from_pretrained(looping).eval()
    phrase = tuple(range(30, 36))
    requests = [
        prompt(n, (1, 40 + n, *phrase, 60 + n, *phrase[: 2 + n % 4]), max_new_tokens=24 - n % 5)
        for n in range(18)
    ]
    requests += [prompt(n, (1, 40 + n, 60 + n), max_new_tokens=4) for n in range(18, 24)]
    with memory_for(engine.runner.model, 10**9) as sizes:
        found = answers(engine, BASE, requests)
    assert texts(found) == expected(model, requests)
    assert len(sizes) < 20, "steps are saved"
    assert any(24 < size < 48 for size in sizes), "others read one token beside them"
    with memory_for(engine.runner.model, 60):
        assert texts(answers(engine, BASE, requests)) == texts(found)


def test_a_source_of_drafts_that_is_rarely_right_is_dropped(engine: Engine) -> None:
    """Its further drafts are not read; one that is right stays, and no text changes."""
    requests = [prompt(n, (1, *range(20 + n, 26 + n)), max_new_tokens=10) for n in range(30)]
    expected = answers(engine, BASE, requests)
    wrong = words(tuple(range(60, 70)))
    right = {r.key: (e.text or "") for r, e in zip(requests, expected, strict=True)}
    read = {}
    for name, drafts in (
        ("right", {key: (text, "") for key, text in right.items()}),
        ("both", {key: (text, wrong) for key, text in right.items()}),
    ):
        with memory_for(engine.runner.model, 10**9) as sizes:
            found = answers(engine, BASE, requests, drafts=drafts)
        assert texts(found) == texts(expected)
        read[name] = sum(sizes)
    assert 60 <= read["both"] - read["right"] <= 100, "8 of 30 wrong drafts of 10 tokens are read"


def test_sources_are_judged_by_arm_and_suite() -> None:
    """What is wrong for one arm or on one suite may be right for another."""
    record = DraftRecord()
    for _ in range(TRIAL):
        record.note((0, "sql"), ((5, 6, 7), (8, 9)), [5, 6, 7, 2])
    assert record.worth_reading((0, "sql"), ((1, 2), (3,))) == ((1, 2), ())
    assert record.worth_reading((1, "sql"), ((1, 2), (3,))) == ((1, 2), (3,))
    assert record.worth_reading((0, "qa"), ((1, 2), (3,))) == ((1, 2), (3,))


def test_rows_read_a_prefix_once_that_is_longer_than_what_follows_it() -> None:
    """A long schema with a few short questions is no row's own; a context with a draft is."""
    schema, draft = tuple(range(3, 90)), tuple(range(100, 130))
    params = SamplingParams(max_new_tokens=4)
    few = [Prompt(context=(*schema, 150 + n), params=params) for n in range(3)]
    alone = Prompt(context=tuple(range(60, 120)), params=params, drafts=(draft,))
    read = PrefilledTrie.of([*few, alone])
    cached = [read.trie.nodes[unit.nodes[0]].tokens for unit in read.units if unit.cached]
    assert cached == [schema]
