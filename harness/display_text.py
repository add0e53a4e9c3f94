"""Foreign text made safe to look at: models may answer anything."""

import re
import unicodedata
from functools import lru_cache

_PICTURES = {chr(code): chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"}
_PICTURES["\x7f"] = "\u2421"
_PICTURES["\r"] = ""
_LINE_ENDS = re.compile("\r\n?|\u2028|\u2029|\x85")
_PLAIN = re.compile(r"[\n\t -~]*")


def visible(text: str) -> str:
    r"""Make every character of a foreign text show itself.

    Line ends become newlines, control characters their pictures, and characters that steer the
    direction or hide themselves their code points. What cannot be encoded becomes U+FFFD.

    >>> visible("a\x00b\u202ec")
    'a␀b⟨U+202E⟩c'
    """
    if _PLAIN.fullmatch(text):
        return text
    return "".join(map(_shown, _LINE_ENDS.sub("\n", text)))


_WORKFLOW = re.compile(r"::(?=[A-Za-z-]+[^\n]*?::)|#(?=#(?:\[|vso\[|teamcity\[))")
"""What a CI system would take for a command: GitHub's ``::error ::``, others' ``##[...]``."""


def for_terminal(text: str) -> str:
    r"""Make a foreign text safe for a terminal or a CI log: visible, and never a command to it.

    >>> for_terminal("\x1b[31mred\n::error::no")
    '␛[31mred\n:\\:error::no'
    """
    return _WORKFLOW.sub(lambda found: f"{found[0][0]}\\{found[0][1:]}", visible(text))


def one_line(text: str, size: int = 2000) -> str:
    r"""Return a foreign text as one line of at most ``size`` characters.

    >>> one_line("first\n  second")
    'first second'
    """
    return clip(" ".join(visible(text[: 2 * size]).split()), size)


@lru_cache(maxsize=4096)
def _shown(char: str) -> str:
    if char in _PICTURES:
        return _PICTURES[char]
    match unicodedata.category(char):
        case "Cs":
            return "\ufffd"
        case "Cf" | "Cc" if char not in "\n\t\u200c\u200d\u00ad":
            return f"⟨U+{ord(char):04X}⟩"
        case _:
            return char


def clip(text: str, size: int) -> str:
    """Cut a text to at most ``size`` characters, ending in an ellipsis where it was cut.

    >>> clip("one two three", 8)
    'one two…'
    """
    return text if len(text) <= size else text[: size - 1].rstrip() + "…"
