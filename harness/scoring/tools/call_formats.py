"""The calls in a response, in the format of whatever model wrote it.

Read are the formats that the chat templates of these families teach: Hermes and Qwen
(``<tool_call>``), Qwen Coder (``<function=``), GLM (``<arg_key>``), Llama 3 and 4 (JSON,
``<|python_tag|>``, ``<function=``, Python lists), Mistral (``[TOOL_CALLS]``, ``[ARGS]``), Gemma
(``tool_code``, ``<start_function_call>``, ``<|tool_call>``), Phi (``<|tool_call|>``,
``functools``), Granite, LFM, OLMo, Nemotron, Command R, DeepSeek, Kimi, MiniMax (``<invoke``),
gpt-oss (``to=functions.``), and JSON in a fence or by itself. Special tokens may be missing:
decoders drop them.
"""

import json
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from harness.scoring.response_faults import both_ends
from harness.scoring.tools.call_payloads import (
    NoCallError,
    ToolCall,
    escaped_call,
    json_calls,
    named_call,
    names_in,
    python_calls,
    xml_call,
)
from harness.thoughts import answer_of


@dataclass(frozen=True, slots=True)
class WrittenCalls:
    """What a response calls.

    ``text`` is what it says beside its calls. ``broken`` says why something that was meant as a
    call is none.
    """

    calls: tuple[ToolCall, ...]
    text: str
    broken: str | None = None


_MARKS = re.compile(
    r"<\|(?:im_end|eot_id|eom_id|end|end_of_text|endoftext|return)\|>|<end_of_turn>|</s>"
    r"|<\|start\|>assistant"
)

_Reader = Callable[[re.Match[str]], list[ToolCall]]


def _json(match: re.Match[str]) -> list[ToolCall]:
    return json_calls(match[1])


def _any(match: re.Match[str]) -> list[ToolCall]:
    """Read JSON, Python, or a function with XML parameters."""
    text = match[1].strip()
    if inner := list(_FUNCTION.finditer(text)):
        return [call for one in inner for call in _function(one)]
    if inner := list(_INVOKE.finditer(text)):
        return [xml_call(one[1], one[2]) for one in inner]
    if keyed := _KEYED.fullmatch(text):
        return [xml_call(keyed[1], keyed[2])]
    return json_calls(text) if re.match(r"\[?\s*[{\]]", text) else python_calls(text)


def _function(match: re.Match[str]) -> list[ToolCall]:
    name, body = match[1].strip(), match[2].strip()
    return [named_call(name, body) if body.startswith("{") else xml_call(name, body)]


def _named(match: re.Match[str]) -> list[ToolCall]:
    return [named_call(match[1], match[2])]


def _escaped(match: re.Match[str]) -> list[ToolCall]:
    return [escaped_call(match[1], match[2])]


_FUNCTION = re.compile(r"<function=([^>]+)>(.*?)(?:</function>|\Z)", re.DOTALL)
_INVOKE = re.compile(
    r"""<(?:[\w｜]+:?)?invoke\s+name=["']([^"']+)["']>(.*?)(?:</(?:[\w｜]+:?)?invoke>|\Z)""",
    re.DOTALL,
)
_KEYED = re.compile(r"([\w.\-]+)\s*((?:<arg_key>.*)?)", re.DOTALL)
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
            r"to=functions\.([\w.\-]+).*?<\|message\|>(.*?)(?:<\|call\|>|<\|end\|>|\Z)",
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
        (r"<tool_call>\s*(.*?)\s*(?:</tool_call>|(?=<tool_call>)|\Z)", _any),
        (r"<(?:function_call|functioncall)>\s*(.*?)\s*(?:</function_?call>|\Z)", _any),
        # MiniMax, DeepSeek from version 3.2 on; Nemotron, Jamba, OLMo; Command R
        (r"(<(?:[\w｜]+:?)?invoke\s.*)", _any),
        (r"<(?:TOOLCALL|(?:tool|function)_calls)>\s*(.*?)\s*(?:</\w+>|\Z)", _any),
        (r"<\|START_ACTION\|>\s*(.*?)\s*(?:<\|END_ACTION\|>|\Z)", _json),
        # Llama
        (_FUNCTION.pattern, _function),
        (r"<\|python_tag\|>\s*(.*?)\s*\Z", _any),
        # Gemma
        (r"```tool_(?:code|call)s?\s*\n(.*?)(?:```|\Z)", _any),
        (r"Action:\s*```json\s*\n(.*?)(?:```|\Z)", _json),
    )
)
_FENCE = re.compile(r"```[\w\-]*[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_LIKE_A_CALL = re.compile(
    r"""["'](?:name|function|tool|tool_name|tool_calls)["']\s*:""", re.IGNORECASE
)
_LIKE_ARGUMENTS = re.compile(r"""["'](?:arguments|parameters|args|input)["']\s*:""", re.IGNORECASE)


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
    text = without_thoughts(response)
    for pattern, read in _MARKED:
        if matches := list(pattern.finditer(text)):
            return _read(text, matches, read)
    if found := _names_first(text, tools):
        return found
    if matches := [one for one in _FENCE.finditer(text) if _is_call(one[1], tools)]:
        return _read(text, matches, _any)
    return _bare(text, tools)


