"""Rows of tool use: which tools are on offer, and what a turn should do."""

from collections.abc import Mapping

from harness.scoring.tools.call_arguments import NotAToolError, Tool, WantedCall
from harness.scoring.tools.call_payloads import Json, NoCallError, ToolCall, json_calls_of
from harness.scoring.tools.json_reply import WantedJson
from harness.scoring.tools.tool_use import WantedTurn


def read_tool_row(row: Mapping[str, Json]) -> tuple[list[Tool], WantedTurn]:
    """Read ``tools``, and ``expected`` with ``asks_for``, ``answers`` and ``json``.

    ``tools`` are JSON schemas in the OpenAI shape. ``expected`` is a list of calls, each with
    ``name``, ``arguments`` and, where other values are as good, ``accepted``: lists of them by
    argument, null for any that the schema allows; none where no call is wanted. Then ``asks_for``
    has words of which one should be asked for (an argument's name, what there is to choose),
    ``answers`` are texts of which the reply should state one, and ``json`` is the object that it
    should be: its ``schema``, its ``value`` and, by field, other values that are ``accepted``.

    Raises:
        NotAToolError: Saying what is wrong.
    """
    given = row["tools"]
    if not isinstance(given, list) or not all(isinstance(one, Mapping) for one in given):
        raise NotAToolError("'tools' must be a list of JSON schemas")
    tools = [Tool.of(one) for one in given]
    names = [tool.name for tool in tools]
    if len(set(names)) < len(names):
        raise NotAToolError("each of 'tools' must have a name of its own")
    expected = row.get("expected") or []
    if not isinstance(expected, list):
        raise NotAToolError("'expected' must be a list of calls, or null")
    calls = tuple(_wanted(one, tools) for one in expected)
    wanted = WantedTurn(calls, _texts(row, "asks_for"), _texts(row, "answers"), _json(row))
    if calls and (wanted.asks_for or wanted.answers or wanted.json):
        raise NotAToolError("a turn that should call something neither asks nor answers")
    return tools, wanted


def _json(row: Mapping[str, Json]) -> WantedJson | None:
    given = row.get("json")
    if given is None:
        return None
    if not isinstance(given, Mapping) or not {"schema", "value"} <= given.keys():
        raise NotAToolError("'json' must be an object with a 'schema' and a 'value'")
    tool = Tool.of({"name": "json", "parameters": given["schema"]})
    value = given["value"]
    if not isinstance(value, Mapping):
        raise NotAToolError("the 'value' of 'json' must be an object")
    if fault := tool.fault(value):
        raise NotAToolError(f"the 'value' of 'json' must fit its schema: {fault[1]}")
    return WantedJson(tool.parameters, value, _accepted(given))


def _wanted(given: Json, tools: list[Tool]) -> WantedCall:
    accepted = _accepted(given) if isinstance(given, Mapping) else {}
    try:
        [call] = json_calls_of(given)
    except (NoCallError, ValueError) as error:
        raise NotAToolError(f"'expected' must hold calls with a name: {error}") from error
    tool = next((tool for tool in tools if tool.name == call.name), None)
    if tool is None:
        raise NotAToolError(f"'expected' calls {call.name!r}, which is none of 'tools'")
    wanted = WantedCall(call.name, call.arguments, accepted)
    if fault := _without(tool, wanted).fault(_filled(call, wanted)):
        raise NotAToolError(f"an expected call must fit its tool: {fault[1]}")
    return wanted


def _accepted(given: Mapping[str, Json]) -> dict[str, list[Json] | None]:
    accepted = given.get("accepted") or {}
    if not isinstance(accepted, Mapping) or not all(
        values is None or isinstance(values, list) for values in accepted.values()
    ):
        raise NotAToolError("'accepted' must hold a list of values, or null, for an argument")
    return dict(accepted)


def _without(tool: Tool, wanted: WantedCall) -> Tool:
    """Return a tool that does not require what may have any value."""
    required = tool.parameters.get("required")
    names = required if isinstance(required, list) else []
    any_value = {name for name, values in wanted.accepted.items() if values is None}
    return Tool(
        tool.name, {**tool.parameters, "required": [n for n in names if n not in any_value]}
    )


def _filled(call: ToolCall, wanted: WantedCall) -> dict[str, Json]:
    """Return a call's arguments with one accepted value for each that is named only there."""
    named = {name: values[0] for name, values in wanted.accepted.items() if values}
    return {**named, **call.arguments}


def _texts(row: Mapping[str, Json], name: str) -> tuple[str, ...]:
    values = row.get(name) or ()
    values = [values] if isinstance(values, str) else values
    if not isinstance(values, list | tuple) or not all(isinstance(one, str) for one in values):
        raise NotAToolError(f"{name!r} must be a list of texts")
    return tuple(values)
