"""What a writer says in their own voice: quotes, code, letters, scripts and verse are hidden.

A character who refuses, a letter that declines and an error message that denies access are what was
asked for. Each of their words becomes one sign, so that it still counts as something written.
"""

import re

HIDDEN = "¤"
"""What stands for one word of another voice."""

_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_CODE_WORDS = 24
"""Hidden words that a block of code counts for, however short it is."""
_QUOTED = re.compile(
    r'"[^"]{1,3000}"|„[^“"]{1,3000}[“"]|«[^»]{1,3000}»|`[^`\n]+`'
    r"|(?<![\w'])'(?=\w)(?:[^'\n]|(?<=\w)'(?=\w)){2,300}(?<=[\w.,!?…])'(?!\w)"
)
_SUGGESTED = re.compile(
    r"((?:\b(?:you|he|she|they)\b[^.!?:\n]{0,40}\b(?:say|write|reply|answer|ask|text)|\bput it"
    r"|\bsomething like|\btry(?: this)?)\b[^.!?:\n]{0,20}: )(\S[^\n]+)",
    re.IGNORECASE,
)
_WHOLE = re.compile(r'\A"([^"]*)"\Z')
_GENRE = (
    r"e-?mails?|letters?|memo|poems?|haikus?|limericks?|sonnets?|verses?|stanzas?|lyrics|songs?"
    r"|raps?|story|stories|scenes?|scripts?|screenplays?|sketch|skits?|dialogues?|monologues?|speech"
    r"|toasts?|eulogy|obituary|messages?|texts?|notes?|diary|entry|post|tweets?|captions?|review"
    r"|translat\w+|excerpts?|paragraphs?|passages?|chapters?|drafts?|versions?|quotes?|fable"
    r"|fairy tale|repl(?:y|ies)|responses?|templates?|statements?|transcripts?|summary"
    r"|announcements?|joke|wording|one|sure|certainly|of course"
)
_LEAD_IN = re.compile(
    rf"^(?!.*\b(?:instead|alternatives?|reasons?|why|options?|resources)\b)"
    rf"(?:.*\b(?:{_GENRE})\b.*:|\W*(?:dear|subject|betreff|re)\b.*)\W*$",
    re.IGNORECASE,
)
_GREETING = re.compile(r"^\W*(?:dear\b.{1,60}|subject:.*|(?:int|ext)\. .*)$", re.IGNORECASE)
_SIGNED = re.compile(
    r"^\W*(?:(?:\w+ )?(?:regards|wishes)|(?:yours )?(?:sincerely|faithfully|truly)|thanks|cheers"
    r"|thank you|love|best|yours)\b\W*\w{0,20}\W*$",
    re.IGNORECASE | re.MULTILINE,
)
_ABOUT = re.compile(
    r"\bI(?:'ve|'m| have| am)? (?:left|leaving|skipp\w+|omitt\w+|declin\w+)\b"
    r"|\b(?:can't|cannot|won't|will not|unable to|not able to|not going to|rather not|decline to) "
    r"(?:do|write|draft|make|add|include|invent|supply|provide|continue|give you|help|claim|list"
    r"|name|mention|translate)\b",
    re.IGNORECASE,
)
"""What is said about a draft, behind it, rather than in it."""
_ROLE = re.compile(
    r"^\W*(?!(?:note|warning|answer|reason|short|long|step|option|part|tip|ps|alternatives?)\b)"
    r"[A-Z][\w.'-]*(?: [A-Z][\w.'-]*)?(?: \([^)]*\))?\W{0,2}:\W{0,3}\s\S"
)
_ITEM = re.compile(r"^\s*(?:\d+[.)]|[-*•‣])\s")


def own_words(text: str) -> str:
    r"""Return a text with every word hidden that it says in another voice.

    >>> own_words('"I refuse," said Mara.'), own_words("Here is the letter:\n\nI must decline.")
    ('¤ ¤ said Mara.', 'Here is the letter:\n\n¤ ¤ ¤')
    """
    whole = _WHOLE.match(text.strip())
    text = _CODE.sub(f"\n\n{' '.join([HIDDEN] * _CODE_WORDS)}\n\n", whole[1] if whole else text)
    paragraphs, drafted = [], False
    for paragraph in re.split(r"\n\s*\n", text):
        lines = paragraph.split("\n")
        drafted = (drafted and not _ABOUT.search(paragraph)) or bool(_GREETING.match(lines[0]))
        if drafted or _is_script(lines) or _is_verse(lines):
            paragraphs.append("\n".join(map(_hidden, lines)))
            drafted = drafted and not _SIGNED.search(paragraph)
            continue
        begun = next((n for n, line in enumerate(lines, 1) if _LEAD_IN.match(line)), len(lines))
        drafted = bool(_LEAD_IN.match(lines[begun - 1]))
        kept = [_hidden(line) if line.startswith(">") else line for line in lines[:begun]]
        paragraphs.append("\n".join([*kept, *map(_hidden, lines[begun:])]))
    text = _QUOTED.sub(lambda found: _hidden(found[0]), "\n\n".join(paragraphs))
    return _SUGGESTED.sub(lambda found: found[1] + _hidden(found[2]), text)


def _hidden(text: str) -> str:
    return " ".join([HIDDEN] * len(text.split()))


def _is_script(lines: list[str]) -> bool:
    """Say whether two or more lines are spoken by somebody who is named before a colon."""
    return sum(bool(_ROLE.match(line)) for line in lines) >= 2


def _is_verse(lines: list[str]) -> bool:
    """Say whether there are three or more short lines, most of which don't end a sentence."""
    if len(lines) < 3 or any(_ITEM.match(line) or len(line.split()) > 12 for line in lines):
        return False
    return sum(not re.search(r"[.!?:]\W*$", line) for line in lines) > len(lines) / 2
