"""Where a statement ends in the text that follows it: at its end, at ``;``, or where prose begins.

Three questions decide at each line break behind something that could be a whole statement: does the
next line begin as a clause does, does it read like English, and, where that leaves a doubt, does
the parser take it with the statement or the statement without it? The parser is asked seldom, and
only about so much text, so that the cost grows with the length of the text.
"""

import re
from dataclasses import dataclass

from harness.sql.parse.lexer import COMPOUND, EXPECTING_MORE, OPENING, Token, tokenize
from harness.sql.parse.sqlglot_tree import parse
from harness.sql.parse.wording.statements import MAX_LINE, prose_strength, starts_statement

DIALECTS = ("sqlite", "postgres", "duckdb", "mysql", "tsql", "snowflake", "bigquery")
"""What a statement may be written in: nobody says so before it is found."""

MAX_ASKED = 60_000
"""Characters that the parser is given for one text, all questions together."""

_OPEN_ENDED = EXPECTING_MORE | frozenset(
    """
    ( [ + - / % | & ^ ~ : ! with recursive over partition is ilike similar glob regexp rlike match
    inner left right full cross outer natural lateral qualify window group order into interval cast
    escape collate
    returning both leading trailing any some array row row_number to top
    """.split()  # noqa: SIM905 - read as prose
)
_OPERATORS = ("@>", "<@", "@@", "||", "&&", "::", "<=", ">=", "<>", "!=", "!~", "~*", "?|", "?&")
"""What no line of English begins with, and neither does a list or a quotation."""

_CONTINUES = frozenset(
    """
    from where join inner left right full outer cross natural on using group order by having limit
    offset fetch union except intersect minus and or not in exists case when then else end as
    between like ilike similar rlike regexp glob match is isnull notnull asc desc nulls window over
    partition range rows groups filter within qualify lateral pivot unpivot for escape collate
    tablesample straight_join semi anti asof positional connect start option prewhere settings
    cluster distribute sort overlaps ignore respect returning into at materialized recursive
    , . ) ] } = < > | & % ^ ~ ! : / ? @ $
    """.split()  # noqa: SIM905 - read as prose
)
"""What a line that goes on with a statement begins with."""

