"""The calls in a response, in the format of whatever model wrote it.

Read are the formats that the chat templates of these families teach: Hermes and Qwen
(``<tool_call>``), Qwen Coder (``<function=``), GLM (``<arg_key>``), Llama 3 and 4 (JSON,
``<|python_tag|>``, ``<function=``, Python lists), Mistral (``[TOOL_CALLS]``, ``[ARGS]``), Gemma
(``tool_code``, ``<start_function_call>``, ``<|tool_call>``), Phi (``<|tool_call|>``,
``functools``), Granite, LFM, OLMo, Nemotron, Apertus, Command R, DeepSeek, Kimi, Claude and
MiniMax (``<invoke``), Hunyuan, Functionary, gpt-oss (``to=functions.``), ReAct, and JSON in a fence
or by itself. Special tokens may be missing: decoders drop them.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from harness.scoring.response_faults import both_ends
from harness.scoring.tools.bare_calls import (
    WrittenCalls,
    bare_calls,
    is_call,
    is_shown,
    names_first,
    without_shown,
)
from harness.scoring.tools.call_payloads import (
    NoCallError,
    ToolCall,
    called_by_name,
    escaped_call,
    json_calls,
    named_call,
    python_calls,
    xml_call,
)
from harness.thoughts import answer_of

_MARKS = re.compile(
    r"<\|(?:im_end|eot|eot_id|eom_id|end|end_of_text|endoftext|return)\|>|<end_of_turn>|</s>"
    r"|<bot_end>|<eos>|<｜end▁of▁sentence｜>|<\|END_OF_TURN_TOKEN\|>"
    r"|<\|start\|>assistant"
)

_Reader = Callable[[re.Match[str]], list[ToolCall]]


def _json(match: re.Match[str]) -> list[ToolCall]:
    return json_calls(match[1])


def _any(match: re.Match[str]) -> list[ToolCall]:
    """Read JSON, Python, or a function with XML parameters, in a fence or without."""
    text = _ONLY_FENCED.sub(r"\1", match[1].strip()).strip()
    if inner := list(_FUNCTION.finditer(text)):
        return [call for one in inner for call in _function(one)]
    if inner := list(_INVOKE.finditer(text)):
        return [xml_call(one[1], one[2]) for one in inner]
    if inner := list(_SPELLED.finditer(text)):
        return [call for one in inner for call in _function(one)]
    if named := _NAME_FIRST.fullmatch(text):
        return _named(named)
    if keyed := _KEYED.fullmatch(text):
        return [xml_call(keyed[1], keyed[2])]
    return json_calls(text) if re.match(r"\[?\s*[{\]]", text) else python_calls(text)


def _function(match: re.Match[str]) -> list[ToolCall]:
    name, body = match[1].strip(), (match[2] or "").strip()
    return [named_call(name, body) if body.startswith("{") else xml_call(name, body)]


def _named(match: re.Match[str]) -> list[ToolCall]:
    return [named_call(match[1], match[2])]


def _python(match: re.Match[str]) -> list[ToolCall]:
    return python_calls(match[1] + match[2])


def _escaped(match: re.Match[str]) -> list[ToolCall]:
    return [escaped_call(match[1], match[2])]


_FUNCTION = re.compile(
    r"""<function(?:=|\s+name=|\()["']?([^>"')]+)["']?\)?>(.*?)(?:</function>|\Z)""", re.DOTALL
)
_INVOKE = re.compile(
    r"""<(?:[\w｜]+:?)?invoke\s+name=["']([^"']+)["']>(.*?)(?:</(?:[\w｜]+:?)?invoke>|\Z)""",
    re.DOTALL,
)
_KEYED = re.compile(r"([\w.\-]+)\s*((?:<(?:\w+_)?arg_key>.*)?)", re.DOTALL)
_SPELLED = re.compile(
    r"<(?:tool_)?name>(.*?)</(?:tool_)?name>\s*(?:<(?:parameters|arguments)>(.*?)"
    r"</(?:parameters|arguments)>|\Z)",
    re.DOTALL,
)
_NAME_FIRST = re.compile(r"([\w.\-]+)\s*(?:```(?:json)?)?\s*(\{.*\})\s*(?:```)?", re.DOTALL)
_ONLY_FENCED = re.compile(r"\A```\w*\s*\n(.*?)\s*```\Z", re.DOTALL)
_MARKED: tuple[tuple[re.Pattern[str], _Reader], ...] = tuple(
    (re.compile(pattern, re.DOTALL), read)
    for pattern, read in (
        # DeepSeek
        (
            r"<｜tool▁call▁begin｜>(?:function<｜tool▁sep｜>)?([\w.\-]+)(?:<｜tool▁sep｜>)?\s*"
            r"(?:```json)?\s*(\{.*?\})\s*(?:```)?\s*<｜tool▁call▁end｜>",
            _named,
        ),
        # gpt-oss
        (
            r"to=(?:functions\.|(?=[\w.\-]+[^{]*<\|message\|>\s*\{))([\w.\-]+).*?<\|message\|>(.*?)(?:<\|call\|>|<\|end\|>|\Z)",
            _named,
        ),
        (
            r"to=functions\.([\w.\-]+?)(?:commentary)?\s*(?:json)?\s*(\{.*?\})"
            r"(?=\s*(?:assistant|commentary|analysis|\Z))",
            _named,
        ),
        # Kimi
        (
            r"<\|tool_call_begin\|>\s*(?:functions\.)?([\w.\-]+)(?::\d+)?\s*"
            r"<\|tool_call_argument_begin\|>(.*?)(?:<\|tool_call_end\|>|\Z)",
            _named,
        ),
        # Gemma for functions
        (
            r"<start_function_call>\s*call:([\w.\-]+)\{(.*?)\}\s*(?:<end_function_call>|\Z)",
            _escaped,
        ),
        (r"<\|tool_call>\s*call:([\w.\-]+)\{(.*?)\}\s*(?:<tool_call\|>|\Z)", _escaped),
        (r"(?:\A|(?<=[\s}]))call:([\w.\-]+)\{(.*?)\}(?=\s*(?:call:|\Z))", _escaped),
        # Mistral, from version 11 on
        (
            r"(?:\[TOOL_CALLS\])?([\w.\-]+)(?:\[CALL_ID\]\w+)?\[ARGS\]"
            r"(\{.*?\})(?=\s*(?:\[TOOL_CALLS\]|[\w.\-]+\[|\Z))",
            _named,
        ),
        (r"\[TOOL_CALLS\]\s*(\[.*\]|\{.*\})", _json),
        (r"\[TOOL_CALLS\]\s*([\w.\-]+)\s*(\{.*?\})(?=\s*(?:\[TOOL_CALLS\]|\Z))", _named),
        # Phi, Granite, LFM
        (r"<\|tool_call(?:_start)?\|>\s*(.*?)\s*(?:<\|/tool_call\|>|<\|tool_call_end\|>|\Z)", _any),
        (r"\bfunctools\s*(\[.*\])", _json),
        # Hermes, Qwen
        (
            r"<(?:longcat_)?tool_call>\s*(.*?)\s*"
            r"(?:</(?:longcat_)?tool_call>|(?=<(?:longcat_)?tool_call>)|\Z)",
            _any,
        ),
        (
            r"<(?:function_?call|tool_use)>\s*(.*?)\s*(?:</(?:function_?call|tool_use)>|\Z)",
            _any,
        ),
        # MiniMax, DeepSeek from version 3.2 on; Nemotron, Jamba, OLMo; Command R
        (r"(<(?:[\w｜]+:?)?invoke\s.*)", _any),
        (
            r"<(?:TOOLCALL|(?:tool|function)_calls)>\s*(.*?)\s*"
            r"(?:</(?:TOOLCALL|(?:tool|function)_calls?)>|\Z)",
            _any,
        ),
        # Apertus
        (r"<\|tools_prefix\|>\s*(.*?)\s*(?:<\|tools_suffix\|>|\Z)", _any),
        (r"<\|START_ACTION\|>\s*(.*?)\s*(?:<\|END_ACTION\|>|\Z)", _json),
        # Llama
        (_FUNCTION.pattern, _function),
        (r"<\|python_(?:tag|start)\|>\s*(.*?)\s*(?:<\|python_end\|>|\Z)", _any),
        # Gemma
        (r"```tool_(?:code|call)s?\s*\n(.*?)(?:```|\Z)", _any),
        (r"Action:\s*```json\s*\n(.*?)(?:```|\Z)", _json),
        # Functionary
        (
            r"<\|recipient\|>\s*(?!all\b)([\w.\-]+)\s*<\|content\|>(.*?)"
            r"\s*(?:<\|stop\|>|(?=<\|from\|>)|\Z)",
            _named,
        ),
        # ChatGLM 3
        (r"(?m)^([\w.\-]+)\s*\n```python\s*\ntool_call(\(.*?\))\s*```", _python),
        # ReAct
        (
            r"(?m)^Action:\s*([\w.\-]+)\s*\nAction Input:[ \t]*(.*?)"
            r"\s*(?=\n\s*(?:Observation|Thought|Action|Final Answer)\b|\Z)",
            _named,
        ),
    )
)
_BEGUN = re.compile(
    r"\[TOOL_CALLS\]|\[ARGS\]|<｜tool▁call▁begin｜>|<start_function_call>|<\|tool_call>"
    r"|<\|tool_call_begin\|>|<\|START_ACTION\|>"
)
_FENCE = re.compile(r"```[\w\-]*[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)


def written_calls(response: str, tools: Collection[str]) -> WrittenCalls:
    r"""Return the calls in a response.

    Args:
        response: The text as the model wrote it, with or without its special tokens.
        tools: The names of the tools on offer. A Python call in prose is one only of these.

    >>> written_calls('<tool_call>{"name": "f", "arguments": {}}</tool_call>', {"f"}).calls
    (ToolCall(name='f', arguments={}, positional=()),)
    >>> written_calls("I would call f() here.", {"f"}).calls
    ()
    """
    found = _found(without_shown(without_thoughts(response)), tools)
    return replace(found, calls=called_by_name(found.calls, tools))


def _found(text: str, tools: Collection[str]) -> WrittenCalls:
    for pattern, read in _MARKED:
        if matches := list(pattern.finditer(text)):
            return _read(text, matches, read)
    if found := names_first(text, tools):
        return found
    fenced = [one for one in _FENCE.finditer(text) if is_call(one[1], tools)]
    if matches := [one for one in fenced if not is_shown(text, one.start(), one.end())]:
        return _read(text, matches, _any)
    found = WrittenCalls((), text.strip()) if fenced else bare_calls(text, tools)
    if not found.calls and found.broken is None and _BEGUN.search(text):
        return replace(found, broken="a call is begun and does not parse")
    return found


def without_thoughts(response: str) -> str:
    """Return a response without what it thought, and without marks of the end of a turn."""
    return without_marks(both_ends(answer_of(response)))


def without_marks(text: str) -> str:
    """Return a text without marks of the end of a turn."""
    return _MARKS.sub("", text)


def _read(text: str, matches: Sequence[re.Match[str]], read: _Reader) -> WrittenCalls:
    calls: list[ToolCall] = []
    broken = None
    for match in matches:
        try:
            calls += read(match)
        except NoCallError as error:
            broken = broken or str(error)
    beside = text
    for match in reversed(matches):
        beside = beside[: match.start()] + beside[match.end() :]
    return WrittenCalls(tuple(calls), beside.strip(), broken)
