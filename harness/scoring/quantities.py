"""Numbers in text as quantities: value, scale, percent, currency and unit; when two agree.

``1,500,000``, ``1.5 million`` and ``1.5M`` are one number, as are ``5.4%`` and ``0.054``, and
``3 km`` and ``3,000 metres``. Two currencies, or two units that do not measure the same, conflict.
A number that is rounded agrees with the finer one that rounds to it; years never round.
"""

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

from text_to_num import alpha2digit

_DIGITS = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)|\d{1,15}(?:\.\d{1,15})?|\.\d{1,15}"
_SCALES = {
    "hundred": 100,
    "dozen": 12,
    **dict.fromkeys(("thousand", "k", "tausend", "mil", "mille"), 10**3),
    **dict.fromkeys(("million", "millions", "mn", "mm", "m", "mio", "millionen", "millon"), 10**6),
    **dict.fromkeys(("millones",), 10**6),
    **dict.fromkeys(("billion", "billions", "bn", "b", "milliarden", "milliarde"), 10**9),
    **dict.fromkeys(("milliards", "milliard", "mrd"), 10**9),
    **dict.fromkeys(("trillion", "trillions", "tn"), 10**12),
    "千": 10**3,
    "万": 10**4,
    "亿": 10**8,
}
_CURRENCIES = {
    **dict.fromkeys(("$", "us$", "usd", "dollar", "dollars", "dolares"), "dollar"),
    **dict.fromkeys(("€", "eur", "euro", "euros"), "euro"),
    **dict.fromkeys(("£", "gbp", "pound sterling", "sterling"), "pound"),
    **dict.fromkeys(("p", "pence", "penny"), "pence"),
    **dict.fromkeys(("cent", "cents", "¢"), "cent"),
    **dict.fromkeys(("¥", "jpy", "yen"), "yen"),
    **dict.fromkeys(("cny", "rmb", "yuan", "元"), "yuan"),
    **dict.fromkeys(("inr", "₹", "rupee", "rupees"), "rupee"),
    **dict.fromkeys(("chf", "franken"), "franc"),
}
_UNITS: dict[str, tuple[str, str]] = {}
for _dimension, _table in {
    "length": "mm millimeter millimetre=.001; cm centimeter centimetre=.01; m meter metre metro"
    "=1; km kilometer kilometre kilometro=1000; inch inches=.0254; ft foot feet=.3048; yd yard"
    "=.9144; mi mile=1609.344; 米=1; 公里=1000",
    "mass": "mg milligram=.000001; g gram gramm gramo gramme=.001; kg kilogram kilo kilogramm"
    "=1; t ton tonne=1000; lb lbs=.45359237; oz ounce=.0283495",
    "time": "ms millisecond=.001; s sec second seconde sekunde segundo=1; min minute minuto"
    "=60; h hr hour stunde hora heure=3600; day tag dia jour 天=86400; week woche semana semaine"
    "=604800",
    "months": "month monat mes mois=1; quarter=3; year yr jahr ano=12; decade=120; century=1200",
    "volume": "ml milliliter millilitre=.001; l liter litre litro=1; gallon=3.785411784",
    "temperature c": "°c c celsius centigrade=1",
    "speed": "mph=1.609344; kmh kph=1",
    "temperature f": "°f f fahrenheit=1",
    "energy": "kwh=1; mwh=1000; gwh=1000000",
}.items():
    for _entry in _table.split("; "):
        _names, _factor = _entry.split("=")
        for _name in _names.split():
            _UNITS[_name] = (_dimension, _factor)
            if len(_name) > 3:
                for _plural in (f"{_name}s", f"{_name}n", f"{_name}e"):
                    _UNITS.setdefault(_plural, (_dimension, _factor))
