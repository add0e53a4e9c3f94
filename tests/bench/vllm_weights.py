"""The built-in base and adapters on it with heads of 64, not 48, which vLLM has kernels for.

Exact but for rounding. Rotary position embedding turns dimension ``i`` together with ``i + d/2`` by
``theta ** (-2i/d)``: both halves of a head are padded with zeros, and ``theta`` becomes
``theta ** (64/48)``, so that every old pair keeps its angle. Scores are divided by ``sqrt(d)``:
queries are larger by ``sqrt(64/48)``.
"""

import json
import shutil
from collections.abc import Mapping
from math import sqrt
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

OLD, NEW = 48, 64
WIDENED = ("q_proj", "k_proj", "v_proj")


def widen(weights: Tensor, *, dim: int, scale: float = 1.0) -> Tensor:
    """Put the dimensions of every head into the wider one's halves."""
    first = weights.float().movedim(dim, 0)
    heads = first.reshape(-1, 2, OLD // 2, *first.shape[1:])
    wide = torch.zeros(heads.shape[0], 2, NEW // 2, *first.shape[1:])
    wide[:, :, : OLD // 2] = heads * scale
    return wide.reshape(-1, *first.shape[1:]).movedim(0, dim).contiguous()


def pad_heads(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a base, or of a LoRA adapter on it, for the wider heads."""
    found = {}
    for name, weights in tensors.items():
        scale = sqrt(NEW / OLD) if "q_proj" in name else 1.0
        if any(part in name for part in WIDENED) and "lora_A" not in name:
            found[name] = widen(weights, dim=0, scale=scale)
        elif "o_proj" in name and "lora_B" not in name and "bias" not in name:
            found[name] = widen(weights, dim=1)
        else:
            found[name] = weights.float().contiguous()
    return found


def pad_base(source: Path, folder: Path) -> Path:
    """Write a base with wider heads, in float32."""
    shutil.copytree(source, folder)
    weights = folder / "model.safetensors"
    save_file(pad_heads(load_file(weights)), weights, metadata={"format": "pt"})
    settings = json.loads((source / "config.json").read_text())
    rope = settings["rope_parameters"]
    rope["rope_theta"] = rope["rope_theta"] ** (NEW / OLD)
    settings |= {"head_dim": NEW, "dtype": "float32"}
    (folder / "config.json").write_text(json.dumps(settings, indent=1))
    return folder


def pad_adapter(source: Path, folder: Path) -> Path:
    """Write a LoRA adapter for the base with wider heads."""
    shutil.copytree(source, folder)
    weights = folder / "adapter_model.safetensors"
    save_file(pad_heads(load_file(weights)), weights, metadata={"format": "pt"})
    return folder
