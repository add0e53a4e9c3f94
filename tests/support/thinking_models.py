"""Models that think, built so that each token decides the next: what they say is known by heart."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

QWEN3 = """{%- for message in messages %}
{%- set content = message.content.split('</think>')[-1].lstrip('\\n') %}
{{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}
{{- '<think>\\n\\n</think>\\n\\n' }}
{%- endif %}
{%- endif %}"""
"""The generation prompt of Qwen3: it thinks unless it is told not to."""

R1 = """{%- for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' }}
{%- endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>\\n' }}{% endif %}"""
"""DeepSeek-R1's way: every prompt opens the thought."""

TAGS = ("<|im_start|>", "<|im_end|>", "<think>", "</think>")
HARMONY = ("<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>")


def says(text: str) -> dict[str, str]:
    """Return the chain of a text: each of its words leads to the next, the last to the end."""
    words = text.split()
    return dict(zip(words, [*words[1:], "</s>"], strict=True))


def speaking(
    folder: Path,
    follows: Mapping[str, str],
    *,
    template: str = QWEN3,
    marks: tuple[str, ...] = TAGS,
    special: bool = False,
    fused: bool = False,
    context: int = 512,
) -> Path:
    """Write a model whose every token decides the next one.

    Its hidden state is the token itself (one dimension a token; attention and MLP add nothing), and
    the head reads what follows. Words that it does not know are ``<pad>``, so ``follows["<pad>"]``
    is how it answers an ordinary prompt.

    Args:
        folder: Where to.
        follows: By word the next one; words without any are followed by the end.
        template: Its chat template.
        marks: Tokens of its own, beside ``w5`` to ``w59``.
        special: Whether they are special tokens, which decoding drops.
        fused: Whether words are written without spaces between them.
        context: How many tokens fit.
    """
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<pad>", "<s>", "</s>", "analysis", "final", *(f"w{i}" for i in range(5, 60))]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if fused:
        tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    fast.add_tokens([AddedToken(m, special=special) for m in marks], special_tokens=special)
    fast.chat_template = template
    size = len(fast)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=size, hidden_size=size + size % 2, intermediate_size=8, num_hidden_layers=2,
            num_attention_heads=1, num_key_value_heads=1, max_position_embeddings=context,
            bos_token_id=1, eos_token_id=2, pad_token_id=0, tie_word_embeddings=False,
        )
    )  # fmt: skip
    _wire(model, {fast.convert_tokens_to_ids(a): fast.convert_tokens_to_ids(b)
                  for a, b in follows.items()}, size)  # fmt: skip
    with torch.no_grad():
        model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def _wire(model: Any, following: Mapping[int, int], size: int) -> None:
    import torch

    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() > 1:
                weights.zero_()
        model.model.embed_tokens.weight[:, :size] = torch.eye(size)
        for token in range(size):
            model.lm_head.weight[following.get(token, 2), token] = 3.0
