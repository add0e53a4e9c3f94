"""Small random models and adapters, built on the spot; their logits are far apart, so no ties."""

import json
import random
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from harness.records import ItemKey, Request, Response

VOCABULARY = 200
CONTEXT = 192


def spread(model: Any, *, scale: float = 0.35, seed: int = 0) -> Any:
    """Draw every weight matrix anew, wide enough that one token clearly beats the others."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    for weights in model.parameters():
        if weights.dim() > 1:
            weights.data.normal_(0.0, scale, generator=generator)
    return model


def write_tokenizer(folder: Path, *, size: int = VOCABULARY, chat: bool = False) -> None:
    """Write a tokenizer that knows one word for each id: ``w7`` is 7; 0 to 2 are special."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "<s>": 1, "</s>": 2} | {f"w{i}": i for i in range(3, size)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    if chat:
        fast.chat_template = "{% for m in messages %}{{ m['content'] }} w9 {% endfor %}"
    fast.save_pretrained(folder)


def llama(folder: Path, *, seed: int = 0, **changes: Any) -> Path:
    """Write a three-layer Llama with grouped heads, and its tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    settings: dict[str, Any] = {
        "vocab_size": VOCABULARY, "hidden_size": 48, "intermediate_size": 96,
        "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT, "bos_token_id": 1, "eos_token_id": 2,
        "pad_token_id": 0, "tie_word_embeddings": False,
    }  # fmt: skip
    model = LlamaForCausalLM(LlamaConfig(**(settings | changes)))
    spread(model, seed=seed).save_pretrained(folder)
    write_tokenizer(folder, size=settings["vocab_size"])
    return folder


def sentencepiece_llama(folder: Path, texts: Sequence[str], *, size: int = 512) -> Path:
    """Write a Llama whose tokenizer is of Llama 2's kind, its pieces learnt from some texts.

    A word carries the space before it, so does the first one; unknown letters become bytes; ``<s>``
    stands before every text.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    learnt = Tokenizer(models.BPE())
    learnt.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=size - 259, show_progress=False)
    learnt.train_from_iterator(texts, trainer)
    model = json.loads(learnt.to_str())["model"]
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *model["vocab"]]
    tokenizer = Tokenizer(
        models.BPE(
            {piece: number for number, piece in enumerate(pieces)},
            [tuple(pair) for pair in model["merges"]],
            unk_token="<unk>", fuse_unk=True, byte_fallback=True,
        )
    )  # fmt: skip
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    parts = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*parts, decoders.Strip(" ", 1, 0)])
    llama(folder, vocab_size=len(pieces), max_position_embeddings=512, pad_token_id=None)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    return folder


def adapter(base: Path, folder: Path, config: Any, *, trained: bool = True, seed: int = 1) -> Path:
    """Write a PEFT adapter for a base; an untrained LoRA changes nothing."""
    import torch
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM

    # PEFT writes the base's sizes into a configuration, and others may use it too
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), deepcopy(config))
    if trained:
        generator = torch.Generator().manual_seed(seed)
        for weights in model.parameters():
            if weights.requires_grad:
                weights.data += 0.1 * torch.randn(weights.shape, generator=generator)
    model.save_pretrained(folder)
    return folder


def lora(base: Path, folder: Path, *, seed: int = 1, trained: bool = True, **changes: Any) -> Path:
    """Write a LoRA adapter on every linear layer."""
    from peft import LoraConfig

    settings = {"r": 4, "target_modules": "all-linear", "task_type": "CAUSAL_LM"} | changes
    return adapter(base, folder, LoraConfig(**settings), trained=trained, seed=seed)


def question(
    number: int, context: tuple[int, ...], continuation: tuple[int, ...], *, index: int = 0
) -> Request:
    """Return a log-likelihood request on bare ids."""
    return Request(
        kind="loglikelihood", item=ItemKey("suite", "none", str(number), 0), index=index,
        context=words(context), continuation=words(continuation),
        context_ids=context, continuation_ids=continuation,
    )  # fmt: skip


def prompt(number: int, context: tuple[int, ...], **settings: Any) -> Request:
    """Return a generation request on bare ids."""
    return Request(
        kind="generate_until", item=ItemKey("suite", "none", str(number), 0), index=0,
        context=words(context), continuation="", context_ids=context,
        settings={"until": [], "max_new_tokens": 12} | settings,
    )  # fmt: skip


def words(ids: tuple[int, ...]) -> str:
    """Return the text of some ids under `write_tokenizer`'s tokenizer."""
    return " ".join(f"w{i}" for i in ids)


def random_tree(seed: int, *, stems: int = 4, leaves: int = 4) -> list[Request]:
    """Return questions whose contexts share stems of every length, some the same, some nested."""
    draw = random.Random(seed)

    def ids(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw.randrange(3, VOCABULARY) for _ in range(draw.randint(low, high)))

    requests = []
    contexts: list[tuple[int, ...]] = [(1, *ids(1, 6))]
    for number in range(stems * 3):
        start = draw.choice(contexts)
        contexts.append(start + ids(0 if number % 3 else 1, 25))
        for index in range(draw.randint(1, leaves)):
            request = question(number, contexts[-1], ids(1, 5), index=index)
            if len(request.context_ids) + len(request.continuation_ids) < CONTEXT:
                requests.append(request)
    draw.shuffle(requests)
    return requests


def answers(engine: Any, arm: str, requests: list[Request], **kwargs: Any) -> list[Response]:
    """Answer everything; return the responses in the order of the requests."""
    found = {
        request.key: response
        for batch in engine.answer(arm, requests, **kwargs)
        for request, response in batch
    }
    assert len(found) == len(requests)
    return [found[request.key] for request in requests]


def one_by_one(model: Any, requests: list[Request]) -> list[float]:
    """Score each request by a forward pass of its own: what every faster way must give."""
    import torch

    scores = []
    for request in requests:
        ids = torch.tensor([request.context_ids + request.continuation_ids])
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, -ids.shape[1] :].float().log_softmax(-1)
        first = len(request.context_ids) - 1
        scores.append(
            sum(float(logits[first + i, t]) for i, t in enumerate(request.continuation_ids))
        )
    return scores


def step_by_step(model: Any, context: tuple[int, ...], steps: int, *, end: int = 2) -> list[int]:
    """Decode greedily, reading the whole sequence again for every token."""
    import torch

    ids = list(context)
    for _ in range(steps):
        with torch.no_grad():
            token = int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
        if token == end:
            break
        ids.append(token)
    return ids[len(context) :]
