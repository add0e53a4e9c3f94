"""What a plan says of cost."""

import pytest

from harness.cli.plan import _tell_shards


def test_a_plan_says_how_many_shards_pay(capsys: pytest.CaptureFixture[str]) -> None:
    """Its start is a tenth of a shard's time; where no second one pays, nothing is said."""
    _tell_shards(answering=3600, starting=30)
    assert "up to 13 shards pay, of about 5 min each" in capsys.readouterr().out
    _tell_shards(answering=60, starting=30)
    assert capsys.readouterr().out == ""
