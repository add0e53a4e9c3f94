"""Export a candidate's weights: the adapter by itself, merged into its base, or GGUF."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from harness.errors import ModelError
from harness.files import write_text
from harness.models.adapter_folder import read_adapter_folder
from harness.models.adapter_tensors import apply_tensors, new_adapter, read_tensors
from harness.models.candidate import has_code, load_candidate_tokenizer
from harness.models.load_model import load_config, load_model, load_tokenizer
from harness.study import BaseSection
from harness.training.trl.quiet import quiet

_EXPORTED = (
    "*.safetensors",
    "adapter_model.bin",
    "pytorch_model*.bin",
    "*.json",
    "*.jinja",
    "*.model",
    "*.txt",
)
_CONVERT = "convert_hf_to_gguf.py"
_ADAPTER = "to_be_merged"
_OURS = ("training_log.json", "data_card.json")


def form_of(folder: Path, *, merge: bool) -> str:
    """Say what an export of a candidate's folder is: ``adapter``, ``merged`` or ``model``.

    Raises:
        ModelError: If it is to be merged and cannot be.
    """
    config = folder / "adapter_config.json"
    if not config.is_file():
        return "model"
    if not merge:
        return "adapter"
    if "num_virtual_tokens" in json.loads(config.read_text(encoding="utf-8")):
        raise ModelError(
            "only adapters of weights can be merged: this one is made of virtual tokens; "
            "export it as adapter"
        )
    return "merged"


def copy(folder: Path, out: Path, *, base_model: str) -> None:
    """Copy a candidate's weights, configuration and tokenizer, and name its base.

    Args:
        folder: An adapter or a whole model.
        out: Where to; made if it is missing.
        base_model: Hub name or path of the base, for the adapter's configuration.
    """
    out.mkdir(parents=True, exist_ok=True)
    for pattern in _EXPORTED:
        for file in folder.glob(pattern):
            if file.name not in _OURS:
                _refuse_strange(file, folder)
                shutil.copy2(file, out / file.name)
    config = out / "adapter_config.json"
    if config.is_file():
        declared = json.loads(config.read_text(encoding="utf-8"))
        declared["base_model_name_or_path"] = base_model
        write_text(config, json.dumps(declared, indent=2, sort_keys=True) + "\n")


def _refuse_strange(file: Path, folder: Path) -> None:
    """Refuse to hand over what a link in a folder leads to; those of the hub's cache are its own.

    Raises:
        ModelError: If a file lies elsewhere.
    """
    own = folder.resolve()
    place = file.resolve()
    if not (place.is_relative_to(own) or place.is_relative_to(own.parent.parent / "blobs")):
        raise ModelError(
            f"what is exported must lie in the candidate's folder: {file} is a link to {place}; "
            "put the file in its place"
        )


def merge(folder: Path, out: Path, *, model: str, base: BaseSection) -> None:
    """Write the base with an adapter merged into it, in the base's own precision.

    The merge is computed in float32 and rounded once, when it is written.

    Args:
        folder: A PEFT adapter of weights.
        out: Where the model and its tokenizer go.
        model: What transformers can load: a folder or a hub name.
        base: How the study loads it; quantization is left out, because weights are merged whole.

    Raises:
        ModelError: If the base or the adapter cannot be loaded, or not wholly.
    """
    import torch

    adapter = read_adapter_folder(folder)
    with quiet():
        stored = load_config(model, base).dtype or torch.float32
        precise = base.model_copy(update={"dtype": "float32", "quantization": "none"})
        whole = load_model(model, precise.model_copy(update={"device": "cpu"}))
        try:
            adapted = new_adapter(whole, None, _ADAPTER, adapter)
            apply_tensors(adapted, _ADAPTER, adapter, read_tensors(adapter, whole))
            merged = adapted.merge_and_unload(safe_merge=True)
        except (OSError, ValueError, RuntimeError) as error:
            reason = str(error).strip().split("\n")[0]
            raise ModelError(f"{folder} cannot be merged into {model!r}: {reason}") from error
        merged.to(stored).save_pretrained(out)
    tokenizer = load_tokenizer(model, base, padding=True)
    if (folder / "tokenizer_config.json").is_file():
        tokenizer = load_candidate_tokenizer(folder, tokenizer, padding=True)
    tokenizer.save_pretrained(out)


def gguf(folder: Path, *, trust_remote_code: bool = False) -> Path:
    """Convert a whole model to GGUF with llama.cpp's own tool; return the file.

    Args:
        folder: Of the model.
        trust_remote_code: Let the tool run code that the model names; it does so unasked.

    Raises:
        ModelError: If the tool is not on the path, or refuses the model, or would run its code.
    """
    if has_code(folder) and not trust_remote_code:
        raise ModelError(
            f"llama.cpp's tool runs code that a model names, and {folder} names some ('auto_map'): "
            "read it, then add --trust-remote-code, or convert it elsewhere"
        )
    tool = shutil.which(_CONVERT)
    if tool is None:
        raise ModelError(
            f"GGUF needs llama.cpp's {_CONVERT} on the PATH: found none; install llama.cpp, or "
            "convert the exported folder elsewhere"
        )
    file, part = folder / "model.gguf", folder / ".model.gguf.part"
    command = [sys.executable, tool, str(folder), "--outfile", str(part)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not part.is_file():
        part.unlink(missing_ok=True)
        reason = (done.stderr.strip() or done.stdout.strip() or "no message").split("\n")[-1]
        raise ModelError(f"{_CONVERT} refuses {folder}: {reason}")
    part.replace(file)
    return file
