"""Row shapes: the keys of each dataset format, and how a row becomes prompt and completion.

Question-like shapes become conversations (the base's chat template applies to them);
``prompt``/``completion`` texts stay plain text, exactly as written, unless a ``system`` turn or a
``history`` stands beside them; all of a ``text`` is learnt.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from harness.errors import DataError
from harness.ingest.flags import FLAGS, LABEL, is_there, label
from harness.ingest.turns import (
    ROLES,
    Fields,
    NothingLearntError,
    Side,
    Turns,
    history_of,
    optional,
    split_turns,
    text,
    turns_of,
    unread,
    with_system,
)
from harness.records import Message

CONVERSATIONS = ("messages", "conversations", "prompt", "completion", "chosen", "rejected")
"""Fields that may hold a list of turns."""
_TURNS = ("system", "history")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A way to write a training row.

    ``keys`` are required, ``optional`` ones are read too, any others are counted as ignored.
    ``convert`` gets the row and its origin and returns prompt and completion, and of a preference
    pair the rejected answer too.
    """

    name: str
    keys: tuple[str, ...]
    optional: tuple[str, ...] = ()
    convert: Callable[[Fields, str], tuple[Side, ...]]

    def label(self, fields: Fields) -> bool | None:
        """Return whether a row's one answer is desirable; None where nothing judges it."""
        return label(fields, judged=LABEL in self.optional) if "rejected" not in self.keys else None

    def ignored(self, fields: Fields) -> set[str]:
        """Return what a row holds beside what is learnt from; fields of turns as ``key[].name``."""
        read = {*self.keys, *self.optional, *FLAGS} - {LABEL}
        if self.label(fields) is not None:
            read.add(LABEL)
        found = {str(key) for key, value in fields.items() if key not in read and is_there(value)}
        for key in CONVERSATIONS:
            if key in read:
                found |= {f"{key}[].{name}" for name in unread(fields.get(key))}
        return found


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


def _below(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part.strip())


def _ask(row: Fields, where: str, question: str, answer: str) -> tuple[Turns, Turns]:
    """Return a question and its answer as turns, behind the row's ``system`` and ``history``."""
    asked = (*history_of(row, where), Message(role="user", content=question))
    return with_system(row, asked, where), (Message(role="assistant", content=answer),)


def _messages(row: Fields, where: str) -> tuple[Side, Side]:
    return split_turns(with_system(row, turns_of(row["messages"], where), where), where)


def _sharegpt(row: Fields, where: str) -> tuple[Side, Side]:
    return split_turns(with_system(row, turns_of(row["conversations"], where), where), where)


def _prompt_completion(row: Fields, where: str) -> tuple[Side, Side]:
    prompt, completion = row["prompt"], row["completion"]
    lists = [isinstance(side, (list, tuple)) for side in (prompt, completion)]
    if lists == [True, True]:
        given, answers = turns_of(prompt, where), turns_of(completion, where)
        if {turn.role for turn in answers} != {"assistant"}:
            raise DataError(f"a completion must hold assistant turns, and only those: {where}")
        return split_turns(with_system(row, (*given, *answers), where), where)
    if any(lists):
        raise DataError(
            f"prompt and completion must both be text or both be lists of turns: {where} has "
            f"{type(prompt).__name__} and {type(completion).__name__}"
        )
    asked, answer = text(row, "prompt", where), text(row, "completion", where)
    if _among_turns(row):
        return _ask(row, where, asked, answer)
    return asked, answer


def _among_turns(row: Fields) -> bool:
    """Tell whether a row of plain text has turns beside it, and so is a conversation."""
    return is_there(row.get("system")) or is_there(row.get("history"))


def _chatglm(row: Fields, where: str) -> tuple[Side, Side]:
    return _ask(row, where, text(row, "prompt", where), text(row, "response", where))


def _questions(name: str, *, question: str, answer: str, above: str = "", below: str = "") -> Shape:
    """Return the shape of questions with a field that may stand above or below them."""

    def convert(row: Fields, where: str) -> tuple[Side, Side]:
        parts = (
            optional(row, above, where) if above else "",
            text(row, question, where),
            optional(row, below, where) if below else "",
        )
        return _ask(row, where, _below(*parts), text(row, answer, where))

    return Shape(
        name=name,
        keys=(question, answer),
        optional=(above or below, *_TURNS),
        convert=convert,
    )


def _plain(row: Fields, where: str) -> tuple[Side, Side]:
    if str(row.get("role")).lower() in ROLES or is_there(row.get("parent_id")):
        raise DataError(
            f"a text must not be one message of a conversation: {where} has a 'role' or a "
            "'parent_id'; join each conversation into one row of 'messages'"
        )
    return "", text(row, "text", where)


ASKED = ("prompt", "question", "instruction", "input")
"""What a preference pair may call its prompt, in this order."""


