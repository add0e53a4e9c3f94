"""Are dialogues, and answers with thoughts, read as a careful person reads them?

    python tests/bench/dialogue_reading.py [--show]

``dialogue_reading.yaml`` has 85 dialogues with what a person says of each probe and the first
cause that they would name, and 85 answers of reasoning models, with what is the thought and what
the answer. Those ``looked_at`` were read while the rules were mended; of the ``fresh`` ones,
written afterwards, two led to a further mend, so that new ones are needed to measure it.
Prints JSON: the share that is read alike, of each part.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from harness.rating.answer_alone import without_thought
from harness.records import Response
from harness.scoring.dialogues.conversation import conversation
from harness.scoring.dialogues.probe_checks import Heard, failure
from harness.scoring.dialogues.scripted_dialogue import read_dialogue
from harness.scoring.response_faults import visible_text

ROWS = Path(__file__).with_suffix(".yaml")
Row = Mapping[str, object]


def probes_and_cause(scenario: Row, row: Row) -> tuple[list[bool], str | None]:
    """Return which probes the rules keep, in their order, and the first cause."""
    dialogue, given = read_dialogue(scenario), [str(text) for text in row["responses"]]
    shown = [visible_text(text) for text in given]
    users = [turn.user for turn in dialogue.turns]
    kept = [
        failure(probe, shown[n], Heard(shown[:n], users[: n + 1])) is None
        for n, probe in dialogue.probes
    ]
    return kept, next(iter(conversation(dialogue, given).labels), None)


def dialogues(found: Mapping[str, object]) -> Iterator[tuple[str, bool, Row]]:
    """Yield what is compared of each dialogue, and whether it is read alike."""
    for row in found["dialogues"]:
        kept, cause = probes_and_cause(found["scenarios"][row["scenario"]], row)
        for ours, theirs in zip(kept, row["kept"], strict=True):
            yield f"probes, {row['part']}", ours == theirs, row
        yield f"first causes, {row['part']}", cause in (row["causes"] or [None]), row


def thoughts(found: Mapping[str, object]) -> Iterator[tuple[str, bool, Row]]:
    """Yield whether the thought and the answer of each response are those that a person sees."""
    for row in found["thoughts"]:
        given = Response(text=row["text"], finish=row["finish"])
        split = without_thought(given, prompt=row.get("prompt", ""))
        alike = (_plain(split.thought), _plain(split.text)) == (
            _plain(row.get("thought")),
            _plain(row.get("answer", "")),
        )
        yield f"thoughts, {row['part']}", alike, row


def _plain(text: str | None) -> str | None:
    return None if text is None else " ".join(text.split())


def main() -> None:
    """Read all, and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--show", action="store_true", help="print what is read otherwise")
    show = parser.parse_args().show
    found = yaml.safe_load(ROWS.read_text("utf-8"))
    counted = defaultdict[str, list[bool]](list)
    for name, alike, row in (*dialogues(found), *thoughts(found)):
        counted[name].append(alike)
        if show and not alike:
            print(name, json.dumps(row, ensure_ascii=False), file=sys.stderr)
    shares = {name: f"{sum(each)} of {len(each)}" for name, each in counted.items()}
    print(json.dumps(shares, indent=1))


if __name__ == "__main__":
    main()
