"""Small configurations of many model families."""

from typing import Any

LIKE_LLAMA = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "eos_token_id": 4,
    "bos_token_id": 1,
}


LIKE_GEMMA = {**LIKE_LLAMA, "head_dim": 16}


GPT2 = {"vocab_size": 300, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 128}


OPT = {
    **{key: value for key, value in LIKE_LLAMA.items() if key != "intermediate_size"},
    "ffn_dim": 128,
    "word_embed_proj_dim": 64,
}


FAMILIES: dict[str, dict[str, Any]] = {
    "llama": LIKE_LLAMA,
    "mistral": LIKE_LLAMA,
    "qwen2": LIKE_LLAMA,
    "gemma": LIKE_GEMMA,
    "gemma2": LIKE_GEMMA,
    "phi": LIKE_LLAMA,
    "phi3": LIKE_LLAMA,
    "gpt2": {**GPT2, "eos_token_id": 4, "bos_token_id": 4, "attn_pdrop": 0.0},
    "opt": OPT,
}
