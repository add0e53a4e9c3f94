"""CPU seconds to clean 100,000 rows and to look for 3,000 test items in them.

Run it: ``python tests/bench/corpus_speed.py [ROWS]``.
"""

import random
import resource
import sys
import time

from harness.corpus import clean, overlap, text_of
from harness.records import Example


def rows(count: int) -> list[Example]:
    """Return rows of about 60 words of which one in ten nearly repeats another."""
    draw = random.Random(0)
    vocabulary = [f"word{i}" for i in range(30_000)]
    made: list[Example] = []
    for number in range(count):
        if number % 10 == 9:
            earlier = made[draw.randrange(len(made))]
            prompt, completion = f"{earlier.prompt} please", str(earlier.completion)
        else:
            prompt = " ".join(draw.choices(vocabulary, k=40))
            completion = " ".join(draw.choices(vocabulary, k=20))
        made.append(Example(prompt=prompt, completion=completion, origin=f"bench:{number}"))
    return made


def main() -> None:
    """Print CPU seconds for each part and the peak memory of the process."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    data = rows(count)
    items = [text_of(row) for row in data[:: max(1, count // 3000)]]
    started = time.process_time()
    cleaned = clean(data)
    between = time.process_time()
    found = overlap([text_of(row) for row in cleaned.examples], items)
    ended = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    dropped = {name: len(origins) for name, origins in cleaned.dropped.items()}
    cleaning, searching = between - started, ended - between
    print(f"CPU: clean {cleaning:.1f} s  overlap {searching:.1f} s  peak {peak:.0f} MiB")
    print(f"dropped {dropped}, items found {len(found)} of {len(items)}")


if __name__ == "__main__":
    main()