def _preference(row: Fields, where: str) -> tuple[Side, Side, Side]:
    asked = next((key for key in ASKED if is_there(row.get(key))), None)
    pairs = [_with_answer(row, asked, key, where) for key in ("chosen", "rejected")]
    if pairs[0][0] != pairs[1][0]:
        raise DataError(f"chosen and rejected must answer the same prompt: {where}")
    if pairs[0] == pairs[1]:
        raise DataError(f"chosen and rejected must differ: {where}; leave the row out")
    _check_conversation(row, pairs, where)
    return (*pairs[0], pairs[1][1])


def _with_answer(row: Fields, asked: str | None, key: str, where: str) -> tuple[Side, Side]:
    """Return what is asked, and one of the two answers to it."""
    value = row[key]
    given = row[asked] if asked else row.get("messages") or row.get("conversations")
    listed = isinstance(given, (list, tuple))
    if not isinstance(value, (list, tuple, dict)):
        answer = text(row, key, where)
        if given is None or (asked is None and not listed):
            raise DataError(f"a preference pair in plain text needs its 'prompt': {where} has none")
        if listed:
            turns = (*turns_of(given, where), Message(role="assistant", content=answer))
            return _unmasked(with_system(row, turns, where), where)
        question = _question_of(row, str(asked), where)
        if asked == "prompt" and not _among_turns(row):
            return question, answer
        return _ask(row, where, question, answer)
    turns = turns_of([value] if isinstance(value, dict) else value, where)
    if {turn.role for turn in turns} == {"assistant"}:
        if listed or given is None:
            turns = (*turns_of(given or (), where), *turns)
        else:
            question = _question_of(row, str(asked), where)
            turns = (*history_of(row, where), Message(role="user", content=question), *turns)
    elif asked and not _is_said(given, turns, where):
        raise DataError(f"{asked!r} must be what chosen and rejected answer: {where} has another")
    return _unmasked(with_system(row, turns, where), where)


def _question_of(row: Fields, asked: str, where: str) -> str:
    """Return what a pair asks in text, with its ``context`` and ``input``."""
    question, context = text(row, asked, where), optional(row, "context", where)
    more = optional(row, "input", where) if asked != "input" else ""
    if asked == "instruction":
        return _below(question, more, context)
    return _below(context, question, more)


def _is_said(given: object, turns: Turns, where: str) -> bool:
    """Tell whether a prompt is that of a whole conversation."""
    if isinstance(given, (list, tuple)):
        wanted = [turn.content for turn in turns_of(given, where)]
        return wanted == [turn.content for turn in turns][: len(wanted)]
    return any(str(given).strip() in turn.content for turn in turns)


def _unmasked(turns: Turns, where: str) -> tuple[Turns, Turns]:
    """Split a conversation of a pair, of which only the last answers are compared."""
    given, answers = split_turns([replace(turn, learnt=None) for turn in turns], where)
    if any(turn.learnt is False for turn in turns[len(given) :]):
        raise NothingLearntError
    return given, answers


def _check_conversation(row: Fields, pairs: list[tuple[Side, Side]], where: str) -> None:
    """Refuse ``messages`` beside a pair that are neither its prompt nor one of its two forms."""
    for key in ("messages", "conversations"):
        if not is_there(row.get(key)):
            continue
        said = [turn.content.strip() for turn in turns_of(row[key], where)]
        forms: list[list[str]] = []
        for prompt, answer in pairs:
            if isinstance(prompt, str) or isinstance(answer, str):
                forms += [[str(prompt).strip()], [str(prompt).strip(), str(answer).strip()]]
            else:
                asked = [turn.content.strip() for turn in prompt]
                forms += [asked, asked + [turn.content.strip() for turn in answer]]
        if said not in forms:
            raise DataError(
                f"{key!r} beside a preference pair must be its prompt or its chosen conversation: "
                f"{where} has another; drop it, or 'chosen' and 'rejected'"
            )


SHAPES: dict[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape(
            name="preference",
            keys=("chosen", "rejected"),
            optional=(*ASKED, "context", "messages", "conversations", *_TURNS, "tools"),
            convert=_preference,
        ),
        Shape(name="messages", keys=("messages",), optional=("system", "tools"), convert=_messages),
        Shape(
            name="sharegpt",
            keys=("conversations",),
            optional=("system", "tools"),
            convert=_sharegpt,
        ),
        Shape(
            name="prompt/completion",
            keys=("prompt", "completion"),
            optional=(*_TURNS, "tools", LABEL),
            convert=_prompt_completion,
        ),
        Shape(
            name="prompt/response", keys=("prompt", "response"), optional=_TURNS, convert=_chatglm
        ),
        _questions(
            "instruction/input/output", question="instruction", below="input", answer="output"
        ),
        _questions(
            "instruction/context/response",
            question="instruction",
            below="context",
            answer="response",
        ),
        _questions(
            "sql_prompt/sql_context/sql", above="sql_context", question="sql_prompt", answer="sql"
        ),
        _questions("question/query", above="schema", question="question", answer="query"),
        _questions("question/answer", above="context", question="question", answer="answer"),
        Shape(name="text", keys=("text",), convert=_plain),
    )
}
"""Shape name -> shape; the first one that fits a row's keys is taken."""
