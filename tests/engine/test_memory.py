"""Memory that runs out anywhere makes batches smaller, and changes no answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from support.memory import memory_for
from support.tiny_models import llama, prompt, question

from harness.engine import Engine
from harness.models.hardware import device_of, is_out_of_memory
from harness.records import BASE, Request, Response

pytestmark = pytest.mark.model

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny model."""
    return llama(tmp_path_factory.mktemp("memory") / "base")


def prompts(count: int = 12) -> list[Request]:
    """Return generations from contexts of many lengths."""
    contexts = [one.context_ids for one in choices(count)]
    return [prompt(100 + n, ids, max_new_tokens=6) for n, ids in enumerate(contexts)]


def choices(count: int = 12) -> list[Request]:
    """Return choices with contexts of many lengths."""
    return [
        question(n, (1, *(3 + (7 * n + k) % 190 for k in range(5 + 3 * n))), (4 + n, 9))
        for n in range(count)
    ]


def found(engine: Engine, requests: list[Request]) -> list[Response]:
    """Return the responses in the order of the requests."""
    known = {
        request.key: response
        for batch in engine.answer(BASE, requests)
        for request, response in batch
    }
    return [known[request.key] for request in requests]


def same(one: list[Response], other: list[Response]) -> bool:
    """Tell whether answers are the same, log-likelihoods up to float32's order of sums."""
    return all(
        (a.text, a.unscored) == (b.text, b.unscored)
        and (a.logprob or 0.0) == pytest.approx(b.logprob or 0.0, abs=1e-4)
        for a, b in zip(one, other, strict=True)
    )


@contextmanager
def failing(place: Any, name: str, times: int) -> Iterator[list[int]]:
    """Let a function of torch's or of the engine's find no memory so many times."""
    real, seen = getattr(place, name), [0]

    def starved(*args: Any, **options: Any) -> Any:
        seen[0] += 1
        if seen[0] <= times:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")
        return real(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, name, starved)
        yield seen


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("harness.engine.prefix.decode", "pad"),
        ("harness.engine.prefix.generate", "greedy_tokens"),
        ("harness.engine.prefix.loglikelihood", "token_logprobs"),
    ],
)
def test_memory_may_run_out_beside_the_forward_pass(base: Path, place: str, name: str) -> None:
    """Buffers, logits and scores need memory, too."""
    from importlib import import_module

    engine = Engine.load(str(base))
    requests = [*prompts(), *choices()]
    requests = [r for r in requests if (r.kind == "loglikelihood") == (name == "token_logprobs")]
    expected = found(engine, requests)
    rows = engine.runner.max_rows
    with failing(import_module(place), name, 2) as seen:
        assert same(found(engine, requests), expected)
    assert seen[0] > 2
    assert engine.runner.max_rows < rows


def test_a_row_that_never_fits_is_unscored_alone(base: Path) -> None:
    """Where even one row finds no memory, the others have their answers."""
    engine = Engine.load(str(base))
    requests = prompts(8)
    expected = found(engine, requests)
    longest = len(requests[-1].context_ids)

    def check(_: Any, args: Any, kwargs: Any) -> None:
        if int(kwargs["position_ids"].max()) >= longest:
            raise torch.OutOfMemoryError("out of memory")

    handle = engine.runner.model.register_forward_pre_hook(check, with_kwargs=True)
    try:
        answers = found(engine, requests)
    finally:
        handle.remove()
    assert answers[-1].unscored == "out of memory"
    reached = [len(r.context_ids) + 6 < longest for r in requests]
    kept = [(a, e) for a, e, short in zip(answers, expected, reached, strict=True) if short]
    assert len(kept) > 3
    assert same(*(list(side) for side in zip(*kept, strict=True)))


@pytest.mark.parametrize("padding", [False, True], ids=["packed", "padded"])
def test_halved_batches_answer_the_same(base: Path, *, padding: bool) -> None:
    """Scoring and generating go on in whatever memory there is."""
    engine = Engine.load(str(base))
    engine.switch.packs = not padding
    requests = [*prompts(), *choices()]
    expected = found(engine, requests)
    with memory_for(engine.runner.model, 60) as sizes:
        assert same(found(engine, requests), expected)
    assert max(sizes) > 60


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate"),
            False,
        ),
        (ValueError("out of memory"), False),
    ],
)
def test_memory_trouble_is_told_from_every_other(error: Exception, *, is_one: bool) -> None:
    """Allocators of all systems are understood, and only they."""
    assert is_out_of_memory(error) == is_one


@CUDA
def test_a_gpu_that_is_full_answers_the_same(base: Path) -> None:
    """With next to no memory left on the card, batches are halved until they fit."""
    engine = Engine.load(str(base), device="cuda")
    requests = [*prompts(64), *choices(60)]
    requests = [r for r in requests if len(r.context_ids) < 170]
    expected = found(engine, requests)
    device = device_of("cuda")
    torch.cuda.empty_cache()
    held = torch.cuda.memory_allocated(device)
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction((held + 24 * 2**20) / total, device)
    try:
        assert same(found(engine, requests), expected)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
