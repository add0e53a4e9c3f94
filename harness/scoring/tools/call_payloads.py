"""One call or several, as JSON, as Python calls or as XML parameters."""

import ast
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

Json = object
"""What JSON can hold."""

_NAMES = ("name", "tool_name", "tool", "function", "function_name", "recipient_name", "action")
_ARGUMENTS = ("arguments", "parameters", "args", "input", "params", "tool_input", "action_input")
_MANY = ("tool_calls", "function_calls", "tool_uses", "calls")
_AROUND = ("function", "function_call", "functionCall", "tool_call", "toolUse")
LIKE_A_CALL = re.compile(
    rf"""["'](?:{"|".join((*_NAMES, *_MANY, *_AROUND))})["']\s*:""", re.IGNORECASE
)
LIKE_ARGUMENTS = re.compile(rf"""["'](?:{"|".join(_ARGUMENTS)})["']\s*:""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call as it was written: the tool's name, and its arguments by name.

    ``positional`` are the arguments of a Python call that have no name.
    """

    name: str
    arguments: Mapping[str, Json] = field(default_factory=dict)
    positional: tuple[Json, ...] = ()


class UntypedText(str):
    """A value in a format without types, such as an XML element: the schema says its type."""

    __slots__ = ()


class NoCallError(ValueError):
    """What was read is no call, or a broken one."""


def json_calls(text: str) -> list[ToolCall]:
    """Return the calls in JSON: an object, a list, or several of them after each other.

    Names and arguments may stand under the keys of any common format; arguments may be JSON in a
    text.

    >>> json_calls('{"name": "f", "parameters": {"a": 1}}; {"name": "g", "arguments": "{}"}')
    [ToolCall(name='f', arguments={'a': 1}, positional=()), ToolCall(name='g', arguments={}, \
positional=())]

    Raises:
        NoCallError: If the text is not JSON, or anything in it is no call.
    """
    values = list(_json_values(text))
    found = [call for value in values for call in json_calls_of(value)]
    if not found and values != [[]]:  # an empty list says that nothing is to be called
        raise NoCallError("nothing is called")
    return found


def _json_values(text: str) -> Iterator[Json]:
    decoder = json.JSONDecoder(strict=False)
    rest = text.strip()
    while rest:
        try:
            value, end = decoder.raw_decode(rest)
        except (ValueError, RecursionError) as error:
            raise NoCallError(f"the JSON does not parse: {error}") from error
        yield value
        rest = rest[end:].lstrip(" \t\r\n;,")


def json_calls_of(value: Json) -> Iterator[ToolCall]:
    """Yield the calls in a JSON value; see `json_calls`.

    Raises:
        NoCallError: If anything in it is no call.
    """
    if isinstance(value, list):
        for each in value:
            yield from json_calls_of(each)
        return
    if not isinstance(value, dict):
        raise NoCallError(f"a call is an object with a name: found {type(value).__name__}")
    for key in _MANY:
        if isinstance(value.get(key), list):
            yield from json_calls_of(value[key])
            return
    if inner := next((value[key] for key in _AROUND if isinstance(value.get(key), dict)), None):
        yield from json_calls_of(inner)
        return
    name = next((value[key] for key in _NAMES if isinstance(value.get(key), str)), None)
    if not name:
        [key, *others] = value or [""]
        if not others and key not in _ARGUMENTS and isinstance(alone := value.get(key), dict):
            yield ToolCall(key, alone)  # {"f": {"a": 1}}
            return
        raise NoCallError("a call is an object with a name")
    given = next((value[key] for key in _ARGUMENTS if key in value), None)
    if isinstance(given, str):
        given = _arguments_in_text(given)
    if given is not None and not isinstance(given, dict):
        raise NoCallError(f"arguments are an object: found {type(given).__name__}")
    yield ToolCall(name, given or {})


def _arguments_in_text(text: str) -> Json:
    try:
        return json.loads(text or "{}", strict=False)
    except (ValueError, RecursionError) as error:
        raise NoCallError(f"the arguments do not parse: {error}") from error


def python_calls(text: str) -> list[ToolCall]:
    """Return the calls in Python: one, a list of them, or one a line; nothing is run.

    >>> python_calls('[f(a=1, b="x"), g(-2.5)]')
    [ToolCall(name='f', arguments={'a': 1, 'b': 'x'}, positional=()), ToolCall(name='g', \
arguments={}, positional=(-2.5,))]

    Raises:
        NoCallError: If the text is anything else.
    """
    try:
        body = ast.parse(text.strip()).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NoCallError(f"the call does not parse: {error}") from error
    found: list[ToolCall] = []
    for statement in body:
        value = getattr(statement, "value", None)  # an expression, or what a name is given
        several = value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
        found += [_python_call(one) for one in several if not _prints_a_name(one)]
    if not found:
        raise NoCallError("nothing is called")
    return found


def _prints_a_name(node: ast.AST | None) -> bool:
    """Say whether something only prints what a call before it has returned."""
    match node:
        case ast.Call(func=ast.Name(id="print"), args=[ast.Name() | ast.JoinedStr(), *_]):
            return True
    return False


def _python_call(node: ast.AST | None) -> ToolCall:
    while (  # print(f(...))
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
        and node.args
    ):
        node = node.args[0]
    if not isinstance(node, ast.Call):
        raise NoCallError("a call is a name with arguments in brackets")
    try:
        named = {each.arg: _literal(each.value) for each in node.keywords if each.arg}
        positional = tuple(_literal(each) for each in node.args)
    except (ValueError, TypeError, RecursionError) as error:
        raise NoCallError(f"arguments are values: {error}") from error
    return ToolCall(ast.unparse(node.func), named, positional)


def _literal(node: ast.expr) -> Json:
    """Return a value as JSON has it; ``true``, ``false`` and ``null`` may be written so, too."""
    names = {"true": True, "false": False, "null": None}
    if isinstance(node, ast.Name) and node.id in names:
        return names[node.id]
    value = ast.literal_eval(node)
    return list(value) if isinstance(value, tuple) else value


_PARAMETERS = (
    re.compile(r"<parameter=([^>\s]+)>\n?(.*?)\n?</parameter>", re.DOTALL),
    re.compile(
        r"""<(?:[\w｜]+:?)?parameter\s+name=["']([^"']+)["'][^>]*>\n?(.*?)\n?"""
        r"</(?:[\w｜]+:?)?parameter>",
        re.DOTALL,
    ),
    re.compile(
        r"<(?:\w+_)?arg_key>(.*?)</(?:\w+_)?arg_key>\s*"
        r"<(?:\w+_)?arg_value>\n?(.*?)\n?</(?:\w+_)?arg_value>",
        re.DOTALL,
    ),
    re.compile(r"<([A-Za-z_][\w\-]*)>\n?(.*?)\n?</\1>", re.DOTALL),
)
"""How Qwen Coder, DeepSeek and MiniMax, GLM, and Claude 2 write a parameter's name and value."""


def xml_call(name: str, body: str) -> ToolCall:
    """Return a call whose parameters are XML elements; the tool's schema says what each holds.

    >>> xml_call("f", "<parameter=a>1</parameter><parameter=b>Graz</parameter>")
    ToolCall(name='f', arguments={'a': '1', 'b': 'Graz'}, positional=())
    """
    found = next((f for one in _PARAMETERS if (f := one.findall(body))), [])
    if not found and body.strip():
        raise NoCallError("parameters are elements with a name")
    return ToolCall(name, {key.strip(): UntypedText(value) for key, value in found})


def typed(value: Json, schema: Json) -> Json:
    """Return a value as its schema has it, where it came from a format without types.

    >>> typed(UntypedText("7"), {"type": "string"}), typed(UntypedText("7"), {"type": "integer"})
    ('7', 7)
    """
    if not isinstance(value, UntypedText):
        return value
    kinds = schema.get("type") if isinstance(schema, Mapping) else None
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if kinds == ["string"]:
        return str(value)
    read = _json_or_text(_PYTHON_WORDS.get(str(value).strip(), str(value)))
    if isinstance(read, str) and value.strip()[:1] in ("[", "{"):
        return _bare_value(value.strip())
    return str(value) if "string" in kinds and not isinstance(read, str | None) else read


def _bare_value(text: str) -> Json:
    """Return a list or an object whose keys and texts have lost their quotes, as far as it can be.

    >>> _bare_value("[a, 2]"), _bare_value("{a:2.5}")
    (['a', 2], {'a': 2.5})
    """
    try:
        return json.loads(_BARE_KEY.sub(r'\1"\2"\3', text))
    except (ValueError, RecursionError):
        if text[0] != "[":
            return text
        return [_json_or_text(each.strip()) for each in text[1:].removesuffix("]").split(",")]


_PYTHON_WORDS = {"True": "true", "False": "false", "None": "null"}


def _json_or_text(text: str) -> Json:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def named_call(name: str, arguments: str) -> ToolCall:
    """Return a call whose name stands before its arguments in JSON.

    Raises:
        NoCallError: If the arguments are no JSON object.
    """
    given = {} if arguments.strip() in ("None", "null") else _arguments_in_text(arguments.strip())
    if not isinstance(given, dict):
        raise NoCallError(f"arguments are an object: found {type(given).__name__}")
    return ToolCall(name.strip(), given)


_MARK = re.compile(r"<escape>|<\|\"\|>")
_BARE_KEY = re.compile(r"([{,]\s*)([\w\-]+)(\s*:)")
_FLAT = re.compile(
    r"([\w\-]+):((?:\{[^{}]*\}|\[[^\[\]]*\]|[^{}\[\],]|,(?!\s*[\w\-]+:))*)(?:,|\Z)", re.DOTALL
)


def escaped_call(name: str, body: str) -> ToolCall:
    """Return a call whose keys are bare and whose texts stand between marks, as Gemma writes it.

    >>> escaped_call("f", "a:<escape>Graz, Styria<escape>,b:[2,3]")
    ToolCall(name='f', arguments={'a': 'Graz, Styria', 'b': [2, 3]}, positional=())

    Where a decoder has dropped the marks, a text goes on to the next key:

    >>> escaped_call("f", "a:Graz, Styria,b:2").arguments
    {'a': 'Graz, Styria', 'b': '2'}
    """
    pieces = _MARK.split(f"{{{body}}}")
    quoted = [
        json.dumps(piece) if number % 2 else _BARE_KEY.sub(r'\1"\2"\3', piece)
        for number, piece in enumerate(pieces)
    ]
    try:
        given = json.loads("".join(quoted), strict=False)
    except (ValueError, RecursionError):
        given = {key: UntypedText(value.strip()) for key, value in _FLAT.findall(body)}
        if not given or len(pieces) > 1:
            raise NoCallError("the arguments do not parse") from None
    return ToolCall(name, given)


_SPACES = re.compile(r"\A(?:functions|default_api|tools)\.|\.call\Z")


def called_by_name(calls: Iterable[ToolCall], tools: Collection[str]) -> tuple[ToolCall, ...]:
    """Return calls with the names that the tools have, without what a model has put around them.

    Gemini writes ``default_api.f``, GPT ``functions.f``, Llama ``f.call``; and Command R says by a
    call of ``directly_answer`` that it calls nothing.
    """
    found = []
    for call in calls:
        bare = _SPACES.sub("", call.name)
        if call.name in tools or bare not in tools:
            bare = call.name
        if bare in tools or bare.replace("-", "_") != "directly_answer":
            found.append(replace(call, name=bare))
    return tuple(found)
