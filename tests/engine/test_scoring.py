"""Log-likelihoods: the shared-prefix path against one forward pass per request."""

from pathlib import Path
from typing import Any

import pytest
import torch
from support.memory import memory_for
from support.tiny_models import answers, llama, one_by_one, prompt, question, random_tree
from transformers import AutoModelForCausalLM

from harness.engine import Engine
from harness.engine.prefix.loglikelihood import token_logprobs
from harness.records import BASE, ItemKey, Request

pytestmark = pytest.mark.model
CLOSE = 1e-4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small Llama's folder."""
    return llama(tmp_path_factory.mktemp("scoring") / "base")


@pytest.fixture
def engine(folder: Path) -> Engine:
    """Return an engine on it."""
    return Engine.load(str(folder), device="cpu")


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    """Return the model as transformers loads it."""
    return AutoModelForCausalLM.from_pretrained(folder).eval()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("batch_tokens", [1, 50, 4096])
def test_trees_of_any_shape_and_batch_size_score_as_single_passes(
    engine: Engine, model: Any, seed: int, batch_tokens: int
) -> None:
    """Neither sharing nor batching changes a log-likelihood."""
    requests = random_tree(seed)
    engine.runner.batch_tokens = batch_tokens
    engine.runner.prefill_chunk_tokens = 150 if seed % 2 else 16384
    found = [response.logprob for response in answers(engine, BASE, requests)]
    assert found == pytest.approx(one_by_one(model, requests), abs=CLOSE)


def test_the_tiny_model_is_scored_through_packed_attention(engine: Engine) -> None:
    """The tests here exercise the fast path, not the fallback."""
    assert engine.notes == []


def test_a_large_shared_prefix_is_cached_for_its_branches(engine: Engine, model: Any) -> None:
    """A fixed few-shot block before many questions is computed once and gives the same scores."""
    block = (1, *range(3, 103))
    requests = [question(n, (*block, 5 + n, 7), (8 + n % 3, 9)) for n in range(60)]
    found = [response.logprob for response in answers(engine, BASE, requests)]
    assert found == pytest.approx(one_by_one(model, requests), abs=CLOSE)


def test_greedy_says_whether_every_token_was_the_top_one(engine: Engine, model: Any) -> None:
    """The most likely continuation is greedy, any other is not."""
    context = (1, 20, 30)
    with torch.no_grad():
        top = int(model(input_ids=torch.tensor([context])).logits[0, -1].argmax())
    best, other = answers(
        engine, BASE, [question(0, context, (top,)), question(1, context, (top + 1,))]
    )
    assert (best.is_greedy, other.is_greedy) == (True, False)


def test_what_does_not_fit_the_context_is_unscored(engine: Engine) -> None:
    """Nothing is cut off in silence; the last token is predicted, not read, and needs no room."""
    room = engine.max_length
    fits = question(0, (5,) * (room - 1), (6, 7))
    too_long = question(1, (5,) * room, (6, 7))
    generation = prompt(2, (5,) * (room - 11), max_new_tokens=12)
    first, second, third = answers(engine, BASE, [fits, too_long, generation])
    assert first.unscored is None
    assert (second.unscored or "").startswith("too long")
    assert (third.unscored or "").startswith("too long")


def test_a_whole_text_longer_than_the_context_is_scored_in_windows(
    engine: Engine, model: Any
) -> None:
    """Rolling log-likelihood adds windows up as lm-eval cuts them."""
    ids = tuple(3 + (7 * i) % 190 for i in range(engine.max_length * 2 + 10))
    rolling = Request(
        kind="loglikelihood_rolling", item=ItemKey("s", "none", "x", 0), index=0,
        context="", continuation="", context_ids=ids,
    )  # fmt: skip
    (response,) = answers(engine, BASE, [rolling])
    room = engine.max_length
    parts = [
        question(0, (1,), ids[:room]),
        question(1, (ids[room - 1],), ids[room : 2 * room]),
        question(2, ids[room + 9 : 2 * room], ids[2 * room :]),
    ]
    assert response.logprob == pytest.approx(sum(one_by_one(model, parts)), abs=1e-3)
    assert response.tokens == len(ids)


def test_batches_are_halved_when_memory_runs_out(engine: Engine, model: Any) -> None:
    """The run goes on with smaller batches and gives the same scores."""
    requests = random_tree(3)
    with memory_for(engine.runner.model, 150) as sizes:
        found = [response.logprob for response in answers(engine, BASE, requests)]
    assert max(sizes) > 150
    assert found == pytest.approx(one_by_one(model, requests), abs=CLOSE)


def test_one_item_that_never_fits_does_not_end_the_run(engine: Engine) -> None:
    """It is unscored for lack of memory; the others have their scores."""
    huge = question(0, (1, *range(3, 150)), (4,))
    small = question(1, (1, 160, 170), (4,))
    with memory_for(engine.runner.model, 40):
        first, second = answers(engine, BASE, [huge, small])
    assert first.unscored == "out of memory"
    assert second.logprob is not None


def test_half_precision_logits_are_normalised_in_float32() -> None:
    """Low-precision log-softmax would round many different scores to one value."""
    logits = torch.randn(4, 50_000, generator=torch.Generator().manual_seed(0)).bfloat16()
    rows, targets = torch.arange(4), torch.tensor([1, 2, 3, 4])
    found, _ = token_logprobs(logits, rows, targets)
    exact = logits.double().log_softmax(-1)[rows, targets]
    rounded = logits.log_softmax(-1)[rows, targets]
    assert found.dtype == torch.float32
    assert torch.allclose(found.double(), exact, atol=1e-5)
    assert not torch.allclose(rounded.double(), exact, atol=1e-3)


FAMILIES = {
    "gpt2": {"n_embd": 48, "n_layer": 2, "n_head": 4, "n_positions": 192},
    "gpt_neox": {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4},
    "qwen2": {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
              "num_key_value_heads": 2},
    "gemma2": {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
               "num_key_value_heads": 2, "head_dim": 12, "sliding_window": 16},
    "mistral": {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
                "num_key_value_heads": 2, "sliding_window": 16},
    "bloom": {"hidden_size": 48, "n_layer": 2, "n_head": 4},
    "mamba": {"hidden_size": 48, "num_hidden_layers": 2, "state_size": 4},
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_any_family_scores_as_single_passes(family: str, tmp_path: Path) -> None:
    """Families whose attention cannot be packed fall back to plain batches, and say so."""
    from support.tiny_models import spread, write_tokenizer
    from transformers import AutoConfig

    settings = {"vocab_size": 200, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    settings |= {"max_position_embeddings": 192, "intermediate_size": 96}
    config = AutoConfig.for_model(family, **(settings | FAMILIES[family]))
    spread(AutoModelForCausalLM.from_config(config), scale=0.2).save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    engine = Engine.load(str(tmp_path), device="cpu")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    requests = random_tree(2)
    found = [response.logprob for response in answers(engine, BASE, requests)]
    assert found == pytest.approx(one_by_one(plain, requests), abs=2e-4)
    if family in ("mamba", "bloom", "gemma2"):
        assert engine.notes
    if family in ("gpt2", "gpt_neox", "qwen2"):
        assert engine.notes == []
