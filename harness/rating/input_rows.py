"""Rows of answers that were produced elsewhere: what they must hold, and how a bad one is named."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from harness.errors import DataError, nearest

InputRow = Mapping[str, object]
"""One line of the input; which fields it has depends on the suite."""

REQUIRED = {
    "sql": ("gold_sql", "pred_text"),
    "qa": ("question", "answers", "response"),
    "choice": ("choices", "answer", "response"),
    "coherence": ("context", "response"),
}
"""The fields that a row of each suite must hold beside its ``id``."""

DOCUMENT = {
    "sql": ("gold_sql",),
    "qa": ("answers",),
    "choice": ("choices",),
    "coherence": ("messages",),
}
"""The fields that a row of a study's suite must hold for each judge; the answer is yet to come."""

_TEXTS = frozenset({"gold_sql", "pred_text", "question", "response", "schema"})


def read_rows(path: Path) -> Iterator[str]:
    """Yield the lines of a JSONL file, for `harness.rating.rate_rows`.

    Raises:
        DataError: If the file is missing or is no UTF-8 text.
    """
    try:
        with path.open(encoding="utf-8-sig") as lines:
            yield from lines
    except OSError as error:
        raise DataError(f"a file of answers must be readable: {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"a file of answers must be UTF-8 text: {path}: {error.reason}") from error


def checked(rows: Iterable[InputRow | str]) -> list[tuple[int, InputRow]]:
    """Return rows with their line numbers, ids checked; a row may be a line of JSON.

    Raises:
        DataError: If a line is no JSON object, has no ``id``, or repeats one; or nothing is there.
    """
    found: list[tuple[int, InputRow]] = []
    seen: dict[str, int] = {}
    for line, raw in enumerate(rows, start=1):
        if isinstance(raw, str) and not raw.strip():
            continue
        row = _parse(raw, line)
        if row.get("id") in (None, ""):
            known = f"; it has {', '.join(map(str, row))}" if row else ""
            raise DataError(f"line {line}: a row needs an 'id'{known}")
        key = json.dumps(row["id"], sort_keys=True, default=str)
        if key in seen:
            raise DataError(
                f"line {line}: an id must be unique: {row['id']!r} is that of line {seen[key]} too"
            )
        seen[key] = line
        found.append((line, row))
    if not found:
        raise DataError("there must be at least one row to rate: the input is empty")
    return found


def _parse(raw: InputRow | str, line: int) -> InputRow:
    if not isinstance(raw, str):
        return raw
    try:
        row = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise DataError(f"line {line}: each line must be a JSON object: {error}") from error
    if not isinstance(row, dict):
        raise DataError(f"line {line}: each line must be a JSON object: found {type(row).__name__}")
    return row


def problem(suite: str, row: InputRow) -> str | None:
    """Say what keeps one row from being rated; None where nothing does.

    >>> problem("qa", {"question": "?", "answers": ["a"], "respone": "b"})
    "a qa row needs 'response'; did you mean 'respone'?"
    """
    check = {"qa": _qa, "choice": _choice, "coherence": _coherence, "sql": _sql}[suite]
    return _lacking(suite, REQUIRED[suite], row) or check(row)


def document_problem(judge: str, row: InputRow, shown: Sequence[str] = ()) -> str | None:
    """Say what keeps a row of a study's suite from being shown or judged; None where nothing does.

    Args:
        judge: The suite's judge.
        row: The row, as its data file has it.
        shown: Fields that the suite's prompt is made of.

    >>> document_problem("qa", {"question": "?", "answer": "a"}, ("question",))
    "a qa row needs 'answers'; did you mean 'answer'?"
    """
    row = {key: value for key, value in row.items() if value is not None}
    lacking = _lacking(judge, (*shown, *DOCUMENT[judge]), row)
    if lacking is not None:
        return lacking
    checks = {"qa": _qa, "choice": _answer_key, "coherence": _conversation, "sql": _sql}
    return checks[judge](row)


def _lacking(suite: str, names: Sequence[str], row: InputRow) -> str | None:
    for name in names:
        if name not in row:
            close = nearest(name, map(str, row))
            return f"a {suite} row needs {name!r}{close.replace('known:', 'it has')}"
        if name in _TEXTS and not isinstance(row[name], str):
            return f"{name!r} must be text: found {type(row[name]).__name__}"
    return None


def _qa(row: InputRow) -> str | None:
    answers = row["answers"]
    if isinstance(answers, str):
        return None
    if not isinstance(answers, list) or not answers:
        return "'answers' must be a list with at least one accepted answer"
    if not all(isinstance(answer, str | int | float) for answer in answers):
        return "'answers' must hold texts"
    return None


def _choice(row: InputRow) -> str | None:
    choices = row["choices"]
    texts = choices.get("text") if isinstance(choices, Mapping) else choices
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
        return "'choices' must be a list of texts, or an object with 'text' and 'label'"
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
    return None


def _sql(row: InputRow) -> str | None:
    if not row.get("schema_sql") and not row.get("db_id"):
        return "a sql row needs 'schema_sql', or 'db_id' with a folder of databases"
    return None
