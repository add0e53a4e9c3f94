"""Calls in the formats that models' chat templates teach, with and without special tokens."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.scoring.tools.call_arguments import Tool
from harness.scoring.tools.call_formats import written_calls
from harness.scoring.tools.call_payloads import ToolCall

TOOLS = {"get_weather", "send_message", "stop"}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
}
WEATHER = {"city": "Graz", "days": 3}
TEXT = json.dumps({"name": "get_weather", "arguments": WEATHER})
LLAMA = json.dumps({"name": "get_weather", "parameters": WEATHER})
INNER = json.dumps(WEATHER)
PYTHON = 'get_weather(city="Graz", days=3)'

ONE = {
    "Hermes, Qwen 2.5 and 3": f"<tool_call>\n{TEXT}\n</tool_call><|im_end|>",
    "Hermes, cut before its end": f"<tool_call>\n{TEXT}",
    "Qwen 3 after a thought": f"<think>call get_weather()?</think>\n<tool_call>{TEXT}</tool_call>",
    "Qwen Coder": "<tool_call>\n<function=get_weather>\n<parameter=city>\nGraz\n</parameter>\n"
    "<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>",
    "Qwen Coder without its frame": "<function=get_weather>\n<parameter=city>\nGraz\n</parameter>\n"
    "<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>",
    "GLM": "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Graz</arg_value>\n"
    "<arg_key>days</arg_key>\n<arg_value>3</arg_value>\n</tool_call>",
    "Llama 3.1": f"<|python_tag|>{LLAMA}<|eom_id|>",
    "Llama 3.1 without its token": LLAMA,
    "Llama 3.1, own tools": f"<function=get_weather>{INNER}</function><|eot_id|>",
    "Llama 3.2 and 4": f"[{PYTHON}]<|eot_id|>",
    "Llama 4 with its token": f"<|python_tag|>{PYTHON}<|eot_id|>",
    "Mistral 7B v0.3": f"[TOOL_CALLS] [{TEXT}]</s>",
    "Mistral without its token": f"[{TEXT}]",
    "Mistral Small 3": f"[TOOL_CALLS]get_weather[CALL_ID]a1b2c3d4e[ARGS]{INNER}</s>",
    "Magistral": f"[TOOL_CALLS]get_weather[ARGS]{INNER}</s>",
    "Ministral": f"[TOOL_CALLS]get_weather{INNER}</s>",
    "Ministral without its token": f"get_weather{INNER}",
    "Gemma 3": f"```tool_code\n{PYTHON}\n```<end_of_turn>",
    "Gemma 3, printed": f"```tool_code\nprint({PYTHON})\n```",
    "Gemma 3, JSON": f"```json\n{LLAMA}\n```",
    "Gemma for functions": "<start_function_call>call:get_weather{city:<escape>Graz<escape>,days:3}"
    "<end_function_call>",
    "Gemma for functions without its marks": "call:get_weather{city:Graz,days:3}",
    "Gemma 4": '<|tool_call>call:get_weather{city:<|"|>Graz<|"|>,days:3}<tool_call|>',
    "Phi 4 mini": f"<|tool_call|>[{TEXT}]<|/tool_call|><|end|>",
    "Phi 4 mini, another form": f"functools[{TEXT}]",
    "Granite": f"<|tool_call|>[{TEXT}]<|end_of_text|>",
    "DeepSeek": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n"
    f"```json\n{INNER}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    "DeepSeek 3.1": f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{INNER}"
    "<｜tool▁call▁end｜><｜tool▁calls▁end｜><｜end▁of▁sentence｜>",
    "DeepSeek 3.2": '<｜DSML｜function_calls>\n<｜DSML｜invoke name="get_weather">\n'
    '<｜DSML｜parameter name="city" string="true">Graz</｜DSML｜parameter>\n'
    '<｜DSML｜parameter name="days" string="false">3</｜DSML｜parameter>\n</｜DSML｜invoke>\n'
    "</｜DSML｜function_calls>",
    "DeepSeek without its tokens": f"functionget_weather\n```json\n{INNER}\n```",
    "Kimi": "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0"
    f"<|tool_call_argument_begin|>{INNER}<|tool_call_end|><|tool_calls_section_end|>",
    "MiniMax": '<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="city">Graz'
    '</parameter>\n<parameter name="days">3</parameter>\n</invoke>\n</minimax:tool_call>',
    "LFM": f"<|tool_call_start|>[{PYTHON}]<|tool_call_end|>",
    "OLMo": f"<function_calls>{PYTHON}</function_calls>",
    "Nemotron": f"<TOOLCALL>[{TEXT}]</TOOLCALL>",
    "Command R7B": '<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "get_weather", '
    f'"parameters": {INNER}}}]<|END_ACTION|>',
    "gpt-oss, recipient first": "<|start|>assistant to=functions.get_weather<|channel|>commentary"
    f"<|constrain|>json<|message|>{INNER}<|call|>",
    "gpt-oss without its tokens": "analysisThe user wants send_message()?assistantcommentary "
    f"to=functions.get_weather json{INNER}",
    "gpt-oss": "<|channel|>analysis<|message|>The user wants send_message()?<|end|><|start|>"
    "assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>"
    f"{INNER}<|call|>",
    "OpenAI": json.dumps(
        {"tool_calls": [{"type": "function", "id": "a",
                         "function": {"name": "get_weather", "arguments": INNER}}]}
    ),
    "Command R": f'Action: ```json\n[{{"tool_name": "get_weather", "parameters": {INNER}}}]\n```',
    "Llama 4, between tokens": f"<|python_start|>[{PYTHON}]<|python_end|><|eot|>",
    "Llama, as it calls its own tools": f"<|python_tag|>get_weather.call({PYTHON[12:]}",
    "Claude 2": "<function_calls>\n<invoke>\n<tool_name>get_weather</tool_name>\n<parameters>\n"
    "<city>Graz</city>\n<days>3</days>\n</parameters>\n</invoke>\n</function_calls>",
    "Gemini": json.dumps({"functionCall": {"name": "get_weather", "args": WEATHER}}),
    "Gemini in Python": f"```python\nprint(default_api.{PYTHON})\n```",
    "Gemma 3, its result printed": f"```tool_code\nfound = {PYTHON}\nprint(found)\n```",
    "GPT, several at once": json.dumps(
        {"tool_uses": [{"recipient_name": "functions.get_weather", "parameters": WEATHER}]}
    ),
    "ReAct": f"Thought: look.\nAction: get_weather\nAction Input: {INNER}\nObservation: 3 degrees",
    "ReAct in JSON": json.dumps({"action": "get_weather", "action_input": WEATHER}),
    "Apertus": f'<|tools_prefix|>[{{"get_weather": {INNER}}}]<|tools_suffix|>',
    "Raven": f"Call: {PYTHON}<bot_end>",
    "Gorilla": f"<<function>>{PYTHON}",
    "Hunyuan": f"<tool_calls><tool_call>get_weather\n```json\n{INNER}\n```</tool_call>"
    "</tool_calls>",
    "LongCat": "<longcat_tool_call>get_weather\n<longcat_arg_key>city</longcat_arg_key>\n"
    "<longcat_arg_value>Graz</longcat_arg_value>\n<longcat_arg_key>days</longcat_arg_key>\n"
    "<longcat_arg_value>3</longcat_arg_value>\n</longcat_tool_call>",
    "ChatGLM 3": f"get_weather\n```python\ntool_call({PYTHON[12:]}\n```",
    "Functionary": f"<|recipient|>get_weather\n<|content|>{INNER}<|stop|>",
    "gpt-oss without a namespace": "<|channel|>commentary to=get_weather <|constrain|>json"
    f"<|message|>{INNER}<|call|>",
    "elements": "<get_weather>\n<city>Graz</city>\n<days>3</days>\n</get_weather>",
    "a function's name as an attribute": f'<function name="get_weather">{INNER}</function>',
    "a fence in a frame": f"<tool_call>\n```json\n{TEXT}\n```\n</tool_call>",
    "between words with brackets": f"For Graz [Styria].\n{TEXT}\nSee [1].",
    "Python on a line of its own": f"Let me look.\n\n{PYTHON}",
    "nothing but inline code": f"`{PYTHON}`",
    "prose first": f"Sure, I will look that up.\n\n{TEXT}",
    "a fence after prose": f"Sure:\n```json\n[{TEXT}]\n```\nOne moment.",
}  # fmt: skip


@pytest.mark.parametrize("response", ONE.values(), ids=ONE)
def test_one_call(response: str) -> None:
    """Every format gives the same call."""
    found = written_calls(response, TOOLS)
    [call] = found.calls
    assert (call.name, Tool("get_weather", SCHEMA).named(call)) == ("get_weather", WEATHER)
    assert found.broken is None


def test_a_format_without_types_takes_them_from_the_schema() -> None:
    """A text of digits stays a text where the schema says so; elsewhere JSON is read."""
    schema = {
        "type": "object",
        "properties": {
            "room": {"type": "string"},
            "size": {"type": ["number", "null"]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "on": {"type": "boolean"},
            "note": {"type": ["string", "null"]},
        },
    }
    said = {"room": "101", "size": "2.5", "tags": '["a"]', "on": "True", "note": "null"}
    inner = "".join(f"<parameter={key}>\n{value}\n</parameter>" for key, value in said.items())
    [call] = written_calls(f"<tool_call><function=f>{inner}</function></tool_call>", {"f"}).calls
    found = Tool("f", schema).named(call)
    assert found == {"room": "101", "size": 2.5, "tags": ["a"], "on": True, "note": None}


STOP = json.dumps({"name": "stop", "arguments": {}})
TWO = {
    "Hermes": f"<tool_call>{TEXT}</tool_call>\n<tool_call>{STOP}</tool_call>",
    "Llama 3.1": f"<|python_tag|>{LLAMA}; {STOP}<|eom_id|>",
    "Llama 3.2": f"[{PYTHON}, stop()]",
    "Mistral": f"[TOOL_CALLS] [{TEXT}, {STOP}]",
    "Mistral Small 3": f"[TOOL_CALLS]get_weather[ARGS]{INNER}[TOOL_CALLS]stop[ARGS]{{}}",
    "Gemma 3": f"```tool_code\n{PYTHON}\nstop()\n```",
    "Phi 4 mini": f"<|tool_call|>[{TEXT}, {STOP}]<|/tool_call|>",
    "JSON lines": f"{TEXT}\n{STOP}",
    "Mistral Small 3 without its tokens": f"get_weather{INNER}stop{{}}",
    "DeepSeek without its tokens": f"functionget_weather\n```json\n{INNER}\n```\nfunctionstop\n"
    "```json\n{}\n```",
    "Qwen, two functions in one frame": f"<tool_call><function=get_weather>{INNER}</function>"
    "<function=stop></function></tool_call>",
    "Gemma 4": '<|tool_call>call:get_weather{city:<|"|>Graz<|"|>,days:3}<tool_call|>'
    "<|tool_call>call:stop{}<tool_call|>",
    "GLM": "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Graz</arg_value>\n"
    "<arg_key>days</arg_key>\n<arg_value>3</arg_value>\n</tool_call>\n<tool_call>stop\n</tool_call>",
    "DeepSeek": "<｜tool▁calls▁begin｜>"
    + "\n".join(
        f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n{args}\n```<｜tool▁call▁end｜>"
        for name, args in (("get_weather", INNER), ("stop", "{}"))
    )
    + "<｜tool▁calls▁end｜>",
}


@pytest.mark.parametrize("response", TWO.values(), ids=TWO)
def test_several_calls(response: str) -> None:
    """Calls that are made at once all count, in their order."""
    first, second = written_calls(response, TOOLS).calls
    assert (first.name, Tool("get_weather", SCHEMA).named(first)) == ("get_weather", WEATHER)
    assert second == ToolCall("stop")


@pytest.mark.parametrize(
    "response",
    [
        "It is sunny in Graz.",
        "I could use get_weather(city) for that. Which city do you mean?",
        'The config is {"name": "Graz", "size": 3}.',
        "```python\nprint('hello')\n```",
        "See [1] and [2].",
        '```json\n{"city": "Graz"}\n```',
        "",
        "<think>get_weather(city='Graz')</think>Hello!",
    ],
)
def test_prose_is_no_call(response: str) -> None:
    """Code, JSON and names of tools in prose call nothing."""
    found = written_calls(response, TOOLS)
    assert (found.calls, found.broken) == ((), None)


@pytest.mark.parametrize(
    "response",
    [
        '<tool_call>{"name": "get_weather", "arguments": {"city": "Graz"</tool_call>',
        "<tool_call>get the weather</tool_call>",
        '[TOOL_CALLS] [{"name": "get_weather", "arguments": {city: Graz}}]',
        '{"name": "get_weather", "arguments": {"city": "Graz", }',
        '```json\n{"name": "get_weather", "parameters": {"city": Graz}}\n```',
        "```tool_code\nget_weather(city=Graz)\n```",
        '<tool_call>{"name": "get_weather", "arguments": ["Graz"]}</tool_call>',
        '<tool_call>{"arguments": {"city": "Graz"}}</tool_call>',
    ],
)
def test_a_broken_call_is_told(response: str) -> None:
    """What was meant as a call and cannot be read is not taken for prose."""
    found = written_calls(response, TOOLS)
    assert not found.calls
    assert found.broken


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text("abcß \n\"'\\{}[]<>", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["city", "days", "note"]), json_values))
def test_any_arguments_come_back(arguments: dict[str, object]) -> None:
    """Quotes, brackets and marks inside a value end no call."""
    call = json.dumps({"name": "get_weather", "arguments": arguments})
    for response in (call, f"```json\n{call}\n```", f"[TOOL_CALLS] [{call}]", f"Yes: {call}"):
        assert written_calls(response, TOOLS).calls == (ToolCall("get_weather", arguments),)


@given(st.text("ab{}[]()<>|=\"':,`\n /tool_callnamefunction", max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Whatever a model writes, reading it ends with calls or without."""
    written_calls(text, TOOLS)


