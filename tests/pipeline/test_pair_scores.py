"""Score files joined item by item: clusters count from whichever side has them."""

import json
from pathlib import Path

import pytest

import harness
from harness.errors import ComparisonError


def scores(path: Path, clusters: str) -> Path:
    """Write one plain score an item; its cluster is a letter, none where it is a dot."""
    rows = [
        {"id": str(n), "score": 1.0} | ({"cluster": letter} if letter != "." else {})
        for n, letter in enumerate(clusters)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_clusters_of_either_side_count(tmp_path: Path) -> None:
    """Clusters in the tuned file alone give the decision of clusters in both."""
    found = []
    sides = {"both": ("aabb", "aabb"), "one": ("....", "aabb"), "mixed": ("aa..", "..bb")}
    for name, (base, tuned) in sides.items():
        left = scores(tmp_path / f"{name}_base.jsonl", base)
        right = scores(tmp_path / f"{name}_tuned.jsonl", tuned)
        (comparison,) = harness.compare(left, right).comparisons
        found.append(comparison.decision)
    assert found[0] is not None
    assert found[0].clusters == 2
    assert found == [found[0]] * 3


def test_items_without_clusters_are_their_own(tmp_path: Path) -> None:
    """Nothing is taken for a cluster where neither side has any."""
    left, right = (scores(tmp_path / f"{name}.jsonl", "...") for name in ("base", "tuned"))
    (comparison,) = harness.compare(left, right).comparisons
    assert comparison.decision is not None
    assert comparison.decision.clusters is None


def test_two_clusters_of_one_item_are_refused(tmp_path: Path) -> None:
    """Which of them is the unit, nobody could say: exit code 3 names the item."""
    left = scores(tmp_path / "base.jsonl", "aabb")
    right = scores(tmp_path / "tuned.jsonl", "aacb")
    with pytest.raises(ComparisonError, match="is of 'b' in base and of 'c'") as caught:
        harness.compare(left, right)
    assert caught.value.exit_code == 3
