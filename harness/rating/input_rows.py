"""Rows of answers that were produced elsewhere: what they must hold, and how a bad one is named."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import blake2b
from pathlib import Path

from harness.errors import DataError, nearest
from harness.scoring.dialogues.scripted_dialogue import NotADialogueError, read_dialogue
from harness.scoring.label_answers import same_labels
from harness.scoring.tools import NotAToolError, read_tool_row

InputRow = Mapping[str, object]
"""One line of the input; which fields it has depends on the suite."""

REQUIRED = {
    "sql": ("gold_sql", "pred_text"),
    "qa": ("question", "answers", "response"),
    "choice": ("choices", "answer", "response"),
    "coherence": ("context", "response"),
    "tools": ("tools", "messages", "response"),
    "refusal": ("should", "response"),
    "classification": ("labels", "label", "response"),
    "summary": ("document", "response"),
    "conversation": ("responses",),
}
"""The fields that a row of each suite must hold beside its ``id``."""

DOCUMENT = {
    "sql": ("gold_sql",),
    "qa": ("answers",),
    "choice": ("choices",),
    "coherence": ("messages",),
    "tools": ("tools", "messages"),
    "refusal": ("messages", "should"),
    "classification": ("labels", "label"),
    "summary": ("document",),
    "conversation": (),
}
"""The fields that a row of a study's suite must hold for each judge; the answer is yet to come."""

HALF_PAIR = re.compile("[\ud800-\udfff]")
"""A lone surrogate: JSON can escape one, and it is no text."""

_TEXTS = frozenset({"gold_sql", "pred_text", "question", "response", "schema", "document"})
_OPTIONAL_TEXTS = {
    "qa": ("context",),
    "summary": ("summary",),
    "sql": ("schema_sql", "db_id", "question", "dialect"),
}
"""Fields that may be missing or null, and are else texts."""


@dataclass(frozen=True, slots=True)
class RowToRate:
    """A row as it came: the number of its line, and what keeps it from being rated, if anything."""

    line: int
    row: InputRow
    problem: str | None


def check_file(path: Path) -> None:
    """Refuse what is no file of answers, without reading it: a pipe might never end.

    Raises:
        DataError: If the file is missing or is no regular file.
    """
    if not path.exists():
        raise DataError(f"a file of answers must be readable: {path} is not there")
    if not path.is_file():
        raise DataError(f"a file of answers must be a regular file: {path} is none")


def read_rows(path: Path) -> Iterator[bytes]:
    """Yield the lines of a JSONL file, for `harness.rating.rate_rows`.

    Raises:
        DataError: If the file is missing or is no regular file.
    """
    check_file(path)
    try:
        with path.open("rb") as lines:
            yield from lines
    except OSError as error:
        raise DataError(f"a file of answers must be readable: {path}: {error.strerror}") from error


def rows_to_rate(suite: str, given: Iterable[InputRow | str | bytes]) -> Iterator[RowToRate]:
    """Yield rows, each with what keeps it from being rated; blank lines are no rows.

    Of the rows that were seen only the hashes of their ids are kept, 16 bytes each.
    """
    seen: dict[bytes, int] = {}
    for line, raw in enumerate(given, start=1):
        if isinstance(raw, str | bytes) and not raw.strip():
            continue
        row = _parse(raw, first=line == 1)
        if isinstance(row, str):
            yield RowToRate(line, {}, row)
            continue
        earlier = _first_line(row, line, seen)
        found = _half_pair(row) or (
            "a row needs an 'id'" + (f"; it has {', '.join(map(str, row))}" if row else "")
            if row.get("id") in (None, "")
            else f"an id must be unique: {row['id']!r} is that of line {earlier} too"
            if earlier != line
            else problem(suite, row)
        )
        yield RowToRate(line, row, found)


def _parse(raw: InputRow | str | bytes, *, first: bool) -> InputRow | str:
    """Return a row, or what keeps a line from being one."""
    try:
        if isinstance(raw, bytes):
            raw = raw.decode("utf-8-sig" if first else "utf-8")
        row = json.loads(raw) if isinstance(raw, str) else raw
    except UnicodeDecodeError as error:
        return f"each line must be UTF-8 text: {error.reason} at byte {error.start + 1}"
    except (ValueError, RecursionError) as error:
        return f"each line must be a JSON object: {error}"
    if not isinstance(row, Mapping):
        return f"each line must be a JSON object: found {type(row).__name__}"
    return row


def _first_line(row: InputRow, line: int, seen: dict[bytes, int]) -> int:
    """Return the first line with a row's id."""
    name = json.dumps(row.get("id"), sort_keys=True, default=str)
    return seen.setdefault(blake2b(name.encode(), digest_size=16).digest(), line)


