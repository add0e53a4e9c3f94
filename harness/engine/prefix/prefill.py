"""Walk a trie through a model: kept stems first, then their branches, in batches that fit."""

import gc
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.engine.prefix import attention
from harness.engine.prefix.attention import Pack, Past
from harness.engine.prefix.trie import Trie, Unit, units

log = logging.getLogger("harness.engine")

LOGIT_BYTES = 256 * 2**20
"""How much one batch's float32 logits may take."""


@dataclass(slots=True)
class Runner:
    """A model with one arm active, and how much it is given at once.

    ``like`` is a tensor with the model's device and dtype. ``budget`` (tokens per forward pass) is
    halved for good when memory runs out, and so is ``slots`` (the most rows decoded together);
    ``room`` is how many tokens those rows may keep of their own, and half as many are read ahead
    for them; ``chunk`` is how many distinct tokens make one trie at most. ``root`` holds the keys
    and values of an adapter's virtual tokens, which come before every prompt.
    """

    model: Any
    like: Tensor
    vocabulary: int
    budget: int
    room: int
    chunk: int = 2**17
    slots: int = 256
    root: Past | None = None

    @property
    def offset(self) -> int:
        """The position of a prompt's first token: after the virtual tokens, if there are any."""
        return self.root.length if self.root else 0

    @property
    def most_logits(self) -> int:
        """How many positions of one batch may go through the output head."""
        return max(256, LOGIT_BYTES // (4 * self.vocabulary))


@dataclass(frozen=True, slots=True)
class Swept:
    """One finished forward pass: ``rows[i]`` is the ``(node, offset)`` of ``logits[i]``."""

    units: list[int]
    pack: Pack
    rows: list[tuple[int, int]]
    logits: Tensor


class OutOfMemoryError(Exception):
    """Memory ran out although a single unit was computed alone; ``units`` could not be."""

    def __init__(self, units: list[int]) -> None:
        super().__init__("out of memory")
        self.units = units


def is_out_of_memory(error: BaseException) -> bool:
    """Tell an allocation that failed, on a GPU or a CPU, from every other error."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in text or "out of memory" in text
    )


def sweep(
    runner: Runner, trie: Trie, wanted: Mapping[int, Sequence[int]], *, capture: bool = False
) -> Iterator[Swept | OutOfMemoryError]:
    """Run every token of a trie once and yield the logits at the wanted offsets of each node.

    What follows a kept stem is run before further stems are begun, so that few are kept at a time,
    however large the trie. Units that cannot be computed for lack of memory are yielded as an
    `OutOfMemoryError`, with all that depend on them.
    """
    plan = units(trie)
    following: dict[int | None, list[int]] = defaultdict(list)
    for index, unit in enumerate(plan):
        following[unit.past].append(index)
    waiting = {stem: len(branches) for stem, branches in following.items()}
    pasts: dict[int, Past] = {}
    ready = following[None][::-1]
    while ready:
        batch = _take(runner, plan, ready, wanted)
        try:
            swept = _run(runner, trie, plan, batch, pasts, wanted, capture)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            swept = None
        if swept is None:
            gc.collect()
            if len(batch) > 1:
                runner.budget = max(1, sum(plan[i].size for i in batch) // 2)
                log.warning("out of memory: going on with %d tokens a batch", runner.budget)
                ready += batch[::-1]
                continue
            yield OutOfMemoryError(_depending(batch[0], following))
        for place, index in enumerate(batch):
            if swept is not None and plan[index].kept:
                pasts[index] = swept.pack.past_of(place)
                ready += following[index][::-1]
            stem = plan[index].past
            waiting[stem] -= 1
            if stem is not None and not waiting[stem]:
                del pasts[stem]
        if swept is not None:
            yield swept


def _depending(unit: int, following: Mapping[int | None, Sequence[int]]) -> list[int]:
    """Return a unit and all that come after it."""
    found = [unit]
    for index in found:
        found += following.get(index, ())
    return found


def _take(
    runner: Runner, plan: Sequence[Unit], ready: list[int], wanted: Mapping[int, Sequence[int]]
) -> list[int]:
    """Remove from the end of what is ready as many units as fit one batch, at least one."""
    tokens = logits = count = 0
    for index in reversed(ready):
        tokens += plan[index].size
        logits += sum(len(wanted.get(node, ())) for node in plan[index].nodes)
        if count and (tokens > runner.budget or logits > runner.most_logits):
            break
        count += 1
    batch = ready[-count:][::-1]
    del ready[-count:]
    return batch


def _run(
    runner: Runner,
    trie: Trie,
    plan: Sequence[Unit],
    batch: list[int],
    pasts: Mapping[int, Past],
    wanted: Mapping[int, Sequence[int]],
    capture: bool,
) -> Swept:
    chosen = [plan[index] for index in batch]
    before = [runner.root if unit.past is None else pasts[unit.past] for unit in chosen]
    keep = capture or any(unit.kept for unit in chosen)
    row = attention.pack(trie, chosen, before, like=runner.like, offset=runner.offset, capture=keep)
    rows = [
        (node, offset)
        for unit in chosen
        for node in unit.nodes
        for offset in sorted(set(wanted.get(node, ())))
    ]
    places = torch.tensor(
        [row.places[node] + offset for node, offset in rows],
        dtype=torch.long,
        device=runner.like.device,
    )
    logits = attention.forward(runner.model, row.ids, row.positions, row, places)
    return Swept(batch, row, rows, logits)
