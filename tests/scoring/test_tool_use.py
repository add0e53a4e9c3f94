"""Verdicts on turns with tools: those that a person wrote down, and what holds for any call."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support.paths import TESTS

from harness import content, rating
from harness.records import Response
from harness.scoring.tools import NotAToolError, read_tool_row, tool_use
from harness.scoring.tools.call_arguments import equal

GOLDEN = yaml.safe_load((TESTS / "golden" / "tools.yaml").read_text(encoding="utf-8"))

FIELDS = ("tools", "expected", "asks_for", "answers", "json")


def golden() -> Iterator[tuple[dict[str, Any], str, str | None]]:
    """Yield each answer of the golden file with its turn and its label, None where it is right."""
    for turn in GOLDEN["turns"]:
        row = {"tools": GOLDEN["tools"], "messages": [{"role": "user", "content": turn["said"]}]}
        row |= {name: turn[name] for name in FIELDS if name in turn}
        yield from ((row, response, None) for response in turn["right"])
        for label, responses in turn["wrong"].items():
            yield from ((row, response, label) for response in responses)


def test_the_golden_file_has_answers_wrong_in_each_way() -> None:
    """As many answers as the card says, of which a quarter is right, and every label is there."""
    labels = [label for _, _, label in golden()]
    card = (content.TASKS / "tools" / "card.md").read_text(encoding="utf-8")
    assert f"all {len(labels)} answers of" in card
    assert len(labels) >= 150
    assert labels.count(None) >= 40
    assert len(set(labels)) == 24


@pytest.mark.parametrize(("row", "response", "label"), list(golden()))
def test_the_verdict_is_a_persons(row: dict[str, Any], response: str, label: str | None) -> None:
    """Outcome and primary label are those in the golden file."""
    [verdict] = rating.judge_all("tools", [(row, (Response(text=response),))])
    expected = ((label,), 0.0) if label else ((), 1.0)
    assert (verdict.labels[:1], verdict.score) == expected


def test_rated_rows_have_their_calls() -> None:
    """``harness rate tools`` writes the calls as parsed, arguments by name."""
    rows = [
        {"id": "a", "response": '[get_weather("Graz", days=2)]'},
        {"id": "b", "response": "Sunny."},
    ]
    shared = {
        "tools": [{"type": "function", "function": tool} for tool in GOLDEN["tools"]],
        "messages": [{"role": "user", "content": "Graz, two days"}],
        "expected": [{"name": "get_weather", "arguments": {"town": "Graz", "days": 2}}],
    }
    found = list(rating.rate("tools", [shared | row for row in rows]))
    assert [row["verdict"] for row in found] == ["correct", "incorrect"]
    call = {"name": "get_weather", "arguments": {"town": "Graz", "days": 2}}
    assert [row["calls"] for row in found] == [[call], []]
    assert found[1]["labels"] == ["no_call"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tools": "get_weather"}, "must be a list of JSON schemas"),
        ({"tools": [{"parameters": {}}]}, "an object with a 'name'"),
        ({"tools": [{"name": "f", "parameters": {"type": "objekt"}}]}, "must be a JSON schema"),
        ({"tools": [{"name": "f"}, {"name": "f"}]}, "a name of its own"),
        ({"expected": "f"}, "must be a list of calls"),
        ({"expected": [{"arguments": {}}]}, "calls with a name"),
        ({"expected": [{"name": "g"}]}, "calls 'g', which is none of 'tools'"),
        ({"expected": [{"name": "f", "arguments": {"a": "1"}}]}, "must fit its tool"),
        ({"expected": [{"name": "f", "accepted": {"a": 1}}]}, "a list of values, or null"),
        ({"expected": [{"name": "f", "arguments": {"a": 1}}], "asks_for": ["a"]}, "neither asks"),
        ({"asks_for": 3}, "'asks_for' must be a list of texts"),
        ({"json": {"value": {}}}, "with a 'schema' and a 'value'"),
        ({"json": {"schema": {}, "value": 1}}, "must be an object"),
        ({"json": {"schema": {"required": ["a"]}, "value": {}}}, "must fit its schema"),
    ],
)
def test_a_row_that_cannot_be_judged_is_named(changes: dict[str, Any], said: str) -> None:
    """A wrong schema or an expectation that no call can meet is no fault of an answer."""
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    row = {"id": 1, "tools": [{"name": "f", "parameters": schema}], "response": "f",
           "messages": [{"role": "user", "content": "?"}]} | changes  # fmt: skip
    with pytest.raises(NotAToolError, match=said):
        read_tool_row(row)
    good = {"id": 2, "tools": [{"name": "f"}], "messages": row["messages"], "response": "ok",
            "expected": None}  # fmt: skip
    first, _ = rating.rate("tools", [row, good])
    assert first["verdict"] == "unscored"
    assert said in str(first["explanation"])


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=5,
)


@given(values, values)
def test_equality_is_that_of_json(one: object, other: object) -> None:
    """A value equals itself after a trip through JSON, and equality has no direction."""
    assert equal(one, json.loads(json.dumps(one)))
    assert equal(one, other) == equal(other, one)


@given(st.dictionaries(st.sampled_from("abc"), values, min_size=1))
def test_the_expected_call_is_right(arguments: dict[str, object]) -> None:
    """Whatever is wanted is right when it is called, and wrong when an argument is left out."""
    tools, wanted = read_tool_row(
        {
            "tools": [{"name": "f", "parameters": {"type": "object"}}],
            "expected": [{"name": "f", "arguments": arguments}],
        }
    )
    assert tool_use(tools, wanted, json.dumps({"name": "f", "arguments": arguments})).score == 1
    less = dict(list(arguments.items())[1:])
    verdict = tool_use(tools, wanted, json.dumps({"name": "f", "arguments": less}))
    left_out = next(iter(arguments.values()))
    assert (verdict.score == 1) == (left_out is None)  # null is what an argument left out is
