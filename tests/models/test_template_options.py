"""Arguments of chat templates, on those of real families as TRL carries them."""

from pathlib import Path
from typing import Any

import pytest
import trl
from support.thinking_models import says, speaking

from harness.engine import load_tokenizer
from harness.models.template_options import (
    check_options,
    opens_thought,
    options_read,
    thinks,
    without_thinking,
)
from harness.study import BaseSection

TEMPLATES = Path(trl.__file__).parent / "chat_templates"
OFF = {"enable_thinking": False}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a tokenizer that is given one template after another."""
    folder = speaking(tmp_path_factory.mktemp("any"), says("<pad> w5"))
    return load_tokenizer(str(folder), BaseSection(model=str(folder)))


@pytest.mark.parametrize(
    ("family", "read", "is_thinking", "closed", "opened"),
    [
        ("qwen3", {"enable_thinking"}, True, OFF, False),
        ("qwen3_5_think", {"enable_thinking", "add_vision_id"}, True, OFF, True),
        ("qwen3_instruct_2507", set(), False, {}, False),
        ("glm4moe", {"enable_thinking"}, True, OFF, False),
        ("deepseek_r1_distill", set(), True, {}, True),
        ("gptoss", {"reasoning_effort", "builtin_tools", "model_identity"}, True, {}, False),
        ("gemma4_v2", {"enable_thinking"}, False, {}, False),
        ("gemma3", set(), False, {}, False),
        ("llama3_1", {"date_string", "custom_tools", "builtin_tools"}, False, {}, False),
        ("phi3", set(), False, {}, False),
    ],
)
def test_what_templates_of_families_read_and_do(
    tokenizer: Any, family: str, read: set[str], *, is_thinking: bool, closed: Any, opened: bool
) -> None:
    """Which arguments it reads, whether answers begin with a thought, and how one is closed."""
    tokenizer.chat_template = (TEMPLATES / f"{family}.jinja").read_text(encoding="utf-8")
    assert read <= options_read(tokenizer.chat_template)
    assert "messages" not in options_read(tokenizer.chat_template)
    assert thinks(tokenizer, {}) == is_thinking
    assert dict(without_thinking(tokenizer, {})) == closed
    assert opens_thought(tokenizer, {}) == opened
    check_options(tokenizer, dict.fromkeys(read), chat=True, where="it")


def test_an_argument_that_is_only_set_inside_is_none() -> None:
    """Qwen3's template has variables of its own, which no argument reaches."""
    text = (TEMPLATES / "qwen3.jinja").read_text(encoding="utf-8")
    assert options_read(text) == {"enable_thinking"}
