"""Conversations in a row: speakers, texts, what a chat template may show beside them, and flags."""

import math
from collections.abc import Mapping, Sequence

from harness.errors import DataError, nearest
from harness.ingest.flags import FLAGS, is_there, learnt
from harness.inputs import parse_json
from harness.records import Message

Side = str | tuple[Message, ...]
Turns = tuple[Message, ...]

Fields = Mapping[str, object]
"""A row as its source has it: key -> value."""

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "chatgpt": "assistant",
    "tool": "tool",
    "observation": "tool",
}
"""Role names that datasets use -> ours."""

SHOWN = {
    "assistant": ("reasoning_content", "thinking", "tool_calls"),
    "tool": ("name", "tool_call_id"),
}
"""Role -> fields beside its text that are given to the chat template."""

OTHER_MEDIA = ("image", "images", "audio", "audios", "video", "videos")
"""Fields of rows or turns that a text model cannot see."""


class EmptyFieldError(DataError):
    """A field has no text where a row needs one."""


class NothingLearntError(Exception):
    """A row says of every answer that it is not to be learnt."""


def refuse_media(fields: Fields, where: str) -> None:
    """Refuse a row or turn about something that a text model does not see."""
    for key in OTHER_MEDIA:
        if is_there(fields.get(key)):
            raise DataError(
                f"rows must be text only: {where} has {key!r}, which the answer may be about; "
                "leave the row out, or drop the field where it is not needed"
            )


def turns_of(value: object, where: str) -> Turns:
    """Read a list of turns, in OpenAI's form or in ShareGPT's.

    Raises:
        DataError: If it is none, or a turn cannot be shown as it is; the message names the turn.
    """
    if not isinstance(value, (list, tuple)):
        raise DataError(
            f"a conversation must be a list of turns: {where} is {type(value).__name__}"
        )
    first = value[0] if value else None
    sharegpt = isinstance(first, Mapping) and "role" not in first and "from" in first
    names = ("from", "value") if sharegpt else ("role", "content")
    return tuple(
        _turn(turn, f"{where}, turn {number}", where, number, names)
        for number, turn in enumerate(value, start=1)
    )


def _turn(turn: object, at: str, where: str, number: int, names: tuple[str, str]) -> Message:
    role_key, text_key = names
    fields: Fields = turn if isinstance(turn, Mapping) else {}
    if role_key not in fields or not (text_key in fields or is_there(fields.get("tool_calls"))):
        found = ", ".join(fields) or type(turn).__name__
        raise DataError(
            f"every turn needs {role_key!r} and {text_key!r}: {where}, turn {number} has {found}"
        )
    role = ROLES.get(str(fields[role_key]).lower())
    if role is None:
        raise DataError(
            f"unknown speaker {fields[role_key]!r} at {where}, turn {number}"
            f"{nearest(str(fields[role_key]), ROLES)}"
        )
    refuse_media(fields, at)
    if is_there(fields.get("function_call")):
        raise DataError(f"a call must stand under 'tool_calls': {at} has 'function_call'")
    extras = {
        key: _calls(fields[key], at) if key == "tool_calls" else fields[key]
        for key in SHOWN.get(role, ())
        if is_there(fields.get(key))
    }
    flag = learnt(fields, at)
    if role != "assistant" and is_there(fields.get("train")) and flag:
        raise DataError(f"only assistant turns are learnt: {at} is {role!r} and has 'train': true")
    content = _content(
        fields.get(text_key), at, text_key, blank=role != "assistant" or bool(extras)
    )
    flag = flag if role == "assistant" else None
    return Message(role=role, content=content, extras=extras, learnt=flag)


def _content(value: object, at: str, key: str, *, blank: bool) -> str:
    """Return a turn's text; a list of parts must hold texts only."""
    if value is None and blank:
        return ""
    if isinstance(value, (list, tuple)):
        kinds = [part.get("type") if isinstance(part, Mapping) else part for part in value]
        if other := next((kind for kind in kinds if kind != "text"), None):
            raise DataError(
                f"turns must be text only: {at} has a part of type {other!r}; leave the row out"
            )
        value = "\n".join(str(part["text"]) for part in value)
    return text({key: value}, key, at, blank=blank)


