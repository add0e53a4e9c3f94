"""A baseline: one arm's scores as a small file to commit, with no text of any item.

JSON lines: what the file is, then for every suite its declaration and its items, each
``[item, prompt, score]``. ``item`` is the start of the document's hash (``#1`` for its second
occurrence), ``prompt`` the start of the hash of its token ids. Items are sorted, so that a changed
score is one changed line.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter

from harness.errors import DataError
from harness.files import write_lines
from harness.inputs import first_problem, parse_json, read_input
from harness.records import Document, Item, Sample, Suite
from harness.store.format_version import require_known

FORMAT = 1
_ITEM, _PROMPT = 12, 8  # hexadecimal digits that tell items and prompts apart


class BaselineItem(NamedTuple):
    """One item of a baseline; ``score`` is None where it was unscored."""

    prompt: str
    score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Scores to be held against: ``items`` by suite and `item_id`, ``declared`` by suite.

    ``date`` is the day that the chat template wrote, empty where it wrote none; ``sql`` has the
    releases of what judged SQL, empty where no suite has any.
    """

    study: str
    arm: str
    date: str = ""
    sql: Mapping[str, str] = field(default_factory=dict)
    declared: Mapping[str, Document]
    items: Mapping[str, Mapping[str, BaselineItem]]


_SUITE, _SCORED = TypeAdapter(Suite), TypeAdapter(BaselineItem)
_RELEASES = TypeAdapter(dict[str, str])
_ORDINARY = Suite(name="", metric="")


def item_id(item: Item) -> str:
    """Return how a baseline names an item."""
    again = f"#{item.key.occurrence}" if item.key.occurrence else ""
    return item.key.doc_hash[:_ITEM] + again


def prompt_id(item: Item) -> str:
    """Return how a baseline tells an item's prompt from another."""
    return item.prompt_hash[:_PROMPT]


def declaration(suite: Suite) -> Document:
    """Return what a suite declares, without what only a report shows."""
    declared = asdict(suite)
    for name in ("title", "slices", "agreement"):
        del declared[name]
    for name in ("higher_is_better", "scale", "measure"):  # older baselines lack them
        if declared[name] == getattr(_ORDINARY, name):
            del declared[name]
    return dict(json.loads(json.dumps(declared)))


def write_baseline(
    path: Path,
    study: str,
    arm: str,
    scored: Sequence[tuple[Suite, Sequence[Sample]]],
    *,
    date: str = "",
    sql: Mapping[str, str] | None = None,
) -> None:
    """Write an arm's scores; equal scores by the same judges give equal bytes.

    Raises:
        InfrastructureError: If the file cannot be written.
    """
    known = {name: value for name, value in {"date": date, "sql": sql}.items() if value}
    lines = [_line({"baseline": FORMAT, "study": study, "arm": arm, **known})]
    for suite, samples in scored:
        lines.append(_line({"suite": suite.name, "declared": declaration(suite)}))
        rows = sorted(
            (item_id(s.item), prompt_id(s.item), _short(s.verdict.score)) for s in samples
        )
        lines += [_line(list(row)) for row in rows]
    write_lines(path, lines)


def _line(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":")) + "\n"


def _short(score: float | None) -> float | None:
    return score if score is None or score % 1 else int(score)


def _scored(prompt: object, score: object) -> BaselineItem:
    found = _SCORED.validate_python((prompt, score))
    if found.score is not None and not 0.0 <= found.score <= 1.0:
        raise ValueError(f"a score must be in [0, 1]: found {found.score}")
    return found


def read_baseline(path: Path) -> Baseline:
    """Read what `write_baseline` wrote.

    Raises:
        DataError: If the file is missing, no baseline, or written by a newer version.
    """
    declared: dict[str, Document] = {}
    items: dict[str, dict[str, BaselineItem]] = {}
    try:
        head, *lines = read_input(path).splitlines()
        first = parse_json(head)
        require_known(first["baseline"], FORMAT, what="a baseline", path=path)
        for line in lines:
            row = parse_json(line)
            if isinstance(row, dict):
                name = _SUITE.validate_python(row["declared"]).name
                declared[name], items[name] = row["declared"], {}
            else:
                items[name][str(row[0])] = _scored(*row[1:])
        return Baseline(
            study=str(first["study"]),
            arm=str(first["arm"]),
            date=str(first.get("date", "")),
            sql=_RELEASES.validate_python(first.get("sql", {})),
            declared=declared,
            items=items,
        )
    except OSError as error:
        raise DataError(f"a baseline must be readable: {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, IndexError, UnboundLocalError) as error:
        raise DataError(
            f"a baseline must be a file that 'harness gate RUN --write-baseline' wrote: {path}: "
            f"{first_problem(error)}"
        ) from error
