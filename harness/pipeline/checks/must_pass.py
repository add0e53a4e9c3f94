"""Resolve ``must_pass``: the items that every candidate has to answer right."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.errors import StudyError
from harness.records import ItemKey
from harness.study import Study

if TYPE_CHECKING:
    from harness.engine import LoadedSuite

SHORTEST_HASH = 6
"""Digits of a document's hash that name an item."""


def must_pass(study: Study, loaded: Sequence["LoadedSuite"]) -> dict[str, tuple[ItemKey, ...]]:
    """Return each suite's must-pass items.

    Raises:
        StudyError: If an entry does not name exactly one of the items to be scored.
    """
    return {
        section.name: tuple(_named(name, suite) for name in section.must_pass)
        for section, suite in zip(study.suites, loaded, strict=True)
    }


def _named(name: str, suite: "LoadedSuite") -> ItemKey:
    """Find the item whose row has this id, or whose document hash begins like this."""
    found = [item.key for item in suite.items if str(item.doc.get("id")) == name]
    if not found and len(name) >= SHORTEST_HASH:
        found = [item.key for item in suite.items if item.key.doc_hash.startswith(name)]
    if len(found) != 1:
        raise StudyError(
            f"each must_pass entry of suite {suite.suite.name!r} has to name one item to be "
            f"scored, by its row's id or the start of its doc_hash: {name!r} names "
            f"{len(found) or 'none'}"
        )
    return found[0]
