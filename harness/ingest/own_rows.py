"""Recognise what a file of one's own rows is, and turn a row into one to learn and one to ask.

Whatever `harness.ingest.shapes` can learn from is recognised, and beside it multiple choice,
questions with several accepted answers, and questions to SQL with a schema or a database.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from string import ascii_uppercase
from typing import Literal

from harness.errors import DataError, nearest
from harness.ingest.file_formats import SourceRow
from harness.ingest.flags import FLAGS, is_there, learnt
from harness.ingest.labelled_texts import (
    OwnRow,
    label_columns,
    labelled_row,
    labels_in,
    said_row,
    summary_columns,
    summed_row,
)
from harness.ingest.shapes import Shape, shape_of
from harness.ingest.turns import EmptyFieldError, Fields, parsed, text
from harness.records import Message

Suited = Literal[
    "domain_qa", "coherence", "arc_challenge", "sql", "held_out", "classification", "summary"
]
"""The suite that asks such rows; ``held_out`` is written beside the study."""

WOULD_DO = (
    "question and answer (or answers, a list)",
    "prompt and completion",
    "messages",
    "question, choices and answer",
    "question, query and schema_sql (or db_id, with --databases)",
    "text and label",
    "document and summary",
    "prompt, chosen and rejected",
    "text",
)
"""What to call the columns, for an error message."""

_SAME = {
    ("input", "output"): ("prompt", "completion"),
    ("instruction", "answer"): ("question", "answer"),
    ("question", "response"): ("question", "answer"),
    ("question", "completion"): ("question", "answer"),
    ("prompt", "answer"): ("prompt", "response"),
    ("prompt", "output"): ("prompt", "response"),
    ("instruction", "response"): ("question", "answer"),
    ("query", "response"): ("question", "answer"),
    ("user", "assistant"): ("question", "answer"),
    ("q", "a"): ("question", "answer"),
}
"""Names of two columns that are used elsewhere -> ours; tried where no shape fits."""

_LISTS = ("messages", "conversations", "chosen", "rejected", "answers", "choices", "options")
_SQL = re.compile(r"\s*(?:\(|--.*\n|\s)*(?:select|with)\b", re.IGNORECASE)
_TABLE = re.compile(r"\bcreate\s+(?:temp\w*\s+)?table\b", re.IGNORECASE)
OPTION = re.compile(r"(?:option|choice|answer)?[_ ]?([a-h])", re.IGNORECASE)
"""What the column of one choice may be called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRows:
    """A file of one's own: its rows, what they are, and what asks such rows.

    ``what`` says it in words, ``plain`` that prompts stand without a chat template, ``unused``
    names the columns that nothing is made of, ``empty`` counts rows that were left out because a
    column is empty in them.
    """

    what: str
    suite: Suited
    rows: tuple[OwnRow, ...]
    objective: str = "sft"
    plain: bool = False
    columns: tuple[str, ...] = field(default=())
    unused: tuple[str, ...] = ()
    empty: int = 0


def recognised(
    source: str, found: Iterable[SourceRow], columns: Mapping[str, str] | None = None
) -> OwnRows:
    """Read rows of one shape.

    Args:
        source: What they are from, for messages.
        found: The rows.
        columns: Field -> the column that it is, where the names do not say so.

    Raises:
        DataError: If the shape is not known, naming the columns and what would do; or if a row is
            not what the first one is.
    """
    given = _renamed(list(found), columns or {}, source)
    rows = [SourceRow(origin, _normalised(fields, origin)) for origin, fields in given]
    if not rows:
        raise DataError(f"a study needs rows: {source} is empty")
    first = rows[0].fields
    fullest = max((r.fields for r in rows if first.keys() <= r.fields.keys()), key=len)
    for model in (first, fullest):  # of the first row a field may be missing
        if (made := _of_shape(model, rows)) is not None:
            return made
    raise DataError(
        f"the columns of {source} must say what its rows are: found {', '.join(first)}"
        f"{_meant(first)}; rename them, or say which is which with --column question=NAME, to one "
        f"of: {'; '.join(WOULD_DO)}"
    )


