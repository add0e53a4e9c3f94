r"""How a choice is declared in text: the forms of a declaration, and what one names.

A declaration says that what follows is the answer ("the best option is:", ``\boxed{}``, "I would go
with", a line that ends in "is:"). Its content names a choice where it begins with a label or with
the text of a choice; a label anywhere else in prose declares nothing.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from harness.scoring.choice_texts import begins, by_text, choice_words, contained
from harness.scoring.normalize import comparable

_NOUN = (
    r"(?:answers?|choice|option|response|solution|conclusion|antwort|auswahl|respuesta|opci[oó]n"
    r"|r[eé]ponse|choix)"
)
_IS = (
    r"(?:is|are|was|be|would\s+be|must\s+be|should\s+be|will\s+be|could\s+only\s+be|has\s+to\s+be"
    r"|seems(?:\s+to\s+be)?|appears(?:\s+to\s+be)?|ist|lautet|w[aä]re|es|ser[ií]a|est|serait)"
)
_SOFT = (
    r"(?:therefore|thus|hence|clearly|likely|most\s+likely|probably|indeed|simply|then|also"
    r"|definitely|daher|donc|por\s+tanto)"
)
DECLARATION = re.compile(
    rf"""
      f?boxed\s*\{{(?P<boxed>[^{{}}\n]*)\}}
    | (?<!\w){_NOUN}\b (?!\s+choices?\b)
        (?: \s*\(s\) | \s+(?:correct[ae]|final[ae]?|adecuada|juste|bonne)\b )?
        (?: ,?\s+(?:to|for|of|in|here|that|which|among|from|based|according|with|zu|auf|von|der|a
            |para|[àa]|pour|de)\b [^:\n]{{0,240}}? )?
        (?: ,?\s*(?:{_SOFT},?\s+)? {_IS}(?=\W|$) (?:\s+{_SOFT}\b,?)? | ["'”]?\s*(?=[:：=]) )
        \s*[:：=]?
    | (?:答案|正确选项|正确的选项|最佳选项)[^\S\n]*(?:应该|应|就)?(?:选择|选|是|为)?[^\S\n]*[:：]?
    | (?:我选择|我选|应选|故选|因此选|所以选|选择|选)(?=[^\S\n]*[(（]?[A-Z0-9])
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""What comes before an answer that is said to be the answer; looked for at `_ANCHOR` only."""

_ANCHOR = re.compile(
    "boxed|answer|choice|option|response|solution|conclusion|antwort|auswahl|respuesta|opcion|opción"
    "|reponse|réponse|choix|答案|正确|最佳|我选|应选|故选|因此选|所以选|选"
)
_CHOOSING = re.compile(
    r"""
      \b(?:i|we)\s*(?:['’]d|['’]ll|\ would|\ will|\ must|\ should)?\s+
        (?:choose|chose|pick|select|go\ with|opt\ for|answer|answer\ with|say|vote\ for)
        (?:\s+(?:that|it\ is|it['’]s))?(?=\s) \s*:?
    | \b(?:ich\ (?:w[aä]hle|nehme)|elijo|escojo|je\ choisis)(?=\s)
    | \b(?:so|hence|thus|therefore),?\s+(?:it|that)\s+
        (?:is|must\ be|has\ to\ be|should\ be|would\ be|can\ only\ be)\s
    | (?:\bactually|\bno\s+wait|\bwait|\bcorrection)\b[^.\n]{0,30}?
        \b(?:it\ is|it['’]s|it\ should\ be)\s
    """,
    re.VERBOSE,
)
"""How a choice is said to be made, or made anew; in a text in small letters."""

COLON_LINE = re.compile(r"[:：][^\S\n]*$", re.MULTILINE)
_ANNOUNCES = re.compile(
    r"(?:\b(?:is|be|was|are|ist|es|est|answer|option|choice|following)|[是为])[^\S\n]*$",
    re.IGNORECASE,
)
"""The end of a line that announces what the next one says, before its colon."""

_SUPPOSED = re.compile(
    r"\b(?:if|whether|suppose|assuming|unless|why|would\s+(?:mean|suggest|imply)|might\s+(?:think|say)"
    r"|wenn|falls|ob|si|pourquoi)\b[^.\n]{0,80}$",
    re.IGNORECASE,
)
_NONE = re.compile(
    r"^\W*(?:(?:is\s+)?not\s+(?:\w+\s+){0,2}?(?:listed|among|given|provided|present|available|included"
    r"|in\s+the|one\s+of|shown|any\s+of)\b|none\s+of\b|none\b|missing\b|unknown\b|unclear\b"
    r"|cannot\s+be\s+determined\b|(?:keine|ninguna|aucune)\b|都不)",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"^\W*(?:not|never|neither|certainly\s+not|nicht|no\s+es|pas|不是)\b", re.IGNORECASE
)
_LATEX = re.compile(
    r"\\(?:text|mathrm|mathbf|textbf|bf|rm|mathit|textit|boldsymbol)\s*\{([^{}]*)\}"
)
_MATHS = re.compile(r"\\[()\[\]]|\$+|\\[,;! ]")
_SAYS = re.compile(r"(?:is|because|since|as|would|seems|weil|porque|car|denn|-|–|—)(?:\b|(?=\s))|$")


@dataclass(frozen=True)
class Reading:
    """What a text names: an index, None where it names none; ``problem`` says why not."""

    index: int | None
    problem: str | None = None


def without_latex(text: str) -> str:
    r"""Return text without the marks of formulas.

    >>> without_latex(r"\(\text{B}\) is $5$"), without_latex(r"$\boxed{\text{B}}$")
    ('B is 5', '\\boxed{B}')
    """
    return _MATHS.sub("", _LATEX.sub(r"\1", text)) if "\\" in text or "$" in text else text


@lru_cache(maxsize=512)
def label_form(labels: tuple[str, ...]) -> re.Pattern[str]:
    """Return the form of a label at the start of a text; one letter may be lower case."""
    known = sorted({*labels, *(label.lower() for label in labels)}, key=len, reverse=True)
    names = "|".join(map(re.escape, known))
    return re.compile(
        r"\s*[\"'“‘「<{]*(?i:(?:the|la|el|le|die|der|das)\s+)?"
        r"(?i:(?:option|choice|letter|answer|statement|opci[oó]n|antwort|选项)\s*:?\s*)?"
        rf"(?P<open>[(\[（{{])?\s*(?P<label>{names})(?![^\W_])(?P<close>\s*[)\]）}}])?(?P<mark>[.:：,;)、。\"'”」]?)"
        r"[\"'”’」>]*\s*(?P<rest>.*)",
        re.DOTALL | re.IGNORECASE if all(label.isdigit() for label in labels) else re.DOTALL,
    )


def leading_label(
    choices: Sequence[str], labels: Sequence[str], text: str, *, declared: bool
) -> tuple[int, str] | None:
    """Return the choice whose label a text begins with, and what follows it; None if none.

    A bare label before another word counts where the text is declared to be the answer, or where
    what follows is the choice's own text or speaks of the label ("B is", "B because"). "A" and "I"
    that begin the text of a choice or a sentence are words.
    """
    match = label_form(tuple(labels)).match(text)
    if match is None:
        return None
    name = match["label"]
    index = next((i for i, label in enumerate(labels) if label == name), None)
    exact = index is not None
    if index is None:
        index = next(i for i, label in enumerate(labels) if label.lower() == name.lower())
    rest = match["rest"] if HAS_WORDS(match["rest"]) else ""
    rest = f", {rest}" if match["mark"] == "," and rest else rest
    marked = bool(match["open"] and match["close"]) or bool(match["close"] or match["mark"])
    if match["mark"] == "." and rest[:1].isdigit():  # 1.5 is a number, not label 1
        return None
    if not rest or marked:
        whole_text = tuple(comparable(text[:_LINE])) in map(choice_words, choices)
        bare = not (match["open"] or match["close"] or match["mark"])
        if whole_text and not exact and bare:
            return None
        return index, rest
    if _is_choice_text(choices, text) and not begins(choices[index], rest):
        return None
    if begins(choices[index], rest) or (exact and name != "I" and _SAYS.match(rest)):
        return index, rest
    if not exact or (name.isdigit() and not _separate(rest)):
        return None
    certain = declared or name not in {"A", "I"}
    return (index, rest) if certain else None


def _separate(rest: str) -> bool:
    return not rest[:1].isalnum()


def _is_choice_text(choices: Sequence[str], text: str) -> bool:
    return any(begins(choice, text) and len(choice_words(choice)) > 1 for choice in choices)


def name_of(
    choices: Sequence[str], labels: Sequence[str], content: str, *, declared: bool
) -> Reading:
    """Return what the content of a declaration, or a line, names.

    >>> name_of(["Paris", "Rome"], "AB", "(B) Rome, of course", declared=True)
    Reading(index=1, problem=None)
    >>> name_of(["Paris", "Rome"], "AB", "A or B", declared=True)
    Reading(index=None, problem='ambiguous')
    """
    whole = content.strip(" .\n")
    if " " in whole and whole in choices:
        return Reading(list(choices).index(whole))
    found = leading_label(choices, labels, content, declared=declared)
    if found is not None:
        return _checked(choices, labels, *found)
    named = by_text(choices, content, start=True)
    if len(named) == 1:
        return Reading(named[0])
    return Reading(None, "ambiguous" if named else None)


_OTHER = re.compile(
    r"\s*(?:,|/|&|\+|or\b|and\b|oder\b|und\b|o\b|y\b|ou\b|et\b|或|和|、)\s*(?:both\s+)?(?P<more>.*)",
    re.DOTALL,
)
_WRONG = re.compile(
    r"\s*(?:is|was|ist|es|est)\s+(?:not|wrong|incorrect|false|out|nicht|falsch)\b|\s*isn['’]t\b",
    re.IGNORECASE,
)


_OR = re.compile(r"\s*(?:,\s*)?(?:or|oder|o|ou|或)\b", re.IGNORECASE)
_ALONE = re.compile(r"(?<![\w'’])([B-HJ-Z0-9]|A(?=\W*$))(?![\w'’])")
_OFFERED = 60


def _checked(choices: Sequence[str], labels: Sequence[str], index: int, rest: str) -> Reading:
    """Return a label's choice, unless another label or the text of another choice follows it."""
    own = rest[len(choices[index]) :] if begins(choices[index], rest) else rest
    if _WRONG.match(rest) or _WRONG.match(own):
        return Reading(None, "denied")
    other = _OTHER.match(rest)
    if (
        other
        and _OR.match(rest)
        and {*_ALONE.findall(rest[:_OFFERED])} & {*labels} - {labels[index]}
    ):
        return Reading(None, "ambiguous")
    second = label_form(tuple(labels)).match(other["more"]) if other else None
    if second is not None and second["label"] in labels and second["label"] != labels[index]:
        word = second["label"] in {"A", "I"} and second["rest"][:1].islower()
        if not _WRONG.match(second["rest"]) and not (word and not _OTHER.match(second["rest"])):
            return Reading(None, "ambiguous")
    begun = [i for i in by_text(choices, rest, start=True) if i != index]
    if begun and not begins(choices[index], rest):
        return Reading(None, "conflict")
    return Reading(index)


def declarations(choices: Sequence[str], labels: Sequence[str], said: str) -> Iterator[Reading]:
    """Yield what each declaration of a text names, the last one first."""
    found = [*_declaring(said), *COLON_LINE.finditer(said)]
    for match in sorted(found, key=lambda match: match.start(), reverse=True)[:_LAST]:
        if match.re is COLON_LINE:
            content, after = _next_lines(said, match.end())
            announced = _ANNOUNCES.search(said, max(0, match.start() - 20), match.start())
            if announced and not _lists(labels, content, after):
                yield _announced(choices, labels, content)
        elif match.groupdict().get("boxed") is not None:
            yield name_of(choices, labels, match["boxed"], declared=True)
        elif not _SUPPOSED.search(said, max(0, match.start() - 100), match.start()):
            yield _declared(choices, labels, _content(said, match.end()))


_LAST = 200
"""Declarations from the end that are read; a text with more is caught in a loop."""


def _declaring(said: str) -> Iterator[re.Match[str]]:
    """Yield what says that an answer follows; the literal words are looked for first, for speed."""
    low = said.lower()
    low = low if len(low) == len(said) else said
    end = 0
    for anchor in _ANCHOR.finditer(low):
        if anchor.start() >= end:
            match = DECLARATION.match(said, anchor.start())
            if match is not None:
                end = match.end()
                yield match
    yield from _CHOOSING.finditer(low)


def _declared(choices: Sequence[str], labels: Sequence[str], content: str) -> Reading:
    reading = name_of(choices, labels, content, declared=True)
    if reading.index is not None or reading.problem:
        return reading
    if _NONE.match(content):
        return Reading(None, "none")
    return Reading(None) if _DENIED.match(content) else _within(choices, labels, content)


HAS_WORDS = re.compile(r"[^\W_]").search
_LINE = 1500
_FIRST = re.compile(r"[^.!?。\n]*")
_MARKED = re.compile(r"[(\[（]\s*(\w+)\s*[)\]）]")
_FEW = 12


def _within(choices: Sequence[str], labels: Sequence[str], content: str) -> Reading:
    """Return the one choice that stands in brackets or by its text in a short declaration."""
    first = _FIRST.match(content)
    sentence = first.group() if first else content
    marked = {mark for mark in _MARKED.findall(sentence[:400]) if mark in labels}
    if marked:
        only = list(labels).index(marked.pop()) if len(marked) == 1 else None
        return Reading(only, None if only is not None else "ambiguous")
    given = comparable(sentence[:400])
    if len(given) > _FEW + max((len(choice_words(c)) for c in choices), default=0):
        return Reading(None)
    named = contained(choices, sentence[:400])
    if len(named) == 1 and not {"not", "never", "isnt", "nicht"}.intersection(given):
        return Reading(named[0])
    return Reading(None, "ambiguous" if len(named) > 1 else None)


def _announced(choices: Sequence[str], labels: Sequence[str], line: str) -> Reading:
    """Return what a line names that a line ending in "is:" announces: a label, or a choice."""
    found = leading_label(choices, labels, line, declared=False)
    if found is not None:
        index, rest = found
        if not rest.strip(" .*") or begins(choices[index], rest) or not _numbered(labels):
            return _checked(choices, labels, index, rest)
        return Reading(None)
    equal = by_text(choices, line, start=False)
    return Reading(equal[0] if len(equal) == 1 else None)


def _numbered(labels: Sequence[str]) -> bool:
    return all(label.isdigit() for label in labels)


def _content(said: str, end: int) -> str:
    stop = said.find("\n", end, end + _LINE)
    line = said[end : stop if stop >= 0 else end + _LINE]
    return line.strip() if HAS_WORDS(line) else _next_lines(said, end)[0]


def _next_lines(said: str, end: int) -> tuple[str, str]:
    """Return the next two lines that hold words."""
    lines = (line.strip() for line in said[end : end + 2 * _LINE].split("\n")[1:])
    held = islice(filter(HAS_WORDS, lines), 2)
    return next(held, ""), next(held, "")


def _lists(labels: Sequence[str], line: str, after: str) -> bool:
    """Say whether two lines begin with different labels: choices told over, not an answer."""
    one, two = (label_form(tuple(labels)).match(text) for text in (line, after))
    return bool(
        one
        and two
        and one["label"] != two["label"]
        and (one["close"] or one["mark"])
        and (two["close"] or two["mark"])
    )
