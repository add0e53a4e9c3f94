"""Tools in a prompt: through the base's chat template where it knows tools, else in plain words."""

import json
from collections.abc import Mapping, Sequence
from typing import Literal, cast

from harness.errors import StudyError
from harness.models.protocols import ChatMessages, ChatTemplate
from harness.scoring.tools.plain_tools import INSTRUCTIONS, plain_turns
from harness.suites.tokenize import render

Document = Mapping[str, object]

ToolForm = Literal["objects", "texts", "system", "user"]
"""How tools are shown: by the chat template, earlier calls with their arguments as an object or as
JSON text; or in plain words, in the system turn or before the user's first words."""

TOOLS = "tools"
"""Rows of conversations may have this field: JSON schemas of tools, in the OpenAI shape."""

_SAID = {
    "objects": "by the base's chat template",
    "texts": "by the base's chat template",
    "system": "as JSON schemas in the system turn, calls asked for as fenced JSON, because the "
    "base's chat template knows no tools",
    "user": "as JSON schemas before the user's first words, calls asked for as fenced JSON, "
    "because the base's chat template knows neither tools nor system turns",
    None: "as JSON schemas at the start, calls asked for as fenced JSON",
}

_TOOL: Document = {
    "type": "function",
    "function": {
        "name": "probe_tool",
        "description": "tool-probe-71d2",
        "parameters": {"type": "object", "properties": {"a": {"type": "string"}}},
    },
}
_CALL: Document = {
    "id": "probe0001",
    "type": "function",
    "function": {"name": "probe_tool", "arguments": {"a": "call-probe-71d2"}},
}
_PROBE: tuple[Document, ...] = (
    {"role": "user", "content": "question-probe"},
    {"role": "assistant", "content": "", "tool_calls": [_CALL]},
    {"role": "tool", "tool_call_id": "probe0001", "name": "probe_tool", "content": "came-71d2"},
)
_FIRST_LINE = INSTRUCTIONS.partition("\n")[0]


def tool_form(tokenizer: ChatTemplate) -> ToolForm:
    """Return how tools are shown to every arm of a study.

    A chat template knows tools if it writes a tool, a call and what the call returned. Some write
    a call's arguments only where they are text (DeepSeek), the others only where they are not.
    """
    forms: tuple[ToolForm, ...] = ("objects", "texts")
    for form in forms:
        text = _try(tokenizer, _called(_PROBE, form), [_TOOL])
        if all(mark in text for mark in ("tool-probe-71d2", "call-probe-71d2", "came-71d2")):
            return form
    return "system" if _FIRST_LINE in _try(tokenizer, plain_turns(_PROBE, [_TOOL])) else "user"


def said_of(form: ToolForm | None) -> str:
    """Return where an item's tools stand in its prompt; None for a prompt of plain text."""
    return _SAID[form]


def show_tools(tokenizer: ChatTemplate, doc: Document, form: ToolForm) -> str:
    """Return the prompt of a row with ``messages`` and ``tools``.

    Raises:
        StudyError: If the chat template refuses the row, or leaves out a tool or a user's turn.
    """
    from jinja2.exceptions import TemplateError

    turns = cast("Sequence[Document]", doc["messages"])
    tools = cast("Sequence[Document]", doc[TOOLS])
    try:
        if form in ("system", "user"):
            plain = plain_turns(turns, tools)
            return render(tokenizer, plain if form == "system" else _joined(plain), generate=True)
        text = render(tokenizer, _called(turns, form), generate=True, tools=tools)
    except (TemplateError, TypeError, KeyError) as error:
        raise _refused(doc, f"refuses it: {error}") from error
    for tool in tools:
        inner = cast("Document", tool.get("function", tool))
        if str(inner["name"]) not in text:
            raise _refused(doc, f"does not show its tool {inner['name']!r}")
    for turn in turns:
        if turn.get("role") == "user" and str(turn.get("content")).strip() not in text:
            raise _refused(doc, "does not show one of its user turns")
    return text


def _refused(doc: Document, why: str) -> StudyError:
    return StudyError(
        f"a row with tools must fit the base's chat template, which {why}: row {doc.get('id')!r}; "
        "change the row, or give the suite 'template: none' (plain text, for every arm)"
    )


def _try(
    tokenizer: ChatTemplate, turns: ChatMessages, tools: Sequence[Document] | None = None
) -> str:
    try:
        return render(tokenizer, turns, generate=True, tools=tools)
    except Exception:  # noqa: BLE001 - a template raises whatever its author chose
        return ""


def _joined(turns: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Return turns whose system turn stands before the user's first words."""
    first, second, *rest = turns
    return [{"role": "user", "content": f"{first['content']}\n\n{second['content']}"}, *rest]


def _called(turns: Sequence[Document], form: ToolForm) -> ChatMessages:
    """Return turns with the arguments of earlier calls as a chat template takes them."""
    return cast("ChatMessages", [_turn(turn, as_text=form == "texts") for turn in turns])


def _turn(turn: Document, *, as_text: bool) -> dict[str, object]:
    found = {key: value for key, value in turn.items() if value is not None}
    found.setdefault("content", "")
    if not found.get("tool_calls"):
        return found
    calls = []
    for call in cast("Sequence[Document]", found["tool_calls"]):
        inner = cast("Document", call.get("function", call))
        given = inner.get("arguments")
        if as_text and not isinstance(given, str):
            given = json.dumps(given or {}, ensure_ascii=False)
        elif not as_text and isinstance(given, str):
            given = json.loads(given or "{}")
        calls.append({"type": "function", **call, "function": {**inner, "arguments": given}})
    return {**found, "tool_calls": calls}
