"""Conversations with tools in plain words, for models whose chat template knows no tools.

The schemas stand in the system turn, calls are fenced JSON, and what a tool returned is told by the
user's side. `harness.scoring.tools.call_formats` reads calls in this form, too.
"""

import json
from collections.abc import Iterator, Mapping, Sequence

from harness.scoring.tools.call_payloads import Json, NoCallError, json_calls_of

TextTurn = dict[str, str]
"""A turn with ``role`` (system, user or assistant) and ``content``."""

INSTRUCTIONS = """You can call these tools. Each has a JSON schema for its arguments:
```json
{tools}
```
To call tools, reply with nothing but a JSON list of calls in a fence, like this:
```json
[{{"name": "...", "arguments": {{...}}}}]
```
Where no tool is needed, or something has to be asked first, reply in words."""
"""The system turn of the plain way."""


def plain_turns(
    messages: Sequence[Mapping[str, Json]], tools: Sequence[Mapping[str, Json]]
) -> list[TextTurn]:
    r"""Return a conversation with tools as turns of text; those of one role are joined.

    Args:
        messages: Turns in the OpenAI shape, oldest first.
        tools: What is on offer, in the OpenAI shape; none adds no instructions.

    >>> plain_turns([{"role": "user", "content": "Hi"}], [{"name": "f"}])[0]["role"]
    'system'
    >>> plain_turns([{"role": "tool", "name": "f", "content": "3"}], [])
    [{'role': 'user', 'content': 'The result of f:\n```json\n3\n```'}]
    """
    found: list[TextTurn] = []
    if tools:
        listed = json.dumps([one.get("function", one) for one in tools], ensure_ascii=False)
        found.append({"role": "system", "content": INSTRUCTIONS.format(tools=listed)})
    for turn in messages:
        role, text = _plain(turn)
        if found and found[-1]["role"] == role:
            found[-1]["content"] += f"\n\n{text}"
        else:
            found.append({"role": role, "content": text})
    return found


def fenced_calls(calls: Sequence[Json]) -> str:
    r"""Return calls as the plain way asks for them.

    >>> fenced_calls([{"name": "f", "arguments": {}}])
    '```json\n[{"name": "f", "arguments": {}}]\n```'
    """
    return f"```json\n{json.dumps(calls, ensure_ascii=False)}\n```"


def _plain(turn: Mapping[str, Json]) -> tuple[str, str]:
    """Return a turn's role and its text."""
    role = str(turn.get("role"))
    if role == "tool":
        name = turn.get("name")
        said = f"The result of {name}:" if name else "The result of the call:"
        return "user", f"{said}\n```json\n{turn.get('content')}\n```"
    return role, "\n\n".join(_texts(turn))


def _texts(turn: Mapping[str, Json]) -> Iterator[str]:
    content = turn.get("content")
    if content:
        yield str(content)
    given = turn.get("tool_calls")
    if not given:
        return
    try:
        calls = [
            {"name": call.name, "arguments": dict(call.arguments)} for call in json_calls_of(given)
        ]
    except NoCallError:
        yield json.dumps(given, ensure_ascii=False)
        return
    yield fenced_calls(calls)