def _of_shape(first: Fields, rows: Sequence[SourceRow]) -> OwnRows | None:
    """Read rows that are as the one given; None where nothing is known to be like it."""
    if _is_sql(first):
        return _made("questions to SQL", "sql", rows, _sql)
    if _options(first) and _answer_of(first):
        return _made("multiple choice", "arc_challenge", rows, choice_row)
    if (columns := label_columns([row.fields for row in rows])) is not None:
        read = partial(labelled_row, columns=columns, labels=labels_in(rows, columns[1]))
        return _made("texts with labels", "classification", rows, read)
    if (columns := summary_columns(first)) is not None:
        return _made("documents with summaries", "summary", rows,
                     partial(summed_row, columns=columns))  # fmt: skip
    if "question" in first and "answers" in first:
        return _made("questions with accepted answers", "domain_qa", rows, _answers)
    shape = shape_of(first)
    return None if shape is None else _shaped(shape, rows, first)


def _renamed(
    rows: Sequence[SourceRow], columns: Mapping[str, str], source: str
) -> Sequence[SourceRow]:
    """Return rows in which columns have the names of the fields that they are."""
    ours = {_lowered(column): name for name, column in columns.items()}
    there = dict.fromkeys(_lowered(name) for row in rows for name in row.fields)
    lacking = next((column for column in ours if column not in there), None)
    if lacking is not None:
        raise DataError(f"no column {lacking!r} in {source}{nearest(lacking, there)}")
    return [
        SourceRow(
            origin,
            {
                ours.get(_lowered(name), name): value
                for name, value in fields.items()
                if _lowered(name) in ours or _lowered(name) not in columns
            },
        )
        for origin, fields in rows
    ]


def _lowered(name: object) -> str:
    return "_".join(str(name).lower().split())


def _columns_of(rows: Sequence[SourceRow]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for row in rows for name in row.fields))


def _meant(columns: Collection[str]) -> str:
    """Say which known names columns seem to be misspelt from."""
    known = re.findall(r"\w{4,}", re.sub(r"\(.*?\)", "", " ".join(WOULD_DO)))
    close = [get_close_matches(name, known, n=1, cutoff=0.8) for name in columns]
    meant = dict.fromkeys(name for names in close for name in names if name not in columns)
    return f" (did you mean {', '.join(meant)}?)" if meant else ""


def _made(
    what: str, suite: Suited, rows: Sequence[SourceRow], convert: Callable[[Fields, str], OwnRow]
) -> OwnRows:
    made: list[OwnRow] = []
    for origin, fields in rows:
        with suppress(EmptyFieldError):
            made.append(convert(fields, origin))
    return OwnRows(
        what=what,
        suite=suite,
        rows=tuple(made),
        columns=_columns_of(rows),
        empty=len(rows) - len(made),
    )


def _normalised(fields: Fields, origin: str) -> Fields:
    """Return a row with names in lower case and without spaces, and lists that were JSON text."""
    named = {_lowered(key): value for key, value in fields.items()}
    if len(named) < len(fields):
        raise DataError(f"column names must differ by more than case and spaces: {origin}")
    for key in _LISTS:
        value = named.get(key)
        if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
            named[key] = parsed(value, key, origin)
    if shape_of(named) is None:
        for pair, ours in _SAME.items():
            if set(pair) <= set(named):
                return {dict(zip(pair, ours, strict=True)).get(k, k): v for k, v in named.items()}
    return named


