"""The build of the built-in base: a short one end to end, and the shipped files."""

import hashlib
import json
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from harness.quickstart.pools import BASE, OWN_POOLS, SPLITS, pools
from harness.quickstart.pretrain import Recipe, build_base, make_tokenizer
from harness.quickstart.row_sets import training_rows
from harness.quickstart.tokenizer import GLUE

SHORT = Recipe(
    steps=20, documents=3000, vocabulary_documents=3000, rows=8, length=64, copy_steps=4, threads=1
)


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """Return the shipped tokenizer."""
    loaded = AutoTokenizer.from_pretrained(BASE)
    assert isinstance(loaded, PreTrainedTokenizerFast)
    return loaded


def ids(text: str) -> list[int]:
    """Return the token ids of a text, as a user of the shipped tokenizer gets them."""
    return list(tokenizer()(text)["input_ids"])


@pytest.mark.model
@pytest.mark.nightly
def test_twenty_steps_build_a_model_that_loads(tmp_path: Path) -> None:
    """A short build writes a folder that the auto classes load, with its hashes recorded."""
    record = build_base(tmp_path, SHORT)
    for name, digest in record["sha256"].items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest
    assert json.loads((tmp_path / "build.json").read_text())["recipe"]["steps"] == 20
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert model.config.vocab_size == len(loaded) == record["vocabulary"]
    assert model.config.architectures == ["LlamaForCausalLM"]
    text = loaded.decode(
        model.generate(
            **loaded("The lion", return_tensors="pt"), max_new_tokens=4, do_sample=False
        )[0]
    )
    assert text.startswith("The lion")


@pytest.mark.model
def test_the_induction_heads_work_before_training() -> None:
    """The initialisation alone continues a repeated random sequence far above chance."""
    import numpy as np
    import torch

    from harness.quickstart.circuit import build_model
    from harness.quickstart.pretrain import IGNORED, repeated_rows

    vocabulary = 3000
    model = build_model(vocabulary, eos=4, pad=0, seed=1).eval()
    inputs, labels = repeated_rows(np.random.default_rng(0), 16, 64, vocabulary)
    with torch.no_grad():
        best = model(torch.from_numpy(inputs)).logits.argmax(-1).numpy()
    wanted = labels[:, 1:] != IGNORED
    assert (best[:, :-1] == labels[:, 1:])[wanted].mean() > 0.7


def test_shipped_weights_are_those_recorded() -> None:
    """The committed files have the sha256 that the build wrote down, and stay below 10 MB."""
    record = json.loads((BASE / "build.json").read_text(encoding="utf-8"))
    for name, digest in record["sha256"].items():
        assert hashlib.sha256((BASE / name).read_bytes()).hexdigest() == digest
    assert sum(path.stat().st_size for path in BASE.iterdir()) < 10_000_000


def test_the_shipped_recipe_is_the_default() -> None:
    """Rebuilding with the defaults repeats the recipe of the shipped weights."""
    from dataclasses import asdict

    record = json.loads((BASE / "build.json").read_text(encoding="utf-8"))
    assert record["recipe"] == json.loads(json.dumps(asdict(Recipe())))


def test_the_generators_still_give_the_shipped_vocabulary() -> None:
    """Content files have not drifted away from the weights: the tokenizer is rebuilt the same."""
    assert make_tokenizer(Recipe()).get_vocab() == tokenizer().get_vocab()


def test_the_model_card_names_the_hash() -> None:
    """A reader of the model card can check the weights against it."""
    record = json.loads((BASE / "build.json").read_text(encoding="utf-8"))
    assert record["sha256"]["model.safetensors"] in (BASE / "README.md").read_text("utf-8")


_TEXT = st.text(st.characters(exclude_characters=GLUE, exclude_categories=["Cs"]), max_size=60)


@given(_TEXT)
def test_any_text_comes_back(text: str) -> None:
    """Encoding then decoding gives the text back, apart from spaces at its start."""
    back = tokenizer().decode(ids(text), skip_special_tokens=False)
    assert back.lstrip(" ") == text.lstrip(" ")


def test_nothing_is_unknown() -> None:
    """Every text is made of known pieces: bytes at the least."""
    assert tokenizer().unk_token_id not in ids("Zürich 東京 \U0001f600 naïve\tx")


def test_a_known_value_is_one_token_in_every_position() -> None:
    """A value after a space, after a quote and at the start of a text has the same one token."""
    for name, pool in pools().items():
        if name in OWN_POOLS:
            continue
        for value in (v for split in SPLITS for v in pool[split]):
            (token,) = ids(value)
            assert ids(f"in {value}")[-1] == token
            assert token in ids(f"= '{value}'")
    for value in (v for name in OWN_POOLS for v in pools()[name]["test"]):
        assert len(ids(value)) > 1


@pytest.mark.parametrize("row", training_rows("mixed")[:40], ids=lambda _: "")
def test_a_prompt_is_a_prefix_of_the_conversation(row: dict[str, list[dict[str, str]]]) -> None:
    """The ids of a chat prompt start the ids of prompt and completion, and the answer ends it."""
    whole = [*row["prompt"], *row["completion"]]
    prompt = tokenizer().apply_chat_template(
        row["prompt"], add_generation_prompt=True, return_dict=False
    )
    full = tokenizer().apply_chat_template(whole, return_dict=False)
    assert full[: len(prompt)] == prompt
    assert full[-1] == tokenizer().eos_token_id
    assert full[len(prompt) : -1] == ids(row["completion"][0]["content"])


def test_the_template_marks_what_the_assistant_says() -> None:
    """TRL's assistant-only loss finds exactly the assistant's words and their end mark."""
    talk = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Good day"},
        {"role": "user", "content": "Bye"},
        {"role": "assistant", "content": "See you"},
    ]
    marked = tokenizer().apply_chat_template(
        talk, return_dict=True, return_assistant_tokens_mask=True
    )
    said = [i for i, m in zip(marked["input_ids"], marked["assistant_masks"], strict=True) if m]
    assert tokenizer().decode(said) == "Good day<|end|> See you<|end|>"


def test_plain_questions_split_cleanly() -> None:
    """Question and choice encode to the question's ids followed by the choice's, for lm-eval."""
    prompt, choice = "Question: Where does the yak live?\nAnswer:", " mountains"
    assert ids(prompt + choice) == [*ids(prompt), *ids(choice)]
