"""Whether text starts like an SQL statement, reads like English, and asks for more than reading.

Prose may begin with any word that a statement begins with: what follows has to fit too.
"""

import re
from collections.abc import Iterator
from itertools import islice

from harness.sql.parse.lexer import Token, significant, tokenize, uncommented

COMMON_QUERY_WORDS = frozenset({"select", "with", "values"})
QUERY_WORDS = COMMON_QUERY_WORDS | {"from", "table", "pivot", "unpivot"}
"""First words of statements that only read; those that are not common are DuckDB's."""

_PART = r"(?:\"[^\"]*\"|`[^`]*`|\[[^\]]*\]|[^\s\"`\[]+)"
_NAME = rf"(?!(?:the|an|this|that)\b){_PART}(?: \. {_PART})*"
_KINDS = (
    "access|aggregate|assembly|cast|collation|conversion|database|default|domain|event|extension|"
    "external|foreign|fulltext|function|global|group|index|language|local|login|macro|materialized|"
    "operator|or|package|persistent|policy|procedure|publication|role|rule|schema|secret|sequence|"
    "server|spatial|statistics|subscription|synonym|system|table|tablespace|temp|temporary|text|"
    "transform|trigger|type|unique|unlogged|user|view|virtual|warehouse"
)
_FOLLOWING = {
    "abort": ";|work|transaction",
    "alter": _KINDS,
    "analyze": f";|verbose|table|{_NAME} ?(?:;|[(])",
    "attach": "database|'|if",
    "backup": "database|log",
    "begin": "transaction|work|immediate|exclusive|deferred|isolation|read|;",
    "bulk": "insert",
    "cache": "index|table",
    "call": rf"{_NAME} \(",
    "change": "master|replication",
    "checkpoint": ";|'",
    "clone": "local|instance",
    "close": "all ;|\\w+ ;",
    "cluster": ";|verbose|\\w+ (?:;|using)",
    "comment": "on (?:column|if|[a-z]*? ?(?:" + _KINDS + r")\b)",
    "commit": "transaction|work|prepared|and|;",
    "copy": rf"{_NAME} (?:from|to|\(.*)|\( (?:select|with|insert|update|delete)|binary",
    "create": _KINDS,
    "dbcc": r"\w+",
    "deallocate": r"(?:prepare )?\w+ ;",
    "declare": r"@|\w+ (?:cursor|scroll|insensitive|no|binary|int|integer|text|varchar|numeric)",
    "delete": rf"from (?:only )?{_NAME} (?:(?:as )?\w+ )?"
    r"(?:;|(?:where|returning|order|limit|using)\b)",
    "deny": r"[\w ,]+? (?:on|to)\b",
    "desc": rf"{_NAME} ;",
    "describe": rf"{_NAME} ;|select\b",
    "detach": r"database|(?:if exists )?\w+ ;",
    "disable": "trigger",
    "discard": "(?:all|plans|sequences|temp|temporary) ;",
    "do": r"\$|'|language|\w+ \(",
    "drop": f"(?:{_KINDS})",
    "enable": "trigger",
    "end": "transaction|work|;",
    "exec": rf"{_NAME}",
    "execute": rf"(?:immediate )?{_NAME} ?(?:;|\(|@|using|')|'",
    "explain": r"query|select|with|analyze|verbose|extended|format|\(|insert|update|delete",
    "export": "database",
    "fetch": r"(?:next|prior|first|last|absolute|relative|forward|backward|all|\d+)?(?: \d+)? ?"
    r"(?:from|in) \w+ (?:;|into)",
    "flush": "table|tables|privileges|logs|status|hosts|binary|user_resources|local",
    "force": "checkpoint",
    "get": "(?:current |stacked )?diagnostics",
    "grant": r"[\w ,()]+? (?:on|to)\b",
    "handler": r"\w+ (?:open|read|close)",
    "import": "foreign|database",
    "insert": "into|or|ignore|overwrite|low_priority|high_priority|delayed",
    "install": r"\w+ ;|plugin|component|'|\w+ from",
    "kill": r"\d|query|connection|hard|soft",
    "listen": r"\w+ ;",
    "load": r"\w+ ;|data|xml|index|'",
    "lock": r"tables?\b|only|instance|\w+ (?:in|;)",
    "merge": rf"into|{_NAME} (?:as \w+ )?using",
    "move": r"(?:next|prior|first|last|forward|backward|all|\d+) .*?(?:from|in) \w+ ;",
    "notify": r"\w+ [;,]",
    "optimize": r"(?:local |no_write_to_binlog )?table|\w+ ;",
    "open": r"\w+ ;|cursor",
    "pragma": r"\w+ (?:;|[=(.])|\w+ \.",
    "prepare": r"\w+ (?:as|from|\()|transaction",
    "print": "'|@|n '",
    "purge": "(?:binary|master) logs",
    "raiserror": r"\(",
    "reassign": "owned",
    "reconfigure": ";|with",
    "refresh": "materialized|table|dynamic",
    "reindex": r";|table|index|schema|database|system|\w+ ;|\(",
    "release": r"savepoint|\w+ ;",
    "rename": "table|user",
    "repair": "(?:local |no_write_to_binlog )?table",
    "replace": "into",
    "reset": r"all ;|[\w.]+ ;|role|session|master|slave|replica",
    "resignal": ";|sqlstate|set",
    "restore": "database|log",
    "revoke": r"[\w ,()]+? (?:on|from)\b",
    "rollback": "to|transaction|work|prepared|and|;",
    "savepoint": r"\w+ ;",
    "security": "label",
    "set": rf"(?:session |local |global |variable )?(?:@ ?@? ?)?{_NAME} ?(?:=|: =|to|on ;|off ;)|"
    "transaction|session|constraints|role|names|identity_insert|schema|time zone",
    "show": r"(?:full |extended |all )?(?:tables|databases|schemas|columns|create|index|indexes|"
    r"processlist|status|variables|grants|warnings|errors|all ;)|[\w.]+ ;|time zone",
    "shutdown": ";|with",
    "signal": "sqlstate",
    "start": "transaction|slave|replica|group_replication",
    "stop": "slave|replica|group_replication",
    "summarize": rf"{_NAME} ;|select|from",
    "throw": r"\d|;",
    "truncate": r"table|only|\w+ (?:;|,|restart|cascade)",
    "undrop": "table|schema|database",
    "uninstall": "plugin|component",
    "unlisten": r"\*|\w+ ;",
    "unlock": "tables?",
    "update": rf"(?:or \w+ |only |low_priority |ignore )*{_NAME} (?:\* )?(?:(?:as )?\w+ )?set\b"
    "|extensions",
    "use": rf"(?:database |schema |warehouse |role )?{_NAME} ;",
    "vacuum": r";|full|freeze|verbose|analyze|into|\(|\w+ ;",
    "waitfor": "delay|time",
    "xa": "start|begin|end|prepare|commit|rollback|recover",
    "from": rf"{_NAME} (?:(?:as )?\w+ )?"
    r"(?:;|,|(?:select|where|join|left|inner|group|order|limit)\b)",
    "pivot": r".+? on\b|.+? using\b",
    "table": rf"{_NAME} (?:;|order\b|limit\b|union\b)",
    "unpivot": r".+? on\b",
    "with": rf"(?:recursive )?{_NAME} (?:\( [^()]* \) )?(?:using key \( [^()]* \) )?"
    r"as (?:not )?(?:materialized )?\(",
    "values": r"\(|row \(",
    "select": "",
}
"""First word -> how the tokens behind it have to begin, a blank between them, ``;`` behind all."""

