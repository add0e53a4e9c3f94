"""How often the judge of summaries accuses people, and how often it finds what was planted.

Conclusions that authors wrote of their own abstracts (PubMedQA, 1,000) stand for good summaries,
though they do add what the abstract lacks: what is found in them is an upper bound of false alarms.
Then one figure, one date or one name is changed, or the summary of another abstract is taken.

    python tests/bench/summary_faults.py ../shared/data/pubmedqa/ori_pqal.json
"""

import json
import random
import re
import sys
from collections import Counter
from pathlib import Path

from harness.scoring.summaries import summary

NAMES = ("Valborg Østergaard", "Kirkenes", "Ottilie Brandauer", "Zwettl", "Ximena Quiroga")


def main(path: Path) -> None:
    """Print the share of each fault, for what people wrote and for what was planted."""
    rows = [
        (" ".join(row["CONTEXTS"]), str(row["LONG_ANSWER"]))
        for row in json.loads(path.read_text(encoding="utf-8")).values()
    ]
    told("as written", [(document, said) for document, said in rows])
    rng = random.Random(0)
    sound = [row for row in rows if summary(*row).score == 1.0]
    with_figure = [(d, s) for d, s in sound if re.search(r"\d", s)]
    told("one figure changed", [(d, figure_changed(s, rng)) for d, s in with_figure])
    told("a name added", [(d, f"{s} This was shown by {rng.choice(NAMES)}.") for d, s in sound])
    dated = [f"{s} The study ended on {rng.randint(1, 28)} March 1961." for _, s in sound]
    told("a date added", list(zip([d for d, _ in sound], dated, strict=True)))
    told("of another text", [(d, rows[(i + 7) % len(rows)][1]) for i, (d, _) in enumerate(rows)])
    told("the source again", [(d, d) for d, _ in rows])
    told("nothing but a refusal", [(d, "I'm sorry, I can't summarise this.") for d, _ in rows])


def figure_changed(said: str, rng: random.Random) -> str:
    """Return a text with its last number replaced by another one of as many digits."""
    *_, last = re.finditer(r"\d+", said)
    low = 10 ** (len(last.group()) - 1)
    other = next(
        str(n) for n in iter(lambda: rng.randint(max(low, 11), 10 * low + 11), None)
        if str(n) not in said
    )  # fmt: skip
    return said[: last.start()] + other + said[last.end() :]


def told(what: str, pairs: list[tuple[str, str]]) -> None:
    """Print how many summaries have a fault, and which."""
    counts: Counter[str] = Counter()
    faulty = 0
    for document, said in pairs:
        verdict = summary(document, said)
        faulty += verdict.score == 0.0
        counts.update(verdict.labels)
    shares = ", ".join(f"{name} {count / len(pairs):.1%}" for name, count in counts.most_common(5))
    print(f"{what}: {faulty / len(pairs):.1%} of {len(pairs)} faulty ({shares})")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
