"""Several arms in one pass: each answers as it does alone, whoever else is asked."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import LoraConfig, PeftModel
from support.adapter_kinds import KINDS
from support.memory import memory_for
from support.model_families import FAMILIES
from support.suites import loaded, write_rows
from support.tiny_models import (
    VOCABULARY,
    adapter,
    answers,
    llama,
    lora,
    one_by_one,
    prompt,
    question,
    random_tree,
    spread,
    step_by_step,
    write_tokenizer,
)
from transformers import AutoConfig, AutoModelForCausalLM

from harness.engine import Engine
from harness.engine.adapters import bank
from harness.pipeline.answers.ask import AnswerSession
from harness.records import BASE, Drafts, Request, RequestKey, Response
from harness.store import AnswerStore

pytestmark = pytest.mark.model

ArmAnswers = dict[tuple[str, RequestKey], Response]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small Llama's folder."""
    return llama(tmp_path_factory.mktemp("together") / "base")


@pytest.fixture(scope="module")
def adapters(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return an adapter of every kind, and two more LoRAs of other ranks, one on few layers."""
    home = tmp_path_factory.mktemp("adapters")
    made = {name: adapter(base, home / name, config) for name, config in KINDS.items()}
    made["wide"] = lora(base, home / "wide", seed=7, r=24, lora_alpha=16)
    patterns = {"rank_pattern": {"q_proj": 6}, "alpha_pattern": {"q_proj": 3}}
    few = {"target_modules": ["q_proj", "down_proj"], "layers_to_transform": [1], **patterns}
    made["few"] = lora(base, home / "few", seed=8, r=2, **few)
    return made


@pytest.fixture(scope="module")
def engine(base: Path, adapters: dict[str, Path]) -> Engine:
    """Return an engine with all of them attached."""
    engine = Engine.load(str(base), device="cpu")
    for name, folder in adapters.items():
        engine.attach(name, folder)
    return engine


@pytest.fixture(scope="module")
def requests() -> list[Request]:
    """Return choices and texts; their contexts share prefixes of many lengths."""
    draw = random.Random(5)
    contexts: list[tuple[int, ...]] = [(1, *range(3, 43))]
    for _ in range(9):
        tail = tuple(draw.randrange(3, VOCABULARY) for _ in range(draw.randint(1, 12)))
        contexts.append(draw.choice(contexts)[: draw.randint(1, 50)] + tail)
    texts = [prompt(500 + n, c, max_new_tokens=3 + n % 6) for n, c in enumerate(contexts)]
    sampled = prompt(600, contexts[3], do_sample=True, seed=4, max_new_tokens=6)
    rolled = question(700, contexts[5], ()).__class__(
        kind="loglikelihood_rolling", item=question(700, (1,), ()).item, index=0,
        context="", continuation="", context_ids=contexts[5], continuation_ids=(),
    )  # fmt: skip
    return [*random_tree(11, stems=2), *texts, sampled, rolled]


def in_company(
    engine: Engine,
    asked: Mapping[str, Sequence[Request]],
    drafts: Mapping[str, Drafts] | None = None,
) -> ArmAnswers:
    """Answer for several arms at once."""
    found: ArmAnswers = {}
    for batch in engine.answer_arms(asked, drafts=drafts):
        for arm, request, response in batch:
            assert (arm, request.key) not in found
            found[arm, request.key] = response
    assert len(found) == sum(map(len, asked.values()))
    return found


@pytest.fixture(scope="module")
def alone(engine: Engine, requests: list[Request]) -> dict[str, dict[RequestKey, Response]]:
    """Return what each arm answers by itself, through PEFT's layers."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine.switch, "_low_rank", {})
        for name in engine.switch.arms:
            given = answers(engine, name, requests)
            found[name] = {r.key: response for r, response in zip(requests, given, strict=True)}
    return found


def check_same(found: Iterable[tuple[Response, Response]]) -> None:
    """Refuse other texts and flags, and log-likelihoods that are further apart than rounding."""
    for one, other in found:
        assert (one.text, one.finish, one.is_greedy) == (other.text, other.finish, other.is_greedy)
        assert (one.logprob or 0.0) == pytest.approx(other.logprob or 0.0, abs=1e-4)


def test_low_rank_shares_passes_and_everything_else_does_not(engine: Engine) -> None:
    """What adds more than low rank to linear layers, or cannot be proven, answers by itself."""
    sharing = {name for name in engine.switch.arms if engine.switch.shares(name)}
    assert sharing == {BASE, "lora", "dora", "rslora", "wide", "few"}


def test_every_kind_of_adapter_answers_the_same_in_company(
    engine: Engine, requests: list[Request], alone: dict[str, dict[RequestKey, Response]]
) -> None:
    """All kinds are asked at once; who shares a pass and who cannot makes no difference."""
    found = in_company(engine, dict.fromkeys(engine.switch.arms, requests))
    check_same((response, alone[arm][key]) for (arm, key), response in found.items())
    texts = {arm: found[arm, requests[-3].key].text for arm in (BASE, "lora", "wide")}
    assert len(set(texts.values())) == 3, "the arms must differ for this to mean anything"


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_batch_mates_of_other_arms_never_change_an_answer(
    engine: Engine,
    requests: list[Request],
    alone: dict[str, dict[RequestKey, Response]],
    data: st.DataObject,
) -> None:
    """Any arms with any requests each, in any batches, with any drafts and any way to multiply."""
    arms = data.draw(st.permutations([BASE, "lora", "dora", "wide", "few"]), "arms")
    some = st.lists(st.sampled_from(requests), max_size=6, unique_by=lambda r: r.key)
    asked = {arm: data.draw(some, arm) for arm in arms[: data.draw(st.integers(1, 5), "count")]}
    drafts = {
        arm: {r.key: (alone[data.draw(st.sampled_from(arms), "of")][r.key].text or "",) for r in of}
        for arm, of in asked.items()
    }
    runner = engine.runner
    kept = runner.batch_tokens, runner.prefill_chunk_tokens, runner.max_rows
    try:
        runner.batch_tokens = data.draw(st.sampled_from([1, 40, 300, 2048]), "batch tokens")
        runner.prefill_chunk_tokens = data.draw(st.sampled_from([60, 400, 16384]), "chunk tokens")
        runner.max_rows = data.draw(st.integers(1, 40), "rows")
        with pytest.MonkeyPatch.context() as patch:
            ranks = data.draw(st.sampled_from([0, bank.MAX_MASKED_RANKS]), "masked ranks")
            patch.setattr(bank, "MAX_MASKED_RANKS", ranks)
            found = in_company(engine, asked, drafts)
    finally:
        runner.batch_tokens, runner.prefill_chunk_tokens, runner.max_rows = kept
    check_same((response, alone[arm][key]) for (arm, key), response in found.items())


@pytest.mark.parametrize("name", ["gemma", "gpt2", "phi", "phi3", "qwen2"])
def test_arms_of_many_architectures_share_a_pass(name: str, tmp_path: Path) -> None:
    """Fused projections, transposed weights and biases of layers are hooked as PEFT wraps them."""
    base = tmp_path / "base"
    config = AutoConfig.for_model(name, **FAMILIES[name])
    spread(AutoModelForCausalLM.from_config(config)).save_pretrained(base)
    write_tokenizer(base, size=FAMILIES[name]["vocab_size"])
    engine = Engine.load(str(base), device="cpu")
    arms: dict[str, Path] = {}
    for seed in (1, 2):
        config = LoraConfig(
            r=2 * seed, target_modules="all-linear", use_rslora=seed == 2, task_type="CAUSAL_LM",
            fan_in_fan_out=name == "gpt2", use_dora=seed == 2 and name != "phi3",
        )  # fmt: skip
        arms[f"arm{seed}"] = adapter(base, tmp_path / f"arm{seed}", config, seed=seed)
        engine.attach(f"arm{seed}", arms[f"arm{seed}"])
    assert all(map(engine.switch.shares, engine.switch.arms)), engine.notes
    asked = [r for r in random_tree(3, stems=1) if len(r.context_ids) < 90]
    asked += [prompt(100 + n, (1, *range(20, 24 + n)), max_new_tokens=4) for n in range(3)]
    found = in_company(engine, dict.fromkeys((BASE, *arms), asked))
    for arm in (BASE, *arms):
        model = AutoModelForCausalLM.from_pretrained(base).eval()
        if arm != BASE:
            model = PeftModel.from_pretrained(model, str(arms[arm])).eval()
        choices = [r for r in asked if r.kind == "loglikelihood"]
        given = [found[arm, r.key].logprob for r in choices]
        assert given == pytest.approx(one_by_one(model, choices), abs=1e-4)
        for request in asked[len(choices) :]:
            ids = step_by_step(model, request.context_ids, 4, end=-1)
            kept = takewhile(lambda token: token not in engine.ends, ids)
            text = engine.tokenizer.decode([*kept], skip_special_tokens=True)
            assert found[arm, request.key].text == text


def test_an_arm_that_the_bank_gets_wrong_answers_by_itself(
    base: Path, adapters: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is added is proven at load against PEFT's own logits, however small an effect."""
    real = bank.low_rank_parts

    def of_another_scale(*given: object) -> object:
        parts = real(*given)  # type: ignore[arg-type]
        return parts and {layer: part._replace(scale=0.0) for layer, part in parts.items()}

    monkeypatch.setattr("harness.engine.adapters.switch.low_rank_parts", of_another_scale)
    engine = Engine.load(str(base), device="cpu")
    engine.attach("lora", adapters["lora"])
    assert not engine.switch.shares("lora")
    small = adapter(base, adapters["lora"].parent / "small", KINDS["lora"], trained=False)
    tensors = small / "adapter_model.safetensors"
    from safetensors.torch import load_file, save_file

    weights = {k: w + 1e-5 if "lora_B" in k else w for k, w in load_file(tensors).items()}
    save_file(weights, tensors, metadata={"format": "pt"})
    engine.attach("small", small)
    assert not engine.switch.shares("small")
    monkeypatch.setattr("harness.engine.adapters.switch.low_rank_parts", real)
    engine.attach("small", small)
    assert engine.switch.shares("small")


def test_memory_that_runs_out_among_several_arms_changes_no_answer(
    engine: Engine, requests: list[Request], alone: dict[str, dict[RequestKey, Response]]
) -> None:
    """Batches are halved; what is lost is asked again for its own arm."""
    kept = engine.runner.batch_tokens, engine.runner.kv_cache_tokens, engine.runner.max_rows
    chunk = engine.runner.prefill_chunk_tokens
    with memory_for(engine.runner.model, 60) as sizes:
        found = in_company(engine, dict.fromkeys((BASE, "lora", "wide"), requests[-12:-1]))
    engine.runner.batch_tokens, engine.runner.kv_cache_tokens, engine.runner.max_rows = kept
    engine.runner.prefill_chunk_tokens = chunk
    assert max(sizes) > 60
    check_same((response, alone[arm][key]) for (arm, key), response in found.items())


def test_the_model_is_as_before_when_answers_are_left_half_way(
    engine: Engine, requests: list[Request], alone: dict[str, dict[RequestKey, Response]]
) -> None:
    """No hook of a shared pass outlives it, also where nobody asks for the rest."""
    started = engine.answer_arms(dict.fromkeys((BASE, "lora"), requests))
    next(started)
    started.close()  # type: ignore[attr-defined]
    assert not any(module._forward_hooks for module in engine.switch.base.modules())
    with engine.switch.active("rslora") as arm, torch.no_grad():
        given = one_by_one(arm.full_model, requests[:1])
    assert given == pytest.approx([alone["rslora"][requests[0].key].logprob], abs=1e-4)


def test_resuming_with_other_arms_missing_gives_the_same_texts(
    base: Path, adapters: dict[str, Path], tmp_path: Path
) -> None:
    """A run that was cut short with two candidates goes on with one of them, and a third."""
    engine = Engine.load(str(base), device="cpu")
    for name in ("lora", "rslora", "wide"):
        engine.attach(name, adapters[name])
    write_rows(tmp_path / "rows" / "test.jsonl")
    arc = loaded(engine, tmp_path, data=str(tmp_path / "rows"))
    texts = [
        replace(prompt(n, r.context_ids, max_new_tokens=9), item=r.item, index=7)
        for n, r in enumerate(arc.requests[::4])
    ]
    arc = replace(arc, requests=(*arc.requests, *texts))

    def session(name: str) -> AnswerSession:
        return AnswerSession(engine, AnswerStore(tmp_path / name), lambda **_: None)

    whole = session("whole.db")
    for arms in ([BASE], ["lora", "rslora", "wide"]):
        whole.ask(arms, [arc])
    cut = session("cut.db")
    cut.ask([BASE], [arc])
    for batch in engine.answer_arms({"lora": arc.requests[::2], "wide": arc.requests[1::3]}):
        for arm, request, response in batch:
            cut.store.put(engine.fingerprint(arm), [(request, response)])
    resumed = session("cut.db")
    for arms in ([BASE], ["rslora", "lora"]):
        resumed.ask(arms, [arc])
    for arm in (BASE, "lora", "rslora"):
        one, other = whole.answers(arm, arc), resumed.answers(arm, arc)
        assert one.keys() == other.keys() == {r.key for r in arc.requests}
        check_same((one[key], other[key]) for key in one)
    assert {r.text for key, r in whole.answers("lora", arc).items() if key[1] == 7} - {
        r.text for key, r in whole.answers(BASE, arc).items() if key[1] == 7
    }, "the arms must differ for this to mean anything"
