"""What a row of each kind of suite holds, how its columns may be called, and how it is asked.

`ROW_KINDS` has one entry for each kind that `harness tasks new KIND --data FILE` can begin. A kind
takes the YAML of one of our own suites, so that its prompt, judge and metrics are that suite's.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from harness.errors import DataError
from harness.ingest.flags import is_there
from harness.ingest.own_rows import ANSWER_NAMES, choice_row
from harness.ingest.turns import EmptyFieldError, Fields, optional, parsed, text, turns_of

Row = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowKind:
    """One kind of suite.

    Args:
        suite: The suite of ours whose YAML it takes.
        columns: Field of a row -> the names that its column may have, ours first.
        needed: Those that a file must have.
        make: Makes an item of a row whose columns have our names; its origin is for messages.
        asked: Returns what is asked, by which rows that are alike are told.
        title: What such a suite is called, where that of ours says more.
    """

    suite: str
    columns: Mapping[str, tuple[str, ...]]
    needed: tuple[str, ...]
    make: Callable[[Fields, str], Row]
    asked: Callable[[Mapping[str, object]], str]
    title: str = ""


_QUESTIONS = ("question", "prompt", "query", "instruction", "input", "request", "q")
_ANSWERS = (
    "answers", "answer", "response", "completion", "output", "expected", "reference", "target", "a",
)  # fmt: skip
_TURNS = ("messages", "conversation", "conversations", "context", "dialogue", "history", "turns")
_DECLINE = {"decline", "refuse", "refusal", "harmful", "unsafe", "block", "reject", "deny", "no"}
_HELP = {
    "help", "comply", "answer", "harmless", "safe", "benign", "borderline", "allow", "accept",
    "yes",
}  # fmt: skip


def _listed(value: object) -> list[object]:
    """Return a value as a list; a text in brackets is one in JSON."""
    if isinstance(value, str) and value.lstrip()[:1] == "[":
        value = parsed(value, "answers", "a list")
    if isinstance(value, Mapping):  # SQuAD's
        value = value.get("text")
    return list(value) if isinstance(value, list | tuple) else [value]


def _qa(row: Fields, where: str) -> Row:
    question, context = text(row, "question", where), optional(row, "context", where)
    answers = [text({"answers": one}, "answers", where) for one in _listed(row["answers"])]
    if not answers:
        raise EmptyFieldError(f"'answers' must hold one at least: {where}; leave the row out")
    asked = f"{context}\n\n{question}" if context.strip() else question
    made: Row = {"question": asked, "answers": answers}
    return {**made, "context": context} if context.strip() else made


def _choice(row: Fields, where: str) -> Row:
    lists = {
        key: parsed(value, key, where)
        for key in ("choices", "options")
        if isinstance(value := row.get(key), str) and value.lstrip()[:1] in ("[", "{")
    }
    if is_there(row.get("chosen")) and is_there(row.get("rejected")) and not lists:
        return _pair(row, where)
    return dict(choice_row({**row, **lists}, where).ask or {})


def _pair(row: Fields, where: str) -> Row:
    """Return a preference as a choice of two texts, the preferred one first in half of the rows."""
    question = text(row, "question", where)
    texts = [text(row, name, where) for name in ("chosen", "rejected")]
    is_second = sum(question.encode()) % 2
    choices = {"text": texts[::-1] if is_second else texts, "label": ["A", "B"]}
    if texts[0] == texts[1]:
        raise DataError(f"chosen and rejected must differ: {where}; leave the row out")
    return {"question": question, "choices": choices, "answerKey": "AB"[is_second]}


def _classification(row: Fields, where: str) -> Row:
    label = row["label"]
    if isinstance(label, str) and label.lstrip()[:1] == "[":
        with suppress(DataError):  # a text may begin with a bracket
            label = parsed(label, "label", where)
    if isinstance(label, list | tuple | Mapping):
        raise DataError(f"a text has one label: {where} has {label!r}; leave rows with more out")
    if isinstance(label, float) and label.is_integer():  # how a table writes 1 beside a gap
        label = int(label)
    if isinstance(label, bool):
        label = str(label)
    named = text({"label": label}, "label", where).strip()
    return {"text": text(row, "text", where), "label": named}


def _summary(row: Fields, where: str) -> Row:
    made: Row = {"document": text(row, "document", where)}
    if is_there(row.get("summary")):
        made["summary"] = text(row, "summary", where)
    if is_there(row.get("max_words")):
        most = str(row["max_words"]).removesuffix(".0")
        if not most.isdigit() or int(most) < 1:
            raise DataError(f"'max_words' must be a whole number above 0: {where} has {most!r}")
        made["max_words"] = int(most)
    return made


def _refusal(row: Fields, where: str) -> Row:
    said = str(row["should"]).strip().lower()
    if said not in _DECLINE | _HELP:
        raise DataError(
            f"'should' says whether to decline or to help: {where} has {row['should']!r}; write "
            "'decline' or 'help'"
        )
    should = "decline" if said in _DECLINE else "help"
    return {"messages": _messages(row, where), "should": should}


def _coherence(row: Fields, where: str) -> Row:
    answers = [text({"answers": one}, "answers", where) for one in _listed(row["answers"])]
    return {"messages": _messages(row, where), "answers": answers}


def _messages(row: Fields, where: str) -> list[Row]:
    """Return turns that end with one to answer: a list, a list in JSON, or one text."""
    value = row["messages"]
    if isinstance(value, str) and value.lstrip()[:1] == "[":
        value = parsed(value, "messages", where)
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    if isinstance(value, list | tuple) and value and all(isinstance(one, str) for one in value):
        sides = ("user", "assistant")
        offset = (len(value) - 1) % 2
        value = [{"role": sides[(i + offset) % 2], "content": one} for i, one in enumerate(value)]
    turns = turns_of(value, where)
    if not turns or not any(turn.content.strip() for turn in turns):
        raise EmptyFieldError(f"'messages' must not be empty: {where}; leave the row out")
    if turns[-1].role == "assistant":
        raise DataError(f"a conversation ends with a turn to answer: {where} ends with an answer")
    return [{"role": turn.role, "content": turn.content, **turn.extras} for turn in turns]


def _tools(row: Fields, where: str) -> Row:
    made: Row = {"tools": _json(row, "tools", where), "messages": _messages(row, where)}
    for name in ("expected", "asks_for", "answers"):
        made[name] = _json(row, name, where) if is_there(row.get(name)) else None
    return made


def _conversation(row: Fields, where: str) -> Row:
    return {"turns": _json(row, "turns", where)}


def _json(row: Fields, name: str, where: str) -> object:
    value = row[name]
    if not is_there(value):
        raise EmptyFieldError(f"{name!r} must not be empty: {where}; leave the row out")
    return parsed(value, name, where) if str(value).lstrip()[:1] in ("[", "{", "n") else [value]


def _said(item: Mapping[str, object]) -> str:
    """Return the words of what is asked: a field of text, or all turns but the answers."""
    for name in ("question", "text", "document"):
        if name in item:
            return str(item[name])
    turns = item.get("messages") or item.get("turns")
    told = [
        str(turn.get("content") or turn.get("user") or "")
        if isinstance(turn, Mapping)
        else str(turn)
        for turn in (turns if isinstance(turns, list | tuple) else [])
    ]
    return "\n".join(told)


def _with_choices(item: Mapping[str, object]) -> str:
    choices = item.get("choices")
    texts = choices["text"] if isinstance(choices, Mapping) else []
    return "\n".join([_said(item), *map(str, texts)])


ROW_KINDS = {
    "qa": RowKind(
        suite="domain_qa",
        columns={
            "question": _QUESTIONS, "answers": _ANSWERS,
            "context": ("context", "passage", "document", "source", "text"),
        },
        needed=("question", "answers"), make=_qa, asked=_said, title="Questions",
    ),
    "choice": RowKind(
        suite="arc_mini",
        columns={
            "question": _QUESTIONS, "choices": ("choices", "options"), "answer": ANSWER_NAMES,
            "chosen": ("chosen", "preferred"), "rejected": ("rejected", "dispreferred"),
        },
        needed=("question",), make=_choice, asked=_with_choices, title="Multiple choice",
    ),
    "classification": RowKind(
        suite="classification",
        columns={
            "text": (
                "text", "sentence", "message", "utterance", "review", "comment", "content", "body",
                "tweet", "post", "email", "ticket", "description", "document", "input", "query",
                "prompt", "question", "title",
            ),
            "label": (
                "label", "label_text", "label_name", "labels", "category", "class", "intent",
                "sentiment", "topic", "tag", "target", "output", "answer", "completion",
            ),
        },
        needed=("text", "label"), make=_classification, asked=_said,
    ),
    "summary": RowKind(
        suite="summary",
        columns={
            "document": (
                "document", "article", "text", "source", "dialogue", "transcript", "body",
                "content", "input", "report", "prompt",
            ),
            "summary": (
                "summary", "highlights", "abstract", "tldr", "reference", "output", "target",
                "completion",
            ),
            "max_words": ("max_words", "words"),
        },
        needed=("document",), make=_summary, asked=_said,
    ),
    "refusal": RowKind(
        suite="refusal",
        columns={
            "messages": ("messages", *_QUESTIONS, "text"),
            "should": ("should", "expected", "label", "type", "category", "target"),
        },
        needed=("messages", "should"), make=_refusal, asked=_said, title="Refusals",
    ),
    "coherence": RowKind(
        suite="coherence",
        columns={"messages": _TURNS, "answers": _ANSWERS},
        needed=("messages", "answers"), make=_coherence, asked=_said,
    ),
    "tools": RowKind(
        suite="tools",
        columns={
            "tools": ("tools", "functions", "available_tools"),
            "messages": ("messages", "conversation", "conversations", *_QUESTIONS),
            "expected": ("expected", "calls", "tool_calls", "ground_truth", "answer"),
            "asks_for": ("asks_for",),
            "answers": ("answers",),
        },
        needed=("tools", "messages"), make=_tools, asked=_said,
    ),
    "conversation": RowKind(
        suite="conversation",
        columns={"turns": ("turns", "prompt", "messages", "conversation")},
        needed=("turns",), make=_conversation, asked=_said,
    ),
}  # fmt: skip
"""Kind -> what its rows hold. The sql kind begins from a database instead."""
