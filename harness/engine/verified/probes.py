"""Probes: which items of the work both precisions answer, and how many of them the work pays for.

What both precisions read of a probe is at most a tenth of the work, in tokens; texts are written in
bf16 before, like any other. So the probe is about the same share of the work whatever its size, and
with it the guarantee: by how much the largest error among all answers exceeds the largest of the
probe depends on that share (for tails like a power law's on nothing else). Work that is too small
for the smallest probe is answered in float32 alone.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.engine.verified.margins import by_item
from harness.models.fingerprint import text_hash
from harness.records import ItemKey, Request
from harness.suites.tokenize import distinct_tokens

PROBE_CHOICES, PROBE_TEXTS = 64, 32
"""Most items of each kind in a probe."""

MAX_SHARE = 0.1
"""The most that reading a probe in both precisions may take of the tokens of all that is asked."""

MIN_PROBE = 8
"""Items below which a largest error says too little, whatever it is multiplied by."""

TOO_FEW = f"a probe of bf16 would cost more than {MAX_SHARE:.0%} of what was asked"
"""Why bf16 does not answer first."""


@dataclass(slots=True)
class AskedSoFar:
    """What an arm has been asked since its engine was loaded, counted for each kind of answer.

    ``tokens`` are those that one pass reads, every shared prefix once; generated ones are not known
    before.
    """

    tokens: Counter[tuple[str, str]] = field(default_factory=Counter)
    items: Counter[tuple[str, str]] = field(default_factory=Counter)

    def probe_choices(
        self, arm: str, items: Mapping[ItemKey, list[Request]]
    ) -> list[list[Request]]:
        """Count choices that are asked now, and draw some; none where a probe is too dear."""
        self._count(arm, "choices", items)
        probe = draw_probe(items, PROBE_CHOICES)
        return probe[: affordable(map(read_of, probe), self.tokens[arm, "choices"])]

    def probe_texts(self, arm: str, asked: Sequence[Request]) -> list[Request]:
        """Count texts that are asked now, and draw some; none where a probe is too dear.

        How many of them can be read again is known once they are written.
        """
        items = by_item(asked)
        self._count(arm, "texts", items)
        count = min(PROBE_TEXTS, int(self.items[arm, "texts"] * MAX_SHARE / 2), len(items))
        return [group[0] for group in draw_probe(items, count)] if count >= MIN_PROBE else []

    def _count(self, arm: str, kind: str, items: Mapping[ItemKey, list[Request]]) -> None:
        requests = [request for group in items.values() for request in group]
        self.tokens[arm, kind] += distinct_tokens(read_of(requests))
        self.items[arm, kind] += len(items)


def draw_probe(items: Mapping[ItemKey, list[Request]], count: int) -> list[list[Request]]:
    """Draw items by the hash of their keys, in turn from each suite."""
    suites: dict[str, list[tuple[str, ItemKey]]] = {}
    for item in items:
        suites.setdefault(item.suite, []).append((text_hash(item), item))
    ranked = sorted(
        (rank, digest, item)
        for of_suite in suites.values()
        for rank, (digest, item) in enumerate(sorted(of_suite))
    )
    return [items[item] for _, _, item in ranked[:count]]


def read_of(requests: Iterable[Request]) -> list[tuple[int, ...]]:
    """Return the token ids that a model reads for requests; what is predicted last is not read."""
    return [(*request.context_ids, *request.continuation_ids[:-1]) for request in requests]


def affordable(probe: Iterable[Sequence[tuple[int, ...]]], work: float) -> int:
    """Return how many items of a probe, from its first, are paid for; 0 where those are too few.

    Args:
        probe: The token ids that are read of each item.
        work: Tokens that all that is asked takes.

    >>> [affordable([[(n, n)] for n in range(9)], work) for work in (319, 320, 400)]
    [0, 8, 9]
    """
    items = list(probe)
    while len(items) >= MIN_PROBE:
        read = distinct_tokens([ids for item in items for ids in item])
        if 2 * read <= MAX_SHARE * work:
            return len(items)
        items.pop()
    return 0
