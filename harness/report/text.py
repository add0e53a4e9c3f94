"""Foreign text made safe to look at: models may answer anything."""

import json
import re
import unicodedata
from typing import Any

_PICTURES = {chr(code): chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"}
_PICTURES["\x7f"] = "\u2421"
_PICTURES["\r"] = ""
_LINE_ENDS = re.compile("\r\n?|\u2028|\u2029|\x85")


def visible(text: str) -> str:
    r"""Make every character of a foreign text show itself.

    Line ends become newlines, control characters their pictures, and characters that steer the
    direction or hide themselves their code points. What cannot be encoded becomes U+FFFD.

    >>> visible("a\x00b\u202ec")
    'a␀b⟨U+202E⟩c'
    """
    text = _LINE_ENDS.sub("\n", text)
    return "".join(map(_shown, text)) if not text.isascii() or not text.isprintable() else text


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


def json_block(data: Any) -> str:
    r"""Write data as JSON that can stand inside a ``<script>`` element.

    Nothing in it can end the element or start a comment, whatever the strings say.

    >>> json_block("</script>")
    '"\\u003c/script\\u003e"'
    """
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    escapes = {"<": "003c", ">": "003e", "&": "0026", "\u2028": "2028", "\u2029": "2029"}
    for char, code in escapes.items():
        text = text.replace(char, f"\\u{code}")
    return text
