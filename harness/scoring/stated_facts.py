"""What speakers state about themselves, as far as rules can read it.

Only plain forms are read ("my/your <thing> is <value>", "I/you live in / work as / am called
<value>", "I/you have a <thing> called <value>"): a claim found here is almost surely one,
and silence means nothing.
"""

import re
from collections.abc import Sequence

from harness.records import Message
from harness.scoring.answer_words import answer_words
from harness.scoring.normalize import content, words
from harness.scoring.quantities import quantities, spell_out
from harness.scoring.wordlists import COMMON, LEAD_IN

_IS = re.compile(
    r"\b(?P<whose>my|your) (?P<slot>(?:[\w'-]+ ){0,3}?[\w'-]+) (?:is|are|was)"
    r"(?: called| named)?(?! (?:not|n['’]t)\b) (?P<value>[^.,;!?\n]+)",
    re.IGNORECASE,
)
_DOES = re.compile(
    r"\b(?P<whose>i|you) (?P<slot>live in|work as|come from|am called|are called)"
    r" (?P<value>[^.,;!?\n]+)",
    re.IGNORECASE,
)
_HAS = re.compile(
    r"\b(?P<whose>i|you) (?:have|own|got) (?:a|an) (?P<slot>[\w'-]+) (?:called|named)"
    r" (?P<value>[^.,;!?\n]+)",
    re.IGNORECASE,
)
_QUESTION = re.compile(r"(?<![^.!?\n])[^.!?\n]*\?")  # from a sentence's start on: linear time


def claims(turn: Message) -> dict[tuple[str, str], str]:
    """Return what a turn states, by whom it is about (``user``/``assistant``) and which slot.

    >>> claims(Message(role="user", content="My dog is called Rex."))
    {('user', 'dog'): 'rex'}
    """
    text = _QUESTION.sub("", turn.content)
    other = {"user": "assistant", "assistant": "user"}.get(turn.role, "")
    found: dict[tuple[str, str], str] = {}
    for match in (m for form in (_IS, _DOES, _HAS) for m in form.finditer(text)):
        whom = turn.role if match["whose"].casefold() in {"my", "i"} else other
        slot = match["slot"].casefold().replace("am called", "name").replace("are called", "name")
        slot = re.sub(r"^name of my |^name of your |'s name$", "", slot)
        value = " ".join(content(match["value"]))
        if value:
            found.setdefault((whom, slot), value)
    return found


def contradicts(history: Sequence[Message], response: str) -> bool:
    """Say whether a response states another value for something that the conversation stated.

    The later of two statements counts; a longer or shorter wording of the same value is no
    contradiction.

    >>> said = [Message(role="user", content="My dog is called Rex. What is my dog called?")]
    >>> contradicts(said, "Your dog is called Bello."), contradicts(said, "Your dog is Rex.")
    (True, False)
    """
    known: dict[tuple[str, str], str] = {}
    for turn in history:
        known.update(claims(turn))
    for key, value in claims(Message(role="assistant", content=response)).items():
        if key in known and not set(known[key].split()) & set(value.split()):
            return True
    return False


def other_value(history: Sequence[Message], response: str) -> bool:
    """Say whether a response brings back something the user said earlier (not in the last turn).

    >>> turns = [Message(role="user", content="I live in Oslo and own a cat.")]
    >>> turns += [Message(role="user", content="Where do I live?")]
    >>> other_value(turns, "A cat."), other_value(turns, "Bread.")
    (True, False)
    """
    users = [turn.content for turn in history if turn.role == "user"]
    if not users:
        return False
    known = {*COMMON, *LEAD_IN, *words(users[-1])}
    earlier = {word for turn in users[:-1] for word in words(turn)} - known
    return bool(earlier & set(content(response)))


_NAME = r"[A-ZÀ-Þ][\w'’-]+"
_TERM = re.compile(
    rf"(?<![.!?]\s)(?<!^){_NAME}(?:\s+{_NAME})*|{_NAME}(?:\s+{_NAME})+|^{_NAME}(?=\W*$)"
)
"""A name; one capitalised word that begins a sentence may be any word."""

_LEADING = re.compile(r"^(?:In|On|At|By|It|The|A|An|For|From|With|Yes|No)\s+")
_FIGURE = re.compile(r"\d[\d.,]*")


def not_in_source(source: str, question: str, answer: str) -> list[str]:
    """Return the numbers and names of an answer that neither its source nor the question has.

    A number counts as there in whatever form the source writes it; a name where all its words are.

    >>> text = "Ann Lee joined in 2019 and leads 12 people."
    >>> not_in_source(text, "Who leads?", "It is Ann Lee, since 2021, from Graz.")
    ['2021', 'Graz']
    """
    known = f"{source} {question}"
    held = set(answer_words(spell_out(known)))
    numbers = [number.value for number in quantities(spell_out(known))]
    said = spell_out(answer[:_LONGEST])
    lacking = [
        said[number.start : number.end]
        for number in quantities(said)
        if number.value not in numbers and number.value * 100 not in numbers
    ]
    lacking = [found.group().rstrip(".,") for text in lacking for found in _FIGURE.finditer(text)]
    names = [_LEADING.sub("", match.group()) for match in _TERM.finditer(said)]
    return [*lacking, *(name for name in names if not held.issuperset(answer_words(name)))]


_LONGEST = 4000