_QUANTITY = re.compile(
    r"(?<![\w.])(?P<open>\()?(?P<sign>[-+−]\s?)?(?P<before>US\$|[$€£¥₹]|(?:USD|EUR|GBP|CHF|JPY|CNY|INR)\s)?"
    rf"\s?(?P<minus>[-−])?(?P<number>{_DIGITS})"
    r"(?P<tail>(?:st|nd|rd|th)\b)?(?P<close>%?\))?"
    r"(?:(?:\s|-(?=[a-z]))?(?P<scale>(?:hundred|dozen|thousand|tausend|mille?|millions?|millionen|millon(?:es)?|billions?"
    r"|trillions?|milliarden?|milliards?|mrd|mio|mn|mm|bn|tn|[kmb](?![²³°]))\b|[千万亿]))?"
    r"(?:\s?(?P<percent>%|percent\b|per\s?cent\b|prozent\b|por\s?ciento\b|pour\s?cent\b|pct\b"
    r"|percentage points?\b|(?P<basis>basis points?\b|bps\b))"
    r"|(?:\s|-)?(?:of\s|de\s)?(?P<unit>US\sdollars?|°?[^\W\d_]+|[€£¥$元])\.?)?",
    re.IGNORECASE,
)
_EUROPEAN = re.compile(r"(?<![\d.,])(\d{1,3}(?:\.\d{3})+|\d+)(,\d+)?(?![\d,]|\.\d)")
_SPEED = re.compile(
    r"\b(?:(?P<miles>miles?)|(?:km|kilomet(?:er|re)s?))(?:\s(?:per|an)\s|\s?/\s?)(?:hour|hr|h)\b",
    re.IGNORECASE,
)
_SPACED = re.compile(r"(?<=\d)[\u00a0\u202f'’](?=\d{3}\b)")
_DOWN = (
    r"\b(?:decreas|declin|fell|fall|drop|loss|lost|lower|reduc|negative|minus|down|shr[aiu]nk"
    r"|outflow|deficit|contract|gesunken|sank|baj[oó]|baiss)\w*"
)
_FELL = re.compile(_DOWN, re.IGNORECASE)
_FELL_BY = re.compile(rf"{_DOWN}(?:\s+[^\W\d]+){{0,3}}[\s($€£+]*$", re.IGNORECASE)
_A_FALL = re.compile(rf"\s?(?:%|percent|per cent)?\s(?:\w+\s)?{_DOWN}", re.IGNORECASE)
_WHICH_WAY = re.compile(r"\b(?:chang|gr[eo]w|increas|ris|rose)", re.IGNORECASE)
_SCALE_NAMED = re.compile(
    r"\b(?:in|as)\b[^?]{0,30}?\b(thousands?|millions?|billions?)\b", re.IGNORECASE
)
_PERCENT_NAMED = re.compile(r"\bpercent|%|\bpct\b|\bmargin|\brate\b|\bratio", re.IGNORECASE)
_CLOSE = Decimal("0.0005")
"""The relative difference that rounding on the way may make, where ``_ENOUGH`` digits are given."""

_ENOUGH = 3
_FEWEST = 2
"""Digits of a rounded number below which it says too little."""


@dataclass(frozen=True)
class Quantity:
    """One number of a text.

    Attributes:
        value: With its scale applied, a percentage as it is written (``5.4`` of ``5.4%``).
        step: What one more in its last digit would add: ``0.1`` of ``5.4``, ``1e5`` of ``1.5M``.
        digits: Its significant digits.
        scaled: Whether a word such as "million" made it larger.
        percent: Whether it is a percentage.
        currency: Which money it is, or None.
        unit: The dimension and the factor of a unit that we know, or None.
        noun: The word that follows where it is no unit, folded; or None.
        year: Whether it may be a year: four bare digits.
        falls: Whether the sentence speaks of a decrease.
        start: Where it begins in the text.
        end: Where it ends, its unit included.
    """

    value: Decimal
    step: Decimal
    digits: int
    scaled: bool
    percent: bool
    currency: str | None
    unit: tuple[str, str] | None
    noun: str | None
    year: bool
    falls: bool
    start: int
    end: int


