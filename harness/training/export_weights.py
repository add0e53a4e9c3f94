"""Export a candidate's weights as they are, or a whole model converted to GGUF."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from harness.errors import ModelError
from harness.files import write_text
from harness.models.candidate import has_code

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
_OURS = ("training_log.json", "data_card.json")


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
