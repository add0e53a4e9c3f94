"""Does the rule for refusals read replies as a careful person does?

    python tests/bench/refusals.py [--xstest FOLDER] [--show KIND]

* ``refusals.yaml``: 400 replies with their requests, written and labelled for this purpose by
  somebody who had not seen the rule, in words as unlike each other as they could find; ``declined``
  says whether what was asked is turned down.
* ``refusals_in_suite.yaml``: 400 as models of all kinds write them when such a suite is put to
  them, half of them over-refusals, refusals of a part and refusals behind other sentences; ``read``
  says what a reply does. Of the first 200 (``C``) the share was looked at while the rule was
  mended, of the others (``D``) once, afterwards.
* A clone of XSTest (Röttger et al. 2024, CC BY 4.0), if its folder is given: 2,250 replies of five
  models, read by two people each. Every second request was looked at while the rule was mended.
  Beside ours stand XSTest's own string matching and GPT-4, as its authors ran them.

Prints JSON: the share that is read alike, for each kind of reply. Nothing in the rule may be fitted
to the halves that were not looked at: write further ones to learn from.
"""

import argparse
import csv
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import yaml

from harness.scoring import refusal
from harness.scoring.refusals.declined_requests import reaction

FOLDER = Path(__file__).parent
READ = {
    "1_full_compliance": "complied",
    "2_full_refusal": "declined",
    "3_partial_refusal": "partial",
}
Reading = tuple[str, bool]
"""A group that a reply belongs to, and whether it is read alike."""


def unlike_each_other(show: str | None) -> Iterator[Reading]:
    """Read the replies in words unlike each other: declined or not."""
    for one in yaml.safe_load((FOLDER / "refusals.yaml").read_text("utf-8")):
        alike = (reaction(one["reply"]) == "declined") == one["declined"]
        _show(one, show, alike=alike)
        yield from (
            (group, alike) for group in ("all", f"declined: {one['declined']}", one["kind"])
        )
        if one["kind"] in ("lecture", "redirect"):
            harmful = reaction(one["reply"], to_harm=True) == "declined"
            yield "declined without saying so, to harm", harmful


def in_suite(show: str | None) -> Iterator[Reading]:
    """Read the replies to a suite's requests: is the score the right one?"""
    for one in yaml.safe_load((FOLDER / "refusals_in_suite.yaml").read_text("utf-8")):
        found = refusal(one["should"], one["reply"], request=one["request"]).score == 1
        alike = found == _fits(one["should"], one["read"])
        _show(one, show, alike=alike)
        yield from ((group, alike) for group in ("all", one["id"][0], one["kind"]))


def xstest(folder: Path) -> Iterator[Reading]:
    """Read XSTest's replies, by the rule, and as its authors' two ways did."""
    for path in sorted((folder / "model_completions").glob("*.csv")):
        labels = folder / "evaluation" / "automated_evaluation_labels"
        ways = {
            "string matching": (f"{path.stem}_streval.csv", "strmatch_label"),
            "GPT-4": (f"{path.stem}_gpteval.csv", "gpt4_label"),
        }
        others = {way: _column(labels / name, column) for way, (name, column) in ways.items()}
        for row in csv.DictReader(path.open(encoding="utf-8", newline="")):
            half = "looked at" if int(row["id"].removeprefix("v2-")) % 2 == 0 else "not looked at"
            should = "decline" if row["type"].startswith("contrast") else "help"
            people = _fits(should, READ[row["final_label"]])
            reply = row["completion"].strip()
            ours = refusal(should, reply, request=row["prompt"]).score == 1
            yield f"rule, {half}", ours == people
            yield f"rule, {path.stem.rsplit('_', 1)[1]}, {half}", ours == people
            one, other = (READ[row[f"annotation_{number}"]] for number in (1, 2))
            yield "one person as the other", _fits(should, one) == _fits(should, other)
            for way, said in others.items():
                found = _fits(should, READ.get(said[row["id"]], "none"))
                yield f"{way}, {half}", found == people


def _fits(should: str, read: str) -> bool:
    return read == ("declined" if should == "decline" else "complied")


def _column(path: Path, name: str) -> dict[str, str]:
    rows = csv.DictReader(path.open(encoding="utf-8", newline=""))
    return {row["id"]: row[name] for row in rows}


def _show(one: dict[str, str], kind: str | None, *, alike: bool) -> None:
    if not alike and kind in (one["kind"], "all"):
        print(f"{one['id']} {one['request']}\n  {one['reply']}\n", file=sys.stderr)


def main() -> None:
    """Read every reply and print how often rule and label agree."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--show", metavar="KIND", help="print the replies of a kind that differ")
    parser.add_argument("--xstest", type=Path, metavar="FOLDER", help="a clone of XSTest")
    asked = parser.parse_args()
    sets = {"unlike each other": unlike_each_other(asked.show), "in a suite": in_suite(asked.show)}
    if asked.xstest:
        sets["XSTest"] = xstest(asked.xstest)
    shares = {}
    for name, readings in sets.items():
        read, alike = Counter[str](), Counter[str]()
        for group, same in readings:
            read[group] += 1
            alike[group] += same
        shares[name] = {group: round(alike[group] / n, 3) for group, n in read.items()}
    print(json.dumps(shares, indent=1))


if __name__ == "__main__":
    main()
