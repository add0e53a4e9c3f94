"""What a verdict costs on a GPU, by arithmetic: the tables of ``docs/how-to/scale.md``.

    python tests/bench/verdict_cost.py
    python tests/bench/verdict_cost.py --read 75000 --written 0 --arms 3 --price 3

Nothing is measured here. Reading is bound by products (2 operations for each weight and token, of
which a GPU does ``USED`` of what its data sheet says), writing by reading all weights once for each
step of a batch, starting by reading the weights from a disk. Tokens are those that ``harness plan``
prints: distinct ones are read, generated ones written.
"""

import argparse
from dataclasses import dataclass

from harness.pipeline.outlook import shards_that_pay

USED = 0.4
"""Share of a data sheet's dense bf16 rate that the products of a model reach."""
SERVED = 0.6
"""Share of a data sheet's memory bandwidth that decoding reaches."""
ROWS = 64
"""Answers that are written side by side."""
DISK = 1.5e9
"""Bytes of weights that come from a disk or a network file system in a second."""
BEGIN = 20.0
"""Seconds to start Python, import the libraries, plan, and prove the adapters."""
BYTES = 2
"""Of a weight in bf16."""


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU by its data sheet: dense bf16 operations and bytes a second, bytes of memory."""

    name: str
    products: float
    bandwidth: float
    memory: float


CARDS = (
    Card("RTX 4090, 24 GB", 165e12, 1.01e12, 24e9),
    Card("A100, 80 GB", 312e12, 2.04e12, 80e9),
    Card("H100 SXM, 80 GB", 989e12, 3.35e12, 80e9),
)
MODELS = {"1B": 1e9, "8B": 8e9, "30B": 30e9, "70B": 70e9}


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of one GPU: until the first answer, reading, and writing."""

    start: float
    read: float
    write: float

    @property
    def answering(self) -> float:
        """All but the start."""
        return self.read + self.write


def cost(weights: float, card: Card, *, read: float, written: float) -> Cost | None:
    """Return what so many tokens cost; None where the weights leave no room for answers."""
    if BYTES * weights > 0.8 * card.memory:
        return None
    return Cost(
        start=BEGIN + BYTES * weights / DISK,
        read=2 * weights * read / (USED * card.products),
        write=written / ROWS * BYTES * weights / (SERVED * card.bandwidth),
    )


def main() -> None:
    """Print one table for each of the page's questions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--read", type=float, default=1e6, help="distinct tokens of one arm")
    parser.add_argument("--written", type=float, default=1e5, help="generated tokens of one arm")
    parser.add_argument("--arms", type=int, default=4)
    parser.add_argument("--price", type=float, help="of an hour of one GPU")
    given = parser.parse_args()
    print("| model | GPU | start | read | write | verdict | shards that pay |", end="")
    print(" price |" if given.price else "")
    print("| --- " * (8 if given.price else 7) + "|")
    for size, weights in MODELS.items():
        for card in CARDS:
            print(_line(f"| {size} | {card.name} ", given, weights, card))


def _line(begun: str, given: argparse.Namespace, weights: float, card: Card) -> str:
    found = cost(weights, card, read=given.read, written=given.written)
    if found is None:
        return f"{begun}| does not fit " + "| " * (5 if given.price else 4) + "|"
    answering = given.arms * found.answering
    shards = shards_that_pay(answering, found.start)
    whole = found.start + answering
    cells = [found.start, found.read, found.write, whole]
    line = begun + "".join(f"| {_time(seconds)} " for seconds in cells) + f"| {shards} |"
    return line + (f" {given.price * whole / 3600:.2f} |" if given.price else "")


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    main()
