"""Whole dialogues: what is kept, what is lost, and the cause that is named."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from support.scripted_speakers import REMEMBERED, Script, led

from harness import content
from harness.records import Verdict
from harness.scoring.dialogues.conversation import conversation
from harness.scoring.dialogues.probe_checks import Heard, failure
from harness.scoring.dialogues.scripted_dialogue import Probe, read_dialogue

Row = Mapping[str, Any]
NAMED = 0.95
"""The share of dialogues in which a planted fault has to be the first cause named."""


def rows(split: str = "test") -> list[Row]:
    """Return the suite's own scenarios."""
    path = content.TASKS / "conversation/data" / f"{split}.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def judged(row: Row, answers: list[str]) -> Verdict:
    """Judge a dialogue by the answers to all its turns."""
    return conversation(read_dialogue(row), answers)


def test_every_probe_can_be_kept() -> None:
    """One who answers well keeps all, in the words that the rows accept."""
    everything = [*rows(), *rows("validation")]
    script = Script(everything)
    lost = [
        (row["id"], verdict.explanation)
        for row in everything
        if (verdict := judged(row, led(row, script.good))).score != 1.0
    ]
    assert not lost


@pytest.mark.parametrize(
    ("fault", "cause", "kinds"),
    [
        ("forgetful", "forgot", REMEMBERED),
        ("repeating", "self_echo", ()),
        ("flipping", "contradicts_itself", ("twice",)),
        ("stubborn", "correction_ignored", ("correction", "change_of_mind")),
        ("careless", "style_ignored", ("style",)),
        ("careless", "rule_broken", ("system_rule",)),
        ("silent", "empty", ()),
    ],
)
def test_a_fault_is_named_by_its_cause(fault: str, cause: str, kinds: tuple[str, ...]) -> None:
    """In 95 of 100 dialogues in which a speaker's fault can show, it is the first cause."""
    asked = [row for row in rows() if not kinds or row["kind"] in kinds]
    script = Script(asked)
    found = {row["id"]: judged(row, led(row, getattr(script, fault))) for row in asked}
    first = Counter(verdict.labels[0] if verdict.labels else "" for verdict in found.values())
    others = [(k, v.labels, v.explanation) for k, v in found.items() if v.labels[:1] != (cause,)]
    assert first[cause] >= NAMED * len(asked), (dict(first), others[:6])


@pytest.mark.parametrize(
    ("probe", "said", "kept"),
    [
        ({"says": ("Oslo",)}, "You live in Oslo.", True),
        ({"says": ("Oslo",)}, "Not in Oslo.", False),
        ({"says": ("Oslo",)}, "In Oslo or Bergen.", False),
        ({"says": ("7", "seven")}, "Seven.", True),
        ({"says": ("grey",), "avoids": ("yellow",)}, "Grey instead of yellow.", True),
        ({"says": ("grey",), "avoids": ("yellow",)}, "Yellow and grey.", False),
        ({"max_words": 3}, "one two three", True),
        ({"max_words": 3}, "one two three four", False),
        ({"max_sentences": 1}, "Dr. Doe is in. He waits.", False),
        ({"max_sentences": 1}, "Dr. Doe is in.", True),
        ({"begins": "Well"}, "**Well**, yes.", True),
        ({"begins": "Well"}, "Yes, well.", False),
        ({"ends": "?"}, "And you?", True),
        ({"ends": "?"}, "And you? Yes.", False),
        ({"ends": "?"}, "And you? 🐶", True),
        ({"ends": "Ahoy."}, "At nine. **Ahoy!**", True),
        ({"ends": "Ahoy."}, "Ahoy. At nine.", False),
        ({"case": "lower"}, "oslo, 3 km", True),
        ({"case": "upper"}, "OSLo", False),
        ({"list_items": 2}, "- a\n- b", True),
        ({"list_items": 2}, "1. a\n2. b\n3. c", False),
        ({"without": ("!",)}, "Fine.", True),
        ({"without": ("!",)}, "Fine!", False),
        ({"without": ("art",)}, "Smart.", True),
        ({"includes": ("Arr",)}, "Arr, matey.", True),
        ({"includes": ("Arr",)}, "Arrow.", False),
    ],
)
def test_what_a_probe_holds_an_answer_to(probe: dict[str, Any], said: str, kept: bool) -> None:
    """Each check is kept by what fits, and only by that."""
    assert (failure(Probe(kind="memory", **probe), said, Heard()) is None) == kept


