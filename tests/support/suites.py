"""Suites as tests load and answer them."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.paths import GOLDEN, SHARED
from support.tiny_models import answers

from harness.engine import Engine, LoadedSuite, load_suite, load_tokenizer
from harness.records import Sample
from harness.study import BaseSection, SuiteSection, resolve_model

OWN_ARC = GOLDEN / "arc"
"""Own-written rows in ARC's shape: three to five choices, quotation marks, letters beyond ASCII."""
REAL_ARC = SHARED / "arc_challenge"
STORIES = SHARED / "models" / "stories260k"
needs_real_data = pytest.mark.skipif(
    not (REAL_ARC.is_dir() and STORIES.is_dir()),
    reason="real ARC rows and stories260k are not in ../shared/data",
)


def write_rows(path: Path, count: int = 12, *, text: str = "w{}") -> Path:
    """Write ARC-shaped rows over the word-level tokenizer's words."""
    rows = [
        {
            "id": f"q{n}",
            "question": " ".join(text.format(3 + (n * k) % 150) for k in range(1, 6 + n % 4)),
            "choices": {
                "text": [text.format(20 + n + i) + " " + text.format(9 + i) for i in range(4)],
                "label": ["A", "B", "C", "D"],
            },
            "answerKey": "ABCD"[n % 4],
        }
        for n in range(count)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def loaded(
    engine: Any,
    tmp_path: Path,
    *,
    template: str = "none",
    max_tokens: int | None = None,
    **section: Any,
) -> LoadedSuite:
    """Load a suite for an engine or a tokenizer."""
    return load_suite(
        SuiteSection(**({"name": "arc_challenge"} | section)),
        engine_tokenizer=getattr(engine, "tokenizer", engine),
        template=template,
        seed=1234,
        folder=tmp_path,
        max_tokens=max_tokens,
    )


def samples(engine: Engine, arm: str, suite: LoadedSuite) -> list[Sample]:
    """Answer and judge a suite."""
    responses = answers(engine, arm, list(suite.requests))
    return suite.samples(arm, {r.key: a for r, a in zip(suite.requests, responses, strict=True)})


def load_polite(folder: Path, **more: Any) -> LoadedSuite:
    """Load the suite ``polite`` of a folder as a study would, for the built-in base."""
    tiny = resolve_model("builtin:tiny", Path())
    section = SuiteSection(name="polite", folder="polite", **more)
    tokenizer = load_tokenizer(tiny, BaseSection(model=tiny))
    return load_suite(section, engine_tokenizer=tokenizer, template="none", seed=0, folder=folder)
