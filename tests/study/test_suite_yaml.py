"""Suite files are read as strictly as study files."""

from pathlib import Path

import pytest

from harness.errors import StudyError
from harness.suites.catalogue import read_config


def test_a_key_that_stands_twice_in_a_suite_is_refused(tmp_path: Path) -> None:
    """The last of two would win without a word; the sentence names the key and both lines."""
    path = tmp_path / "mine.yaml"
    path.write_text("task: mine\nmetadata:\n  harness:\n    judge: qa\n    judge: sql\n")
    with pytest.raises(StudyError, match=r"(?s)'judge' is in line 4 already.*line 5"):
        read_config(path)
