"""Secrets: told apart from what a study may hold, and taken out of everything that is printed.

A study is kept with its run, in reports and in version control, so it holds no keys. Keys come from
the environment; what of it was filled in somewhere is known here, and `redact` puts its name back.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

_NAMED = re.compile(
    r"headers?|auth(orization)?|.*(secret|passw(or)?d|passphrase|credentials?(base64|json)?|"
    r"signature)|pwd|pass|pw|sig|sas|code|jwt|.*key|token|.*(access|api|hf|hub|auth|bearer|session|"
    r"refresh|id|security)token"
)
"""What a secret is called, in small letters without signs between them."""

_NO_SECRETS = frozenset({"sslkey", "tlskey", "partitionkey", "primarykey", "sortkey"})
"""Names that end alike, of files and columns."""

_SHAPED = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{20,}|(?:sk|pk|rk|gh[opsur]|github_pat|glpat|xox[abeprs]|npm|nvapi|gsk|pypi)"
    r"[-_](?=[\w-]*\d)(?=[\w-]*[A-Za-z])[A-Za-z0-9_-]{16,}"
    r"|A(?:KIA|SIA)[A-Z0-9]{16}\b|AIza[A-Za-z0-9_-]{30,}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
)
"""What the keys of well-known services look like."""

_USER = re.compile(r"://([^:/@?#\s]*):([^@\s]*)@")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_SECRET_VARIABLE = re.compile(r"(?:_|^)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PW|PAT)$")

_filled_in: dict[str, str] = {}
"""Texts that came from the environment -> what stands for them."""


def is_secret_name(name: str) -> bool:
    """Tell whether an argument or a part of an address is called as a secret is.

    >>> [is_secret_name(n) for n in ("api-key", "Ocp-Apim-Subscription-Key", "code", "max_tokens")]
    [True, True, True, False]
    """
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return bool(_NAMED.fullmatch(plain)) and plain not in _NO_SECRETS


def secrets_in_address(address: str) -> list[str]:
    """Return what in an address is a secret: a password, or a part of the query called like one.

    ``${NAME}`` in its place is none.

    >>> secrets_in_address("http://host/v1?api-key=1&version=2")
    ['api-key']
    >>> secrets_in_address("postgresql://me:${PW}@host/db"), secrets_in_address("db://me:$x@host")
    ([], ['a password'])
    """
    found = []
    user = _USER.search(address)
    if user and user[2] and not _VARIABLE.fullmatch(user[2]):
        found.append("a password")
    try:
        query = urlsplit(address).query
    except ValueError:  # an address that is none is refused where it is used
        query = address.partition("?")[2]
    for name, value in parse_qsl(query):
        if is_secret_name(name) and not _VARIABLE.fullmatch(value):
            found.append(name)
    return found


def secrets_in(value: object, name: str = "") -> Iterator[str]:
    """Yield what looks like a secret in plain data: by its name, by its shape, or in an address."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            if is_secret_name(str(key)) and one and not isinstance(one, (bool, int, float)):
                yield str(key)
            else:
                yield from secrets_in(one, str(key))
    elif isinstance(value, str):
        where = f" in {name}" if name else ""
        if _SHAPED.search(value):
            yield f"a key{where}"
        elif "://" in value:
            yield from (f"{found}{where}" for found in secrets_in_address(value))
    elif isinstance(value, Sequence):
        yield from (found for one in value for found in secrets_in(one, name))


def fill_in(text: str) -> str:
    """Replace each ``${NAME}`` by that environment variable, and remember to keep it unsaid.

    Raises:
        KeyError: With the name of a variable that is not set.
    """

    def value(found: re.Match[str]) -> str:
        filled = os.environ[found[1]]
        keep_unsaid(filled, found[0])
        return filled

    return _VARIABLE.sub(value, text)


def keep_unsaid(text: str, instead: str = "***") -> None:
    """Let `redact` replace a text, also as it stands in an address."""
    for form in (text, quote(text, safe=""), quote_plus(text), repr(text)[1:-1]):
        _filled_in.setdefault(form, instead)


def redact(text: str) -> str:
    """Return a text without what came from the environment, and without the keys in it.

    A value of up to three letters is replaced only where it stands alone.
    """
    named = {
        value: f"${{{name}}}"
        for name, value in os.environ.items()
        if len(value) >= 8 and _SECRET_VARIABLE.search(name.upper())
    }
    known = {**named, **_filled_in}
    for value in sorted(filter(None, known), key=len, reverse=True):
        if len(value) > 3:
            text = text.replace(value, known[value])
        else:
            alone = re.compile(rf"(?<!\w){re.escape(value)}(?!\w)")
            text = known[value].join(alone.split(text))
    return text