STATED = [
    ("Your meeting is not on Tuesday but on Thursday.", True),
    ("Thursday. Previously you'd said Tuesday, which was incorrect.", True),
    ("Thursday! You decided against Tuesday.", True),
    ("Tuesday — oh wait, you changed it. Thursday.", True),
    ("Thursday now that Tuesday's out.", True),
    ("It was moved from Tuesday to Thursday.", True),
    ("Tuesday was replaced by Thursday.", True),
    ("The date was changed: Thursday replaces Tuesday.", True),
    ("Thursday (the Tuesday from before was a slip).", True),
    ("I can't see your calendar, but you said Thursday.", True),
    ("It's Thursday, isn't it?", True),
    ("Thursday, because Tuesday is a holiday.", True),
    ("It was moved from Thursday to Tuesday.", False),
    ("Thursday was replaced by Tuesday.", False),
    ("Thursday is no longer right; take Tuesday.", False),
    ("Tuesday instead of Thursday.", False),
    ("At first you said Thursday, now it's Tuesday.", False),
    ("Thursday, and on Tuesday.", False),
    ("It was Tuesday.", False),
]


@pytest.mark.parametrize(("said", "kept"), STATED)
def test_what_was_corrected_may_be_told_as_what_was(said: str, kept: bool) -> None:
    """An answer may name the wrong value if it stands by the right one, not the other way round."""
    probe = Probe(kind="correction", says=("Thursday",), avoids=("Tuesday",))
    users = ("On Tuesday at ten.", "Sorry, on Thursday.", "On which day do I meet the bank?")
    assert (failure(probe, said, Heard(("Sure.", "Fine."), users)) is None) == kept


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("The cactus! The fern is for the bathroom and the fig for the hall.", True),
        ("The cactus, while the fern goes to the bathroom.", True),
        ("The cactus and the fern are for the office.", False),
        ("The cactus. The fern.", False),
        ("You bought a fern for the office and a cactus for yourself.", False),
        ("A cactus, a fern or a fig would all be lovely in an office.", False),
        ("The fern is for the office, the cactus for the bathroom.", False),
    ],
)
def test_other_values_may_stand_in_their_own_places(said: str, kept: bool) -> None:
    """What the user said of them, and did not ask for now, is told of them."""
    probe = Probe(kind="memory", says=("cactus",), avoids=("fern", "fig"))
    told = "I bought a fern for the bathroom, a cactus for the office and a fig for the hall."
    users = (told, "Which plant did I want to put in the office?")
    assert (failure(probe, said, Heard(("Lovely.",), users)) is None) == kept


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ("Winter. I don't like the heat of summer.", "Winter.", True),
        ("As an AI I have no taste, but I'd lean towards summer over winter.", "Summer.", True),
        ("I'd choose winter.", "Winter. Wait, no, summer.", False),
        ("I'd choose winter, not summer.", "Summer, winter is cold.", False),
        ("Both are fine.", "Winter.", False),
    ],
)
def test_of_two_options_the_one_that_is_chosen_counts(first: str, second: str, kept: bool) -> None:
    """The other may be named beside it."""
    probe = Probe(kind="twice", agrees_with=1, among=("summer", "winter"))
    assert (failure(probe, second, Heard((first,))) is None) == kept


def test_columns_say_how_a_dialogue_went() -> None:
    """Fit by turn, own words again, flips and ends stand beside the score."""
    probe = {"kind": "twice", "agrees_with": 1, "among": ["red", "blue"]}
    row = {"turns": ["Red or blue?", {"user": "Again?", "probes": [probe]}]}
    verdict = conversation(
        read_dialogue(row), ["I take red.", "I take blue."], finishes=["stop", "length"]
    )
    assert verdict.metrics["contradiction"] == 1.0
    assert verdict.metrics["ended"] == 0.5
    assert verdict.metrics["own_overlap"] == 0.5
    assert {"kept", "coherence_words", "fit_turn_1", "fit_turn_2"} <= verdict.metrics.keys()
    assert verdict.details["turns"]


def test_mt_bench_rows_are_dialogues_without_probes() -> None:
    """Both of its shapes are read; the score is the mean fit of the answers."""
    asked = ["Describe a vivid walk.", "Now rewrite it in one sentence."]
    for row in ({"turns": asked}, {"prompt": asked}):
        verdict = conversation(read_dialogue(row), ["A walk by the sea.", "I walk by the sea."])
        assert verdict.score == verdict.metrics["coherence_words"]
        assert "kept" not in verdict.metrics


def test_sixty_scenarios_are_enough_for_a_model_that_did_not_change() -> None:
    """Fewer clusters could not pass at the suite's margin, whatever they show."""
    from harness.stats import clusters_needed
    from harness.suites.catalogue import builtin_suites

    found = rows()
    assert len({row["scenario"] for row in found}) == len(found)
    assert len(found) >= clusters_needed(builtin_suites()["conversation"].margin, 0.05)
    assert {len(row["turns"]) for row in found} <= {3, 4, 5}
