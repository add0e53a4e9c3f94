"""Padded batches, for models and adapters whose attention cannot be packed.

Slower and simpler: every request is one row of an ordinary forward pass, generation is
transformers' own with per-row stopping. Also the reference that the packed path is tested against.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from harness.engine.decoding.sampling import sample_token
from harness.engine.decoding.stopping import GeneratedText
from harness.engine.prefix.loglikelihood import token_logprobs
from harness.engine.prefix.prefilled import Prompt
from harness.models.hardware import is_out_of_memory, release_memory
from harness.models.protocols import CausalLM, Tokenizer
from harness.records import Response

Pair = tuple[tuple[int, ...], tuple[int, ...]]
IndexedResponses = list[tuple[int, Response]]
"""Responses of a finished batch, with the index of what they answer."""


def score(
    model: CausalLM, pairs: Sequence[Pair], *, budget: int, pad: int
) -> Iterator[IndexedResponses]:
    """Score continuations; yield ``(index, response)`` batch by batch."""
    order = sorted(range(len(pairs)), key=lambda i: -sum(map(len, pairs[i])))
    length = [len(context) + len(continuation) for context, continuation in pairs]
    yield from _batches(
        order, length, budget, lambda batch: _score(model, [pairs[i] for i in batch], pad)
    )


def logits_of(model: CausalLM, ids: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return float32 logits (B, T, V); those of a prompt adapter's virtual tokens are cut off."""
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    return logits[:, -ids.shape[1] :].float()


def _score(model: CausalLM, pairs: Sequence[Pair], pad: int) -> list[Response]:
    rows = [(context + continuation)[:-1] for context, continuation in pairs]
    width = max(map(len, rows))
    device = model.device
    ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows], device=device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=device)
    logits = logits_of(model, ids, mask)
    responses = []
    for row, (context, continuation) in zip(logits, pairs, strict=True):
        places = torch.arange(len(continuation), device=device) + len(context) - 1
        targets = torch.tensor(continuation, device=device)
        logprobs, best = token_logprobs(row, places, targets)
        responses.append(
            Response(
                logprob=float(logprobs.cpu().double().sum()),
                is_greedy=bool(best.all()),
                tokens=len(continuation),
            )
        )
    return responses


def generate(
    model: CausalLM,
    tokenizer: Tokenizer,
    prompts: Sequence[Prompt],
    *,
    ends: frozenset[int],
    budget: int,
    pad: int,
) -> Iterator[IndexedResponses]:
    """Generate greedily or by sampling.

    Only requests with the same limit and the same context length share a batch: padding on the
    left shifts positions for some models and for PEFT's virtual tokens, and then an answer would
    depend on its batch mates.
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for index, prompt in enumerate(prompts):
        alike = (len(prompt.context), prompt.params.most_tokens)
        groups.setdefault(alike, []).append(index)
    length = [len(p.context) + p.params.most_tokens for p in prompts]
    for group in groups.values():
        yield from _batches(
            group,
            length,
            budget,
            lambda batch: _generate(model, tokenizer, [prompts[i] for i in batch], ends, pad),
        )


def _generate(
    model: CausalLM, tokenizer: Tokenizer, prompts: Sequence[Prompt], ends: frozenset[int], pad: int
) -> list[Response]:
    from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

    device = model.device
    ids = torch.tensor([prompt.context for prompt in prompts], device=device)
    texts = [GeneratedText(tokenizer, ends, prompt.params) for prompt in prompts]

    def keep_sampled(_: Tensor, scores: Tensor) -> Tensor:
        """Leave one token to choose from, so that both paths sample by one rule."""
        for row, prompt, text in zip(scores, prompts, texts, strict=True):
            if prompt.params.do_sample:
                token = sample_token(row, prompt.params, prompt.context, len(text.ids))
                row.fill_(-torch.inf)[token] = 0.0
        return scores

    def stopped(so_far: Tensor, _: object, **__: object) -> Tensor:  # (B, T) -> (B,)
        for text, token in zip(texts, so_far[:, -1].tolist(), strict=True):
            if text.finish is None:
                text.push(token)
        return torch.tensor([text.finish is not None for text in texts], device=device)

    config = GenerationConfig(max_new_tokens=prompts[0].params.most_tokens, pad_token_id=pad)
    with torch.no_grad():
        model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            generation_config=config,
            logits_processor=LogitsProcessorList([keep_sampled]),
            stopping_criteria=StoppingCriteriaList([stopped]),
        )
    return [Response(text=t.text, finish=t.finish, tokens=len(t.ids)) for t in texts]


def _batches(
    order: Sequence[int],
    length: Sequence[int],
    budget: int,
    run: Callable[[list[int]], list[Response]],
) -> Iterator[IndexedResponses]:
    """Run requests in batches of at most ``budget`` padded tokens, halving when memory runs out."""
    queue = list(order)
    while queue:
        widest = max(length[i] for i in queue[:1])
        batch = queue[: max(1, budget // max(1, widest))]
        try:
            responses = run(batch)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            responses = [Response(unscored="out of memory")]
        if len(responses) < len(batch):
            release_memory()
            budget = max(1, min(budget, widest * len(batch)) // 2)
            continue
        yield list(zip(batch, responses, strict=True))
        del queue[: len(batch)]
