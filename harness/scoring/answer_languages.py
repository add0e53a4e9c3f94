"""What the rules know of each language: words, months, and how an answer or a refusal is put.

English, German, Spanish, French and Chinese are judged by the same rules. In any other language an
answer is still right where it equals an accepted one or contains it as whole words, but negations,
alternatives and refusals are not seen: `language_of` returns None, and the verdict is labelled
``language_not_covered``.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

_FOLDS = str.maketrans({"ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th"})


def fold(text: str) -> str:
    """Return text in lower case without accents.

    >>> fold("Röntgen, Ångström, STRASSE"), fold("straße")
    ('rontgen, angstrom, strasse', 'strasse')
    """
    low = text.casefold()
    if low.isascii():
        return low
    parts = unicodedata.normalize("NFKD", low)
    plain = "".join(mark for mark in parts if not "\u0300" <= mark <= "\u036f")
    return unicodedata.normalize("NFC", plain).translate(_FOLDS)


def word_set(text: str) -> frozenset[str]:
    """Return the words of a list that is written as text."""
    return frozenset(text.split())


@dataclass(frozen=True)
class Language:
    """The words of one language, folded; ``months`` in order, some in short form too.

    Attributes:
        code: The code that `text_to_num` knows it by.
        usual: Words by which a text is told to be in this language.
        negations: Words that turn what follows into what is not meant.
        alternatives: The words for "or".
        months: The number of a month by its name.
    """

    code: str
    usual: frozenset[str]
    negations: frozenset[str]
    alternatives: frozenset[str]
    months: dict[str, int]


def _months(names: str) -> dict[str, int]:
    found = {}
    for number, forms in enumerate(names.split(), start=1):
        for form in forms.split("/"):
            found[form] = number
    return found


ENGLISH = Language(
    code="en",
    usual=word_set(
        "the of and to in is was that it for as with he she his by on at this are be from an which"
        " what who when where how i you not"
    ),
    negations=word_set(
        "arent cannot didnt doesnt dont except instead isnt neither never nor not than unlike"
        " wasnt werent without"
    ),
    alternatives=word_set("or"),
    months=_months(
        "january/jan february/feb march/mar april/apr may june/jun july/jul august/aug"
        " september/sep/sept october/oct november/nov december/dec"
    ),
)
GERMAN = Language(
    code="de",
    usual=word_set(
        "der die das und ist ein eine nicht von zu mit den dem des im auf fur sich war wer wie wo"
        " wann welche welcher welches es ich sie er auch sind wird am zum zur antwort"
    ),
    negations=word_set(
        "nicht kein keine keiner keinen keinem nie niemals weder ohne statt anstatt ausser als"
    ),
    alternatives=word_set("oder"),
    months=_months(
        "januar/jan/janner februar/feb marz/mrz april/apr mai juni/jun juli/jul august/aug"
        " september/sep oktober/okt november/nov dezember/dez"
    ),
)
SPANISH = Language(
    code="es",
    usual=word_set(
        "el la los las de que y en un una es por con para del se al lo su fue quien cual cuando"
        " donde como cuantos cuantas esta son yo respuesta"
    ),
    negations=word_set("no nunca jamas ni sin excepto salvo tampoco"),
    alternatives=word_set("o u"),
    months=_months(
        "enero/ene febrero/feb marzo/mar abril/abr mayo/may junio/jun julio/jul agosto/ago"
        " septiembre/setiembre/sep octubre/oct noviembre/nov diciembre/dic"
    ),
)
FRENCH = Language(
    code="fr",
    usual=word_set(
        "le la les de des du et est un une en que qui dans pour pas au aux ce il elle par sur se"
        " sont ou quel quelle quand combien je nous c l d reponse etait cest"
    ),
    negations=word_set("pas ne jamais ni sans sauf aucun aucune"),
    alternatives=word_set("ou"),
    months=_months(
        "janvier/janv fevrier/fevr mars avril/avr mai juin juillet/juil aout septembre/sept"
        " octobre/oct novembre/nov decembre/dec"
    ),
)
CHINESE = Language(
    code="zh",
    usual=frozenset(),
    negations=word_set("不 非 没 未 无"),
    alternatives=word_set("或"),
    months={},
)
_OTHERS = (
    word_set("il lo gli della di che e per una nel alla non sono con dei del le da era quale chi"),
    word_set("o os as da do das dos que em um uma nao com por foi para ao e qual quem na no"),
    word_set("het een van de en dat niet op te zijn voor met aan er om naar wat wie werd ook"),
    word_set("i w na z do nie sie jest to o jak przez od po za czy kto gdzie"),
    word_set("och att det som en pa ar av for den till ett inte med var vem"),
    word_set("ve bir bu da de icin ile olan olarak ne kim nerede mi degil"),
    word_set("yang dan di itu dengan untuk dari tidak ini dalam adalah pada apa siapa"),
)
_LATIN = (ENGLISH, GERMAN, SPANISH, FRENCH)
_ENOUGH = 3
"""Words of a language that must be there before a text counts as one that we do not cover."""


def language_of(question: str, response: str) -> Language | None:
    """Return the language of an answer; English where nothing tells, None where not covered.

    >>> language_of("Wer war das?", "Das war der Hund.").code
    'de'
    >>> language_of("", "1914").code, language_of("", "北京是首都").code
    ('en', 'zh')
    >>> language_of("", "Это столица") is None
    True
    """
    return _language(question, response[:2000])


@lru_cache(maxsize=4096)
def _language(question: str, response: str) -> Language | None:
    text = f"{question} {response}"
    if not text.isascii():
        letters = [mark for mark in text if mark.isalpha()]
        latin = sum(mark < "\u0250" or "\u1e00" <= mark < "\u1f00" for mark in letters)
        if latin * 2 < len(letters):
            kana = any("\u3040" <= mark < "\u3100" for mark in letters)
            han = sum("\u4e00" <= mark < "\ua000" for mark in letters)
            return CHINESE if han * 2 > len(letters) - latin and not kana else None
    found = re.findall(r"[^\W\d_]+", fold(text))
    counts = [sum(map(language.usual.__contains__, found)) for language in _LATIN]
    best = max(counts)
    others = max(sum(map(usual.__contains__, found)) for usual in _OTHERS)
    if others > best and others >= _ENOUGH:
        return None
    return _LATIN[counts.index(best)]


POLAR = {
    **dict.fromkeys(("yes", "ja", "si", "oui", "是", "是的", "对"), "yes"),
    **dict.fromkeys(("no", "nein", "non", "不", "不是", "否", "没有", "不对"), "no"),
    **dict.fromkeys(("maybe", "vielleicht", "quizas", "quiza", "可能", "也许"), "maybe"),
    **dict.fromkeys(("true", "wahr", "richtig", "verdadero", "cierto", "vrai", "正确"), "true"),
    **dict.fromkeys(("false", "falsch", "falso", "faux", "错误"), "false"),
}
"""Answers that must lead a response to count, and what each means."""

EXPLICIT = re.compile(
    r"\\boxed\{(?P<boxed>[^{}]*)\}"
    r"|\b(?:final |correct |right |best |short )?answer\b(?: to [^.:\n]{0,80}?)?(?:\s+is\b|\s*[:=])"
    r"|\b(?:richtige |korrekte )?antwort\b(?:\s+(?:ist|lautet)\b|\s*[:=])"
    r"|\brespuesta(?: correcta| final)?\b(?:\s+es\b|\s*[:=])"
    r"|\br[eé]ponse(?: correcte| finale)?\b(?:\s+est\b|\s*[:=])"
    r"|(?:正确|最终)?答案(?:应该)?[是为：:]+",
    re.IGNORECASE,
)
"""What comes before an answer that is said to be the answer."""

CONCLUSION = re.compile(
    r"(?:therefore|thus|hence|so|in conclusion|consequently|in summary|overall|finally|accordingly"
    r"|daher|also|somit|folglich|deshalb|por lo tanto|por tanto|as[ií] que|en conclusi[oó]n"
    r"|donc|par cons[eé]quent|ainsi|en conclusion)\b|因此|所以|综上",
    re.IGNORECASE,
)
"""How a sentence begins that draws the conclusion."""

RETRACTION = re.compile(
    r"\b(?:actually,? (?:no\b|that(?:'s| is) (?:wrong|not)|wait)|(?:no|oh|hmm?),? wait|wait,? no"
    r"|scratch that"
    r"|correction:|on second thoughts?|let me correct|i (?:meant|stand corrected|was wrong)"
    r"|sorry,? (?:i meant|that (?:is|was) wrong)|nein,? (?:doch|halt|warte)|quatsch"
    r"|no,? espera|mejor dicho|non,? attendez|pardon,? (?:c'est|non)|je me (?:suis tromp|corrige))"
    r"|不对，|更正",
    re.IGNORECASE,
)
"""How what was said before is taken back."""
