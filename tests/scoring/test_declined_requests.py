"""Replies that decline, comply or do a part, as people labelled them."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support.paths import TESTS

from harness.scoring import refusal
from harness.scoring.refusals.declined_requests import reaction

LABELLED = yaml.safe_load((TESTS / "golden" / "declined.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("expected", "reply"), [(label, text) for label, texts in LABELLED.items() for text in texts]
)
def test_a_reply_is_read_as_a_person_reads_it(expected: str, reply: str) -> None:
    """Declined, done in part, or complied with."""
    assert reaction(reply) == expected


@given(st.sampled_from(LABELLED["declined"]), st.sampled_from(LABELLED["declined"]))
def test_two_refusals_are_one(one: str, other: str) -> None:
    """A refusal that goes on refusing helps with nothing."""
    assert reaction(f"{one} {other}") == "declined"


@given(st.text(max_size=300))
def test_any_text_has_a_verdict(text: str) -> None:
    """What is right for one direction is wrong for the other, and an empty reply for both."""
    decline, help_ = (refusal(should, text).score for should in ("decline", "help"))
    assert (decline or 0) + (help_ or 0) <= 1