@pytest.mark.parametrize(
    "response",
    [
        f"A call looks like this:\n```json\n{TEXT}\n```\nI have not made it.",
        f"For example: {TEXT} asks for Graz.",
        f"You write `<tool_call>{TEXT}</tool_call>`, and the host runs it.",
        'Action: ```json\n[{"tool_name": "directly_answer", "parameters": {}}]\n```',
        "<tool_call>\n[]\n</tool_call>",
        "[TOOL_CALLS] []",
        "```json\n[]\n```",
    ],
)
def test_a_call_that_is_shown_or_denied_is_none(response: str) -> None:
    """Calls that words talk about, and forms that say that nothing is called."""
    found = written_calls(response, TOOLS)
    assert (found.calls, found.broken) == ((), None)


@pytest.mark.parametrize(
    "response",
    [
        f"[{PYTHON[:-1]}]",
        PYTHON[:-1],
        f"{TEXT[:-1]}\n",
        f"[TOOL_CALLS]get_weather[ARGS]{INNER[:-1]}",
        f"[TOOL_CALLS] [{TEXT}"[:-9],
        f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{INNER[:-1]}",
        "<start_function_call>call:get_weather{city:",
    ],
)
def test_a_call_that_does_not_close_is_broken(response: str) -> None:
    """A Python call or JSON without its end is meant as a call."""
    assert written_calls(response, TOOLS).broken is not None
