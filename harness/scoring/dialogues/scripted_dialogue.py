"""A row of a conversation suite: what the user says turn by turn, and what answers are held to.

Rows are ``{"system": ..., "turns": [{"user": ..., "probes": [...]}, ...]}``; turns may be plain
texts, and MT-Bench's shape (``prompt``, a list of texts) is read as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

from harness.errors import nearest
from harness.records import Message

KINDS = {
    "memory": "forgot",
    "correction": "correction_ignored",
    "change_of_mind": "correction_ignored",
    "twice": "contradicts_itself",
    "style": "style_ignored",
    "system_rule": "rule_broken",
    "typos": "misunderstood",
    "interruption": "forgot",
}
"""Kinds of probes, and the cause that one which is not kept is labelled with."""

TEXTS, TURNS, PROMPT = ("says", "avoids", "among", "without", "includes"), "turns", "prompt"
COUNTS = ("agrees_with", "max_words", "max_sentences", "list_items")
CASES = ("lower", "upper")


class NotADialogueError(ValueError):
    """A row that is no dialogue; the message says what it lacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What one answer is held to: all of its checks have to hold.

    Attributes:
        kind: A key of `KINDS`.
        says: Accepted answers, of which one has to be stated.
        avoids: Answers of which none may be stated, such as what was corrected.
        agrees_with: The turn, counted from 1, whose own answer has to be the same...
        among: ...of these.
        max_words: Most words.
        max_sentences: Most sentences.
        begins: How it begins, whatever the case of its letters.
        ends: How it ends.
        case: ``lower`` or ``upper``: the case of all its letters.
        list_items: How many lines of it are items of a list.
        without: Words and signs that may not occur.
        includes: Words and signs that must.
    """

    kind: str
    says: tuple[str, ...] = ()
    avoids: tuple[str, ...] = ()
    agrees_with: int | None = None
    among: tuple[str, ...] = ()
    max_words: int | None = None
    max_sentences: int | None = None
    begins: str = ""
    ends: str = ""
    case: str = ""
    list_items: int | None = None
    without: tuple[str, ...] = ()
    includes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedTurn:
    """What the user says, and what the answer is held to."""

    user: str
    probes: tuple[Probe, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedDialogue:
    """All that a row declares; ``system`` is empty where it has no system prompt."""

    turns: tuple[ScriptedTurn, ...]
    system: str = ""
    probes: tuple[tuple[int, Probe], ...] = field(init=False)

    def __post_init__(self) -> None:
        found = [(n, probe) for n, turn in enumerate(self.turns) for probe in turn.probes]
        object.__setattr__(self, "probes", tuple(found))

    def messages(self, said: Sequence[str]) -> list[Message]:
        """Return the conversation up to the user's turn that follows some own answers."""
        found = [Message(role="system", content=self.system)] if self.system else []
        for number, turn in enumerate(self.turns[: len(said) + 1]):
            found.append(Message(role="user", content=turn.user))
            if number < len(said):
                found.append(Message(role="assistant", content=said[number]))
        return found


def has_probes(doc: Mapping[str, object]) -> bool:
    """Say whether a row holds any answer to anything.

    Raises:
        NotADialogueError: If it is no dialogue.
    """
    return bool(read_dialogue(doc).probes)


def read_dialogue(doc: Mapping[str, object]) -> ScriptedDialogue:
    """Read a row; fields that are null are taken as missing.

    Raises:
        NotADialogueError: If it is no dialogue, saying why.
    """
    given = doc.get(TURNS) if doc.get(TURNS) is not None else doc.get(PROMPT)
    if not isinstance(given, list | tuple) or not given:
        raise NotADialogueError("'turns' must be a list of what the user says, turn by turn")
    system = doc.get("system")
    if system is not None and not isinstance(system, str):
        raise NotADialogueError(f"'system' must be text: found {type(system).__name__}")
    turns = tuple(_turn(number, turn) for number, turn in enumerate(given, start=1))
    return ScriptedDialogue(turns=turns, system=(system or "").strip())


def _turn(number: int, given: object) -> ScriptedTurn:
    turn = {"user": given} if isinstance(given, str) else given
    if not isinstance(turn, Mapping) or not isinstance(turn.get("user"), str):
        raise NotADialogueError(f"turn {number} must be a text, or an object with the text 'user'")
    if not str(turn["user"]).strip():
        raise NotADialogueError(f"turn {number} must say something: it is empty")
    unknown = [str(name) for name, value in turn.items() if value is not None]
    unknown = [name for name in unknown if name not in ("user", "probes")]
    if unknown:
        close = nearest(unknown[0], ("user", "probes"))
        raise NotADialogueError(f"turn {number} has no {unknown[0]!r}{close}")
    probes = turn.get("probes") or []
    if not isinstance(probes, list | tuple):
        raise NotADialogueError(f"the 'probes' of turn {number} must be a list of objects")
    return ScriptedTurn(
        user=str(turn["user"]), probes=tuple(_probe(number, probe) for probe in probes)
    )


_FIELDS = tuple(one.name for one in fields(Probe))


def _probe(number: int, given: object) -> Probe:
    where = f"a probe of turn {number}"
    if not isinstance(given, Mapping):
        raise NotADialogueError(f"{where} must be an object: found {type(given).__name__}")
    found = {str(name): value for name, value in given.items() if value not in (None, [], "")}
    for name in found:
        if name not in _FIELDS:
            raise NotADialogueError(f"{where} has no {name!r}{nearest(name, _FIELDS)}")
    if found.get("kind") not in KINDS:
        raise NotADialogueError(f"the 'kind' of {where} must be one of {', '.join(KINDS)}")
    if len(found) == 1:
        raise NotADialogueError(f"{where} checks nothing: give 'says', or another of its fields")
    for name, value in found.items():
        found[name] = _value(where, name, value)
    if ("agrees_with" in found) != ("among" in found):
        raise NotADialogueError(f"{where} needs 'agrees_with' and 'among' together")
    earlier = found.get("agrees_with")
    if isinstance(earlier, int) and not 1 <= earlier < number:
        raise NotADialogueError(f"{where} can agree with an earlier turn: found {earlier}")
    if found.get("case", "lower") not in CASES:
        raise NotADialogueError(f"the 'case' of {where} must be lower or upper")
    return Probe(**found)


def _value(where: str, name: str, value: object) -> object:
    if name in TEXTS:
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list | tuple) or not all(isinstance(t, str) for t in texts):
            raise NotADialogueError(f"{name!r} of {where} must be a list of texts")
        return tuple(texts)
    if name in COUNTS:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise NotADialogueError(f"{name!r} of {where} must be a whole number from 1")
        return value
    if not isinstance(value, str):
        raise NotADialogueError(f"{name!r} of {where} must be text: found {type(value).__name__}")
    return value
