"""``python -m harness.study FILES``: check study files by themselves, as before a commit.

Loads no model and reads no rows: `harness plan` does the rest.
"""

import sys
from pathlib import Path

from harness.errors import HarnessError
from harness.study import load


def check(files: list[str]) -> int:
    """Say on the standard error what is wrong with each file; return 2 if anything is, else 0."""
    wrong = 0
    for file in files:
        try:
            load(Path(file))
        except HarnessError as error:
            wrong = 2
            sys.stderr.write(f"harness: {error}\n")
    return wrong


if __name__ == "__main__":
    sys.exit(check(sys.argv[1:]))
