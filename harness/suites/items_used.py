"""The items that chose among a model's checkpoints: written beside its weights, read by a study.

What has chosen cannot judge: the best of several checkpoints looks better on the items that it was
chosen by than on any others.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import DataError
from harness.files import write_text
from harness.inputs import parse_json, read_input
from harness.records import Document, Item

RECORD = "items_used.json"
FORMAT = "harness-items-used/1"


def write_items_used(
    folder: Path, items: Mapping[str, Sequence[Item]], *, more: Document | None = None
) -> None:
    """Write which items of each suite were looked at while a model was trained.

    Raises:
        InfrastructureError: If the folder cannot be written.
    """
    hashes = {suite: sorted({one.key.doc_hash for one in used}) for suite, used in items.items()}
    record = {"format": FORMAT, **(more or {}), "items": hashes}
    write_text(folder / RECORD, json.dumps(record, indent=1, sort_keys=True) + "\n")


def read_items_used(folder: Path) -> frozenset[str]:
    """Return the ``doc_hash`` of every item that a model's folder says it was chosen by.

    The record of a whole training lies above its checkpoints' folders.

    Raises:
        DataError: If there is a record that cannot be read: what chose would not be known.
    """
    places = (folder / RECORD, folder.absolute().parent / RECORD)
    return frozenset(one for place in places if place.is_file() for one in _read(place))


def _read(place: Path) -> list[str]:
    try:
        record = parse_json(read_input(place))
        lists = {FORMAT: record["items"]}[record["format"]].values()
        return [str(one) for used in lists for one in used]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"which items chose a checkpoint must be readable: {place}: {error}; train again, or "
            "delete the file if no item of this study was looked at"
        ) from error