_COMPILED = {
    word: re.compile(rf"(?:{pattern})", re.IGNORECASE) for word, pattern in _FOLLOWING.items()
}

KEYWORDS = frozenset(
    """
    select from where join inner left right full outer cross natural on using group order by having
    limit offset fetch first next row rows only ties percent union except intersect minus all
    distinct and or not in exists case when then else end as with recursive values between like
    ilike similar rlike regexp glob match is null isnull notnull true false unknown asc desc nulls
    last window over partition range groups preceding following unbounded current exclude filter
    within grouping sets cube rollup qualify lateral unnest pivot unpivot for update share of skip
    locked nowait cast interval date time timestamp datetime zone at varying character precision
    double escape collate materialized tablesample sample top apply any some array row into insert
    delete set returning default create table view index integer int text real numeric decimal year
    month day hour minute second quarter week extract epoch straight_join semi anti asof positional
    ordinality no others connect start prior option prewhere final settings cluster distribute sort
    overlaps to div mod xor binary
    """.split()  # noqa: SIM905 - read as prose
)
"""Words that may stand beside a name in a query."""

_POINTING = frozenset("the these those this that your our you we they i its it which".split())  # noqa: SIM905
_ALWAYS_POINTING = frozenset("the these those your our you we they".split())  # noqa: SIM905
_LABEL = re.compile(r"[\W_]*[A-Za-z][\w'’-]*(?: [\w'’-]+){0,3}[*_`\"]*:(?:[*_`\"]*\s|[*_`\"]*\Z)")
_MARKUP = re.compile(
    r"\s*(?:\#{1,6}\s|\*\*|__\w|[-+=*_]{3,}\s*\Z|\+[-=]{2,}|\|(?!\|)|[-*•–>]\s+[A-Z][a-z]+\s[a-z]"
    r"|\d+[.)]\s+[A-Z*`]|<)"
)
_CONTRACTION = re.compile(r"(?<![A-Za-z])[A-Za-z]{1,8}['’](?:s|t|re|ll|ve|m|d)(?=[\s.,:;!?)]|\Z)")
MAX_LINE = 2_000
"""Characters of a line that are looked at."""


