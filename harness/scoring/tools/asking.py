"""Whether a reply asks for what nobody has named."""

import re
from collections.abc import Sequence


def asks_for(text: str, names: Sequence[str]) -> bool:
    """Return whether a text asks for something: a question, or one of the arguments by name.

    A question that only ends a reply ("Anything else?") asks for nothing, and one for
    consent ("Is that okay?") or behind a claim that all is done ("I have booked it. A receipt?")
    only where the text names what is asked for. "Please specify who gets it" asks, too.

    >>> asks_for("Which day?", ["date"]), asks_for("Booked! Anything else?", ["date"])
    (True, False)
    """
    low = text.lower().replace("\u2019", "'")
    parts = {part for name in names for part in name.lower().split("_")}
    named = not parts.isdisjoint(re.findall(r"\w+", low))
    asked = [one for one in _QUESTIONS.findall(low) if not _OFFER.search(one)]
    if any(named or not (_CONSENT.search(one) or _claims_done(low)) for one in asked):
        return True
    if named and any(please in low for please in _PLEASE):
        return True
    if named and _LACKING.search(low):
        return True
    told = [one for one in re.split(r"[.!?\n]+\s", low) if not _POLITE.search(one)]
    if _claims_done(low):
        return False
    return any(_IMPERATIVE.search(one) for one in told) or bool(_UNMARKED.search(low.strip()))


def _claims_done(low: str) -> bool:
    return any(not _NEGATED.search(low[: one.start()]) for one in _DONE.finditer(low))


_ACTS = (
    "booked|sent|scheduled|added|created|transferred|reserved|ordered|cancell?ed|set|put|paid"
    "|placed|updated|deleted|saved|turned|switched|emailed|mailed|arranged"
    "|confirmed|completed|made (?:a|the|your) (?:reservation|booking|order|transfer|payment)"
)
_DONE = re.compile(
    rf"\b(?:i've|i have|has been|have been|is|are)(?: (?:just|now|already|successfully))?"
    rf" (?:{_ACTS})\b|\A(?:all )?done\b"
)
_NEGATED = re.compile(r"\b(?:no|not|nothing|never|before|once|until|after)\b[^.!?\n]*\Z")
_PLEASE = ("please", "need", "tell me", "let me know", "provide", "specify")
_IMPERATIVE = re.compile(
    r"\b(?:please|kindly|just|then|so|and)\b[^.]*\b(?:provide|specify|share|tell me|let me know"
    r"|give me|send me|indicate|clarify|supply|name|state|enter|choose|pick)\b"
    r"|^\s*(?:tell me|let me know|give me|specify|provide|share)\b"
    r"|\byou (?:haven't|have not|didn't|did not|never)(?: yet)? (?:told|tell|said|say|mention"
    r"|specif|provide|given?\b|state|includ|name)"
    r"|^\s*(?:reply|answer|respond) with (?:a|an|the|your)\b"
    r"|\bdon't (?:yet )?know(?: yet)?(?: is)? (?:how|which|where|whom?|when|what)\b.*"
    r"\byou(?:'d| want| need| mean| prefer| are| would)\b"
    r"|\bbitte\b.*\b(?:nenn|sag|gib|geb|teil|verrat|schreib)"
    r"|\b(?:indique|précise|dites|donne|proporcion|especifi|dime|dígame|specific|indic[ahi])"
    r"|(?:请|請).*(?:告诉|告訴|提供|说明|指定)|教えて|알려"
    r"|\b(?:i|we)(?:'ll| will| do| would|'d)?(?: still| also| just| only| first)? (?:need|require)"
    r" (?:to know|you to|the|a|an|your|some|more|one more|his|her|their)\b"
)
_LACKING = re.compile(
    r"\bi(?:'m| am) (?:still )?missing\b"
    r"|\bno [\w ]{1,40} (?:was|were|is|has been) (?:specified|given|provided|mentioned|stated)\b"
    r"|\b(?:is|are|was|were) (?:still )?"
    r"(?:missing|not (?:specified|given|provided|mentioned|stated|clear))\b"
)
_UNMARKED = re.compile(
    r"(?:\A|[.!:,\n]\s*)(?:and |but |so )?(?:how (?:big|many|much|long|large|old|far)|which|what"
    r"|when|where|whom?|at what|to whom|for (?:when|whom?|how many))\b[^.!?\n]*\Z"
)
_POLITE = re.compile(
    r"\blet me know (?:if|when(?:ever)?|should)\b|\bif (?:you|there)(?:'s| is)? (?:need|have|any)"
    r"|\bfeel free\b|\bany(?:thing)? (?:else|other|further|more)\b"
    r"|\bneed (?:a|some) (?:moment|time)\b"
)
_QUESTIONS = re.compile(r"[^.!?？؟\n]*[?？؟]")
_OFFER = re.compile(
    r"\b(?:any|some)thing (?:else|more)\b|\bwhat else can i\b|\bhelp you with\b"
    r"|\bhow (?:else )?(?:can|may) i (?:help|assist)\b"
)
_CONSENT = re.compile(
    r"\b(?:is|does|was) (?:that|this|it) (?:all right|ok|okay|right|correct|fine|work|help|suit)\b"
    r"|\bsounds? good\b|^\s*(?:ok|okay|right|all right|fine)\s*\?"
    r"|\b(?:isn't|aren't|wasn't) (?:it|that|this|they)\b"
)
