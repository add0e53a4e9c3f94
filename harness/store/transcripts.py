"""Transcripts of chats with the arms of a run, written turn by turn, read as pairs to rate."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import DataError
from harness.files import write_text
from harness.inputs import parse_json, read_input
from harness.records import (
    BASE,
    PREFERENCE,
    Comparison,
    Item,
    ItemKey,
    Pair,
    Response,
    Sample,
    Suite,
    Verdict,
)

CHAT = Suite(name="chat", metric=PREFERENCE, title="Conversations")
"""Chats of people with the arms: no metric, raters decide."""


def add_turn(path: Path, turns: Sequence[Mapping[str, str]], answers: Mapping[str, str]) -> None:
    """Append one turn to a transcript.

    Args:
        path: A JSONL file; made if it is missing.
        turns: The conversation that every arm saw, the user's turn last.
        answers: What each arm said, by its name.

    Raises:
        InfrastructureError: If the file cannot be written.
    """
    line = json.dumps({"context": list(turns), "answers": dict(answers)}, ensure_ascii=False)
    earlier = path.read_text(encoding="utf-8") if path.exists() else ""
    write_text(path, earlier + line + "\n")


def comparisons(folder: Path) -> list[Comparison]:
    """Return every turn of a folder of transcripts as pairs for raters, by candidate.

    Raises:
        DataError: If a line is not one that `add_turn` wrote.
    """
    pairs: dict[str, list[Pair]] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for number, line in enumerate(_lines(path), start=1):
            try:
                row = parse_json(line)
                item = _item(path.stem, number, row["context"])
                answers = {name: str(text) for name, text in row["answers"].items()}
                base = _sample(item, BASE, answers.pop(BASE))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise DataError(
                    f"a transcript line must hold 'context' and 'answers': {path}:{number}"
                ) from error
            for name, text in answers.items():
                pair = Pair(base=base, tuned=_sample(item, name, text), transition="unscored")
                pairs.setdefault(name, []).append(pair)
    return [
        Comparison(
            candidate=name, suite=CHAT, pairs=tuple(found), decision=None, verdict="inconclusive",
            p_adjusted=None, base=None, tuned=None, unscored=len(found),
        )
        for name, found in pairs.items()
    ]  # fmt: skip


def _lines(path: Path) -> list[str]:
    """Return a file's lines; what only looks like the end of one stays inside its text."""
    try:
        return [line for line in read_input(path).split("\n") if line]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"a transcript must be readable UTF-8 text: {path}: {error}") from error


def _item(name: str, number: int, turns: Sequence[Mapping[str, str]]) -> Item:
    text = "\n".join(f"{turn['role'].title()}: {turn['content']}" for turn in turns)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Item(
        key=ItemKey(CHAT.name, name, digest[:16], number), doc_id=number, doc={}, prompt=text,
        prompt_hash=digest, target="", cluster=name,
    )  # fmt: skip


def _sample(item: Item, arm: str, text: str) -> Sample:
    return Sample(
        item=item,
        arm=arm,
        responses=(Response(text=text),),
        verdict=Verdict(outcome="unscored", score=None, answer=text),
    )
