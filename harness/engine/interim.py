"""Answer suites during training: padded batches, nothing stored, the model left as it was."""

from collections.abc import Sequence

import torch

from harness.engine import padded
from harness.engine.decoding.sampling import SamplingParams
from harness.engine.prefix.generate import Prompt
from harness.models.load_model import end_tokens, neutral_generation, padding_id
from harness.models.protocols import CausalLM, Tokenizer
from harness.records import Answers
from harness.suites.load_suite import LoadedSuite

BATCH_TOKENS = 4096
"""Padded tokens in a batch: few, because the training holds most of the memory."""


def answer_suites(
    model: CausalLM, tokenizer: Tokenizer, suites: Sequence[LoadedSuite]
) -> dict[str, Answers]:
    """Return suite name -> the answers of a model in training.

    The model's mode, generation settings and random state are as before afterwards.
    """
    was_training, generation = model.training, getattr(model, "generation_config", None)
    pad, ends = padding_id(tokenizer), end_tokens(tokenizer, model.config, generation)
    model.eval()
    try:
        with torch.random.fork_rng():
            neutral_generation(model, pad=pad)
            return {s.suite.name: _answers(model, tokenizer, s, ends, pad) for s in suites}
    finally:
        model.generation_config = generation
        model.train(was_training)


def _answers(
    model: CausalLM,
    tokenizer: Tokenizer,
    suite: LoadedSuite,
    ends: frozenset[int],
    pad: int,
) -> Answers:
    choices = [r for r in suite.requests if r.kind == "loglikelihood"]
    generations = [r for r in suite.requests if r.kind == "generate_until"]
    pairs = [(r.context_ids, r.continuation_ids) for r in choices]
    prompts = [
        Prompt(context=r.context_ids, params=SamplingParams.of(r.settings)) for r in generations
    ]
    scored = padded.score(model, pairs, budget=BATCH_TOKENS, pad=pad)
    generated = padded.generate(model, tokenizer, prompts, ends=ends, budget=BATCH_TOKENS, pad=pad)
    answers: Answers = {}
    for requests, batches in ((choices, scored), (generations, generated)):
        for batch in batches:
            answers |= {requests[index].key: response for index, response in batch}
    return answers
