"""Sampled decoding: the right distribution, and the same samples whatever happens around them."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import chisquare
from support.suites import loaded
from support.tiny_models import VOCABULARY, answers, llama, prompt
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM
from transformers.generation.logits_process import (
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from harness.engine import Engine
from harness.engine.decoding.sampling import SamplingParams, greedy_tokens, sample_token
from harness.records import BASE, Request
from harness.store import AnswerStore

pytestmark = pytest.mark.model
WARM = {"do_sample": True, "temperature": 1.5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small Llama's folder; its logits leave several tokens likely."""
    return llama(tmp_path_factory.mktemp("sampling") / "base")


@pytest.fixture
def engine(folder: Path) -> Engine:
    """Return a fresh engine on it."""
    return Engine.load(str(folder), device="cpu")


def fits(counts: Counter[int], probs: torch.Tensor) -> float:
    """Return the chi-square p-value of drawn tokens; rare tokens are counted together."""
    assert not [token for token in counts if probs[token] == 0], "drew what has no probability"
    total = counts.total()
    likely = [t for t in range(len(probs)) if float(probs[t]) * total >= 8]
    seen = [counts[token] for token in likely]
    due = [float(probs[token]) * total for token in likely]
    if total - sum(due) > 1:
        seen, due = [*seen, total - sum(seen)], [*due, total - sum(due)]
    scale = total / sum(due)
    return float(chisquare(seen, [one * scale for one in due]).pvalue)


@pytest.mark.parametrize("plain", [False, True], ids=["packed", "plain"])
def test_first_tokens_are_drawn_by_their_probability(
    engine: Engine, folder: Path, plain: bool
) -> None:
    """Of a thousand samples of one prompt, each token has the share that softmax gives it."""
    engine.switch.packs = not plain
    context = (1, 20, 30, 40)
    settings = {**WARM, "temperature": 4.0, "max_new_tokens": 1}
    requests = [prompt(n, context, **settings, repeat=n) for n in range(1000)]
    found = answers(engine, BASE, requests)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([context])).logits[0, -1].double()
    probs = (logits / 4.0).softmax(-1)
    # the three special tokens show no text
    words = [int(r.text[1:]) if r.text else 0 for r in found]
    probs = torch.cat([probs[:3].sum()[None], torch.zeros(2), probs[3:]])
    assert len(set(words)) > 20
    assert fits(Counter(words), probs) > 0.001


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.7},
        {"temperature": 1.3, "top_k": 7},
        {"temperature": 1.0, "top_p": 0.8},
        {"temperature": 2.0, "top_k": 12, "top_p": 0.6},
    ],
    ids=str,
)
def test_temperature_top_k_and_top_p_are_those_of_transformers(settings: dict[str, float]) -> None:
    """The distribution that is drawn from is the one its warpers leave, in its order."""
    logits = 2 * torch.randn(60, generator=torch.Generator().manual_seed(3))
    warpers = LogitsProcessorList([TemperatureLogitsWarper(settings["temperature"])])
    if "top_k" in settings:
        warpers.append(TopKLogitsWarper(int(settings["top_k"])))
    if "top_p" in settings:
        warpers.append(TopPLogitsWarper(settings["top_p"]))
    probs = warpers(torch.zeros(1, 1, dtype=torch.long), logits[None].double())[0].softmax(-1)
    drawn: Counter[int] = Counter()
    for seed in range(4000):
        params = SamplingParams.of(settings | {"max_new_tokens": 1, "seed": seed})
        drawn[sample_token(logits, params, (1, 2), 0)] += 1
    assert fits(drawn, probs) > 0.001


def mixed(seed: int) -> list[Request]:
    """Return sampled and greedy prompts of several lengths, some the same but for the repeat."""
    pick = random.Random(seed)
    made = []
    for n in range(40):
        context = (1, *(pick.randrange(3, VOCABULARY) for _ in range(pick.randint(2, 9))))
        limit = pick.choice([4, 10])
        settings = {} if n % 5 == 0 else {**WARM, "repeat": n % 3, "seed": 11}
        made.append(prompt(n, context, max_new_tokens=limit, **settings))
    return made


class Fetched(TorchDispatchMode):
    """Counts the numbers that are fetched from a device, for each of which a GPU is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Count, and compute as ever."""
        self.count += operation is torch.ops.aten._local_scalar_dense.default
        return operation(*args, **(kwargs or {}))


