"""A look at a model while it is being trained: plain batches, nothing kept, nothing changed."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import torch

from harness.engine import padded
from harness.engine.decoding.sampling import SamplingParams
from harness.engine.prefix.generate import Prompt
from harness.models.load_model import end_tokens, neutral_generation, padding_id
from harness.records import ItemKey, Request, Response
from harness.suites.load_suite import LoadedSuite

BUDGET = 4096
"""Padded tokens in a batch: small, because the training holds most of the memory."""


def mean_scores(model: Any, tokenizer: Any, suites: Sequence[LoadedSuite]) -> dict[str, float]:
    """Return suite name -> mean score of a model in training; unscored items are left out.

    The model's mode, generation settings and random state are as before afterwards.
    """
    was_training, generation = model.training, getattr(model, "generation_config", None)
    pad = padding_id(tokenizer)
    model.eval()
    try:
        with torch.random.fork_rng():
            ends = end_tokens(tokenizer, model.config, generation)
            neutral_generation(model, pad=pad)
            return {
                suite.suite.name: _mean(suite, _answers(model, tokenizer, suite, ends, pad))
                for suite in suites
            }
    finally:
        model.generation_config = generation
        model.train(was_training)


def _mean(suite: LoadedSuite, answers: dict[tuple[ItemKey, int], Response]) -> float:
    scores = [sample.verdict.score for sample in suite.samples("in training", answers)]
    return fmean([score for score in scores if score is not None] or [0.0])


def _answers(
    model: Any, tokenizer: Any, suite: LoadedSuite, ends: frozenset[int], pad: int
) -> dict[tuple[ItemKey, int], Response]:
    choices = [r for r in suite.requests if r.kind == "loglikelihood"]
    open_ended = [r for r in suite.requests if r.kind == "generate_until"]
    pairs = [(r.context_ids, r.continuation_ids) for r in choices]
    prompts = [
        Prompt(context=r.context_ids, params=SamplingParams.of(r.settings)) for r in open_ended
    ]
    scored = padded.score(model, pairs, budget=BUDGET, pad=pad)
    said = padded.generate(model, tokenizer, prompts, ends=ends, budget=BUDGET, pad=pad)
    found: dict[tuple[ItemKey, int], Response] = {}
    for requests, batches in ((choices, scored), (open_ended, said)):
        for batch in batches:
            found |= {_key(requests[index]): response for index, response in batch}
    return found


def _key(request: Request) -> tuple[ItemKey, int]:
    return request.item, request.index
