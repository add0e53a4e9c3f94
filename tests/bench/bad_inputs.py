"""Give commands bad inputs by a seeded draw, and report what they must never do.

One command, a table out; it needs no data beside the package::

    python tests/bench/bad_inputs.py --cases 1150 --real 30

Each case spoils one of a set of valid files (studies, rows, scores, locks, samples, keys, sheets,
baselines, adapters, bases, answers) or a command line, and calls the command in this process;
``--real`` calls that many as commands of their own. It fails where one prints a traceback, takes
more than 10 s, exits with a code that is not documented, or leaves a file changed or half-written.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.bad_inputs import Outcome, Workshop


def main() -> int:
    """Carry the cases out; return 1 where one has a fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=1150)
    parser.add_argument("--real", type=int, default=0, help="as commands of their own, beside them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--kind", default="", help="only cases of this kind")
    asked = parser.parse_args()
    codes: Counter[tuple[str, int]] = Counter()
    bad: list[tuple[int, Outcome]] = []
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        workshop = Workshop(Path(folder))
        for number in range(asked.first, asked.first + asked.cases + asked.real):
            case, draw = workshop.case(asked.seed, number)
            if asked.kind and case.kind != asked.kind:
                continue
            is_real = number >= asked.first + asked.cases
            outcome = workshop.carry_out(case, draw, real=is_real)
            codes[case.kind, outcome.code] += 1
            if outcome.faults:
                bad.append((number, outcome))
                _tell(number, outcome)
    for (kind, code), count in sorted(codes.items()):
        sys.stdout.write(f"{kind:<12} exit code {code:>3} {count:>6}\n")
    seconds = time.perf_counter() - begun
    sys.stdout.write(f"{codes.total()} cases in {seconds:.0f} s, {len(bad)} with a fault\n")
    return bool(bad)


def _tell(number: int, outcome: Outcome) -> None:
    words = " ".join(outcome.case.words)[:120]
    last = outcome.said.strip()[-700:]
    sys.stdout.write(f"case {number} {outcome.case.kind}: {words!r}: {outcome.faults}\n{last}\n\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
