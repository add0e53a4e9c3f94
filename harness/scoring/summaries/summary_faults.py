"""What is wrong with a summary, as far as rules can tell: unfounded, copied, cut, off, too long.

The verdict is *sound* or not, by faults that are certain where they are found; how much of a
reference is said stands beside it as ROUGE. Neither sees whether the main point is there, whether a
sentence is true of the source, or how it reads.
"""

from collections.abc import Sequence

from harness.records import Verdict
from harness.scoring import abstention, response_faults
from harness.scoring.answer_languages import ENGLISH, FRENCH, GERMAN, SPANISH, fold
from harness.scoring.answer_region import sentences
from harness.scoring.answer_words import answer_words, stems, telling
from harness.scoring.summaries.grounding import Ungrounded, ungrounded
from harness.scoring.summaries.rouge import rouge, tokens

METRICS = ("sound", "rougeL")
"""What a suite of summaries can be decided by; the second needs references."""

ROUGE_FLOOR = 0.15
"""ROUGE-L from which a sound summary counts as right where that metric decides."""

_RUN = 8
"""Words in a row that are no chance: a source that shares them was copied there."""

_COPIED, _WHOLE = 0.9, 0.8
"""Shares: of a summary's words that stand in copied runs, and of the source's length it has."""

_SHORTEST_SOURCE = 30
_LONGER, _SHORTER = 3, 4
"""A summary may have so many times the words of its reference, and one in so many at least."""

_LEAST_SHARED, _DECLINING = 0.15, 0.25
"""Shares of a summary's telling words that its source has: below the first it is about something
else (`tests/bench/summary_faults.py` says how often), below the second it may decline."""

_FEW = 4

_TELLTALES = 4


def summary(
    document: str,
    response: str,
    *,
    reference: str | None = None,
    max_words: int | None = None,
    decides: str = "sound",
    finish: str | None = None,
) -> Verdict:
    """Judge a summary by its source and, where there is one, a reference.

    Args:
        document: What is to be summarised.
        response: The raw model text.
        reference: A summary by a person.
        max_words: How long it may be; by default three times the reference.
        decides: The metric that is the score, one of `METRICS`.
        finish: ``length`` where the generation was cut at its limit.

    Returns:
        A verdict whose labels are the faults, the gravest first: empty, truncated, repetition,
        abstained, wrong_language, off_topic, copied, invented_figure, invented_date, invented_name,
        too_long, too_short, off_reference. Metrics: sound, grounded and copied (the share of words
        in runs that the source has), and with a reference rouge1, rouge2 and rougeL.

    >>> text = "The shop in Graz sold 120 lamps in May, twice as many as in April."
    >>> summary(text, "The Graz shop sold 150 lamps in May.").labels
    ('invented_figure',)
    """
    said = response_faults.strip_markdown(response_faults.visible_text(response))
    words, source = tokens(said), tokens(document)
    shares = {} if reference is None else rouge(reference, said)
    found = ungrounded(document, said) if words else Ungrounded()
    copied = _copied_share(source, words)
    faults = _faults(said, words, document, finish)
    if words and _is_copy(copied, len(words), len(source), finish):
        faults.append("copied")
    faults += [f"invented_{kind}" for kind, each in _kinds(found) if each]
    faults += _length(len(words), len(source), reference, max_words) if words else []
    metrics = {"sound": float(not faults), "grounded": float(bool(words) and not found)}
    metrics |= {"copied": copied, **shares}
    right = not faults and (decides == "sound" or metrics[decides] >= ROUGE_FLOOR)
    labels = tuple(faults) or (() if right else ("off_reference",))
    return Verdict(
        outcome="correct" if right else "incorrect",
        score=metrics[decides],
        labels=labels,
        answer=said or None,
        explanation=_explained(labels, found),
        metrics=metrics,
        details={"ungrounded": [*found.figures, *found.dates, *found.names]},
    )


def _kinds(found: Ungrounded) -> Sequence[tuple[str, tuple[str, ...]]]:
    return ("figure", found.figures), ("date", found.dates), ("name", found.names)


def _faults(said: str, words: Sequence[str], document: str, finish: str | None) -> list[str]:
    """Return the faults that need no look at what is stated, the gravest first."""
    if not words:
        return ["empty"]
    faults = ["truncated"] if finish == "length" else []
    if response_faults.is_repetitive(said):
        faults.append("repetition")
    telling_words = set(stems(telling(answer_words(said))))
    shared = len(telling_words & set(stems(answer_words(document)))) / max(1, len(telling_words))
    if shared < _DECLINING and abstention.declines(sentences(said)):
        faults.append("abstained")
    elif _other_language(document, said):
        faults.append("wrong_language")
    elif shared < _LEAST_SHARED and len(telling_words) >= _FEW:
        faults.append("off_topic")
    return faults


def _other_language(document: str, said: str) -> bool:
    """Say whether a summary is surely in another script or language than its source."""
    scripts = [_latin_share(text) for text in (document, said)]
    if None not in scripts and abs((scripts[0] or 0.0) - (scripts[1] or 0.0)) > 0.7:
        return True
    one, two = (_language(text) for text in (document, said))
    return bool(one and two and one != two)


def _latin_share(text: str) -> float | None:
    letters = [mark for mark in text[:4000] if mark.isalpha()]
    if len(letters) < 20:
        return None
    return sum(mark < "\u0250" for mark in letters) / len(letters)


def _language(text: str) -> str | None:
    """Return the language whose usual words a text surely shows; None where nothing is sure."""
    words = fold(text[:4000]).split()
    counts = {
        each.code: sum(word in each.usual for word in words)
        for each in (ENGLISH, GERMAN, SPANISH, FRENCH)
    }
    first, second = sorted(counts.values(), reverse=True)[:2]
    if first < _TELLTALES or first < 2 * second:
        return None
    return max(counts, key=counts.__getitem__)


def _copied_share(source: Sequence[str], words: Sequence[str]) -> float:
    """Return the share of words that stand in runs of `_RUN` words which the source has, too."""
    runs = {tuple(source[i : i + _RUN]) for i in range(len(source) - _RUN + 1)}
    taken: set[int] = set()
    for i in range(len(words) - _RUN + 1):
        if tuple(words[i : i + _RUN]) in runs:
            taken.update(range(i, i + _RUN))
    return len(taken) / len(words) if words else 0.0


def _is_copy(copied: float, words: int, source: int, finish: str | None) -> bool:
    """Say whether the source was written down again: all of it, or up to the limit."""
    if source < _SHORTEST_SOURCE or copied < _COPIED:
        return False
    return words >= _WHOLE * source or (finish == "length" and words >= _SHORTEST_SOURCE)


def _length(words: int, source: int, reference: str | None, max_words: int | None) -> list[str]:
    wanted = 0 if reference is None else len(tokens(reference))
    most = max_words or (_LONGER * wanted + 10 if wanted else max(source, _SHORTEST_SOURCE))
    if words > most:
        return ["too_long"]
    return ["too_short"] if words < max(3, wanted // _SHORTER) else []


def _explained(labels: Sequence[str], found: Ungrounded) -> str:
    if not labels:
        return "no fault that a rule can find"
    lacking = [*found.figures, *found.dates, *found.names]
    told = f": the source does not have {', '.join(map(repr, lacking[:5]))}" if lacking else ""
    return f"{', '.join(labels)}{told}"