def _calls(value: object, at: str) -> list[object]:
    """Read the arguments of tool calls, which OpenAI writes as JSON text and templates as JSON."""
    value = parsed(value, "tool_calls", at)
    if not isinstance(value, (list, tuple)) or not all(isinstance(c, Mapping) for c in value):
        raise DataError(f"'tool_calls' must be a list of objects: {at}")
    calls: list[object] = []
    for call in value:
        function = call.get("function")
        inner = dict(function) if isinstance(function, Mapping) else dict(call)
        if isinstance(inner.get("arguments"), str):
            inner["arguments"] = parsed(inner["arguments"], "arguments", at)
        calls.append({**call, "function": inner} if isinstance(function, Mapping) else inner)
    return calls


def parsed(value: object, key: str, where: str) -> object:
    """Return a value that may be written as JSON text."""
    if not isinstance(value, str):
        return value
    try:
        return parse_json(value)
    except ValueError as error:
        raise DataError(f"{key!r} must be JSON: {where}: {error}") from error


def split_turns(turns: Sequence[Message], origin: str) -> tuple[Turns, Turns]:
    """Split a conversation before the assistant turn(s) that are learnt for sure.

    These are the last ones; what follows turns that are not to be learnt is left out.

    Raises:
        DataError: If the conversation does not end with the assistant, or nobody speaks before.
        NothingLearntError: If the row says of every answer that it is not to be learnt.
    """
    if not turns:
        raise DataError(f"a conversation needs turns: {origin} has none")
    if turns[-1].role != "assistant":
        raise DataError(
            f"a conversation must end with the assistant, whose turn is learnt: {origin} ends with "
            f"{turns[-1].role!r}; drop the last turn or add an answer"
        )

    def is_learnt(turn: Message) -> bool:
        return turn.role == "assistant" and turn.learnt is not False

    end = len(turns)
    while end and not is_learnt(turns[end - 1]):
        end -= 1
    if not end:
        raise NothingLearntError
    cut = end
    while cut and is_learnt(turns[cut - 1]):
        cut -= 1
    if not any(turn.role == "user" for turn in turns[:cut]):
        raise DataError(
            f"a conversation needs two sides: {origin} has no user turn before the answer"
        )
    return tuple(turns[:cut]), tuple(turns[cut:end])


def with_system(row: Fields, turns: Turns, where: str) -> Turns:
    """Put a row's ``system`` before its turns."""
    system = optional(row, "system", where)
    if not system.strip():
        return turns
    if turns and turns[0].role == "system":
        if turns[0].content.strip() == system.strip():
            return turns
        raise DataError(f"one system turn may begin a conversation: {where} has 'system' too")
    return (Message(role="system", content=system), *turns)


def history_of(row: Fields, where: str) -> Turns:
    """Return the turns before a row's question: ``history``, pairs of question and answer."""
    value = row.get("history")
    if not is_there(value):
        return ()
    value = parsed(value, "history", where)
    if isinstance(value, (list, tuple)) and all(isinstance(turn, Mapping) for turn in value):
        return turns_of(value, f"{where}, history")
    said: list[Message] = []
    for pair in value if isinstance(value, (list, tuple)) else [value]:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise DataError(f"'history' must be a list of pairs (question, answer): {where}")
        for role, part in zip(("user", "assistant"), pair, strict=True):
            said.append(Message(role=role, content=text({"history": part}, "history", where)))
    return tuple(said)


def text(row: Fields, key: str, where: str, *, blank: bool = False) -> str:
    """Return a field that must be text, or a number, which is written as one."""
    value = row.get(key)
    if not blank and (value is None or value != value):  # noqa: PLR0124 - how tables write nothing
        raise EmptyFieldError(f"{key!r} must not be empty: {where} has nothing; leave the row out")
    if isinstance(value, float) and not math.isfinite(value):
        raise DataError(f"{key!r} must be text: {where} has {value} (not a number, or missing)")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        found = "null" if value is None else type(value).__name__
        raise DataError(f"{key!r} must be text: {where} has {found}")
    if not value.strip() and not blank:
        raise EmptyFieldError(f"{key!r} must not be empty: {where}; leave the row out")
    return value


def optional(row: Fields, key: str, where: str) -> str:
    """Return a field that may be absent, empty or missing."""
    return text(row, key, where, blank=True) if is_there(row.get(key)) else ""


def unread(turns: object) -> set[str]:
    """Return the fields of turns that nothing is made of."""
    found: set[str] = set()
    for turn in turns if isinstance(turns, (list, tuple)) else ():
        if not isinstance(turn, Mapping):
            continue
        role = ROLES.get(str(turn.get("role", turn.get("from"))).lower(), "")
        read = {"role", "content", "from", "value", *FLAGS, *SHOWN.get(role, ())}
        found |= {str(key) for key, value in turn.items() if key not in read and is_there(value)}
    return found