def _half_pair(row: InputRow) -> str | None:
    """Say that a text holds half a surrogate pair: no program can write it as UTF-8."""
    left: list[object] = [row]
    while left:
        value = left.pop()
        if isinstance(value, str):
            if found := HALF_PAIR.search(value):
                return f"a text must be whole characters: found half of one, {found[0]!a}"
        elif isinstance(value, Mapping):
            left += [*value, *value.values()]
        elif isinstance(value, list | tuple):
            left += value
    return None


def problem(suite: str, row: InputRow) -> str | None:
    """Say what keeps one row from being rated; None where nothing does.

    >>> problem("qa", {"question": "?", "answers": ["a"], "respone": "b"})
    "a qa row needs 'response'; is that its 'respone'?"
    """
    check = _CHECKS[suite]
    optional = (*_OPTIONAL_TEXTS.get(suite, ()), "finish")
    given = [name for name in optional if row.get(name) is not None]
    return (
        _lacking(suite, REQUIRED[suite], row)
        or _no_text(row, given)
        or check(row)
        or _nothing_expected(suite, frozenset(map(str, row)))
    )


def document_problem(judge: str, row: InputRow, shown: Sequence[str] = ()) -> str | None:
    """Say what keeps a row of a study's suite from being shown or judged; None where nothing does.

    Args:
        judge: The suite's judge.
        row: The row, as its data file has it.
        shown: Fields that the suite's prompt is made of.

    >>> document_problem("qa", {"question": "?", "answer": "a"}, ("question",))
    "a qa row needs 'answers'; is that its 'answer'?"
    """
    keys = frozenset(map(str, row))
    row = {key: value for key, value in row.items() if value is not None}
    lacking = _lacking(judge, (*shown, *DOCUMENT[judge]), row) or _nothing_expected(judge, keys)
    if lacking is not None:
        return lacking
    checks = _CHECKS | {
        "choice": _answer_key,
        "coherence": _conversation,
        "conversation": _dialogue,
    }
    return checks[judge](row)


def _lacking(suite: str, names: Sequence[str], row: InputRow) -> str | None:
    for name in names:
        if name not in row:
            close = nearest(name, map(str, row)).replace("known:", "it has")
            return f"a {suite} row needs {name!r}{close.replace('did you mean', 'is that its')}"
        if name in _TEXTS and not isinstance(row[name], str):
            return f"{name!r} must be text: found {type(row[name]).__name__}"
    return None


def _no_text(row: InputRow, names: Iterable[str]) -> str | None:
    """Say which field is no text."""
    for name in names:
        if not isinstance(row[name], str):
            return f"{name!r} must be text: found {type(row[name]).__name__}"
    return None


def _texts(row: InputRow, name: str) -> str | None:
    """Say that a field is neither a text nor a list of texts (or numbers)."""
    value = row[name]
    if isinstance(value, str):
        return None
    if not isinstance(value, list) or not value:
        return f"{name!r} must be a list with at least one accepted answer"
    if not all(isinstance(each, str | int | float) for each in value):
        return f"{name!r} must hold texts"
    return None


def _qa(row: InputRow) -> str | None:
    return _texts(row, "answers")


def _choice(row: InputRow) -> str | None:
    choices = row["choices"]
    texts = choices.get("text") if isinstance(choices, Mapping) else choices
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
        return "'choices' must be a list of texts, or an object with 'text' and 'label'"
    labels = choices.get("label") if isinstance(choices, Mapping) else texts
    if not isinstance(labels, list) or len(labels) != len(texts):
        return "'choices' must have a 'label' for each 'text'"
    if not all(isinstance(label, str) for label in labels):
        return "'label' must hold texts"
    answer = row["answer"]
    if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer < len(texts):
        return f"'answer' must be an index from 0 to {len(texts) - 1}: found {answer!r}"
    return None


def _answer_key(row: InputRow) -> str | None:
    """Check ``choices`` with an index ``answer`` or, in ARC's shape, the label ``answerKey``."""
    choices = row["choices"]
    if "answer" in row or not isinstance(choices, Mapping):
        return _lacking("choice", ("answer",), row) or _choice(row)
    texts, labels = choices.get("text"), choices.get("label")
    if not isinstance(texts, list) or not isinstance(labels, list) or len(texts) != len(labels):
        return "'choices' must be an object with 'text' and 'label', two lists of one length"
    if "answerKey" in row and row["answerKey"] not in labels:
        known = ", ".join(map(str, labels))
        return f"'answerKey' must be one of the labels {known}: found {row['answerKey']!r}"
    return _lacking("choice", ("answerKey",), row)