def test_a_drawn_token_is_fetched_once() -> None:
    """With every filter nothing else of a row leaves the device; a gap comes with its token."""
    logits = torch.linspace(-3, 3, 50)
    params = SamplingParams(max_new_tokens=1, do_sample=True, top_k=20, top_p=0.9, seed=1)
    with Fetched() as fetched:
        token = sample_token(logits, params, (1, 2), 0)
    assert fetched.count == 1
    assert 30 <= token < 50
    found = greedy_tokens(torch.tensor([[0.0, 2.5, 2.0], [7.0, 1.0, 6.75]]))
    assert found == [(1, 0.5), (0, 0.25)]
    assert all(type(token) is int for token, _ in found)


def test_neither_mates_nor_order_nor_rows_nor_packing_change_a_sample(engine: Engine) -> None:
    """Packed and plain batches of any make-up draw by one function of the seed."""
    requests = mixed(1)
    texts = [response.text for response in answers(engine, BASE, requests)]
    assert texts != [r.text for r in answers(engine, BASE, mixed(2))]
    order = random.Random(0).sample(range(len(requests)), len(requests))
    for max_rows, packs in ((1, True), (5, True), (64, False)):
        engine.runner.max_rows, engine.switch.packs = max_rows, packs
        engine.runner.batch_tokens = 40 if packs else 2048
        found = answers(engine, BASE, [requests[place] for place in order])
        assert [response.text for response in found] == [texts[place] for place in order]


def test_a_resumed_run_gives_the_same_samples(engine: Engine, folder: Path, tmp_path: Path) -> None:
    """What was left open is drawn later as it would have been drawn at once."""
    requests = mixed(3)
    store, mark = AnswerStore(tmp_path / "answers.db"), engine.fingerprint(BASE)
    batches = engine.answer(BASE, requests)
    store.put(mark, next(batches))
    batches.close()  # type: ignore[attr-defined]
    known = store.get(mark, requests)
    assert 0 < len(known) < len(requests)
    later = Engine.load(str(folder), device="cpu")
    later.runner.max_rows = 4
    missing = [r for r in requests if r.key not in known]
    for batch in later.answer(BASE, missing):
        store.put(mark, batch)
    whole = answers(Engine.load(str(folder), device="cpu"), BASE, requests)
    ended = store.get(mark, requests)
    assert [ended[r.key].text for r in requests] == [r.text for r in whole]


TASK = """
task: sampled
custom_dataset: !function harness.suites.dataset.load
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "w20"
repeats: 4
generation_kwargs: {until: [], max_gen_toks: 8, do_sample: true, temperature: 1.5}
filter_list:
  - {name: all, filter: [{function: take_first_k, k: 4}]}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
metadata: {version: 1.0}
"""


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write an lm-eval task that wants four samples of each item, where lm-eval finds it."""
    from support.suites import write_rows

    from harness.suites import lm_eval_task

    folder = tmp_path / "sampled"
    write_rows(folder / "data" / "test.jsonl", 5)
    (folder / "sampled.yaml").write_text(TASK)
    found, groups = lm_eval_task.lm_eval_names()
    known = {**found, "sampled": folder / "sampled.yaml"}
    monkeypatch.setattr(lm_eval_task, "lm_eval_names", lambda: (known, groups))
    return folder


def test_repeats_of_a_task_are_different_samples(engine: Engine, task: Path) -> None:
    """Every item is drawn four times over; the study's seed decides, and gives the same again."""
    suite = loaded(engine, task, name="sampled", data="data")
    assert len(suite.requests) == 20
    assert {request.settings["seed"] for request in suite.requests} == {1234}
    texts: dict[Any, set[str | None]] = {}
    found = answers(engine, BASE, list(suite.requests))
    for request, response in zip(suite.requests, found, strict=True):
        texts.setdefault(request.item, set()).add(response.text)
    assert [len(different) for different in texts.values()] == [4] * 5
    assert answers(engine, BASE, list(suite.requests)) == found


def test_lm_eval_gets_different_samples_for_its_repeats(folder: Path) -> None:
    """It hands the same request over as often as it wants a sample."""
    from lm_eval.api.instance import Instance

    from harness.engine.lm_eval_model import HarnessLM

    model = HarnessLM(str(folder), device="cpu")
    asked = ("w20 w30", {"until": [], "max_gen_toks": 8, **WARM})
    one = Instance("generate_until", {}, asked, 0, ("sampled", 0, 3))
    first = model.generate_until([one] * 3)
    assert len(set(first)) == 3
    assert model.generate_until([one] * 3) == first
