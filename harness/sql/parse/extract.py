"""Find the one SQL statement in what a model wrote.

Models wrap statements in fences, prose, labels, thoughts and JSON, and go on after the statement.
Extraction removes the wrapping and never repairs the statement itself. Pure text, no database.
"""

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from harness.sql.parse.lexer import is_truncated, significant, statement_end, uncommented
from harness.sql.parse.wording.ending import is_whole, statement_length
from harness.sql.parse.wording.statements import (
    COMMON_QUERY_WORDS,
    QUERY_WORDS,
    prose_strength,
    starts_statement,
    writes,
)
from harness.thoughts import answer_of

MAX_TEXT = 400_000
"""Characters of a response that are read; the rest is dropped."""

MAX_SQL = 100_000
"""Characters of a statement; SQLite's own default limit is ten times that."""

_UNSEEN = re.compile(r"(?m)^[\u200b-\u200f\u202a-\u202e\u2060\ufeff]+")
_END_OF_TURN = re.compile(r"<\|[A-Za-z_]+\|>|</s>|<end_of_turn>|<eos>")
_FENCE = re.compile(r"```|~~~")
_LANGUAGE = re.compile(
    r"[ \t]*([A-Za-z][\w+-]*)?[ \t]*\n|[ \t]*(sqlite3?|sql|duckdb)\s", re.IGNORECASE
)
_SQL_TAG = re.compile(
    r"<(sql|query|answer|final_answer|final_sql|output|response|pre|code)>\s*(?!<)(.*?)(?:</\1>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_BOXED = re.compile(r"\\(?:boxed|text|texttt)\{([^{}]*)\}")
_SETUP_WORDS = frozenset({"create", "insert"})
"""First words of blocks that may only show the schema, beside a block that answers."""

_JSON_KEYS = ("sql", "query", "sql_query", "answer", "final_sql", "statement", "output")
_WORD = r"[(\s]*(?:select|with|values)\b|--|/\*"
_LINE_START = re.compile(rf"(?m)^[ \t>*`\"“]*(?={_WORD})", re.IGNORECASE)
_RARE_START = re.compile(r"(?m)^[ \t>*`\"“]*(?=(?:from|table|pivot|unpivot)\s)", re.IGNORECASE)
_QUOTED_START = re.compile(rf"[:：>`*\"“][ \t>*`\"“]*(?={_WORD})", re.IGNORECASE)
_SHOUTED = re.compile(r"\s(?=(?:SELECT|WITH)\s)")
_OTHER_START = re.compile(r"(?m)^[ \t>*`\"“]*(?=[A-Za-z])")
_BARE_WORDS = re.compile(r"select(?:\s+[a-z]+){2,}\s*[.!?]*\s*\Z", re.IGNORECASE)

MAX_STARTS = 60
"""Candidate starts of a statement in prose."""

WINDOW = 4_000
"""Characters after a candidate start that decide whether it is one."""


LITTLE = 6_000
"""Characters that the parser is given to tell whether a candidate start is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """What was found: ``sql`` (None if nothing), and ``problem`` where it cannot be run as it is.

    ``problem`` is one of ``no_sql``, ``truncated``, ``multi_statement``, ``refused_write``,
    ``not_a_query``, ``too_long``; empty where ``sql`` is one reading statement.
    """

    sql: str | None
    problem: str = ""


def extract(text: str) -> Extraction:
    r"""Return the one statement of a model's answer.

    >>> extract("Sure:\n```sql\nSELECT 1;\n```\nDone.").sql
    'SELECT 1'
    """
    body = _UNSEEN.sub("", answer_of(text[:MAX_TEXT])).lstrip("; \t\r\n")
    turns = [turn for turn in _END_OF_TURN.split(body) if turn.strip()]
    body = turns[0] if turns else ""
    for candidate in (_from_json(body), _from_blocks(body), _from_prose(body)):
        if candidate is not None:
            return classify(candidate)
    return Extraction(sql=None, problem="no_sql")


def _from_json(text: str) -> str | None:
    """Read ``{"sql": "..."}`` (bare, fenced or in a list), the whole answer being JSON."""
    body = text.strip()
    fenced = re.fullmatch(r"```(?:json)?\s*(.*?)\s*(?:```)?", body, re.DOTALL | re.IGNORECASE)
    if fenced:
        body = fenced[1]
    if not body.startswith(("{", "[", '"')):
        return None
    value = _loads(body)
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    found = [_statement_in(item) for item in (value if isinstance(value, list) else [value])]
    return ";\n".join(filter(None, found)) or None


def _statement_in(value: object) -> str | None:
    """Return the statement of one JSON value: a text, or an object that holds it."""
    if isinstance(value, dict):
        lowered = {str(key).lower(): item for key, item in value.items()}
        value = next((lowered[k] for k in _JSON_KEYS if isinstance(lowered.get(k), str)), None)
    return value if isinstance(value, str) and starts_statement(uncommented(value)) else None


def _loads(text: str) -> object:
    """Read JSON, or the same in Python's single quotes; None if it is neither."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text) if len(text) <= WINDOW and "'" in text else None
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _from_blocks(text: str) -> str | None:
    """Return the last fenced or tagged block that starts like a statement, SQL fences first.

    A script that shows the schema does not count where another block holds the answer.
    """
    plain = [match[1] for match in _BOXED.finditer(text)]
    tagged = [match[2] for match in _SQL_TAG.finditer(text)]
    for block in _FENCE.split(text)[1::2]:
        language = _LANGUAGE.match(block)
        body = block[language.end() :] if language else block
        (tagged if language and (language[1] or language[2]) else plain).append(body)
    for blocks in (tagged, plain):
        words = [starts_statement(uncommented(body)) for body in blocks]
        found = [pair for pair in zip(words, blocks, strict=True) if pair[0]]
        answers = [body for word, body in found if word not in _SETUP_WORDS]
        if found:
            return (answers or [body for _, body in found])[-1]
    return None


def _from_prose(text: str) -> str | None:
    """Return the most likely statement of a text, with what stands behind its ``;``."""
    stripped = text.strip()
    if len(stripped) > 2 and stripped[0] + stripped[-1] in {"''", '""', "“”", "‘’", "«»"}:
        text = stripped[1:-1] if starts_statement(stripped[1:]) else text
    opening = starts_statement(uncommented(text))
    if opening and opening not in QUERY_WORDS:
        return uncommented(text)
    found = _first_query(text, (_LINE_START, _QUOTED_START, _SHOUTED))
    rare = _first_query(text, (_RARE_START,))
    if rare is not None and (found is None or rare.end() < found.end()):
        found = rare  # FROM t SELECT a; behind a SELECT it is that one's clause
    if found is not None:
        line = text[text.rfind("\n", 0, found.end()) + 1 : found.end()]
        rest = text[found.end() :]
        rest = re.sub(r"(?m)^[ \t]*> ?", "", rest) if line.strip() == ">" else rest
        return _whole(_unquoted(found[0], rest))
    for match in islice(_OTHER_START.finditer(text), MAX_STARTS):
        word = starts_statement(text[match.end() : match.end() + WINDOW])
        if word is not None and word not in QUERY_WORDS:
            return _whole(text[match.end() :])
    return None


def _first_query(text: str, starts: Sequence[re.Pattern[str]]) -> re.Match[str] | None:
    """Return what stands just before the first query; the first kind of start that has one."""
    for start in starts:
        for match in islice(start.finditer(text), MAX_STARTS):
            line = text[text.rfind("\n", 0, match.end()) + 1 : match.end()]
            commented = line.lstrip().startswith("--")
            if not commented and _is_query(text[match.end() : match.end() + WINDOW]):
                return match
    return None


def _is_query(text: str) -> bool:
    word = starts_statement(uncommented(text))
    if word in COMMON_QUERY_WORDS:
        return not _is_english(text)
    if word in {"from", "table"}:
        return is_whole(text[: statement_length(text, budget=LITTLE)])
    return word in QUERY_WORDS


def _is_english(text: str) -> bool:
    """Tell whether what begins like a query is a sentence: "Select the names of all singers"."""
    bare = uncommented(text)
    line = bare.partition("\n")[0]
    strength = prose_strength(line)
    if not strength and not _BARE_WORDS.match(line):
        return False
    statement = text[: statement_length(text, budget=LITTLE)].rstrip(" \t\r\n.!?")
    has_source = re.search(r"\bfrom\b|\bas\b", statement, re.IGNORECASE) is not None
    if strength < 2 and has_source:
        return False
    return not has_source or not is_whole(statement)


def _unquoted(opening: str, rest: str) -> str:
    """Close the inline backtick, quotation mark or asterisks that opened just before."""
    quote = opening.strip()[-1:]
    if quote == "*":
        return re.sub(r"\*{2,}\s*\Z", "", rest.split("**\n", maxsplit=1)[0])
    if quote not in {"`", '"'}:
        return rest
    line_end = rest.find("\n\n") if "\n\n" in rest else len(rest)
    for found in islice(re.finditer(quote, rest[:line_end]), MAX_STARTS):
        head = rest[: found.start()]
        whole = re.search(r"\bfrom\s+[\w\"\[(`]", head, re.IGNORECASE) and not head[-1:].isspace()
        if whole and head.count(quote) % 2 == 0 and not is_truncated(head):
            return head
    closing = rest.rfind(quote, 0, line_end)
    return rest[:closing] if closing > 0 and rest.count(quote, 0, line_end) % 2 == 1 else rest


def _whole(text: str) -> str:
    """Cut where a statement ends; behind a ``;`` everything stays, which may be a second one."""
    end = statement_length(text)
    return text if text[end : end + 1] == ";" else text[:end]


def classify(text: str) -> Extraction:
    """Split what was found into statements and say what stands against running the first."""
    end = statement_end(text)
    sql, rest = text[:end].strip().rstrip("；。"), text[end:].lstrip("; \t\r\n")
    if len(sql) > MAX_SQL:
        return Extraction(sql=sql[:MAX_SQL], problem="too_long")
    if next(significant(sql), None) is None:
        return Extraction(sql=None, problem="no_sql")
    word = starts_statement(uncommented(sql))
    behind = starts_statement(uncommented(rest))
    if behind is not None and not (behind in QUERY_WORDS and _is_english(rest)):
        return Extraction(sql=text.strip(), problem="multi_statement")
    if word == "explain":
        return Extraction(sql=sql, problem="not_a_query")
    if word not in QUERY_WORDS or writes(sql):
        return Extraction(sql=sql, problem="refused_write")
    if is_truncated(sql):
        return Extraction(sql=sql, problem="truncated")
    return Extraction(sql=sql)
