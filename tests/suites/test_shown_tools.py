"""Tools in prompts: by the chat template where it knows them, in plain words where it does not."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.suites import loaded

from harness import content
from harness.engine.remote.endpoints import check_endpoints
from harness.errors import StudyError
from harness.records import BASE, Response
from harness.scoring.tools import Tool
from harness.scoring.tools.call_formats import written_calls
from harness.study import Study
from harness.suites.dataset import datasets_of
from harness.suites.shown_tools import show_tools, tool_form
from harness.suites.text_tokenizer import MessageTemplate, TextTokenizer

HERMES = """{%- if tools %}<|im_start|>system
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif %}{%- for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}{% for call in m.tool_calls or [] %}<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
TEXTS = HERMES.replace(
    "{{ call.function.arguments | tojson }}",
    "{{ '```json\n' + call.function.arguments + '\n```' }}",
)
"""As DeepSeek's: arguments are joined to text, so an object is an error."""
NO_CALLS = HERMES.replace("m.tool_calls or []", "[]")
NO_TOOLS = (
    """{%- for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}<|assistant|>"""
)
NO_SYSTEM = (
    "{%- for m in messages %}{% if m.role not in ('user', 'assistant') %}"
    "{{ raise_exception('only user and assistant') }}{% endif %}<|{{ m.role }}|>{{ m.content }}"
    "{% endfor %}<|assistant|>"
)
FORMS = {
    "objects": HERMES, "texts": TEXTS, "system": NO_TOOLS, "user": NO_SYSTEM,
}  # fmt: skip


@pytest.fixture(scope="module")
def tiny() -> Any:
    """Return the built-in base's tokenizer, whose template is replaced."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(content.BUILTIN_MODELS["tiny"])


@pytest.mark.parametrize("form", FORMS)
def test_a_template_is_asked_what_it_shows(tiny: Any, form: str) -> None:
    """Whether it writes tools, calls and results decides, not the name of its family."""
    tiny.chat_template = FORMS[form]
    assert tool_form(tiny) == form


def test_a_template_that_hides_calls_or_is_none_gets_plain_words(tiny: Any) -> None:
    """Half a template would show tools and lose what was called."""
    tiny.chat_template = NO_CALLS
    assert tool_form(tiny) == "system"
    assert tool_form(TextTokenizer(chat=True)) == "system"
    assert tool_form(MessageTemplate()) == "system"


@pytest.mark.parametrize("form", [*FORMS, "none"])
def test_every_item_shows_its_tools_and_turns(tiny: Any, tmp_path: Path, form: str) -> None:
    """Names of tools, what was said, called and returned stand in the prompt, in every form."""
    tiny.chat_template = FORMS.get(form, HERMES)
    template, limit = "none" if form == "none" else "auto", None if form == "objects" else 30
    suite = loaded(tiny, tmp_path, name="tools", template=template, limit=limit)
    assert len(suite.items) == (limit or 140)
    for item in suite.items:
        for tool in item.doc["tools"]:
            assert json.dumps(tool["function"]["parameters"])[:60] in item.prompt
        for turn in item.doc["messages"]:
            assert (turn.get("content") or "") in item.prompt
            for call in turn.get("tool_calls") or ():
                assert call["function"]["name"] in item.prompt
                for value in call["function"]["arguments"].values():
                    assert json.dumps(value) in item.prompt
    (note,) = suite.notes
    by_template = form in ("objects", "texts")
    assert ("by the base's chat template" in note) == by_template
    assert ("fenced JSON" in note) != by_template
    wanted = {item.key: str(item.target) for item in suite.items}
    answers = {(key, 0): Response(text=text, finish="stop") for key, text in wanted.items()}
    assert all(sample.verdict.score == 1 for sample in suite.samples(BASE, answers))


def test_rows_of_ones_own_come_as_they_were_written(tiny: Any, tmp_path: Path) -> None:
    """Schemas of different shapes, numbers and absent keys are not made alike by Arrow."""
    tools = [
        [{"name": "f", "parameters": {"type": "object", "properties": {"a": {"enum": [1, "x"]}}}}],
        [{"name": "g", "parameters": {"type": "object", "properties": {"b": {"type": "number"}}}}],
    ]
    rows = [
        {"id": str(n), "tools": tools[n % 2], "messages": [{"role": "user", "content": f"Do {n}"}]}
        for n in range(4)
    ]
    rows[0]["expected"] = [{"name": "f", "arguments": {"a": 1}}]
    rows[1]["expected"] = [{"name": "g", "arguments": {"b": 48.20817430001234}}]
    rows[2]["asks_for"], rows[3]["expected"] = ["a"], None
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    read = list(datasets_of(file)["test"])
    assert [{key: row[key] for key in given} for row, given in zip(read, rows, strict=True)] == rows
    tiny.chat_template = HERMES
    suite = loaded(tiny, tmp_path, name="tools", data=str(file), template="auto")
    calls = [
        '{"name": "f", "arguments": {"a": 1}}',
        "[g(b=48.20817430001234)]",
        "Which a?",
        "Done.",
    ]
    answers = {
        (item.key, 0): Response(text=text, finish="stop")
        for item, text in zip(suite.items, calls, strict=True)
    }
    assert [sample.verdict.score for sample in suite.samples(BASE, answers)] == [1, 1, 1, 1]


def test_a_row_that_the_template_refuses_is_named(tiny: Any, tmp_path: Path) -> None:
    """Llama's template takes one call at a time: the row is told, with a way out."""
    tiny.chat_template = HERMES.replace(
        "{{ m.content }}",
        "{% if m.tool_calls and m.tool_calls | length > 1 %}"
        "{{ raise_exception('one call at a time') }}{% endif %}{{ m.content }}",
    )
    call = {"function": {"name": "f", "arguments": '{"a": 1}'}}
    row = {
        "id": "both",
        "tools": [{"name": "f"}],
        "expected": None,
        "messages": [
            {"role": "user", "content": "Do both"},
            {"role": "assistant", "content": None, "tool_calls": [call, call]},
            {"role": "tool", "content": "1"},
            {"role": "tool", "content": "2"},
        ],
    }
    (tmp_path / "mine.jsonl").write_text(json.dumps(row))
    with pytest.raises(StudyError, match=r"one call at a time: row 'both'; .*template: none"):
        loaded(tiny, tmp_path, name="tools", data="mine.jsonl", template="auto")
    plain = loaded(tiny, tmp_path, name="tools", data="mine.jsonl")
    assert plain.items[0].prompt.count('{"name": "f", "arguments": {"a": 1}}') == 2


