"""A small Llama as a folder, and as GGUF files that the `gguf` package writes."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import content

if TYPE_CHECKING:
    import torch

SIZES = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 1024,
}  # fmt: skip
SPECIAL = ("<|begin|>", "<|user|>", "<|assistant|>", "<|end|>")
QUANTIZED = {"q8_0": 7, "q4_0": 2}
"""llama.cpp's numbers of file types (`llama_ftype`)."""

_TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_NORMAL, _CONTROL = 1, 3


def small_llama(folder: Path, *, seed: int = 0, scale: float = 0.2) -> Path:
    """Write a Llama with random weights and a byte-level BPE of the built-in suites' words."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    pytest.importorskip("gguf")
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # GPT-2's pattern
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=800,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    text = (content.TASKS / "domain_qa" / "data" / "test.jsonl").read_text(encoding="utf-8")
    bpe.train_from_iterator(text.splitlines(), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|end|>", pad_token="<|end|>", bos_token="<|begin|>"
    )
    tokenizer.chat_template = _TEMPLATE
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer), initializer_range=scale, bos_token_id=0, eos_token_id=3,
        tie_word_embeddings=False, **SIZES,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def to_gguf(folder: Path, path: Path) -> Path:
    """Write a folder from `small_llama` as a float32 GGUF file.

    llama.cpp turns pairs of neighbouring values where transformers turns halves, so the rows of
    queries and keys change places (`LlamaModel.permute` of its converter does the same).
    """
    import gguf
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoTokenizer

    config, tokenizer = AutoConfig.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(float(config.rope_parameters["rope_theta"]))
    writer.add_vocab_size(config.vocab_size)
    words = tokenizer.convert_ids_to_tokens(list(range(config.vocab_size)))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words)
    writer.add_token_types([_CONTROL if word in SPECIAL else _NORMAL for word in words])
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    writer.add_bos_token_id(config.bos_token_id)
    writer.add_eos_token_id(config.eos_token_id)
    writer.add_add_bos_token(False)
    for name, tensor in load_file(folder / "model.safetensors").items():
        short, value = _short(name), tensor.float()
        if ".attn_q." in short or ".attn_k." in short:
            heads = config.num_attention_heads if "_q." in short else config.num_key_value_heads
            value = _paired(value, heads)
        writer.add_tensor(short, value.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def quantized(path: Path, out: Path, *, kind: str) -> Path:
    """Write a GGUF file again in one of `QUANTIZED`, with llama.cpp's own rounding."""
    import llama_cpp

    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = QUANTIZED[kind]
    code = llama_cpp.llama_model_quantize(str(path).encode(), str(out).encode(), params)
    assert code == 0
    return out


_PLACES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_PARTS = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def _short(name: str) -> str:
    """Return llama.cpp's name of a tensor."""
    if name in _PLACES:
        return _PLACES[name]
    _, _, layer, part = name.removesuffix(".weight").split(".", 3)
    return f"blk.{layer}.{_PARTS[part]}.weight"


def _paired(weight: "torch.Tensor", heads: int) -> "torch.Tensor":
    """Put row n of a head's second half beside row n of its first."""
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return halves.transpose(1, 2).reshape(rows, columns).contiguous()
