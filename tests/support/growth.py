"""Whether a function is linear in its input: a ratio of costs, the same on every machine."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

TRIES = 5


def grows_linearly(work: Callable[[T], object], small: T, large: T, *, times: int) -> bool:
    """Tell whether work on an input ``times`` as large costs about ``times`` as much or less.

    A quadratic function would need ``times`` squared. The bound is the geometric mean of the two,
    so with ``times=8`` a linear function has a factor of nearly three to spare. Noise only ever
    adds processor time, so the least of several tries counts.
    """
    bound = float(times) ** 1.5
    costs = [_cost(work, small) for _ in range(TRIES)]
    for _ in range(TRIES):
        if _cost(work, large) <= bound * min(costs):
            return True
        costs.append(_cost(work, small))
    return False


def _cost(work: Callable[[T], object], given: T) -> float:
    started = time.process_time()
    work(given)
    return time.process_time() - started
