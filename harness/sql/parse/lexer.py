"""A quote- and comment-aware reading of SQL text, enough to cut it without parsing it.

sqlglot parses; this module only answers where literals, comments and statements end, on text that
may be no SQL at all. It never raises and is linear in the length of the text.
"""

import re
from collections import deque
from collections.abc import Iterator
from typing import Literal, NamedTuple

TokenKind = Literal["string", "quoted", "comment", "word", "number", "space", "other"]

_TOKEN = re.compile(
    r"""
    (?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<string>'(?:[^']|'')*(?:'|\Z))
    |(?P<quoted>"(?:[^"]|"")*(?:"|\Z)|`[^`]*(?:`|\Z)|\[[^\]]*(?:\]|\Z))
    |(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)
    |(?P<word>[^\W\d]\w*)
    |(?P<space>\s+)
    |(?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_CLOSERS = {"'": "'", '"': '"', "`": "`", "[": "]"}

QUERY_WORDS = frozenset({"select", "with", "values"})
"""First words of statements that only read."""

OTHER_STATEMENT_WORDS = frozenset(
    """
    alter analyze attach begin call checkpoint commit copy create deallocate declare delete desc
    describe detach drop end exec execute explain export force grant import insert install load
    merge pragma prepare reindex release replace reset revoke rollback savepoint set show truncate
    update use vacuum
    """.split()  # noqa: SIM905 - a list of forty words is read as prose
)
"""First words of every other statement: whatever starts so is refused."""

_TWO_WORDS = {
    "alter": "table|database|view",
    "attach": "database|'",
    "begin": "transaction|immediate|exclusive|;",
    "commit": "transaction|;",
    "copy": r"\w+",
    "create": "table|temp|temporary|view|index|unique|trigger|virtual|or|database",
    "delete": r"from\s+\S+(?:\s+(?:as\s+)?\w+)?\s*(?:;|--|/\*|(?:where|returning|order|limit)\b)",
    "detach": r"database|\w+\s*;",
    "drop": "table|view|index|trigger|database|schema",
    "end": "transaction|;",
    "explain": "query|select|with|analyze",
    "insert": "into|or",
    "load": r"\w+\s*;",
    "merge": "into",
    "release": "savepoint",
    "replace": "into",
    "rollback": "to|transaction|;",
    "set": r"\w+\s*=",
    "show": "tables|databases|columns",
    "truncate": "table",
    "update": r"(?:or\s+\w+\s+)?[\w\"`\[\].]+\s+(?:as\s+\w+\s+)?set",
    "use": r"\w+\s*;",
    "with": r"(?:recursive\s+)?[\w\"`\[\]]+\s*(?:\([^)]*\)\s*)?as\b",
    "values": r"\(",
    "select": r"[\s\S]",
}


class Token(NamedTuple):
    """A piece of the text; all pieces joined give the text back."""

    kind: TokenKind
    text: str
    start: int

    @property
    def end(self) -> int:
        """Offset just behind the token."""
        return self.start + len(self.text)

    @property
    def closed(self) -> bool:
        """Whether a quoted token or block comment has its closing delimiter."""
        if self.kind in {"string", "quoted"}:
            return len(self.text) > 1 and self.text[-1] == _CLOSERS[self.text[0]]
        return not self.text.startswith("/*") or (len(self.text) > 3 and self.text.endswith("*/"))


def tokenize(text: str) -> Iterator[Token]:
    """Split any text into tokens that join back to it, one by one.

    >>> [t.text for t in tokenize("a='x;y' -- c")]
    ['a', '=', "'x;y'", ' ', '-- c']
    """
    for match in _TOKEN.finditer(text):
        yield Token(match.lastgroup, match[0], match.start())  # type: ignore[arg-type]


def significant(text: str) -> Iterator[Token]:
    """Yield the tokens that mean something: no blanks, no comments."""
    return (token for token in tokenize(text) if token.kind not in {"space", "comment"})


def starts_statement(text: str) -> str | None:
    """Return the first word (lower case) if the text starts like an SQL statement, else None.

    Prose that merely begins with such a verb does not count: what follows has to fit too.

    >>> starts_statement("  (SELECT 1)"), starts_statement("With this query you get")
    ('select', None)
    """
    first = next((token for token in significant(text[:2000]) if token.text != "("), None)
    if first is None or first.kind != "word":
        return None
    word = first.text.lower()
    if word not in QUERY_WORDS | OTHER_STATEMENT_WORDS:
        return None
    pattern = _TWO_WORDS.get(word)
    rest = text[first.end :].lstrip()
    if pattern and not re.match(pattern, rest + ";", re.IGNORECASE):
        return None
    return word


def statement_end(text: str) -> int:
    """Return the offset of the first ``;`` outside quotes and comments, or the text's length."""
    if ";" not in text:
        return len(text)
    return next((token.start for token in tokenize(text) if token.text == ";"), len(text))


_EXPECTING_MORE = frozenset(
    ", = < > . and or where from join on by having select set in like between limit not as".split()  # noqa: SIM905
)


def is_truncated(sql: str) -> bool:
    """Tell whether a statement stops inside a quote, a comment or a parenthesis, or on a comma.

    >>> is_truncated("SELECT a FROM t WHERE b = '"), is_truncated("SELECT (1)")
    (True, False)
    """
    states = deque(_truncated_after(sql), maxlen=1)
    return bool(states) and states[0][1]


def truncated_line_ends(sql: str) -> set[int]:
    r"""Return the numbers of the lines (from 0) at whose end a statement is truncated, in one pass.

    >>> truncated_line_ends("SELECT a,\nb\nFROM t")
    {0}
    """
    found: set[int] = set()
    line = 0
    for token, truncated in _truncated_after(sql):
        breaks = token.text.count("\n")
        if truncated or token.kind != "space":  # a line break inside a quote or a comment
            found.update(range(line, line + breaks))
        line += breaks
    return found


def _truncated_after(sql: str) -> Iterator[tuple[Token, bool]]:
    """Yield every token, and whether a statement that ends behind it would be truncated."""
    depth = 0
    expects_more = False
    for token in tokenize(sql):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if token.kind not in {"space", "comment"}:
            expects_more = token.text.lower() in _EXPECTING_MORE
        yield token, not token.closed or depth > 0 or expects_more


def nests_deeper(sql: str, limit: int) -> bool:
    """Tell whether parentheses, quotes and comments aside, stand deeper than ``limit``."""
    if sql.count("(") <= limit:
        return False
    depth = 0
    for token in tokenize(sql):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth > limit:
            return True
    return False


def normalized(sql: str) -> tuple[str, ...]:
    """Return a statement as comparable tokens: case, blanks, comments and a final ``;`` aside.

    Quoted text keeps its case: two statements with the same tokens mean the same to SQLite.

    >>> normalized("SELECT a FROM t;") == normalized("select  A from T")
    True
    """
    tokens = [t.text.lower() if t.kind == "word" else t.text for t in significant(sql)]
    while tokens and tokens[-1] == ";":
        tokens.pop()
    return tuple(tokens)
