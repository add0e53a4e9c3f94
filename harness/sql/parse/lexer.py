"""A quote- and comment-aware reading of SQL text, enough to cut it without parsing it.

sqlglot parses; this module only answers where literals, comments and statements end, on text that
may be no SQL at all. It knows the quotes of all dialects at once, never raises, and is linear in
the length of the text.
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

TokenKind = Literal["string", "quoted", "comment", "word", "number", "space", "fence", "other"]

_TOKEN = re.compile(
    r"""
    (?P<comment>--[^\n]*)
    |(?P<block>/\*)
    |(?P<string>[eE]'(?:[^'\\]|\\.|'')*+(?P<e>'?)|'(?:[^'\\]|''|\\(?:'(?=\w))?)*+(?P<s>'?))
    |(?P<fence>```|~~~)
    |(?P<quoted>"(?:[^"]|"")*+(?P<q>"?)|`[^`]*+(?P<b>`?)
        |(?<![\w)\]])\[(?!\s*['"\[({])[^\]\n]*+(?P<k>\]))
    |(?P<dollar>\$(?:[^\W\d]\w*)?\$)
    |(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)
    |(?P<word>[^\W\d]\w*)
    |(?P<space>\s+)
    |(?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_PLAIN = frozenset({"word", "space", "other", "number", "comment", "fence"})
MAX_LOST_TAGS = 16
"""Dollar quotes that may turn out to be unclosed before no more are looked for."""


class Token(NamedTuple):
    """A piece of the text; all pieces joined give the text back.

    ``closed`` tells whether a quoted piece or a block comment has its closing delimiter.
    """

    kind: TokenKind
    text: str
    start: int
    closed: bool = True

    @property
    def end(self) -> int:
        """Offset just behind the token."""
        return self.start + len(self.text)


def tokenize(text: str) -> Iterator[Token]:
    """Split any text into tokens that join back to it, one by one.

    Comments nest, as in PostgreSQL, where the text closes each of them; else they do not, as in
    SQLite. A dollar opens a quote where the same tag closes it.

    >>> [t.text for t in tokenize("a='x;y' -- c")]
    ['a', '=', "'x;y'", ' ', '-- c']
    """
    position, nests, lost = 0, True, set[str]()
    while (match := _TOKEN.match(text, position)) is not None:
        kind, end, closed = match.lastgroup, match.end(), True
        if kind == "block":
            kind, nests, end = "comment", *_comment_end(text, position, nests=nests)
            closed = end - position > 3 and text.endswith("*/", position, end)
        elif kind == "dollar":
            found = -1
            if match[0] not in lost and len(lost) < MAX_LOST_TAGS:
                found = text.find(match[0], end)
            if found < 0:
                lost.add(match[0])
                kind, end = "other", position + 1
            else:
                kind, end = "string", found + len(match[0])
        elif kind not in _PLAIN:
            closed = bool(match["e"] or match["s"] or match["q"] or match["b"] or match["k"])
        yield Token(kind, text[position:end], position, closed)  # type: ignore[arg-type]
        position = end


def _comment_end(text: str, start: int, *, nests: bool) -> tuple[bool, int]:
    """Return whether comments may nest from here on, and where the one that starts here ends."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(text, start) if nests else ():
        depth += 1 if edge[0] == "/*" else -1
        if not depth:
            return True, edge.end()
    end = text.find("*/", start + 2)
    return False, end + 2 if end >= 0 else len(text)


def significant(text: str) -> Iterator[Token]:
    """Yield the tokens that mean something: no blanks, no comments."""
    return (token for token in tokenize(text) if token.kind not in {"space", "comment"})


def statement_end(text: str) -> int:
    """Return the offset of the first ``;`` outside quotes and comments, or the text's length."""
    if ";" not in text:
        return len(text)
    return next((token.start for token in tokenize(text) if token.text == ";"), len(text))


def uncommented(text: str) -> str:
    """Drop leading blanks and comments, so that a statement's first word shows."""
    if not text.lstrip().startswith(("--", "/*")):
        return text.lstrip()
    return next((text[token.start :] for token in significant(text)), "")


OPENING = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}
"""What each bracket does to the depth of nesting."""

EXPECTING_MORE = frozenset(
    """
    , = < > . + - / % | and or not where from join on by having select set in like between limit as
    union except intersect distinct when then else case using values exists
    """.split()  # noqa: SIM905 - read as prose
)
"""What no statement ends with."""

COMPOUND = frozenset({"union", "except", "intersect"})
"""Behind these ALL asks for a query; ``GROUP BY ALL`` is whole."""


def is_truncated(sql: str) -> bool:
    """Tell whether a statement stops inside a quote, a comment or a parenthesis, or on a comma.

    >>> is_truncated("SELECT a FROM t WHERE b = '"), is_truncated("SELECT (1)")
    (True, False)
    """
    depth, before, last, closed = 0, "", "", True
    for token in tokenize(sql):
        if token.kind == "other":
            depth += OPENING.get(token.text, 0)
        if token.kind not in {"space", "comment"}:
            before, last = last, token.text.lower()
        closed = token.closed
    asks = last in EXPECTING_MORE or (last == "all" and before in COMPOUND)
    return not closed or depth > 0 or asks


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

    Quoted text keeps its case: two statements with the same tokens mean the same to any engine.

    >>> normalized("SELECT a FROM t;") == normalized("select  A from T")
    True
    """
    tokens = [t.text.lower() if t.kind == "word" else t.text for t in significant(sql)]
    while tokens and tokens[-1] == ";":
        tokens.pop()
    return tuple(tokens)
