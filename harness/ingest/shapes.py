"""Row shapes: the keys of each dataset format, and how a row becomes prompt and completion.

Question-like shapes become conversations (the base's chat template applies to them);
``prompt``/``completion`` texts stay plain text, exactly as written; all of a ``text`` is learnt.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from harness.errors import DataError, nearest
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
}
"""Role names that datasets use -> ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A way to write a training row.

    ``keys`` are required, ``optional`` ones are read too, any others are ignored. ``convert`` gets
    the row and its origin and returns prompt and completion, and of a preference pair the rejected
    answer too.
    """

    name: str
    keys: tuple[str, ...]
    optional: tuple[str, ...] = ()
    convert: Callable[[Fields, str], tuple[Side, ...]]


def shape_of(keys: Collection[str]) -> Shape | None:
    """Return the first shape all of whose required keys are there."""
    return next((shape for shape in SHAPES.values() if set(shape.keys) <= set(keys)), None)


def nearest_shape(keys: Collection[str]) -> str:
    """End an error message with the shape that needs the least change, or with all of them."""

    def fit(shape: Shape) -> float:
        likeness = [
            max((SequenceMatcher(None, key, found).ratio() for found in keys), default=0.0)
            for key in shape.keys
        ]
        return sum(likeness) / len(likeness)

    best = max(SHAPES.values(), key=fit)
    if fit(best) < 0.5:
        return f"; known shapes: {', '.join(SHAPES)}"
    missing = [repr(key) for key in best.keys if key not in keys]
    return f"; the nearest shape is {best.name}, for which {' and '.join(missing)} must be there"


def split_turns(turns: Sequence[Message], origin: str) -> tuple[Turns, Turns]:
    """Split a conversation before its last assistant turn(s): what is given, what is learnt.

    Raises:
        DataError: If the conversation does not end with the assistant, or nobody speaks before.
    """
    if not turns:
        raise DataError(f"a conversation needs turns: {origin} has none")
    if turns[-1].role != "assistant":
        raise DataError(
            f"a conversation must end with the assistant, whose turn is learnt: {origin} ends with "
            f"{turns[-1].role!r}; drop the last turn or add an answer"
        )
    cut = len(turns)
    while cut and turns[cut - 1].role == "assistant":
        cut -= 1
    if not any(turn.role == "user" for turn in turns[:cut]):
        raise DataError(
            f"a conversation needs two sides: {origin} has no user turn before the answer"
        )
    return tuple(turns[:cut]), tuple(turns[cut:])


def _turns(value: object, where: str, names: tuple[str, str] = ("role", "content")) -> Turns:
    role_key, text_key = names
    if not isinstance(value, (list, tuple)):
        raise DataError(
            f"a conversation must be a list of turns: {where} is {type(value).__name__}"
        )
    turns = []
    for number, turn in enumerate(value, start=1):
        if not isinstance(turn, Mapping) or role_key not in turn or text_key not in turn:
            found = ", ".join(turn) if isinstance(turn, Mapping) else type(turn).__name__
            raise DataError(
                f"every turn needs {role_key!r} and {text_key!r}: {where}, turn {number} has "
                f"{found}"
            )
        role = ROLES.get(str(turn[role_key]).lower())
        if role is None:
            raise DataError(
                f"unknown speaker {turn[role_key]!r} at {where}, turn {number}"
                f"{nearest(str(turn[role_key]), ROLES)}"
            )
        text = _text(turn, text_key, f"{where}, turn {number}", blank=role != "assistant")
        turns.append(Message(role=role, content=text))
    return tuple(turns)


def _text(row: Fields, key: str, where: str, *, blank: bool = False) -> str:
    value = row[key]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        found = "null" if value is None else type(value).__name__
        raise DataError(f"{key!r} must be text: {where} has {found}")
    if not value.strip() and not blank:
        raise DataError(f"{key!r} must not be empty: {where}; leave the row out")
    return value


def _optional(row: Fields, key: str, where: str) -> str:
    return _text(row, key, where, blank=True) if row.get(key) not in (None, "") else ""


def _ask(question: str, answer: str, system: str = "") -> tuple[Turns, Turns]:
    head = (Message(role="system", content=system),) if system.strip() else ()
    return (
        (*head, Message(role="user", content=question)),
        (Message(role="assistant", content=answer),),
    )


def _below(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part.strip())


def _messages(row: Fields, where: str) -> tuple[Side, Side]:
    return split_turns(_turns(row["messages"], where), where)


def _sharegpt(row: Fields, where: str) -> tuple[Side, Side]:
    turns = row["conversations"]
    first = turns[0] if isinstance(turns, (list, tuple)) and turns else None
    ours = isinstance(first, Mapping) and "role" in first
    read = _turns(turns, where) if ours else _turns(turns, where, ("from", "value"))
    system = _optional(row, "system", where)
    head = (Message(role="system", content=system),) if system.strip() else ()
    return split_turns((*head, *read), where)


def _prompt_completion(row: Fields, where: str) -> tuple[Side, Side]:
    prompt, completion = row["prompt"], row["completion"]
    lists = [isinstance(side, (list, tuple)) for side in (prompt, completion)]
    if lists == [True, True]:
        given, learnt = _turns(prompt, where), _turns(completion, where)
        if {turn.role for turn in learnt} != {"assistant"}:
            raise DataError(f"a completion must hold assistant turns, and only those: {where}")
        return split_turns((*given, *learnt), where)
    if any(lists):
        raise DataError(
            f"prompt and completion must both be text or both be lists of turns: {where} has "
            f"{type(prompt).__name__} and {type(completion).__name__}"
        )
    return _text(row, "prompt", where), _text(row, "completion", where)


def _instruction(row: Fields, where: str) -> tuple[Side, Side]:
    question = _below(_text(row, "instruction", where), _optional(row, "input", where))
    return _ask(question, _text(row, "output", where), _optional(row, "system", where))


def _dolly(row: Fields, where: str) -> tuple[Side, Side]:
    question = _below(_text(row, "instruction", where), _optional(row, "context", where))
    return _ask(question, _text(row, "response", where))


def _gretel_sql(row: Fields, where: str) -> tuple[Side, Side]:
    question = _below(_optional(row, "sql_context", where), _text(row, "sql_prompt", where))
    return _ask(question, _text(row, "sql", where))


def _spider(row: Fields, where: str) -> tuple[Side, Side]:
    question = _below(_optional(row, "schema", where), _text(row, "question", where))
    return _ask(question, _text(row, "query", where))


def _question(row: Fields, where: str) -> tuple[Side, Side]:
    question = _below(_optional(row, "context", where), _text(row, "question", where))
    return _ask(question, _text(row, "answer", where))


def _plain(row: Fields, where: str) -> tuple[Side, Side]:
    return "", _text(row, "text", where)


def _preference(row: Fields, where: str) -> tuple[Side, Side, Side]:
    asked = next((key for key in ("prompt", "question", "instruction") if row.get(key)), None)
    pairs = [_with_answer(row, asked, key, where) for key in ("chosen", "rejected")]
    if pairs[0][0] != pairs[1][0]:
        raise DataError(f"chosen and rejected must answer the same prompt: {where}")
    if pairs[0] == pairs[1]:
        raise DataError(f"chosen and rejected must differ: {where}; leave the row out")
    return (*pairs[0], pairs[1][1])


def _with_answer(row: Fields, asked: str | None, key: str, where: str) -> tuple[Side, Side]:
    """Return what is asked, and one of the two answers to it."""
    if isinstance(row[key], (list, tuple)):
        turns = _turns(row[key], where)
        given = row[asked] if asked else ()
        only_answer = {turn.role for turn in turns} == {"assistant"}
        if only_answer and isinstance(given, str) and given:
            turns = (Message(role="user", content=given), *turns)
        elif only_answer:
            turns = (*_turns(given, where), *turns)
        return split_turns(turns, where)
    answer = _text(row, key, where)
    if asked is None:
        raise DataError(f"a preference pair in plain text needs its 'prompt': {where} has none")
    if isinstance(row[asked], (list, tuple)):
        return _turns(row[asked], where), (Message(role="assistant", content=answer),)
    if asked == "prompt":
        return _text(row, asked, where), answer
    return _ask(_text(row, asked, where), answer, _optional(row, "system", where))


SHAPES: dict[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape(name="messages", keys=("messages",), convert=_messages),
        Shape(name="sharegpt", keys=("conversations",), optional=("system",), convert=_sharegpt),
        Shape(
            name="preference",
            keys=("chosen", "rejected"),
            optional=("prompt", "question", "instruction", "system"),
            convert=_preference,
        ),
        Shape(name="prompt/completion", keys=("prompt", "completion"), convert=_prompt_completion),
        Shape(
            name="instruction/input/output",
            keys=("instruction", "output"),
            optional=("input", "system"),
            convert=_instruction,
        ),
        Shape(
            name="instruction/context/response",
            keys=("instruction", "response"),
            optional=("context",),
            convert=_dolly,
        ),
        Shape(
            name="sql_prompt/sql_context/sql",
            keys=("sql_prompt", "sql"),
            optional=("sql_context",),
            convert=_gretel_sql,
        ),
        Shape(
            name="question/query", keys=("question", "query"), optional=("schema",), convert=_spider
        ),
        Shape(
            name="question/answer",
            keys=("question", "answer"),
            optional=("context",),
            convert=_question,
        ),
        Shape(name="text", keys=("text",), convert=_plain),
    )
}
"""Shape name -> shape; the first one that fits a row's keys is taken."""
