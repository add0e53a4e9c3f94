"""An endpoint's answer with a thought before it, held to the limits that weights here have.

A server knows one limit for both, and looks for stop strings in the thought as well. So it is asked
for the sum, without stop strings, and each part is cut here.
"""

from collections.abc import Callable

from harness.engine.remote.served_reply import ServedText
from harness.records import Request, Response
from harness.thoughts import FORMS, ThoughtForm, opened_by, split_thought

_PLAIN = FORMS[0]
"""The marks that are put around a thought which a server has taken apart."""


def with_limits(
    served: ServedText, request: Request, count: Callable[[str], int | None]
) -> Response:
    """Return an answer with its thought as it is stored: in one text, each within its limit.

    Args:
        served: What the server said.
        request: With limits and stop strings.
        count: Counts tokens; None where nothing counts them, and the server's limit has to do.
    """
    limits, opened = request.settings, opened_by(request.context)
    budget, most = int(limits.get("thinking_tokens") or 0), int(limits["max_new_tokens"])
    raw = _whole(served, opened or _PLAIN, asked=opened is not None)
    split = split_thought(raw, opened=opened)
    head, answer = raw[: split.start], raw[split.start :]
    thought_tokens = count(head) if split.thought is not None else 0
    if budget and split.thought is not None and (thought_tokens or 0) > budget:
        cut = f"{(opened or _PLAIN).opening}\n{split.thought}"
        return Response(text=cut, finish="length", tokens=budget)
    stopped = answer
    for stop in filter(None, request.settings["until"]):
        stopped = stopped.partition(stop)[0]
    finish = "length" if served.finish == "length" and stopped == answer else "stop"
    tokens = count(stopped)
    if budget and tokens is not None and tokens > most:
        stopped, finish, tokens = _first(stopped, most, count), "length", most
    return Response(
        text=head + stopped, finish=finish, tokens=(tokens or 0) + (thought_tokens or 0)
    )


def _whole(served: ServedText, form: ThoughtForm, *, asked: bool) -> str:
    """Return thought and answer as one text.

    Args:
        served: The two, apart where the server takes thoughts apart.
        form: The marks that are put around the thought then.
        asked: Whether the prompt opens a thought, so that an answer without one needs its end.
    """
    if served.thought is None or not (served.thought or asked):
        return str(served)
    if not served.strip():
        return f"{form.opening}\n{served.thought}"
    return f"{form.opening}\n{served.thought}\n{form.closing}\n\n{served}"


def _first(text: str, most: int, count: Callable[[str], int | None]) -> str:
    """Return the longest beginning of a text with so many tokens, by bisection."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if (count(text[:middle]) or 0) <= most:
            low = middle
        else:
            high = middle - 1
    return text[:low]