def without_thoughts(response: str) -> str:
    """Return a response without what it thought, and without marks of the end of a turn."""
    return _MARKS.sub("", both_ends(answer_of(response)))


def _names_first(text: str, tools: Collection[str]) -> WrittenCalls | None:
    """Return calls that are a tool's name and then its arguments, up to the end of the text.

    So those of Mistral and DeepSeek look without their special tokens.
    """
    if not tools:
        return None
    names = "|".join(sorted(map(re.escape, tools), key=len, reverse=True))
    first = re.compile(rf"(?<!\w)(?:function)?(?:functions[.])?({names})\s*(?:```json\s*)?(?=\{{)")
    decoder, calls = json.JSONDecoder(strict=False), list[ToolCall]()
    start = first.search(text)
    place = start.start() if start else len(text)
    while match := first.match(text, place):
        try:
            given, end = decoder.raw_decode(text, match.end())
        except (ValueError, RecursionError):
            return None
        calls.append(ToolCall(match[1], given))
        place = len(text) - len(text[end:].lstrip("` \t\r\n;,"))
    if not calls or place < len(text):
        return None
    return WrittenCalls(tuple(calls), text[: start.start()].strip() if start else "")


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


def _is_call(text: str, tools: Collection[str]) -> bool:
    """Say whether a fenced text is meant as a call: JSON of its shape, or Python of these tools."""
    if _LIKE_A_CALL.search(text) and (_LIKE_ARGUMENTS.search(text) or _names_one(text, tools)):
        return True
    return _python_of(text, tools) is not None


def _names_one(text: str, tools: Collection[str]) -> bool:
    return any(f'"{name}"' in text for name in tools)


def _python_of(text: str, tools: Collection[str]) -> list[ToolCall] | None:
    try:
        calls = python_calls(text)
    except NoCallError:
        return None
    return calls if names_in(calls) & set(tools) else None


def _bare(text: str, tools: Collection[str]) -> WrittenCalls:
    """Return the calls of a response without any mark: JSON after any prose, or Python alone."""
    if found := _python_of(text, tools):
        return WrittenCalls(tuple(found), "")
    start = re.search(r"[\[{]", text)
    if start is None or (not _is_call(text[start.start() :], ()) and not _names_one(text, tools)):
        return WrittenCalls((), text.strip())
    rest = text[start.start() :]
    end = max(rest.rfind("}"), rest.rfind("]")) + 1
    beside = f"{text[: start.start()].strip()} {rest[end:].strip()}".strip()
    try:
        return WrittenCalls(tuple(json_calls(rest[:end] or rest)), beside)
    except NoCallError as error:
        if _LIKE_A_CALL.search(rest) and (_LIKE_ARGUMENTS.search(rest) or _names_one(rest, tools)):
            return WrittenCalls((), beside, str(error))
        return WrittenCalls((), text.strip())
