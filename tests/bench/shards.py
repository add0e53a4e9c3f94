"""How much several processes read together, against one process that answers everything.

    python tests/bench/shards.py [--shards 8] [--tokenizer builtin:tiny]

Counts the distinct tokens that every shard reads (each prefix that its requests share once), adds
them up and divides by one process's; and how even the work is: the largest shard against the mean,
in tokens read and, for texts, at most generated. No weights are loaded. ARC-Challenge is asked
without examples, with ten of each item's own and with ten that all items share; Spider is its whole
development set. Prints JSON. Needs the folder ``../shared/data`` beside the checkout.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from real_data import DATA, spider_rows, write

from harness.engine import load_suite, load_tokenizer
from harness.engine.prefix.trie import build_trie
from harness.models.load_model import base_section
from harness.pipeline.answers.shards import cut
from harness.records import Request
from harness.study import SuiteSection, resolve_model

REACH = 1.10
SPIDER = "spider.jsonl"


def works(folder: Path, model: str) -> Iterator[tuple[str, Sequence[Request]]]:
    """Yield what is asked, by name."""
    write(folder / SPIDER, spider_rows())
    tokenizer = load_tokenizer(model, base_section(model))
    arc = {"name": "arc_challenge", "data": str(DATA / "arc_challenge")}
    sections = {
        "arc, 0-shot": arc,
        "arc, 10-shot": arc | {"num_fewshot": 10},
        "spider": {"name": "sql", "data": SPIDER, "databases": str(DATA / "spider" / "database")},
    }
    for name, section in sections.items():
        suite = load_suite(
            SuiteSection.model_validate(section),
            engine_tokenizer=tokenizer,
            template="none",
            seed=0,
            folder=folder,
        )
        yield name, suite.requests
        if name == "arc, 10-shot":
            yield "arc, 10-shot, one block", list(with_one_block(suite.requests))


def with_one_block(requests: Sequence[Request]) -> Iterator[Request]:
    """Yield the same questions behind the first item's examples."""
    from dataclasses import replace

    first = requests[0].context_ids
    block = first[: len(first) * 10 // 11]
    for request in requests:
        ids = request.context_ids
        yield replace(request, context_ids=block + ids[len(ids) * 10 // 11 :])


def tokens_read(requests: Sequence[Request]) -> int:
    """Return how many tokens one process reads."""
    return build_trie([one.context_ids + one.continuation_ids for one in requests]).num_tokens


def work_of(requests: Sequence[Request]) -> int:
    """Return how many tokens one process reads and may generate."""
    return tokens_read(requests) + sum(
        int(one.settings.get("max_new_tokens", 0)) for one in requests
    )


def main() -> None:
    """Cut every work and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--tokenizer", default="builtin:tiny")
    given = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"the real data must lie beside the checkout: {DATA} does not exist")
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, requests in works(Path(folder), resolve_model(given.tokenizer, Path())):
            runs = cut(requests, given.shards)
            alone, together = tokens_read(requests), sum(map(tokens_read, runs))
            work = [work_of(run) for run in runs]
            found[name] = {
                "requests": len(requests),
                "tokens": alone,
                "read_by_all_shards": round(together / alone, 3),
                "largest_to_mean": round(max(work) * len(work) / sum(work), 3),
                "reached": together <= REACH * alone,
            }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
