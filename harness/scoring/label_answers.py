r"""Answers that name one label of a closed set: which one, or why none can be read.

A label is read from what is said, never guessed:

1. A value in JSON, under a key such as ``label``, or the only one there is.
2. The last declaration ("the label is ...", "Category: ...", "I would classify it as ...").
3. A reply, its first or its last line that is a label, or begins with one and goes on to explain.
4. The one label that is named anywhere and not denied. Where labels contain each other the longer
   one counts ("not spam" is not "spam").
5. A letter of a list (A is the first label), in the forms that `harness.scoring.choice` reads.

Case, accents, and how words are joined don't matter (``card_arrival`` is ``Card arrival``). Two
labels are ``several_labels``, whichever is right; something else in a label's place is
``outside_label``.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from string import ascii_uppercase

from harness.records import Verdict
from harness.scoring import abstention, response_faults
from harness.scoring.answer_languages import fold
from harness.scoring.answer_region import sentences
from harness.scoring.choice import read_choice

Reading = tuple[int | None, str]
"""The index of the label that was read, else None and why none could be."""

_BRIEF = 8
"""Words of a reply up to which it stands in the place of a label."""

_PART = 4000
_KEYS = (
    "label", "labels", "class", "category", "answer", "prediction", "predicted", "intent",
    "sentiment", "topic", "type", "tag", "result", "output", "classification", "value",
)  # fmt: skip
_KEY_VALUE = re.compile(r"""["'](?P<key>\w+)["']\s*:\s*["'](?P<value>[^"'\n]+)["']""")
_FENCE = re.compile(r"```\w*\n?|```")
_NEXT_ITEM = re.compile(
    r"^[^\S\n]*(?:#+\s*)?(?:text|message|sentence|review|input|example|question|user|human)\s*\d*\s*[:：]"
    r"|^[^\S\n]*which label fits",
    re.IGNORECASE | re.MULTILINE,
)
_WHAT = (
    r"(?:label|category|class|classification|intent|sentiment|topic|type|answer|tag|prediction"
    r"|kategorie|klasse|stimmung|thema|antwort|categorie|classe|reponse|sujet|etiqueta|categoria|clase"
    r"|respuesta|tema|sentimiento|sentiment)"
)
_DECLARED = re.compile(
    rf"""
      (?<!\w){_WHAT}\b[^.:=\n]{{0,60}}?
        (?:\b(?:is|be|ist|lautet|est|es|seems|appears)\b(?:\s+to\s+be\b)?\s*[:=]?|["'”*]*\s*[:=：])
    | \b(?:classif(?:y|ied)|label(?:l?ed)?|categori[sz]ed?|tag(?:ged)?|assign(?:ed)?
          |mark(?:ed)?|rated?)
        \b[^.:\n]{{0,40}}?\b(?:as|to|under)\s*:?
    | \b(?:falls\s+(?:in|into|under)|belongs\s+(?:to|in|under))\s*:?
    | (?:标签|类别|分类|答案)[^。\n]{{0,10}}?[为是：:]+
    """,
    re.VERBOSE,
)
"""What says that a label follows, in folded text."""

_NOT_BEFORE = re.compile(
    r"(?:\b(?:not|never|neither|nor|without|cannot|isnt|rather\s+than|instead\s+of|nicht|kein\w*|weder"
    r"|noch|statt|pas|ni|no\s+es|non)|n['’]t|不是|并非)(?:\W+(?:(?:a|an|the|about|really|necessarily"
    r"|clearly|in|of|be|as|to|any|ein|eine|un|une|una|de|labell?ed|classified|really)\b\W*){0,4})?\W*$"
)
_NOT_AFTER = re.compile(
    r"\W{0,3}\s*(?:is|are|was|would\s+be|seems|ist|est|es)\s+(?:\w+\s+){0,2}?"
    r"(?:not|wrong|incorrect|unlikely|out|nicht|falsch)\b"
    r"|\W{0,3}\s*(?:isn['’]t|wasn['’]t|doesn['’]t|does\s+not|cannot|can['’]t|wouldn['’]t)\b"
)
_OPEN, _CLOSE = r"[\s\"'“*]*", r"[\s\"'”*]*"
_OR = r"or\b|and\b|oder\b|und\b|ou\b|et\b"
_ALSO = re.compile(rf"{_CLOSE}(?:,|/|&|\+|{_OR}|o\b|y\b|nor\b|或|和|、)?{_OPEN}")
_AS_WELL = re.compile(rf"{_CLOSE}(?:,\s*(?:or|and)?|/|&|\+|{_OR}){_OPEN}")
_EXPLAINS = re.compile(
    r"\W*$|[\s\"'”’*)\]]*(?:[.;:!\n(–—-]|,?\s*(?:because|since|as|weil|da|car|porque)\b)"
)
_OUT_OF = re.compile(r"(?:\bout\s+of\b|/)\s*\d+")
_ARTICLE = re.compile(
    r"[\W_]*(?:(?:the|a|an|most\s+likely|probably|clearly|die|der|das|le|la|el)\s+)*"
)
_JOIN = r"[\s_\-/]*"


def classification(
    labels: Sequence[str], label: str, response: str, *, finish: str | None = None
) -> Verdict:
    """Judge an answer that should name one label of a closed set.

    Args:
        labels: The set.
        label: The right one.
        response: The raw model text.
        finish: ``length`` where the generation was cut at its limit.

    Returns:
        A verdict with score 0 or 1 and ``details["label"]``, the label that was read or None.
        Labels of a wrong answer: empty, wrong_label, several_labels, outside_label, no_label,
        abstained, repetition, truncated.

    >>> classification(["billing", "refund"], "refund", "It is about a **refund**.").score
    1.0
    >>> classification(["billing", "refund"], "refund", "billing or refund").labels
    ('several_labels',)
    """
    known = [fold(one) for one in labels]
    if fold(label) not in known:
        return Verdict(
            outcome="unscored",
            score=None,
            labels=("no_accepted_answer",),
            explanation=f"the right label {label!r} is none of {', '.join(labels)}",
            details={"label": None},
        )
    place, problem = read_label(labels, response)
    right = place == known.index(fold(label))
    if place is None and problem == "no_label" and finish == "length":
        problem = "truncated"
    cause = "" if right else problem or "wrong_label"
    named = None if place is None else labels[place]
    told = f"no single label can be read ({cause})" if named is None else f"named {named!r}"
    return Verdict(
        outcome="correct" if right else "incorrect",
        score=float(right),
        labels=(cause,) if cause else (),
        answer=named,
        explanation=f"{told}; right is {label!r}",
        metrics={"acc": float(right), "answered": float(place is not None)},
        details={"label": named},
    )


def read_label(labels: Sequence[str], response: str) -> Reading:
    """Return the index of the label that a response names, or None and why not."""
    said = _own_words(response)
    if not any(mark.isalnum() for mark in said) and not _equal(labels, fold(said)):
        return None, "empty"
    text = fold(said)
    for read in (_in_json, _declared, _at_an_end, _anywhere):
        found = read(labels, text)
        if found is not None:
            return found
    if not any(len(one) == 1 for one in labels):
        few = labels[: len(ascii_uppercase)]
        place, problem = read_choice(few, ascii_uppercase[: len(few)], said)
        if place is not None or problem in ("ambiguous", "conflict"):
            return place, "" if place is not None else "several_labels"
    if abstention.declines(sentences(said)):
        return None, "abstained"
    if response_faults.is_repetitive(said):
        return None, "repetition"
    is_brief = len(text.split()) <= _BRIEF and not _form(tuple(labels)).search(text)
    return None, "outside_label" if is_brief else "no_label"


def same_labels(labels: Sequence[str]) -> tuple[str, str] | None:
    """Return two labels that no reader of an answer could tell apart, if there are any.

    >>> same_labels(["Spam", "ham", "spam"]), same_labels(["spam", "not spam"])
    (('Spam', 'spam'), None)
    """
    seen: dict[str, str] = {}
    for label in labels:
        key = _joined(label)
        if key in seen:
            return seen[key], label
        seen[key] = label
    return None


def _own_words(response: str) -> str:
    """Return what answers the text that was asked about: nothing after an invented next one."""
    said = response_faults.visible_text(response_faults.both_ends(response))
    for match in _NEXT_ITEM.finditer(said):
        if any(mark.isalnum() for mark in said[: match.start()]):
            return said[: match.start()].strip()
    return said


def _in_json(labels: Sequence[str], text: str) -> Reading | None:
    """Read the value of an object in JSON, or in what was meant to be one."""
    plain = _FENCE.sub("", text).strip()
    start, end = plain.find("{"), plain.rfind("}")
    if plain[:1] not in ("{", "[", '"') and (start < 0 or end < start):
        return None
    values: list[str] | None = None
    for part in (plain, plain[start : end + 1] if 0 <= start < end else ""):
        try:
            values = _values(json.loads(part))
            break
        except (ValueError, RecursionError):
            continue
    if values is None:
        pairs = {match["key"]: match["value"] for match in _KEY_VALUE.finditer(plain)}
        values = _under_a_key(pairs)
    if not values:
        return None
    found = [_equal(labels, value) or [i for i, _, _ in _named(labels, value)] for value in values]
    places = {place for each in found for place in each}
    places |= {place for value in values if (place := _letter(labels, value)) is not None}
    if len(places) > 1 or not places:
        return None, "several_labels" if places else "outside_label"
    return places.pop(), ""


def _letter(labels: Sequence[str], text: str) -> int | None:
    """Return the index that a letter stands for; None where a label is a letter itself."""
    match = re.fullmatch(r"[(\[]?([a-z])[)\].:]*", text.strip())
    if match is None or any(len(label) == 1 for label in labels):
        return None
    place = ord(match[1]) - ord("a")
    return place if place < len(labels) else None


def _values(given: object) -> list[str]:
    if isinstance(given, dict):
        return _under_a_key(given)
    if isinstance(given, list):
        return [fold(str(one)) for one in given if isinstance(one, str | int)]
    return [fold(str(given))] if isinstance(given, str | int) else []


def _under_a_key(given: Mapping[str, object]) -> list[str]:
    for key in _KEYS:
        if key in given:
            return _values(given[key])
    return _values(next(iter(given.values()))) if len(given) == 1 else []


def _declared(labels: Sequence[str], text: str) -> Reading | None:
    """Read the last declaration that says anything."""
    plain = _plain(text)[-_PART:]
    outside: Reading | None = None
    for match in reversed(list(_DECLARED.finditer(plain))):
        content = _content(plain, match.end())
        letter = _letter(labels, content)
        if letter is not None:
            return letter, ""
        first = re.split(r"[.!?。](?:\s|$)|\n", content, maxsplit=1)[0]
        found = _leading(labels, content) or _one_of(labels, first)
        if found is not None:
            return found
        if first.strip() and len(first.split()) <= _BRIEF and match.group().rstrip()[-1] in ":=：":
            outside = (None, "outside_label")
    return outside if _one_of(labels, plain) is None else None


def _content(text: str, start: int) -> str:
    line, _, rest = text[start:].partition("\n")
    if any(mark.isalnum() for mark in line):
        return line.strip(" \t*_\"'“”`:")
    return next((one.strip(" \t*_\"'“”`") for one in rest.split("\n") if one.strip()), "")


def _at_an_end(labels: Sequence[str], text: str) -> Reading | None:
    """Read a reply, its first line or its last one, that is a label or begins with one."""
    lines = [line.strip() for line in _plain(text).split("\n") if line.strip()]
    if not lines:
        return None
    found = _leading(labels, lines[0], explained=True)
    if found is not None:
        return found
    last = lines[-1].strip(" .*_\"'`")
    equal = _equal(labels, last) if len(lines) > 1 else []
    return (equal[0], "") if equal else None


def _leading(labels: Sequence[str], text: str, *, explained: bool = False) -> Reading | None:
    """Read a label that a text begins with, if no other one stands beside it as an equal.

    With ``explained`` a label counts only where the text ends with it or goes on to say why.
    """
    equal = _equal(labels, text.strip(" .!*_\"'`()[]"))
    if equal:
        return equal[0], ""
    named = _named(labels, text)
    start = re.match(
        r"[\W_]*(?:(?:the|a|an|most likely|probably|clearly|die|der|das|le|la|el)\s+)*", text
    )
    if not named or start is None or named[0][1] > start.end():
        return None
    place, _, end = named[0]
    beside = [one for one in named[1:] if one[0] != place]
    if beside and _AS_WELL.fullmatch(text[end : beside[0][1]]):
        return None, "several_labels"
    if explained and not _EXPLAINS.match(text[end:]):
        return None
    return place, ""


def _anywhere(labels: Sequence[str], text: str) -> Reading | None:
    return _one_of(labels, _plain(text))


_MARKUP = re.compile(r"\*\*|__|`|^[^\S\n]*(?:[>#]+|[-•*])[^\S\n]+", re.MULTILINE)


def _plain(text: str) -> str:
    """Return text without the Markdown around a label: signs of a label's own stay (``>50k``)."""
    return _MARKUP.sub("", text).strip(" *_")


def _one_of(labels: Sequence[str], text: str) -> Reading | None:
    places = {place for place, _, _ in _named(labels, text)}
    if len(places) > 1:
        return None, "several_labels"
    return (places.pop(), "") if places else None


def _equal(labels: Sequence[str], text: str) -> list[int]:
    """Return the label that a folded text is, as a list of one, or of none."""
    wanted = _joined(text)
    return [i for i, label in enumerate(labels) if _joined(label) == wanted][:1]


def _joined(label: str) -> str:
    """Return a label folded, and without what joins its words."""
    return re.sub(rf"(?<=[^\W_]){_JOIN}(?=[^\W_])", "", fold(label).strip())


def _named(labels: Sequence[str], text: str) -> list[tuple[int, int, int]]:
    """Return the labels that a folded text names and does not deny: index, start and end."""
    text = _OUT_OF.sub(lambda match: " " * len(match.group()), text)
    return list(_standing(_form(tuple(labels)), text))


def _standing(form: re.Pattern[str], text: str) -> Iterator[tuple[int, int, int]]:
    denied_at = -1
    for match in form.finditer(text):
        before = text[max(0, match.start() - 60) : match.start()]
        clause = re.split(r"[.;!?\n]|\bbut\b|\bsondern\b|\bmais\b|\bsino\b", before)[-1]
        after_denied = denied_at >= 0 and _ALSO.fullmatch(text[denied_at : match.start()])
        if _NOT_BEFORE.search(clause) or _NOT_AFTER.match(text[match.end() :]) or after_denied:
            denied_at = match.end()
            continue
        denied_at = -1
        yield int(str(match.lastgroup)[1:]), match.start(), match.end()


@lru_cache(maxsize=256)
def _form(labels: tuple[str, ...]) -> re.Pattern[str]:
    """Return the pattern that finds labels in a folded text, the longest first."""
    order = sorted(range(len(labels)), key=lambda i: -len(labels[i]))
    return re.compile("|".join(f"(?P<l{i}>{_of_label(labels[i])})" for i in order))


def _of_label(label: str) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label)
    parts = [part for part in re.split(r"[\s_\-/]+", fold(words)) if part]
    whole = fold(label)
    if not parts or not any(mark.isalnum() for mark in whole[:1]):
        core = re.escape(whole)  # a sign at its start is a part of it: -1, >50k
    else:
        core = _JOIN.join(map(re.escape, parts))
    first, last = whole[:1], whole[-1:]
    digit = r"(?<![\w.,+\-])" if first.isdigit() else ""
    start = digit or ("" if not _bounded(first) else r"(?<!\w)(?<!\bnon-)")
    end = r"(?![\w]|[.,]\d)" if last.isdigit() else (r"(?!\w)" if _bounded(last) else "")
    return f"{start}{core}{end}"


def _bounded(mark: str) -> bool:
    """Tell whether words of this letter's script are set apart by spaces."""
    return mark.isalnum() and not "\u0e00" <= mark < "\u0f00" and not "\u3000" <= mark < "\uac00"
