"""Files of a model or an adapter that lie about their size end in one sentence, at once."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.tiny_models import llama, lora

from harness.engine import Engine
from harness.errors import ModelError
from harness.models.load_model import base_section, load_config, load_model, load_tokenizer

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny model."""
    return llama(tmp_path_factory.mktemp("hostile") / "base")


@pytest.fixture(scope="module")
def engine(base: Path) -> Engine:
    """Return it loaded."""
    return Engine.load(str(base))


def change(file: Path, **changes: Any) -> None:
    """Change keys of a JSON file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def header(size: int, text: str = "{}", data: bytes = b"") -> Callable[[Path], None]:
    """Return an attack: a safetensors file with this header, said to be so long."""

    def attack(folder: Path) -> None:
        file = folder / "adapter_model.safetensors"
        file.write_bytes(struct.pack("<Q", size) + text.encode() + data)

    return attack


def tensors(**declared: Any) -> Callable[[Path], None]:
    """Return an attack: a header that declares these tensors over sixteen bytes."""
    text = json.dumps(declared)
    return header(len(text), text, bytes(16))


def configured(**changes: Any) -> Callable[[Path], None]:
    """Return an attack: other keys of the adapter's configuration."""
    return lambda folder: change(folder / "adapter_config.json", **changes)


def written(name: str, text: str) -> Callable[[Path], None]:
    """Return an attack: another content of a file."""

    def attack(folder: Path) -> None:
        (folder / name).write_text(text)

    return attack


HUGE = {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}
PAST = {"dtype": "F32", "shape": [4], "data_offsets": [2**60, 2**60 + 16]}
SHORT = {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 16]}
NEGATIVE = {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}
STRANGE = {"dtype": "OBJECT", "shape": [4], "data_offsets": [0, 16]}

ADAPTERS: dict[str, Callable[[Path], None]] = {
    "header: longer than any file": header(2**63),
    "header: a gigabyte": header(10**9),
    "header: nothing": header(0, ""),
    "header: no JSON": header(5, "\0\1\2\3\4"),
    "header: deep": header(200_000, "[" * 200_000),
    "tensors: four terabytes": tensors(a=HUGE),
    "tensors: past the end": tensors(a=PAST),
    "tensors: of other size": tensors(a=SHORT),
    "tensors: negative": tensors(a=NEGATIVE),
    "tensors: objects": tensors(a=STRANGE),
    "tensors: over each other": tensors(a={**SHORT, "shape": [4]}, b={**SHORT, "shape": [4]}),
    "config: rank": configured(r=10**9),
    "config: layers over and over": configured(layer_replication=[[0, 3]] * 100_000),
    "config: deep": written("adapter_config.json", "[" * 100_000),
    "config: a list": written("adapter_config.json", "[]"),
    "config: endless number": written("adapter_config.json", '{"r": ' + "9" * 5000 + "}"),
    "config: virtual tokens": configured(peft_type="PROMPT_TUNING", num_virtual_tokens=10**9),
    "config: modules": configured(target_modules=5),
    "config: rank of a text": configured(r="many"),
}


@pytest.mark.parametrize("attack", ADAPTERS.values(), ids=ADAPTERS)
def test_an_adapter_is_refused(
    base: Path, engine: Engine, tmp_path: Path, attack: Callable[[Path], None]
) -> None:
    """Neither memory nor time is spent on what its files only claim."""
    folder = lora(base, tmp_path / "adapter")
    attack(folder)
    with pytest.raises(ModelError) as refused:
        engine.attach("tuned", folder)
    assert "\n" not in str(refused.value).strip()
    assert "tuned" not in engine.switch.arms


BASES: dict[str, Callable[[Path], None]] = {
    "config: deep": written("config.json", "[" * 100_000),
    "config: a list": written("config.json", "[]"),
    "config: layers": lambda folder: change(folder / "config.json", num_hidden_layers=10**9),
    "config: a kind of model": lambda folder: change(folder / "config.json", model_type="nothing"),
    "config: width of a text": lambda folder: change(folder / "config.json", hidden_size="wide"),
    "weights: no header": written("model.safetensors", "0" * 100),
    "words: deep": written("tokenizer.json", "[" * 100_000),
    "words: another shape": written("tokenizer.json", '{"model": {"type": "BPE"}}'),
    "words: of a list": written("tokenizer_config.json", "[]"),
    "template: endless": lambda folder: change(
        folder / "tokenizer_config.json", chat_template="x" * 5_000_000
    ),
}


@pytest.mark.parametrize("attack", BASES.values(), ids=BASES)
def test_a_base_is_refused(tmp_path: Path, attack: Callable[[Path], None]) -> None:
    """One of its three parts says what is wrong, in one sentence."""
    folder = llama(tmp_path / "base")
    attack(folder)
    section = base_section(str(folder))

    def load_all() -> None:
        for load in (load_config, load_tokenizer, load_model):
            load(str(folder), section)

    with pytest.raises(ModelError) as refused:
        load_all()
    assert "\n" not in str(refused.value).strip()
