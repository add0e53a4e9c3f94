"""Answer suites during training: padded batches, nothing stored, the model left as it was."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from lm_eval.models.utils import resolve_max_length

from harness.engine import padded
from harness.engine.decoding.sampling import SamplingParams
from harness.engine.prefix.prefilled import Prompt
from harness.models.load_model import end_tokens, neutral_generation, padding_id
from harness.models.protocols import CausalLM, Tokenizer
from harness.records import Answers, Request, Response
from harness.suites.dialogue_turns import in_turns
from harness.suites.load_suite import LoadedSuite

BATCH_TOKENS = 4096
"""Padded tokens in a batch: few, because the training holds most of the memory."""

_GENERATION = "generation_config"


def answer_suites(
    model: CausalLM, tokenizer: Tokenizer, suites: Sequence[LoadedSuite]
) -> dict[str, Answers]:
    """Return suite name -> the answers of a model in training, which is left as it was."""
    generation = getattr(model, _GENERATION, None)
    pad, ends = padding_id(tokenizer), end_tokens(tokenizer, model.config, generation)
    fits = int(resolve_max_length(model.config, tokenizer, default=2048)) - _virtual_tokens(model)
    with undisturbed(model):
        model.eval()
        neutral_generation(model, pad=pad)
        ask = partial(_answers, model, tokenizer, ends=ends, pad=pad, fits=fits)
        return {suite.suite.name: in_turns(suite.requests, ask) for suite in suites}


@contextmanager
def undisturbed(model: CausalLM) -> Iterator[None]:
    """Put back afterwards what scoring may change of a model in training, and every random state.

    Modes module by module (some may be frozen in evaluation mode) and generation settings, also
    those that PEFT hands down to the model it wraps. Weights, gradients and active adapters are not
    touched: nothing here computes a gradient or switches an adapter.
    """
    modes = [(module, module.training) for module in model.modules()]
    settings = [(m, vars(m)[_GENERATION]) for m in model.modules() if _GENERATION in vars(m)]
    python, numpy = random.getstate(), np.random.get_state()
    device = model.device
    devices = [] if device.type == "cpu" else [device]
    kind = "cuda" if device.type == "cpu" else device.type
    try:
        with torch.random.fork_rng(devices=devices, device_type=kind):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        for module in model.modules():
            vars(module).pop(_GENERATION, None)
        for module, own in settings:
            vars(module)[_GENERATION] = own
        for module, mode in modes:
            module.training = mode


def _answers(
    model: CausalLM,
    tokenizer: Tokenizer,
    asked: Sequence[Request],
    *,
    ends: frozenset[int],
    pad: int,
    fits: int,
) -> Answers:
    """Answer requests; what does not fit the context of so many tokens comes back unscored."""
    room = [fits - len(r.context_ids) - len(r.continuation_ids) for r in asked]
    answers: Answers = {
        r.key: Response(unscored="too long")
        for r, left in zip(asked, room, strict=True)
        if left < 0
    }
    choices = [r for r in asked if r.kind == "loglikelihood" and r.key not in answers]
    generations, prompts = [], []
    for request, left in zip(asked, room, strict=True):
        if request.kind == "generate_until" and request.key not in answers:
            params = _within(SamplingParams.of(request.settings, request.context), max(left, 1))
            generations.append(request)
            prompts.append(Prompt(context=request.context_ids, params=params))
    pairs = [(r.context_ids, r.continuation_ids) for r in choices]
    scored = padded.score(model, pairs, budget=BATCH_TOKENS, pad=pad)
    generated = padded.generate(model, tokenizer, prompts, ends=ends, budget=BATCH_TOKENS, pad=pad)
    for requests, batches in ((choices, scored), (generations, generated)):
        for batch in batches:
            answers |= {requests[index].key: response for index, response in batch}
    return answers


def _within(params: SamplingParams, left: int) -> SamplingParams:
    """Cut the limits of a generation to the tokens that are left: the thought's first."""
    answer = min(params.max_new_tokens, left)
    return replace(
        params,
        max_new_tokens=answer,
        thinking_tokens=min(params.thinking_tokens, left - answer),
    )


def _virtual_tokens(model: CausalLM) -> int:
    """Return how many tokens of the context the active adapters take for themselves."""
    configs = getattr(model, "peft_config", {}).values()
    return sum(getattr(config, "num_virtual_tokens", None) or 0 for config in configs)