def _shaped(shape: Shape, rows: Sequence[SourceRow], first: Fields) -> OwnRows:
    """Read rows of a shape that training knows, as ``first`` is."""
    read = {*shape.keys, *shape.optional, *FLAGS}
    made: list[OwnRow] = []
    plain = is_long = False
    judged = 0
    for origin, fields in rows:
        if shape_of(fields) is not shape:
            if fields.keys() < first.keys():
                continue
            raise DataError(
                f"all rows must have one shape: {origin} is not {shape.name}, as the first one is"
            )
        try:
            prompt, completion, *rejected = shape.convert(fields, origin)
        except EmptyFieldError:
            continue
        good = shape.label(fields)
        judged += good is not None
        learn = {key: value for key, value in fields.items() if key in read and is_there(value)}
        asked = prompt if isinstance(prompt, str) else _turns(prompt)
        plain = plain or (isinstance(prompt, str) and bool(prompt))
        users = 1 if isinstance(prompt, str) else sum(turn.role == "user" for turn in prompt)
        is_long = is_long or users > 1
        ask: dict[str, object] | None
        if not asked:
            ask, asked = {"text": text(fields, "text", origin)}, text(fields, "text", origin)
        else:
            ask = _question(prompt, completion, judged=bool(rejected))
        if good is False or learnt(fields, origin) is False:
            ask = None
        made.append(OwnRow(learn=learn, ask=ask, asked=asked, fields=fields))
    pairs = "rejected" in shape.keys
    suite: Suited = "held_out" if shape.name == "text" else "domain_qa"
    if suite == "domain_qa" and (is_long or pairs):
        suite = "coherence"
        made = [_without(row, "question", "answers") for row in made]
    elif not any(_is_conversation(row) for row in made):
        made = [_without(row, "messages") for row in made]
    return OwnRows(
        what=f"rows of shape {shape.name}",
        suite=suite,
        rows=tuple(made),
        objective="dpo" if pairs else "kto" if judged else "sft",
        plain=plain and suite == "domain_qa",
        columns=_columns_of(rows),
        unused=tuple(key for key in _columns_of(rows) if key not in read),
        empty=len(rows) - len(made),
    )


def _question(
    prompt: str | tuple[Message, ...], completion: str | tuple[Message, ...], *, judged: bool
) -> dict[str, object] | None:
    """Return a prompt as an item: its question with the answer, and its turns where it has any."""
    answer = completion if isinstance(completion, str) else completion[-1].content
    if isinstance(prompt, str):
        turns = [{"role": "user", "content": prompt}] if judged else []
        return {"question": prompt, "answers": [answer.strip()], "messages": turns} if turns else {
            "question": prompt, "answers": [answer.strip()]
        }  # fmt: skip
    if any(turn.role == "tool" or turn.extras for turn in prompt) or not answer.strip():
        return None  # a call is no answer in words
    turns = [{"role": turn.role, "content": turn.content} for turn in prompt]
    return {"question": prompt[-1].content, "answers": [answer.strip()], "messages": turns}


def _is_conversation(row: OwnRow) -> bool:
    """Tell whether a row shows more than its question: a system's turn, say."""
    turns = (row.ask or {}).get("messages", [])
    return isinstance(turns, list) and len(turns) > 1


def _without(row: OwnRow, *names: str) -> OwnRow:
    ask = {key: value for key, value in row.ask.items() if key not in names} if row.ask else None
    return OwnRow(learn=row.learn, ask=ask, asked=row.asked, fields=row.fields)


def _turns(prompt: Sequence[Message]) -> str:
    return "\n".join(turn.text for turn in prompt if turn.role != "system")


def _answers(fields: Fields, where: str) -> OwnRow:
    question = text(fields, "question", where)
    given = fields.get("answers")
    if isinstance(given, Mapping):  # SQuAD's
        given = given.get("text")
    listed = list(given) if isinstance(given, (list, tuple)) else [given]
    answers = [text({"answers": one}, "answers", where) for one in listed]
    if not answers:
        raise DataError(f"'answers' must hold one at least: {where}; leave the row out")
    context = {"context": fields["context"]} if is_there(fields.get("context")) else {}
    asked = f"{text(context, 'context', where)}\n\n{question}" if context else question
    return OwnRow(
        learn={"question": question, "answer": answers[0], **context},
        ask={"question": asked, "answers": answers},
        asked=asked,
        fields=fields,
    )


