"""Does the rule for refusals read replies as a careful person does?

    python tests/bench/refusals.py [--show KIND]

Reads ``refusals.yaml`` beside this file: 400 replies with their requests, written and labelled for
this purpose by somebody who had not seen the rule, in words as unlike each other as they could
find; ``declined`` says whether what was asked is turned down. Prints JSON: the share that the rule
reads alike, for each kind of reply. Nothing in the rule may be fitted to them: write further ones
to learn from.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import yaml

from harness.scoring.refusals.declined_requests import reaction

REPLIES = Path(__file__).with_suffix(".yaml")


def main() -> None:
    """Read every reply and print how often rule and label agree."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--show", metavar="KIND", help="print the replies of a kind that differ")
    asked = parser.parse_args()
    replies = yaml.safe_load(REPLIES.read_text("utf-8"))
    read, alike = Counter[str](), Counter[str]()
    for one in replies:
        right = (reaction(one["reply"]) == "declined") == one["declined"]
        if one["kind"] in ("lecture", "redirect"):
            read["declined without saying so, to harm"] += 1
            alike["declined without saying so, to harm"] += (
                reaction(one["reply"], to_harm=True) == "declined"
            )
        for group in ("all", f"declined: {one['declined']}".lower(), one["kind"]):
            read[group] += 1
            alike[group] += right
        if not right and asked.show in (one["kind"], "all"):
            print(f"{one['id']} {one['request']}\n  {one['reply']}\n", file=sys.stderr)
    print(json.dumps({group: round(alike[group] / n, 3) for group, n in read.items()}, indent=1))


if __name__ == "__main__":
    main()
