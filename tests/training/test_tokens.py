"""Special and padding tokens of the families that people fine-tune, and what is learnt of a row.

Each family's tokenizer is built here in miniature: its special tokens, its own form of chat
template, and whether it writes a beginning-of-text token by itself.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.records import Example, Message
from harness.study import BaseSection

pytestmark = pytest.mark.model

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{{ m['content'] }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>"
    "assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ 'model' if m['role'] == 'assistant' "
    "else m['role'] }}\n{{ m['content'] }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] }} "
    "[/INST]{% else %} {{ m['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
)
PHI3 = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


@dataclass(frozen=True, kw_only=True)
class Family:
    """How a family writes text.

    ``learnt`` is the text that is learnt of the answer "Paris".
    """

    eos: str
    learnt: str
    template: str | None = None
    bos: str | None = None
    pad: str | None = None
    specials: tuple[str, ...] = ()
    writes_bos: bool = False


FAMILIES = {
    "llama": Family(
        bos="<|begin_of_text|>",
        eos="<|end_of_text|>",
        specials=("<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"),
        template=LLAMA3,
        writes_bos=True,
        learnt="Paris<|eot_id|>",
    ),
    "gemma": Family(
        bos="<bos>",
        eos="<eos>",
        pad="<pad>",
        specials=("<start_of_turn>", "<end_of_turn>"),
        template=GEMMA,
        writes_bos=True,
        learnt="Paris<end_of_turn>",
    ),
    "mistral": Family(
        bos="<s>", eos="</s>", template=MISTRAL, writes_bos=True, learnt=" Paris</s>"
    ),
    "qwen": Family(
        eos="<|im_end|>",
        pad="<|endoftext|>",
        specials=("<|im_start|>",),
        template=CHATML,
        learnt="Paris<|im_end|>",
    ),
    "gpt2": Family(bos="<|endoftext|>", eos="<|endoftext|>", learnt=" Paris<|endoftext|>"),
    "phi": Family(bos="<|endoftext|>", eos="<|endoftext|>", learnt=" Paris<|endoftext|>"),
    "phi3": Family(
        bos="<s>",
        eos="<|endoftext|>",
        pad="<|endoftext|>",
        specials=("<|user|>", "<|assistant|>", "<|end|>"),
        template=PHI3,
        learnt="Paris<|end|>",
    ),
}

ROW = Example(
    prompt=(Message(role="user", content="The capital of France?"),),
    completion=(Message(role="assistant", content="Paris"),),
    origin="rows:1",
)
LONGER = Example(
    prompt=(Message(role="user", content="The capital of France, and a word about it?"),),
    completion=(Message(role="assistant", content="Paris, on the Seine"),),
    origin="rows:2",
)


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Family, Any]:
    """Return a family and its tokenizer, as training loads it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    from harness.models.load_model import load_tokenizer

    this = FAMILIES[request.param]
    names = [name for name in (this.bos, this.eos, this.pad, *this.specials) if name]
    names = list(dict.fromkeys(names)) + sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    if this.writes_bos and this.bos:
        made.post_processor = processors.TemplateProcessing(
            single=f"{this.bos} $A", special_tokens=[(this.bos, names.index(this.bos))]
        )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token=this.bos,
        eos_token=this.eos,
        pad_token=this.pad,
        extra_special_tokens=list(this.specials),
    )
    fast.chat_template = this.template
    fast.save_pretrained(tmp_path)
    return this, load_tokenizer(str(tmp_path), BaseSection(model=str(tmp_path)), padding=True)


def encoded(this: Family, tokenizer: Any) -> tuple[Any, ...]:
    """Return the rows as training encodes them."""
    from harness.training.rows.encode import encode

    chat = this.template is not None
    return tuple(encode([ROW, LONGER], tokenizer, chat=chat))


def test_the_answer_and_its_end_are_learnt_and_nothing_else(family: tuple[Family, Any]) -> None:
    """Decoding the label mask gives the answer with one end of turn."""
    from harness.training.rows.encode import text_spans

    this, tokenizer = family
    row, _ = encoded(this, tokenizer)
    parts = text_spans(row, tokenizer)
    assert [text for text, learnt in parts if learnt] == [this.learnt]
    assert [learnt for _, learnt in parts] == [False, True]


def test_text_begins_once(family: tuple[Family, Any]) -> None:
    """A beginning-of-text token stands first where the family has one in a text, and only there."""
    this, tokenizer = family
    row, _ = encoded(this, tokenizer)
    if this.writes_bos:
        assert row.input_ids[0] == tokenizer.bos_token_id
        assert row.input_ids.count(tokenizer.bos_token_id) == 1


def test_the_prompt_is_what_the_model_is_asked(family: tuple[Family, Any]) -> None:
    """Training shows the very ids that a question has when it is scored."""
    this, tokenizer = family
    row, _ = encoded(this, tokenizer)
    if this.template is None:
        asked = tokenizer("The capital of France?")["input_ids"]
    else:
        turns = [{"role": "user", "content": "The capital of France?"}]
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        begun = this.bos is not None and text.startswith(this.bos)
        asked = tokenizer(text, add_special_tokens=not begun)["input_ids"]
    assert list(row.input_ids[: row.prompt_length]) == asked


def test_padding_is_neither_seen_nor_learnt(family: tuple[Family, Any]) -> None:
    """Where end and padding are one token, the end of an answer is learnt all the same."""
    from harness.training.rows.encode import IGNORED
    from harness.training.rows.packing import padded

    this, tokenizer = family
    assert tokenizer.pad_token == (this.pad or this.eos)
    rows = encoded(this, tokenizer)
    batch = padded(
        [{"input_ids": row.input_ids, "labels": row.labels} for row in rows],
        tokenizer.pad_token_id,
    )
    for line, row in enumerate(rows):
        width = len(row.input_ids)
        assert batch["attention_mask"][line].tolist() == [1] * width + [0] * (
            batch["input_ids"].shape[1] - width
        )
        assert set(batch["labels"][line, width:].tolist()) <= {IGNORED}
        assert batch["labels"][line, width - 1] == row.input_ids[-1]