def _options(fields: Fields) -> dict[str, object]:
    """Return the choices of a row by label; none where it has no list of them nor columns."""
    for key in ("choices", "options"):
        value = fields.get(key)
        if isinstance(value, Mapping) and {"text", "label"} <= set(value):
            return dict(zip(map(str, value["label"]), value["text"], strict=False))
        if isinstance(value, Mapping):
            return {str(name): one for name, one in value.items()}
        if isinstance(value, (list, tuple)):
            return dict(zip(ascii_uppercase, value, strict=False))
    lettered = {
        found[1].upper(): value
        for key, value in fields.items()
        if (found := OPTION.fullmatch(str(key))) and is_there(value)
    }
    return lettered if len(lettered) > 1 and "question" in fields else {}


ANSWER_NAMES = (
    "answerkey", "answer_key", "answer", "correct", "correct_answer", "label", "gold",
)  # fmt: skip
"""What the column of the right choice may be called."""


def _answer_of(fields: Fields) -> str:
    return next((name for name in ANSWER_NAMES if is_there(fields.get(name))), "")


def choice_row(fields: Fields, where: str) -> OwnRow:
    """Read a question with choices, in a list, an object or columns of their own."""
    options = {label: text({label: one}, label, where) for label, one in _options(fields).items()}
    question, name = text(fields, "question", where), _answer_of(fields)
    if not name or not options:
        lacking = "answer" if options else "choices"
        raise EmptyFieldError(f"{lacking!r} must not be empty: {where}; leave the row out")
    given = text(fields, name, where).strip()
    labels = list(options)
    if len(set(options.values())) < len(options):
        raise DataError(f"choices must differ: {where} has one twice; leave the row out")
    if given in options or given.upper() in options:
        answer = given if given in options else given.upper()
    elif given in options.values():
        answer = labels[list(options.values()).index(given)]
    elif given.isdigit() and int(given) < len(labels):
        answer = labels[int(given)]
    else:
        raise DataError(
            f"the answer must be one of the choices, its letter or its number from 0: {where} has "
            f"{given!r} and the choices {', '.join(labels)}"
        )
    asked = f"Question: {question}\nAnswer:"
    return OwnRow(
        learn=said_row(asked, options[answer]),
        ask={
            "question": question,
            "choices": {"text": list(options.values()), "label": labels},
            "answerKey": answer,
        },
        asked=question,
        fields=fields,
    )


def _sql_columns(fields: Fields) -> tuple[str, str]:
    """Return the columns of question and query, empty where there are none."""
    asked = next((name for name in ("question", "sql_prompt", "prompt") if name in fields), "")
    names = ("gold_sql", "sql", "query", "answer", "completion")
    gold = next((name for name in names if _SQL.match(str(fields.get(name) or ""))), "")
    return asked, gold


def _script(fields: Fields) -> str:
    """Return the script that makes a row's tables; empty where it has none."""
    names = ("schema_sql", "sql_context", "context", "schema")
    return next((str(fields[n]) for n in names if _TABLE.search(str(fields.get(n) or ""))), "")


def _is_sql(fields: Fields) -> bool:
    return all(_sql_columns(fields)) and bool(_script(fields) or "schema" in fields
                                              or is_there(fields.get("db_id")))  # fmt: skip


def _sql(fields: Fields, where: str) -> OwnRow:
    asked, gold = _sql_columns(fields)
    script, database = _script(fields), fields.get("db_id")
    if not asked or not gold:
        raise DataError(f"a row of questions to SQL needs a question and a SELECT: {where}")
    if not (script or is_there(database)):
        raise DataError(
            f"a query is judged by running it: {where} needs a 'schema_sql' with CREATE TABLE, "
            "or a 'db_id' with --databases"
        )
    place: dict[str, object] = {"db_id": database} if is_there(database) else {"schema_sql": script}
    if is_there(fields.get("dialect")):
        place["dialect"] = fields["dialect"]
    schema = str(fields.get("schema") or "") or script
    question, query = text(fields, asked, where), text(fields, gold, where)
    return OwnRow(
        learn=said_row(f"{schema}\n{question}", query),
        ask={"question": question, "schema": schema, "gold_sql": query, **place},
        asked=f"{schema}\n{question}",
        fields=fields,
    )
