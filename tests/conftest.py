"""Three tiers of tests by marker, and fixtures that several rooms share.

Tests without a marker load no model; `model` tests do; `nightly` ones take long. Plain ``pytest``
runs the first two, ``pytest -m nightly`` the third, and property tests again on more examples.
"""

import os
import re
from pathlib import Path

import pytest
from hypothesis import is_hypothesis_test, settings

os.environ["HF_HUB_OFFLINE"] = "1"

settings.register_profile("commit", deadline=None, max_examples=40, print_blob=True)
settings.register_profile("nightly", deadline=None, max_examples=1000, print_blob=True)


def is_nightly(config: pytest.Config) -> bool:
    """Say whether the nightly tier was asked for."""
    return bool(re.search(r"(?<!not )\bnightly\b", config.option.markexpr))


def pytest_configure(config: pytest.Config) -> None:
    """Choose how many examples property tests draw, before any test file is imported."""
    settings.load_profile("nightly" if is_nightly(config) else "commit")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the nightly tier out unless it is asked for; then property tests belong to it."""
    if is_nightly(config):
        for item in items:
            if is_hypothesis_test(getattr(item, "obj", None)):
                item.add_marker("nightly")
        return
    chosen = [item for item in items if item.get_closest_marker("nightly") is None]
    if len(chosen) < len(items):
        config.hook.pytest_deselected(
            items=[item for item in items if item.get_closest_marker("nightly")]
        )
        items[:] = chosen


CHAT_TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
SPECIALS = ["<pad>", "</s>", "<|user|>", "<|assistant|>", "<|end|>", "<|system|>", "<unk>"]


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a random two-layer Llama with a byte-level tokenizer and a template.

    Its end-of-text token is ``<|end|>``, which its chat template writes after every turn.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    names = SPECIALS + sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(
        models.BPE({name: i for i, name in enumerate(names)}, [], unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<|end|>",
        unk_token="<unk>",
        extra_special_tokens=["</s>", "<|user|>", "<|assistant|>", "<|system|>"],
    )
    fast.chat_template = CHAT_TEMPLATE
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(fast),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=256,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=fast.eos_token_id,
            pad_token_id=fast.pad_token_id,
        )
    )
    folder = tmp_path_factory.mktemp("models") / "tiny"
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder
