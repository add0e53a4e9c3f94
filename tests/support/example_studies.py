"""The studies of ``examples/`` on tiny random models of the architectures that they name."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from support.model_families import FAMILIES
from support.paths import EXAMPLES

CONTEXT = 1024
"""Tokens that the tiny models see at once."""


CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PHI = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
QWEN3 = """{% if tools %}<|im_start|>system
{% for t in tools %}{{ t | tojson }}
{% endfor %}<|im_end|>
{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}
{% if m.role == 'assistant' and loop.last %}<think>

</think>

{% endif %}{{ m.content }}{% for c in m.tool_calls or [] %}<tool_call>
{{ c.function | tojson }}
</tool_call>{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% if enable_thinking is defined and enable_thinking is false %}<think>

</think>

{% endif %}{% endif %}"""
GEMMA = (
    "<bos>{% for m in messages %}<start_of_turn>"
    "{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<end_of_turn>\n"
    "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What a tiny model has in common with the base that an example names.

    ``begin`` stands before every text if ``begins``; ``marks`` are the special tokens of turns.
    """

    family: str
    end: str
    begin: str | None = None
    pad: str | None = None
    begins: bool = False
    marks: tuple[str, ...] = ()
    template: str | None = None


BASES = {
    "medical-terms": Base(
        family="llama", begin="<|begin_of_text|>", end="<|end_of_text|>", begins=True
    ),
    "conversation": Base(family="gpt2", begin="<|endoftext|>", end="<|endoftext|>"),
    "text-to-sql": Base(
        family="gemma2",
        begin="<bos>",
        end="<eos>",
        pad="<pad>",
        begins=True,
        marks=("<start_of_turn>", "<end_of_turn>"),
        template=GEMMA,
    ),
    "company-qa": Base(
        family="phi3",
        end="<|endoftext|>",
        pad="<|endoftext|>",
        marks=("<|user|>", "<|assistant|>", "<|end|>"),
        template=PHI,
    ),
    "instructions": Base(
        family="qwen2",
        end="<|im_end|>",
        pad="<|endoftext|>",
        marks=("<|im_start|>",),
        template=CHATML,
    ),
    "assistant": Base(
        family="qwen2",
        end="<|im_end|>",
        pad="<|endoftext|>",
        marks=("<|im_start|>",),
        template=QWEN3,
    ),
}
"""Example -> the model that stands for its base."""


def small(name: str, folder: Path, *, steps: int = 2, limit: int = 20) -> Path:
    """Copy an example, its base replaced by a tiny one; return the path of its study.

    The tiny base is in float32: in bfloat16 a CPU compiles a kernel for every new length.

    Args:
        name: The example's folder.
        folder: Where the copy and the model go.
        steps: Training steps of each candidate, or of each trial.
        limit: Items of ``arc_mini``; the example's own questions are all asked.
    """
    copy = folder / name
    shutil.copytree(EXAMPLES / name, copy)
    path = copy / "study.yaml"
    plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    plain["base"]["model"] = str(write_base(BASES[name], folder / "base", copy))
    plain["base"]["dtype"] = "float32"
    for candidate in plain["candidates"]:
        candidate["training"]["max_steps"] = steps
    for suite in plain["suites"]:
        if suite["name"] == "arc_mini":
            suite["limit"] = limit
    path.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")
    return path


def rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_base(base: Base, folder: Path, example: Path) -> Path:
    """Write a random model of a family, with a tokenizer trained on the example's own texts."""
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    tokenizer = _tokenizer(base, example)
    known = FAMILIES[base.family]
    context = "n_positions" if "n_positions" in known else "max_position_embeddings"
    torch.manual_seed(0)
    config = CONFIG_MAPPING[base.family](
        **known
        | {
            context: CONTEXT,
            "vocab_size": len(tokenizer),
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        }
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(base: Base, example: Path) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    named = {"bos_token": base.begin, "eos_token": base.end, "pad_token": base.pad}
    named = {key: token for key, token in named.items() if token}
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=800,
        special_tokens=list(dict.fromkeys([*named.values(), *base.marks])),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator(_texts(example), trainer)
    if base.begins:
        first = (str(base.begin), trained.token_to_id(str(base.begin)))
        trained.post_processor = processors.TemplateProcessing(
            single=f"{base.begin} $A", special_tokens=[first]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=trained, extra_special_tokens=list(base.marks), **named
    )
    tokenizer.chat_template = base.template
    return tokenizer


def _texts(example: Path) -> Iterator[str]:
    for path in sorted(example.rglob("*.jsonl")):
        for row in rows(path):
            yield from _strings(row)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)
