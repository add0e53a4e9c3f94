"""What a lock remembers of models, and hashes that are computed once."""

import json
from dataclasses import replace
from pathlib import Path

from harness.files import settings_sha256, sha256_of
from harness.records import BASE, Arm
from harness.store.at_hand import KnownHashes
from harness.store.run_history import changes, history_of
from harness.store.run_lock import Declarations, RunLock

OLD_FILE = Path(json.__file__)
"""A file that nobody has changed just now."""


def test_a_hash_is_used_again_while_size_and_times_stand(tmp_path: Path) -> None:
    """A large file is read once; one that changed, or might have, is read again."""
    kept = tmp_path / "hashes.json"
    known = KnownHashes(kept)
    real = known.sha256(OLD_FILE)
    assert real == sha256_of(OLD_FILE)
    known.save()
    rows = json.loads(kept.read_text())
    *stamp, _ = rows[str(OLD_FILE)]
    kept.write_text(json.dumps({str(OLD_FILE): [*stamp, "kept"]}))
    assert KnownHashes(kept).sha256(OLD_FILE) == "kept"
    for part in range(3):
        other = [value + (place == part) for place, value in enumerate(stamp)]
        kept.write_text(json.dumps({str(OLD_FILE): [*other, "kept"]}))
        assert KnownHashes(kept).sha256(OLD_FILE) == real


def test_a_file_that_was_changed_just_now_is_read_each_time(tmp_path: Path) -> None:
    """Two contents of one size within one tick of the clock are two hashes."""
    file = tmp_path / "weights"
    known = KnownHashes(tmp_path / "hashes.json")
    found = set()
    for content in ("one", "two"):
        file.write_text(content)
        found.add(known.sha256(file))
    known.save()
    assert len(found) == 2
    assert json.loads((tmp_path / "hashes.json").read_text()) == {}


def test_settings_are_what_changes_an_answer(tmp_path: Path) -> None:
    """The order of keys and what libraries write about themselves are no settings."""
    found = set()
    for said in ('{"a": 1, "b": 2}', '{"b": 2,\n"a": 1, "transformers_version": "9"}'):
        (tmp_path / "config.json").write_text(said)
        (tmp_path / "README.md").write_text(said)
        found.add(settings_sha256(tmp_path))
    assert len(found) == 1
    (tmp_path / "chat_template.jinja").write_text("other")
    assert settings_sha256(tmp_path) not in found
    (tmp_path / "config.json").write_text("cut {")
    assert settings_sha256(tmp_path) not in found


def lock(*suites: str, seed: int = 0, weights: str = "a") -> RunLock:
    """Return the lock of a run of some suites."""
    return RunLock(
        study="s",
        base="b",
        declared=Declarations(alpha=0.05, beta=0.05, suites={}, items={}),
        arms=(Arm(name=BASE), Arm(name="mine", weights_sha256=weights * 64)),
        study_file={"seed": seed, "suites": [{"name": name} for name in suites]},
    )


def test_nothing_is_forgotten_over_several_runs() -> None:
    """A suite that came and went is told as long as the folder lives; one that is back is not."""
    first = lock("sql")
    first = replace(first, history=history_of(RunLock(study="s", base="b"), first))
    assert changes(first) == []
    second = lock("sql", "qa", seed=1, weights="b")
    second = replace(second, history=history_of(first, second))
    third = lock("sql", seed=0, weights="b")
    third = replace(third, history=history_of(second, third))
    assert changes(third) == [
        "suite 'qa' was declared in this folder before and is left out now",
        f"'mine' had other weights or arguments in this folder before ({'a' * 8}) than now "
        f"({'b' * 8})",
        "seed was 1 in this folder before and is 0 now",
    ]


def test_a_lock_of_an_earlier_version_is_remembered() -> None:
    """What such a lock declares counts, although it kept no history."""
    new = lock("qa")
    new = replace(new, history=history_of(lock("sql"), new))
    assert changes(new) == ["suite 'sql' was declared in this folder before and is left out now"]
