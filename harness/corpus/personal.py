"""Flag personal data, secret keys and broken encodings in training texts."""

import re
from collections.abc import Iterator

_NO_DATE_OR_ADDRESS = r"(?!\d{4}-\d\d-\d\d(?!\d))(?!\d{1,3}(?:\.\d{1,3}){3}(?![\w.]))"
_NINE_DIGITS = r"(?=(?:[ .()-]{0,2}\+?\d){9})"

FLAGS: dict[str, re.Pattern[str]] = {
    "e-mail address": re.compile(r"[\w.+-]{1,64}@[\w-]+\.[\w.]*\w"),
    "phone number": re.compile(
        rf"(?<![\w.-]){_NO_DATE_OR_ADDRESS}{_NINE_DIGITS}"
        r"\+?\(?\d{1,4}\)?(?:[ .-]\(?\d{2,5}\)?){2,5}(?![\w-])"
    ),
    "secret key": re.compile(
        r"\b(?:sk|pk|ghp|gho|xox[abp]|AKIA|AIza|github_pat)[-_]?[A-Za-z0-9_-]{16,}"
        r"|-----BEGIN [A-Z ]*PRIVATE KEY|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\."
    ),
    "broken encoding": re.compile(r"[ÃÂ][\x80-\xbf]|â€[\x80-\xbf™œ\u009d]|\ufffd"),
}
"""What is only pointed out, never changed: name in the data card -> pattern."""

_NEEDED = {"e-mail address": re.compile("@"), "phone number": re.compile(r"\d[ .)-]+\(?\d")}
"""What is quick to look for and must be there."""


def flags_of(text: str) -> Iterator[str]:
    """Yield the name of each pattern that occurs in a text.

    >>> list(flags_of("write to ann@example.org or +44 20 7946 0958 by 2024-01-15"))
    ['e-mail address', 'phone number']
    """
    for name, pattern in FLAGS.items():
        if (name not in _NEEDED or _NEEDED[name].search(text)) and pattern.search(text):
            yield name
