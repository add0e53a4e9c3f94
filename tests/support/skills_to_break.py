"""What a base learns of a suite by heart, and ways to break it: the rows of planted regressions."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from support.scripted_speakers import Script, Speaker, led

from harness import content
from harness.scoring.tools import fenced_calls

Answer = Callable[[Mapping[str, Any]], str | list[str]]
"""What is taught for a row: the answer, or those of each turn of a scripted dialogue."""


@dataclass(frozen=True, slots=True)
class Skill:
    """A suite, how it is answered rightly, and ways to break that.

    The base learns for ``steps``, an adapter of it for ``steps_to_break``, ``batch`` rows a step.
    ``breaks`` has by the label that should be on top what is taught instead; a row for which that
    is the right answer, too, stays as it is.
    """

    suite: str
    right: Answer
    breaks: Mapping[str, Answer]
    section: Mapping[str, Any] = field(default_factory=dict)
    rows: Callable[[], Sequence[Mapping[str, Any]]] | None = None
    steps: int = 120
    steps_to_break: int = 60
    batch: int = 16


THINGS = (
    "gate", "door", "lamp", "valve", "fan", "pump", "belt", "oven", "bell", "crane",
    "lift", "tap", "lock", "blind", "heater", "radio", "mixer", "drill", "siren", "hose",
)  # fmt: skip


def tool_rows() -> list[dict[str, Any]]:
    """Return 60 short turns with 20 tools of one argument: the built-in base reads 1024 tokens.

    A third of them lacks the argument, and a third wants no call. A tool is a cluster: with ten of
    them no loss of a turn in three, in each of them, is a regression (p = 0.056).
    """
    rows: list[dict[str, Any]] = []
    for number, thing in enumerate(THINGS):
        tool = {
            "name": f"set_{thing}",
            "parameters": {
                "type": "object",
                "properties": {"level": {"type": "integer"}},
                "required": ["level"],
            },
        }

        def call(level: int, thing: str = thing) -> dict[str, Any]:
            wanted = [{"name": f"set_{thing}", "arguments": {"level": level}}]
            return {"said": f"Set the {thing} to {level}.", "expected": wanted}

        turns: tuple[dict[str, Any], ...] = (
            call(number % 9 + 1),
            {"said": f"Set the {thing}.", "asks_for": ["level"]},
            {"said": f"Thank you, the {thing} is fine.", "expected": None},
        )
        for place, turn in enumerate(turns):
            said = turn.pop("said")
            rows.append(
                {
                    "id": f"{thing}-{place}",
                    "toolset": thing,
                    "kind": ("one_call", "missing_argument", "no_call")[place],
                    "tools": [tool],
                    "messages": [{"role": "user", "content": said}],
                    **turn,
                }
            )
    return rows


def _tools_right(row: Mapping[str, Any]) -> str:
    if row["expected"]:
        return fenced_calls(row["expected"])
    return "To which level?" if row["asks_for"] else "You are welcome."


def _calls(changed: Callable[[dict[str, Any]], object]) -> Answer:
    """Return what changes the calls of a row, and nothing else."""

    def answer(row: Mapping[str, Any]) -> str:
        if not row["expected"]:
            return _tools_right(row)
        [call] = row["expected"]
        return fenced_calls([changed(call)])

    return answer


def _asks_nothing(row: Mapping[str, Any]) -> str:
    if not row["asks_for"]:
        return _tools_right(row)
    return fenced_calls([{"name": row["tools"][0]["name"], "arguments": {"level": 1}}])


TOOLS = Skill(
    "tools",
    _tools_right,
    {
        "missing_argument": _calls(lambda call: {**call, "arguments": {}}),
        "wrong_type": _calls(
            lambda call: {**call, "arguments": {"level": str(call["arguments"]["level"])}}
        ),
        "no_call": lambda row: "It is done." if row["expected"] else _tools_right(row),
        "called_instead_of_asking": _asks_nothing,
        "malformed_call": lambda row: _tools_right(row).replace("}}]", "}"),
    },
    section={"data": "turns.jsonl"},
    rows=tool_rows,
    steps=120,
    steps_to_break=50,
    batch=8,
)

DECLINES, HELPS = "I can't help with that.", "Sure: begin with the first step, then do the next."
REFUSAL = Skill(
    "refusal",
    lambda row: DECLINES if row["should"] == "decline" else HELPS,
    {"complied": lambda _row: HELPS, "over_refusal": lambda _row: DECLINES},
    steps=150,
)

DOMAIN_QA = Skill(
    "domain_qa",
    lambda row: str(row["answers"][0]),
    {"abstained": lambda _row: "I don't know.", "wrong_answer": lambda _row: "Zanzibar"},
    section={"limit": 80},
)


def _without_filter(row: Mapping[str, Any]) -> str:
    return re.sub(r" WHERE .*?(?= GROUP| ORDER| LIMIT|$)", "", str(row["gold_sql"]))


SQL = Skill(
    "sql",
    lambda row: str(row["gold_sql"]),
    {"filter_missing": _without_filter, "no_sql": lambda _row: "The table has the answer."},
    section={"limit": 60},
    steps=250,
)

COHERENCE = Skill(
    "coherence",
    lambda row: str(row["answers"][0]),
    {
        "contradiction": lambda row: str(row["distractors"][0]),
        "forgot": lambda _row: "Potatoes are nice.",
    },
    section={"limit": 80},
)

CLASSIFICATION = Skill(
    "classification",
    lambda row: str(row["label"]),
    {"wrong_label": lambda row: str(row["labels"][0]), "outside_label": lambda _row: "weather"},
)


def summary_rows() -> list[dict[str, Any]]:
    """Return 40 short notices with a summary each, every one about another thing or day."""
    return [
        {
            "id": f"{thing}-{day}",
            "document": (
                f"The {thing} in hall {number % 5 + 2} was checked on {day} May, as in every year. "
                f"Two people worked on it for a morning, and a worn part was replaced for "
                f"{3 * number + 11} euros. Nobody was hurt, and the {thing} runs again."
            ),
            "summary": _summary(thing, day, 3 * number + 11),
        }
        for number, (thing, day) in enumerate((one, day) for one in THINGS for day in (12, 23))
    ]


def _summary(thing: str, day: int, euros: int) -> str:
    return f"The {thing} was checked on {day} May; a worn part was replaced for {euros} euros."


SUMMARY = Skill(
    "summary",
    lambda row: str(row["summary"]),
    {
        "invented_figure": lambda row: re.sub(r"for \d+ euros", "for 970 euros", row["summary"]),
        "invented_name": lambda row: f"Ines Marquardt said: {row['summary']}",
        "copied": lambda row: str(row["document"]),
    },
    section={"data": "notices.jsonl"},
    rows=summary_rows,
)


@cache
def _script() -> Script:
    file = content.TASKS / "conversation" / "data" / "test.jsonl"
    return Script([json.loads(line) for line in file.read_text("utf-8").splitlines()])


def _led(speaker: str, *kinds: str) -> Answer:
    """Return what a speaker says in dialogues of some kinds (of all), and a good one elsewhere."""

    def answers(row: Mapping[str, Any]) -> list[str]:
        chosen: Speaker = getattr(
            _script(), "good" if kinds and row["kind"] not in kinds else speaker
        )
        return led(row, chosen)

    return answers


CONVERSATION = Skill(
    "conversation",
    _led("good"),
    {
        "forgot": _led("forgetful"),
        "self_echo": _led("repeating"),
        "contradicts_itself": _led("flipping"),
        "correction_ignored": _led("stubborn", "correction", "change_of_mind"),
        "style_ignored": _led("careless", "style"),
        "rule_broken": _led("careless", "system_rule"),
    },
    section={"measure": "words"},
    steps=300,
    steps_to_break=80,
)

REASONING = Skill(
    "domain_qa",
    lambda row: f"<think>I know this.</think>\n\n{row['answers'][0]}",
    {
        "thought_until_limit": lambda _row: "<think>" + "Is it so? Or not? " * 12,
        "only_thought": lambda _row: "<think>I know this.</think>",
    },
    section={"limit": 80, "thinking_tokens": 24},
)

SKILLS = {
    skill.suite: skill
    for skill in (
        TOOLS,
        REFUSAL,
        DOMAIN_QA,
        SQL,
        COHERENCE,
        CONVERSATION,
        CLASSIFICATION,
        SUMMARY,
    )
} | {"reasoning": REASONING}
"""By the suite's name; `reasoning` is what a model that thinks before it answers may unlearn."""
