"""What went wrong with a server: its own words, in one sentence, and whether it may be asked again.

Its libraries raise what they met: a status, a broken connection, a text that is no JSON. A person
needs what the server said, and what to do about it.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime

from harness.errors import EndpointError, HarnessError, InfrastructureError, ModelError
from harness.secrets import redact

REFUSED = frozenset({400, 413, 422})
"""HTTP status codes by which a server refuses one request, such as one beyond its context."""

_BUSY = 429
_OK = 200
_CUT_SHORT = frozenset({"ChunkedEncodingError", "ClientPayloadError", "IncompleteRead"})
_UNREACHABLE = frozenset({"OSError", "ClientError"})
_NO_JSON = frozenset({"JSONDecodeError", "ContentTypeError"})
_SHOWN = 200
_RETRIES = 3
_MOST_SECONDS = 300.0
"""The longest wait that a server may ask for; where it wants more, a person is told."""


def explain(error: Exception, *, name: str, where: str, said: str) -> HarnessError:
    """Return an error of ours that says in one sentence what went wrong.

    Args:
        error: What lm-eval, or the HTTP library below it, raised.
        name: The arm.
        where: Model and address.
        said: The server's own words, where the exception lacks them.
    """
    if isinstance(error, HarnessError):
        return error
    status, reason, kinds = status_of(error), reason_of(error, said), _kinds(error)
    if kinds & _NO_JSON or (status == _OK and not kinds & _CUT_SHORT):
        begins = _short(getattr(error, "doc", "") or said or str(error))
        return EndpointError(
            f"a server must reply with one JSON object: {name!r} ({where}) replies with something "
            f"else, which begins {begins!r}; look for a stream, a page to log in, or a base_url "
            "that is not the completions' own"
        )
    if status is not None and 400 <= status < 500 and status != _BUSY:
        return ModelError(
            f"{name!r} ({where}) refused a request ({status}): {reason}; change its "
            "model_args (tokenized_requests: false sends text, not token ids)"
        )
    if kinds & _CUT_SHORT:
        return InfrastructureError(
            f"{name!r} needs its server: {where} ends its replies before they are whole "
            f"({type(error).__name__}); run the study again once it does not, what was answered "
            "before is kept"
        )
    if status is not None or kinds & _UNREACHABLE:
        cause = f"{status}: {reason}" if status else type(error).__name__
        return InfrastructureError(
            f"{name!r} needs its server: {where} does not answer ({cause}); run the "
            "study again once it does, what was answered before is kept"
        )
    return EndpointError(
        f"the answers of {name!r} must be what lm-eval reads: {type(error).__name__}: {reason}; "
        "for log-likelihoods a server must return those of the prompt ('echo' with 'logprobs')"
    )


def status_of(error: Exception) -> int | None:
    """Return the HTTP status in an exception of requests or aiohttp."""
    found = getattr(getattr(error, "response", None), "status_code", None)
    return found if found is not None else getattr(error, "status", None)


def reason_of(error: Exception, said: str = "") -> str:
    """Return what a server or library gave as its reason: one short line without any key.

    Args:
        error: What was raised.
        said: The server's own words, where the exception lacks them.
    """
    text = getattr(getattr(error, "response", None), "text", "") or said or str(error)
    return _short(text) or type(error).__name__


def _short(text: str) -> str:
    return " ".join(redact(text).split())[:_SHOWN]


def _kinds(error: Exception) -> set[str]:
    """Return the names of an exception's classes: no HTTP library is imported to tell them."""
    return {kind.__name__ for kind in type(error).__mro__}


def asked_to_wait(error: Exception) -> float | None:
    """Return the seconds after which a server wants to be asked again, None where it says none.

    That is ``Retry-After`` (RFC 9110, 10.2.3), in seconds or as a date.
    """
    response = getattr(error, "response", None)
    headers: Mapping[str, str] = getattr(response, "headers", None) or (
        getattr(error, "headers", None) or {}
    )
    text = headers.get("Retry-After") or headers.get("retry-after")
    if text is None:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def waits(error: Exception, tries: int) -> bool:
    """Wait for as long as a busy server asks; return False where it asks for none, or for too much.

    Args:
        error: What a request ended in, after lm-eval's own retries.
        tries: How often that was waited for already.
    """
    seconds = asked_to_wait(error)
    if seconds is None or seconds > _MOST_SECONDS or tries >= _RETRIES:
        return False
    time.sleep(seconds)
    return True


def is_not_orphaned(record: logging.LogRecord) -> bool:
    """Drop what asyncio logs of failures beside the one that lm-eval raises for a batch."""
    return "exception was never retrieved" not in str(record.msg)


class SaidByServer(logging.Filter):
    """Keeps the last error text that lm-eval logs and leaves out of what it raises."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep what follows 'Response text:'; let only errors through that are not raised, too."""
        message = record.getMessage()
        _, found, text = message.partition("Response text: ")
        if found:
            self.text = text.removesuffix(". Retrying...")
        return record.levelno >= logging.ERROR and not message.startswith("Exception:")

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen to lm-eval's requests."""
        log = logging.getLogger("lm_eval.models.api_models")
        before = log.level
        log.setLevel(logging.WARNING)
        log.addFilter(self)
        self.text = ""
        try:
            yield
        finally:
            log.removeFilter(self)
            log.setLevel(before)