def spell_out(text: str, code: str = "en") -> str:
    """Return text with number words as digits.

    >>> spell_out("Twenty-five people in one point five million", "en")
    '25 people in 1.5 million'
    """
    if code not in {"en", "de", "es", "fr"}:
        return _hanzi(text)
    try:
        return _POWER.sub(lambda match: _POWERS[len(match[1]) - 1], alpha2digit(text, code, 0))
    except UnicodeEncodeError:
        return text


_POWERS = {2: "hundred", 3: "thousand", 6: "million", 9: "billion", 12: "trillion"}
_POWER = re.compile(r"(?<=\d )(10{12}|10{9}|10{6}|10{2,3})\b")
"""A power of ten after a number is its scale: "1.5 million" was read as "1.5 1000000"."""
_HAN_DIGITS = {mark: value for value, mark in enumerate("零一二三四五六七八九")} | {
    "两": 2,
    "〇": 0,
}
_HAN_NUMBER = re.compile(
    "(?!一(?![个人年月日天次本只位零〇一二两三四五六七八九十百千万亿]))"
    "[零〇一二两三四五六七八九十百千]+|[0-9][0-9.,]*"
)
"""A number in Chinese characters, or digits; "一" alone is mostly a part of another word."""


def _hanzi(text: str) -> str:
    return _HAN_NUMBER.sub(lambda match: f" {_han_value(match.group())} ", text)


def _han_value(mark: str) -> str | int:
    if mark.isascii():
        return mark
    if not set(mark) & set("十百千"):
        return int("".join(str(_HAN_DIGITS[digit]) for digit in mark))
    total, digit = 0, 0
    for part in mark:
        if part in _HAN_DIGITS:
            digit = _HAN_DIGITS[part]
        else:
            total += (digit or 1) * {"十": 10, "百": 100, "千": 1000}[part]
            digit = 0
    return total + digit


def quantities(text: str, code: str = "en") -> list[Quantity]:
    """Return the numbers of a text whose number words are digits already (`spell_out`).

    >>> [(str(q.value), q.currency) for q in quantities("It was $1.577 billion, or 12 a head.")]
    [('1577000000.000', 'dollar'), ('12', None)]
    """
    text = _SPACED.sub("", text)
    if "/" in text or " hour" in text:
        text = _SPEED.sub(lambda match: "mph" if match["miles"] else "kmh", text)
    if code in {"de", "es", "fr"}:
        text = _EUROPEAN.sub(_american, text)
    return [_quantity(match, _falls(text, match)) for match in _QUANTITY.finditer(text)]


def _falls(text: str, match: re.Match[str]) -> bool:
    """Say whether a number is told as a decrease: "fell by 3%", "a 3% drop", "(3%)"."""
    if match["open"] and match["close"]:
        return True
    before, after = text[max(0, match.start() - 60) : match.start()], text[match.end("number") :]
    return bool(_FELL_BY.search(before) or _A_FALL.match(after))


def _american(match: re.Match[str]) -> str:
    return match[1].replace(".", "") + (match[2] or "").replace(",", ".")


def _quantity(match: re.Match[str], falls: bool) -> Quantity:
    plain = match["number"].replace(",", "")
    value = Decimal(plain)
    places = len(plain.partition(".")[2].rstrip("0"))
    factor = Decimal(_SCALES[match["scale"].casefold()]) if match["scale"] else Decimal(1)
    word = (match["unit"] or "").casefold().removeprefix("us ")
    basis = bool(match["basis"])
    if basis:
        factor /= 100
    negative = (match["sign"] and match["sign"][0] != "+") or match["minus"]
    scale = match["scale"] or ""
    unit = _UNITS.get(word)
    if unit is None and scale in {"m", "mm"} and not match["before"]:
        unit, factor = _UNITS[scale], Decimal(1)
    before = (match["before"] or "").strip().casefold()
    digits = len(plain.replace(".", "").lstrip("0")) or 1
    bare = not (scale or match["percent"] or before or match["tail"] or "," in match["number"])
    return Quantity(
        value=-value * factor if negative else value * factor,
        step=factor.scaleb(-places),
        digits=digits,
        scaled=factor > 1,
        percent=bool(match["percent"]) or "%" in (match["close"] or ""),
        currency=_CURRENCIES.get(before) or _CURRENCIES.get(word),
        unit=unit,
        noun=word or None,
        year=bare and unit is None and not places and 1000 <= value <= 2100,
        falls=falls,
        start=match.start("number"),
        end=match.end(),
    )