def starts_statement(text: str) -> str | None:
    """Return the first word (lower case) if the text starts like an SQL statement, else None.

    >>> starts_statement("  (SELECT 1)"), starts_statement("With this query you get")
    ('select', None)
    """
    tokens = list(islice(significant(text[: 2 * MAX_LINE]), 80))
    while tokens and tokens[0].text == "(":
        tokens.pop(0)
    if not tokens or tokens[0].kind != "word":
        return None
    word = tokens[0].text.lower()
    pattern = _COMPILED.get(word)
    if pattern is None:
        return None
    following = " ".join([*(token.text for token in tokens[1:]), ";"])
    if not pattern.match(following):
        return None
    if word not in COMMON_QUERY_WORDS and prose_strength(_first_line(text)) > 1:
        return None
    return word


def _first_line(text: str) -> str:
    return uncommented(text)[:MAX_LINE].partition("\n")[0]


def prose_strength(line: str) -> int:
    """Tell how surely one line is English or markup: 0 not, 1 perhaps, 2 surely.

    No query holds three names in a row with nothing between them.

    >>> prose_strength("WHERE a = b"), prose_strength("From this we see all names.")
    (0, 2)
    """
    line = line[:MAX_LINE]
    pieces = [token for token in tokenize(line) if token.kind != "comment"]
    tokens = [token for token in pieces if token.kind != "space"]
    uncommented_line = "".join("_" if t.kind == "quoted" and t.closed else t.text for t in pieces)
    if _MARKUP.match(line) or _LABEL.match(uncommented_line):
        return 2
    if _CONTRACTION.search(uncommented_line):
        return 2
    last = tokens[-2:]
    attached = len(last) > 1 and last[0].kind in {"word", "quoted"} and last[0].end == last[1].start
    if attached and last[1].text in ".!?:…":
        return 2
    longest = run = 0
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        word = token.text.lower()
        shouted = token.text.isupper() and len(word) > 1
        named = token.kind == "word" and word not in KEYWORDS and not shouted
        run = run + 1 if named else 0
        longest = max(longest, run)
        if word in _POINTING and token.kind == "word" and _points(word, following):
            return 2
    return 2 if longest > 3 else int(longest == 3 or _is_titled(tokens))


def _points(word: str, following: Token | None) -> bool:
    """Tell whether a word such as "the" has a word behind it to point to."""
    if following is None or following.kind != "word":
        return False
    return word in _ALWAYS_POINTING or following.text.lower() not in KEYWORDS


def _is_titled(tokens: list[Token]) -> bool:
    """Tell whether a line has one capital, at its start, and only words: "In short only names"."""
    return (
        len(tokens) > 2
        and tokens[0].text.istitle()
        and all(t.kind == "word" or t.text == "," for t in tokens)
        and all(t.text.islower() or t.text == "," for t in tokens[1:])
    )


_WRITES = {"insert": "into", "delete": "from", "merge": "into", "update": ""}


def writes(sql: str) -> bool:
    """Tell whether a query also writes: SELECT INTO, or another verb behind WITH or in brackets.

    >>> writes("SELECT a INTO b FROM c"), writes("SELECT 'into' FROM t")
    (True, False)
    """
    tokens = list(significant(sql))
    reshapes = any(token.text.lower() == "unpivot" for token in tokens)  # INTO NAME ... VALUE ...
    return any(
        _writes_here(*three) for three in _threes(tokens) if not (reshapes and three[1] == "into")
    )


def _threes(tokens: list[Token]) -> Iterator[tuple[str, str, str]]:
    """Yield each word in lower case, with what stands before and behind it."""
    texts = ["", *(t.text.lower() for t in tokens), ""]
    for index, token in enumerate(tokens):
        if token.kind == "word":
            yield texts[index], texts[index + 1], texts[index + 2]


def _writes_here(before: str, word: str, behind: str) -> bool:
    if word == "into":
        return before != "."
    wanted = _WRITES.get(word)
    return (
        wanted is not None
        and before in {"(", ")"}
        and behind not in {"(", ")", ",", "="}
        and (not wanted or behind == wanted)
    )