def _conversation(row: InputRow) -> str | None:
    turns = row["messages"]
    problem = _coherence({"context": turns})
    if problem is not None:
        return problem.replace("'context'", "'messages'")
    assert isinstance(turns, list)
    last = turns[-1]
    if isinstance(last, Mapping) and last["role"] == "assistant":
        return "'messages' must end with a turn to answer: found the assistant's"
    return None


def _coherence(row: InputRow) -> str | None:
    turns = row["context"]
    if not isinstance(turns, list) or not turns:
        return "'context' must be a list of at least one turn, oldest first"
    for turn in turns:
        whole = isinstance(turn, Mapping) and {"role", "content"} <= set(turn)
        if not whole and not isinstance(turn, str):
            return "a turn must be a text or an object with 'role' and 'content'"
        if isinstance(turn, Mapping) and (said := _no_text(turn, ("role", "content"))):
            return f"a turn's {said}"
    for name in ("answers", "distractors"):
        if row.get(name) and (said := _texts(row, name)):
            return said
    return None


def _sql(row: InputRow) -> str | None:
    if not row.get("schema_sql") and not row.get("db_id"):
        return "a sql row needs 'schema_sql', or 'db_id' with a folder of databases"
    return None


def _refusal(row: InputRow) -> str | None:
    if row["should"] not in ("decline", "help"):
        return f"'should' must be 'decline' or 'help': found {row['should']!r}"
    return _conversation(row) if row.get("messages") is not None else None


def _classification(row: InputRow) -> str | None:
    given = row["labels"]
    if not isinstance(given, list) or len(given) < 2:
        return "'labels' must be a list of at least two labels"
    if not all(isinstance(label, str | int) for label in given):
        return "'labels' must hold texts"
    labels = [str(label) for label in given]
    if not all(label.strip() for label in labels):
        return "'labels' must not be empty"
    if (same := same_labels(labels)) is not None:
        return (
            "labels must differ by more than case and how their words are joined: found "
            f"{same[0]!r} and {same[1]!r}"
        )
    if str(row["label"]) not in labels:
        return f"'label' must be one of 'labels', {', '.join(labels[:20])}: found {row['label']!r}"
    return None


def _summary(row: InputRow) -> str | None:
    most = row.get("max_words")
    if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
        return f"'max_words' must be a whole number above 0: found {most!r}"
    if not str(row["document"]).strip():
        return "'document' must not be empty"
    return _no_text(row, ["summary"] if row.get("summary") is not None else [])


_EXPECTED = ("expected", "asks_for", "answers", "json")


def _nothing_expected(suite: str, keys: frozenset[str]) -> str | None:
    """Say that a row of tools has none of the fields that say what is right, or one misspelt."""
    if suite != "tools" or not keys.isdisjoint(_EXPECTED):
        return None
    close = [
        f"; is that its {found[0]!r}"
        for name in _EXPECTED
        if (found := get_close_matches(name, sorted(keys), n=1, cutoff=0.75))
    ]
    return (
        "a tools row says what is right in 'expected' (null where no call is wanted), 'asks_for', "
        f"'answers' or 'json'{''.join(close[:1])}"
    )


def _dialogue(row: InputRow) -> str | None:
    try:
        read_dialogue(row)
    except NotADialogueError as error:
        return str(error)
    return None


def _answered_dialogue(row: InputRow) -> str | None:
    problem = _dialogue(row)
    if problem is not None:
        return problem
    given, turns = row["responses"], read_dialogue(row).turns
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        return "'responses' must be a list of texts, one for each turn"
    if len(given) != len(turns):
        return f"'responses' must hold one text for each of {len(turns)} turns: found {len(given)}"
    return None


def _tools(row: InputRow) -> str | None:
    turns = row["messages"]
    if not isinstance(turns, list) or not turns:
        return "'messages' must be a list of at least one turn, oldest first"
    if not all(isinstance(turn, Mapping) and isinstance(turn.get("role"), str) for turn in turns):
        return "a turn must be an object with a 'role'"
    try:
        read_tool_row(row)
    except NotAToolError as error:
        return str(error)
    return None


_CHECKS = {
    "qa": _qa,
    "choice": _choice,
    "coherence": _coherence,
    "sql": _sql,
    "tools": _tools,
    "refusal": _refusal,
    "classification": _classification,
    "summary": _summary,
    "conversation": _answered_dialogue,
}
"""What a row of each suite must be beside its fields being there."""