_MAIN_WORDS = frozenset("select insert update delete merge values from table replace".split())  # noqa: SIM905
_BLANK_LINE = re.compile(r"\n[ \t\r]*\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Break:
    """A line break behind what could be whole: ``end`` of that, and where the next line begins.

    ``plain`` is that end in the text without its comments, which is what the parser is asked about.
    """

    end: int
    plain: int
    line: int
    first: Token
    blank: bool
    prose: int


@dataclass(slots=True)
class _State:
    """What has been read of a statement: could it end here?"""

    depth: int = 0
    cases: int = 0
    awaits_main: bool = False
    main_depth: int = 0
    last: Token | None = None
    words: int = 0
    compound: bool = False

    def read(self, token: Token) -> None:
        """Take the next token that is no blank and no comment."""
        word = token.text.lower() if token.kind == "word" else ""
        if token.kind == "other":
            self.depth += OPENING.get(token.text, 0)
        if word in {"case", "end"} and not (self.last and self.last.text == "."):
            self.cases = max(0, self.cases + (1 if word == "case" else -1))
        if word and not self.words:
            self.awaits_main, self.main_depth = word == "with", self.depth
        elif self.awaits_main and self.depth <= self.main_depth and word in _MAIN_WORDS:
            self.awaits_main = False
        self.words += bool(word)
        self.compound = (
            word == "all" and self.last is not None and (self.last.text.lower() in COMPOUND)
        )
        self.last = token

    @property
    def may_end(self) -> bool:
        """Whether nothing is open: no bracket, quote, CASE, WITH or word that asks for more."""
        last = self.last
        if last is None or not last.closed or not self.words:
            return False
        asks = last.kind in {"word", "other"} and last.text.lower() in _OPEN_ENDED
        return not (self.depth > 0 or self.cases or self.awaits_main or self.compound or asks)


def is_whole(sql: str) -> bool:
    """Tell whether some dialect's parser takes the text as one query."""
    plain = "".join(" " if t.kind == "comment" else t.text for t in tokenize(sql))
    return any(parse(plain, dialect) is not None for dialect in DIALECTS)


class _Parser:
    """Answers whether text is a whole query in some dialect, as long as its budget lasts."""

    def __init__(self, budget: int) -> None:
        self.left = budget

    def takes(self, sql: str) -> bool | None:
        """Tell whether a dialect's parser takes the text as one query; None if it was not asked."""
        for dialect in DIALECTS:
            self.left -= len(sql)
            if self.left < 0:
                return None
            if parse(sql, dialect) is not None:
                return True
        return False


def statement_length(text: str, *, budget: int = MAX_ASKED) -> int:
    """Return how much of a text is the statement at its start, comments before it included.

    ``budget`` is how many characters the parser may be asked about.
    """
    breaks, plain, end = _breaks(text)
    parser = _Parser(budget)
    sure = len(plain)
    last_sure = [sure] * (len(breaks) + 1)
    for number in reversed(range(len(breaks))):
        sure = breaks[number].plain if breaks[number].prose > 1 else sure
        last_sure[number] = sure
    for number, here in enumerate(breaks):
        near = breaks[number + 1].plain if number + 1 < len(breaks) else len(plain)
        if _ends_at(text, plain, here, (near, last_sure[number + 1]), parser):
            return here.end
    return end


def _breaks(text: str) -> tuple[list[_Break], str, int]:
    """Return where a statement may end before its text does, the text plain, and where it ends."""
    state = _State()
    plain: list[str] = []
    length = 0
    found: list[_Break] = []
    between = ""
    stopped = len(text)
    for token in tokenize(text):
        if token.kind in {"space", "comment"}:
            between += "-" if token.kind == "comment" else token.text
            continue
        if token.text == ";" or token.kind == "fence":
            stopped = token.start
            break
        if state.may_end and state.last is not None:
            broken = "\n" in between
            full_stop = token.text == "." and _is_full_stop(text, token, between)
            if broken or full_stop:
                line = text[token.start : token.start + MAX_LINE].partition("\n")[0]
                strength = 2 if full_stop else prose_strength(line)
                blank = _BLANK_LINE.search(between) is not None
                found.append(_Break(end=state.last.end, plain=length, line=token.start,
                                    first=token, blank=blank, prose=strength))  # fmt: skip
        state.read(token)
        plain += [" " if between else "", token.text]
        length += len(plain[-2]) + len(plain[-1])
        between = ""
    return found, "".join(plain), stopped


def _is_full_stop(text: str, dot: Token, between: str) -> bool:
    """Tell whether a dot ends a sentence: it stands at a word, and prose follows."""
    behind = text[dot.end : dot.end + MAX_LINE]
    line = behind.lstrip().partition("\n")[0]
    return not between and behind[:1].isspace() and prose_strength(line) > 0


def _ends_at(text: str, plain: str, here: _Break, pieces: tuple[int, int], parser: _Parser) -> bool:
    """Tell whether the statement ends at a break: what follows it is something else.

    Args:
        text: The text from the statement's start.
        plain: The same without comments.
        here: The break.
        pieces: Where, in ``plain``, the next break and the next line of English stand.
        parser: What is asked where the words leave a doubt.
    """
    word = here.first.text.lower()
    continues = here.first.kind in {"word", "other"} and word in _CONTINUES
    if (continues and not here.prose) or text.startswith(_OPERATORS, here.line):
        return False
    if text.startswith("##", here.line):
        return True  # a heading, which MySQL's parser would take for a comment
    near, far = pieces
    if near == len(plain) and _is_lone_word(plain[here.plain : near], here):
        return parser.takes(plain[: here.plain]) is not False
    # Behind a blank line a listing of the result may follow, whose first line could be an alias.
    asked = {far} if here.blank and not continues else {near} if here.prose > 1 else {near, far}
    if any(parser.takes(plain[:piece]) for piece in sorted(asked)):
        return False
    whole = parser.takes(plain[: here.plain])
    if here.prose > 1 or whole is None:
        return here.prose > 0 or (here.blank and not continues)
    if not whole:
        return False
    shouted = here.first.kind == "word" and here.first.text.isupper() and len(word) > 1
    begins = starts_statement(text[here.line : here.line + MAX_LINE]) is not None
    return bool(here.prose) or here.blank or begins or not (continues or shouted)


def _is_lone_word(piece: str, here: _Break) -> bool:
    """Tell whether one word is left that looks less like an alias than like an answer's end."""
    bare = piece.strip()
    return (
        bool(re.fullmatch(r"[A-Za-z]+", bare)) and (here.blank or bare.istitle()) and len(bare) > 1
    )