def test_a_chat_endpoint_beside_a_template_with_tools_is_refused(tiny: Any, tmp_path: Path) -> None:
    """Messages hold no tools: it would answer something else than the base."""
    arm = {
        "backend": "local-chat-completions",
        "model_args": {"base_url": "http://x", "model": "m"},
    }
    study = Study.model_validate(
        {
            "name": "s",
            "base": "builtin:tiny",
            "candidates": [{"name": "served", **arm}],
            "suites": ["tools"],
            "folder": tmp_path,
        }
    )
    tiny.chat_template = HERMES
    with pytest.raises(StudyError, match=r"'served' cannot be asked suite 'tools': .*completions"):
        check_endpoints(study, [loaded(tiny, tmp_path, name="tools", limit=3, template="auto")])
    tiny.chat_template = NO_TOOLS
    check_endpoints(study, [loaded(tiny, tmp_path, name="tools", limit=3, template="auto")])


KNOWN = {
    "llama3_1": "objects", "llama3_2": "objects", "qwen2_5": "objects", "qwen3": "objects",
    "qwen3_5_think": "objects", "gemma4": "objects", "gptoss": "objects", "glm4moe": "objects",
    "lfm2_2_5": "objects", "nemotron_3_nano": "objects", "muse_glimmer": "objects",
    "phi3": "system", "gemma3": "system", "cohere2": "system", "deepseekv3": "system",
    "gemma": "user",
}  # fmt: skip
"""Real templates that TRL brings -> how tools are shown through each."""


def _shared(one: str, other: str) -> int:
    """Return how many characters two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


@pytest.mark.parametrize("name", KNOWN)
def test_calls_come_back_from_real_templates(tiny: Any, name: str) -> None:
    """What a family's template writes as a call is read as that call, marks dropped or not."""
    trl = pytest.importorskip("trl")
    path = Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja"
    if not path.is_file():
        pytest.skip(f"this release of TRL has no {name}")
    tiny.chat_template = path.read_text(encoding="utf-8")
    form = tool_form(tiny)
    assert form == KNOWN[name]
    arguments = {"town": "Graz", "zip": "8010", "days": 3, "on": True, "tags": ["a", "b"]}
    kinds = {"town": "string", "zip": "string", "days": "integer", "on": "boolean", "tags": "array"}
    schema = {"type": "object", "properties": {key: {"type": of} for key, of in kinds.items()}}
    offered = {"name": "get_weather", "description": "Weather.", "parameters": schema}
    call = {"id": "call00001", "function": {"name": "get_weather", "arguments": arguments}}
    asked = {"role": "user", "content": "Weather?"}
    said = {"role": "assistant", "content": None, "tool_calls": [call]}
    doc = {"messages": [asked], "tools": [{"type": "function", "function": offered}]}
    prompt = show_tools(tiny, doc, form)
    whole = show_tools(tiny, {**doc, "messages": [asked, said]}, form)
    asks = tiny.apply_chat_template([asked], tokenize=False, add_generation_prompt=True)
    opening = asks[len(tiny.apply_chat_template([asked], tokenize=False)) :]
    written = whole[_shared(prompt, whole) :].removesuffix(opening)
    tool = Tool.of(offered)
    for text in (written, re.sub(r"<\|[^|<>]*\|>|\[/?[A-Z_]+\]", "", written)):
        (found,) = written_calls(text, {"get_weather"}).calls
        assert (found.name, tool.named(found)) == ("get_weather", arguments), text
