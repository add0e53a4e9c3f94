"""Measure the judge of tool calls on answers that a person has given a verdict and its cause.

    python tests/bench/tool_answers.py

The answers (``tool_answers.yaml``) are written for this project, as models of many families write
them. ``first`` was written before its author had read the judge, ``mended`` while the judge was
mended after it, and the others afterwards, each run once before anything was changed. Printed is,
by set, how many verdicts and how many first causes are the person's, and each answer where they
are not.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

from harness.scoring.tools import read_tool_row, tool_use

ANSWERS = Path(__file__).with_suffix(".yaml")


def main() -> None:
    """Print a line for each set, and what the judge calls otherwise than a person."""
    given = yaml.safe_load(ANSWERS.read_text(encoding="utf-8"))
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for answer in given["answers"]:
        label = cause(given, answer)
        same = (label == "right") == (answer["label"] == "right")
        for n, one in enumerate((1, same, label == answer["label"])):
            counts[answer["set"]][n] += one
        if label != answer["label"]:
            print(f"{answer['set']}: a person: {answer['label']}, the judge: {label}")
            print(f"    {answer['response']!r}")
    for name, (answers, verdicts, causes) in counts.items():
        print(f"{name}: {answers} answers, verdicts {verdicts}, causes {causes}")


def cause(given: dict[str, Any], answer: dict[str, Any]) -> str:
    """Return the first label that the judge gives an answer, ``right`` where it has none."""
    turn = given["turns"][answer["turn"]]
    tools, wanted = read_tool_row(
        turn | {"tools": [given["tools"][name] for name in turn["tools"]]}
    )
    finish = "length" if answer.get("cut") else None
    verdict = tool_use(tools, wanted, answer["response"], finish=finish)
    return verdict.labels[0] if verdict.labels else "right"


if __name__ == "__main__":
    main()
