"""Calls that no mark of a model's template surrounds: JSON or Python, alone or after prose."""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass

from harness.scoring.tools.call_payloads import (
    LIKE_A_CALL,
    LIKE_ARGUMENTS,
    NoCallError,
    ToolCall,
    called_by_name,
    json_calls_of,
    python_calls,
    xml_call,
)


@dataclass(frozen=True, slots=True)
class WrittenCalls:
    """What a response calls.

    ``text`` is what it says beside its calls. ``broken`` says why something that was meant as a
    call is none.
    """

    calls: tuple[ToolCall, ...]
    text: str
    broken: str | None = None


_SHOWS = re.compile(
    r"(?:\b(?:example|for instance|looks? like|is written)\b|\be\.g\.)[^\n]*:\s*\Z", re.IGNORECASE
)


_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_MARKED = re.compile(r"""tool_call|TOOL_CALL|<function|python_tag|["'](?:tool_)?name["']\s*:""")


def without_shown(text: str) -> str:
    """Return a text without calls in inline code: they are talked about, not made."""
    if _CODE.fullmatch(text.strip()):
        return text.strip().strip("`")
    return _CODE.sub(lambda code: "" if _MARKED.search(code[1]) else code[0], text)


def is_shown(text: str, start: int, end: int) -> bool:
    """Say whether what stands between two places of a text is only shown, by the words around it.

    A call that follows "looks like this:" or "an example:" is shown where words follow it, too; one
    that ends a reply is a call with an odd announcement.
    """
    return bool(_SHOWS.search(text[:start]) and text[end:].strip())


def names_first(text: str, tools: Collection[str]) -> WrittenCalls | None:
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


def is_call(text: str, tools: Collection[str]) -> bool:
    """Say whether a text is meant as a call: JSON of its shape, or Python of these tools."""
    return _is_json_call(text, tools) or _python_of(text, tools) is not None


def _is_json_call(text: str, tools: Collection[str]) -> bool:
    named = any(f'"{name}"' in text for name in tools)
    if LIKE_A_CALL.search(text):
        return named or LIKE_ARGUMENTS.search(text) is not None
    return any(re.search(rf'"{re.escape(name)}"\s*:\s*\{{', text) for name in tools)


def _python_of(text: str, tools: Collection[str]) -> list[ToolCall] | None:
    try:
        calls = python_calls(text)
    except NoCallError:
        return None
    return calls if {call.name for call in called_by_name(calls, tools)} & set(tools) else None


def bare_calls(text: str, tools: Collection[str]) -> WrittenCalls:
    """Return the calls of a response without any mark: JSON after any prose, or lines of Python."""
    if found := _python_of(text, tools):
        return WrittenCalls(tuple(found), "")
    if found := _elements(text, tools):
        return WrittenCalls(tuple(found), "")
    if _is_json_call(text, tools):
        return _json_in(text, tools)
    return _python_lines(text, tools)


def _elements(text: str, tools: Collection[str]) -> list[ToolCall]:
    """Return calls that are XML elements with the name of a tool."""
    names = "|".join(map(re.escape, tools)) or r"(?!)"
    found = re.findall(rf"<({names})>\s*(.*?)\s*</\1>", text, re.DOTALL)
    try:
        return [xml_call(name, body) for name, body in found]
    except NoCallError:
        return []


_JSON_START = re.compile(r"(?:\[\s*)?\{")


def _json_in(text: str, tools: Collection[str]) -> WrittenCalls:
    """Return the calls among the JSON values of a text."""
    decoder, calls = json.JSONDecoder(strict=False), list[ToolCall]()
    beside, broken, place = "", None, 0
    while start := _JSON_START.search(text, place):
        beside += text[place : start.start()]
        try:
            value, place = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError) as error:
            rest = text[start.start() :]
            if _is_json_call(rest, tools) and not calls:
                end = max(rest.rfind("}"), rest.rfind("]")) + 1
                return _broken(beside + rest[end:], f"the JSON does not parse: {error}")
            beside, place = beside + start[0], start.end()
            continue
        whole = text[start.start() : place]
        if is_shown(text, start.start(), place) or not _is_json_call(whole, tools):
            beside += whole
            continue
        try:
            calls += json_calls_of(value)
        except NoCallError as error:
            broken = broken or str(error)
    return WrittenCalls(tuple(calls), (beside + text[place:]).strip(" \t\r\n;,"), broken)


def _broken(beside: str, why: str) -> WrittenCalls:
    return WrittenCalls((), beside.strip(), why)


_LABEL = re.compile(r"\A(?:(?:(?:tool |function )?call|action)s?:|<<function>>)\s*", re.IGNORECASE)


def _python_lines(text: str, tools: Collection[str]) -> WrittenCalls:
    """Return the calls in lines that are Python and nothing else, or say that a list is broken."""
    calls, beside = list[ToolCall](), list[str]()
    for line in text.splitlines():
        found = _python_of(_LABEL.sub("", line.strip()), tools) if "(" in line else None
        if found and not _SHOWS.search("\n".join(beside)):
            calls += found
        else:
            beside.append(line)
    names = "|".join(map(re.escape, tools))
    begun = re.match(rf"(\[)?\s*(?:{names})\(", text.strip()) if tools else None
    if not calls and begun and (begun[1] or text.count("(") > text.count(")")):
        return _broken("", "the list of calls does not parse")
    return WrittenCalls(tuple(calls), "\n".join(beside).strip())