@lru_cache(maxsize=4096)
def scale_named(question: str) -> Decimal:
    """Return what the question says that the numbers of an answer are in; 1 where it does not.

    >>> scale_named("What is the revenue in USD millions?")
    Decimal('1000000')
    """
    match = _SCALE_NAMED.search(question)
    return Decimal(_SCALES[match[1].casefold().removesuffix("s")]) if match else Decimal(1)


def agree(gold: Quantity, said: Quantity, question: str = "") -> bool:
    """Say whether two quantities are the same as far as each is stated.

    >>> one, two = quantities("$5 million")[0], quantities("5 million euros")[0]
    >>> agree(one, two), agree(one, quantities("5,000,000")[0])
    (False, True)
    >>> agree(quantities("0.054")[0], quantities("5.4%")[0])
    True
    """
    if conflict(gold, said) or _other_way(gold, said, question):
        return False
    return same_number(gold, said, question)


def same_number(gold: Quantity, said: Quantity, question: str = "") -> bool:
    """Say whether two quantities are the same number, whatever their units and their direction."""
    if gold.year and said.year:
        return gold.value == said.value
    scale = scale_named(question)
    for one, step_one in _readings(gold, said, scale):
        for two, step_two in _readings(said, gold, scale):
            falling = (one < 0 < two and said.falls) or (two < 0 < one and gold.falls)
            signs = (abs(one), abs(two)) if falling else (one, two)
            if _same(signs, (step_one, step_two), (gold.digits, said.digits)):
                return True
    return False


def _other_way(gold: Quantity, said: Quantity, question: str) -> bool:
    """Say whether one is a fall and the other a rise, where the question leaves that open."""
    if gold.falls == said.falls or gold.value < 0 or said.value < 0:
        return False
    return bool(_WHICH_WAY.search(question)) and not _FELL.search(question)


def conflict(gold: Quantity, said: Quantity) -> bool:
    """Say whether two quantities are of different money or of units that measure other things."""
    if gold.currency and said.currency and gold.currency != said.currency:
        return True
    if gold.percent != said.percent and (gold.currency or said.currency or gold.unit or said.unit):
        return True
    return bool(gold.unit and said.unit and gold.unit[0] != said.unit[0])


def _readings(mine: Quantity, other: Quantity, scale: Decimal) -> list[tuple[Decimal, Decimal]]:
    """Return the values that a number may stand for beside another, each with its step."""
    if mine.unit and other.unit and mine.unit[0] == other.unit[0]:
        factor = Decimal(mine.unit[1])
        return [(mine.value * factor, mine.step * factor)]
    found = [(mine.value, mine.step)]
    if mine.percent and not other.percent:
        found.append((mine.value / 100, mine.step / 100))
    large = other.scaled or abs(other.value) >= scale
    if scale != 1 and not mine.scaled and not mine.percent and large:
        found.append((mine.value * scale, mine.step * scale))
    return found


def _same(
    values: tuple[Decimal, Decimal], steps: tuple[Decimal, Decimal], digits: tuple[int, int]
) -> bool:
    """Say whether two values are equal, or the coarser one is the finer one rounded."""
    one, two = values
    if one == two:
        return True
    if not one or not two or (one < 0) != (two < 0):
        return False
    if min(digits) >= _ENOUGH and abs(one - two) <= _CLOSE * max(abs(one), abs(two)):
        return True
    if steps[0] == steps[1]:
        return False
    coarse = 0 if steps[0] > steps[1] else 1
    step = steps[coarse]
    rounded = (values[1 - coarse] / step).quantize(Decimal(1), rounding=ROUND_HALF_UP) * step
    return digits[coarse] >= _FEWEST and rounded == values[coarse]
