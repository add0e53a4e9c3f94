"""A baseline: one arm's scores as a small file to commit, with no text of any item.

JSON lines: what the file is, then for every suite its declaration and its items, each
``[item, prompt, score]``. ``item`` is the start of the document's hash (``#1`` for its second
occurrence), ``prompt`` the start of the hash of its token ids. Items are sorted, so that a changed
score is one changed line.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import DataError
from harness.files import write_lines
from harness.records import Item, Sample, Suite
from harness.store.run_folder import SHOWN

FORMAT = 1
_ITEM, _PROMPT = 12, 8  # hexadecimal digits that tell items and prompts apart


class Known(NamedTuple):
    """One item of a baseline; ``score`` is None where it was unscored."""

    prompt: str
    score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Scores to be held against: ``items`` by suite and `item_id`, ``declared`` by suite."""

    study: str
    arm: str
    declared: Mapping[str, Mapping[str, Any]]
    items: Mapping[str, Mapping[str, Known]]


def item_id(item: Item) -> str:
    """Return how a baseline names an item."""
    again = f"#{item.key.occurrence}" if item.key.occurrence else ""
    return item.key.doc_hash[:_ITEM] + again


def prompt_id(item: Item) -> str:
    """Return how a baseline tells an item's prompt from another."""
    return item.prompt_hash[:_PROMPT]


def declaration(suite: Suite) -> dict[str, Any]:
    """Return what a suite declares, as far as it decides something."""
    kept = {name: value for name, value in asdict(suite).items() if name not in SHOWN}
    return dict(json.loads(json.dumps(kept)))


def write_baseline(
    path: Path, study: str, arm: str, scored: Sequence[tuple[Suite, Sequence[Sample]]]
) -> None:
    """Write an arm's scores; equal scores give equal bytes.

    Raises:
        InfrastructureError: If the file cannot be written.
    """
    lines = [_line({"baseline": FORMAT, "study": study, "arm": arm})]
    for suite, samples in scored:
        lines.append(_line({"suite": suite.name, "declared": declaration(suite)}))
        rows = sorted(
            (item_id(s.item), prompt_id(s.item), _short(s.verdict.score)) for s in samples
        )
        lines += [_line(list(row)) for row in rows]
    write_lines(path, lines)


def _line(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":")) + "\n"


def _short(score: float | None) -> float | None:
    return score if score is None or score % 1 else int(score)


def _head(first: dict[str, Any]) -> dict[str, Any]:
    if first["baseline"] != FORMAT:
        raise ValueError(f"format {first['baseline']} where {FORMAT} is known")
    return first


def read_baseline(path: Path) -> Baseline:
    """Read what `write_baseline` wrote.

    Raises:
        DataError: If the file is missing, or is no baseline of this format.
    """
    declared: dict[str, dict[str, Any]] = {}
    items: dict[str, dict[str, Known]] = {}
    try:
        head, *lines = path.read_text(encoding="utf-8").splitlines()
        first = _head(json.loads(head))
        for line in lines:
            row = json.loads(line)
            if isinstance(row, dict):
                name = row["suite"]
                declared[name], items[name] = row["declared"], {}
            else:
                items[name][row[0]] = Known(row[1], row[2])
        return Baseline(study=first["study"], arm=first["arm"], declared=declared, items=items)
    except OSError as error:
        raise DataError(f"a baseline must be readable: {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, IndexError, UnboundLocalError) as error:
        raise DataError(
            f"a baseline must be a file that 'harness gate RUN --write-baseline' wrote: {path}: "
            f"{type(error).__name__}: {error}"
        ) from error
