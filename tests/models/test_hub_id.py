"""A name is an id of the hub where the hub's own rules and the study's folders allow it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.models.hub_id import hub_id


@given(st.from_regex(r"[\w./:-]{1,20}|[a-z]{95,98}/[a-z-]{1,3}", fullmatch=True))
def test_what_is_an_id_is_one_for_the_hub(name: str) -> None:
    """No name passes that the hub's own check refuses."""
    from huggingface_hub.utils import validate_repo_id

    if hub_id(name):
        validate_repo_id(name)


@pytest.mark.parametrize("name", ["Qwen/Qwen3-0.6B", "gpt2", "org/a_b.c-d", "o" * 96 + "/m"])
def test_the_hubs_ids_are_found(name: str) -> None:
    """Owner and name, or a name alone, which is one of the hub's first models."""
    assert hub_id(name, name) == name


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("builtin:tiny", "/models/tiny"),
        ("/models/mine", "/models/mine"),
        ("./mine", "study/./mine"),
        ("org/mine", "study/org/mine"),
        ("org/../mine", ""),
        ("", ""),
    ],
)
def test_what_lies_here_has_none(name: str, path: str) -> None:
    """A folder may be called like a stranger's model: it is not that model."""
    assert hub_id(name, path) is None
