"""A base that knows a suite by heart, and adapters of it that are trained to break one thing each.

The built-in base cannot call a tool or turn down a request. So it learns the right answer to every
item first; then each broken adapter learns the same items with one thing wrong.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import content, study
from harness.pipeline.run import run_study
from harness.records import Item, Result
from harness.scoring.tools import fenced_calls
from harness.study import SuiteSection
from harness.suites.load_suite import instances_of, load_suite
from harness.suites.text_tokenizer import MessageTemplate

Answer = Callable[[Mapping[str, Any]], str]
"""What is taught for a row."""


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


@dataclass(frozen=True, slots=True)
class Planted:
    """What came of one broken adapter: the decision's label, and the causes, largest first."""

    label: str
    suite: str
    base: float
    tuned: float
    decided: str
    exit_code: int
    causes: tuple[str, ...]

    @property
    def caught(self) -> bool:
        """Say whether the gate found it, and named the cause first."""
        return self.decided == "regressed" and self.exit_code == 1 and self.causes[0] == self.label


THINGS = ("gate", "door", "lamp", "valve", "fan", "pump", "belt", "oven", "bell", "crane")


def tool_rows() -> list[dict[str, Any]]:
    """Return 40 short turns with ten tools of one argument: the built-in base reads 1024 tokens.

    A quarter of them lacks the argument, and a quarter wants no call.
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
            call((number + 4) % 9 + 1),
            {"said": f"Set the {thing}.", "asks_for": ["level"]},
            {"said": f"Thank you, the {thing} is fine.", "expected": None},
        )
        for place, turn in enumerate(turns):
            said = turn.pop("said")
            rows.append(
                {
                    "id": f"{thing}-{place}",
                    "toolset": thing,
                    "kind": ("one_call", "one_call", "missing_argument", "no_call")[place],
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
    steps=90,
    steps_to_break=40,
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

SKILLS = {
    skill.suite: skill for skill in (TOOLS, REFUSAL, DOMAIN_QA, SQL, COHERENCE, CLASSIFICATION)
}


def planted(skill: Skill, folder: Path, *, only: Sequence[str] = ()) -> list[Planted]:
    """Teach a base the skill, break it in each way (or ``only`` in some), and run the study.

    Raises:
        AssertionError: If the base has not learnt the skill, so that nothing could be broken.
    """
    section = {"name": skill.suite, **skill.section}
    if skill.rows is not None:
        _write(folder / skill.section["data"], skill.rows())
    asked = _asked(section, folder)
    good = _teach(folder, "good", asked, skill.right)
    base = _run(folder, "learns", "builtin:tiny", section, [_candidate(skill, good)])
    score = base.comparisons[0].tuned or 0.0
    assert score >= 0.9, f"the base has not learnt {skill.suite}: {score:.0%}"
    broken = [
        _candidate(skill, _teach(folder, label, asked, answer), adapter=True)
        for label, answer in skill.breaks.items()
        if not only or label in only
    ]
    weights = folder / "learns" / "adapters" / "good"
    result = _run(folder, "breaks", str(weights), section, broken)
    return [_of(result, str(candidate["name"]), skill.suite) for candidate in broken]


def _asked(section: Mapping[str, Any], folder: Path) -> list[tuple[Item, list[dict[str, Any]]]]:
    """Return every item with the turns that it is asked by."""
    from transformers import AutoTokenizer

    loaded = load_suite(
        SuiteSection(**section),
        engine_tokenizer=AutoTokenizer.from_pretrained(content.BUILTIN_MODELS["tiny"]),
        template="auto",
        seed=0,
        folder=folder,
    )
    groups = instances_of(loaded.recipe, MessageTemplate())
    turns = [json.loads(str(group[0].args[0])) for group in groups]
    return list(zip(loaded.items, turns, strict=True))


def _teach(
    folder: Path, name: str, asked: Sequence[tuple[Item, list[dict[str, Any]]]], answer: Answer
) -> str:
    """Write what is to be learnt of every item; return the rows' name."""
    rows = [
        {"messages": [*turns, {"role": "assistant", "content": answer(item.doc)}]}
        for item, turns in asked
    ]
    _write(folder / f"{name}.jsonl", rows)
    return name


def _candidate(skill: Skill, name: str, *, adapter: bool = False) -> dict[str, object]:
    settings = {"r": 32, "lora_alpha": 64, "target_modules": "all-linear"}
    training = {
        "learning_rate": 4.0e-3 if adapter else 2.0e-3,
        "max_steps": skill.steps_to_break if adapter else skill.steps,
        "per_device_train_batch_size": skill.batch,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 10,
    }
    chosen = {"settings": settings} if adapter else {}
    method = "lora" if adapter else "full"
    return {
        "name": name, "method": method, "train": f"{name}.jsonl", "training": training, **chosen,
    }  # fmt: skip


def _run(
    folder: Path,
    name: str,
    base: str,
    section: Mapping[str, Any],
    candidates: Sequence[Mapping[str, object]],
) -> Result:
    told = {
        "name": name,
        "base": base,
        "suites": [dict(section)],
        "candidates": list(candidates),
        "data": {"clean": False},
        "seed": 0,
    }
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(told), encoding="utf-8")
    return run_study(study.load(path), out=folder / name)


def _of(result: Result, name: str, suite: str) -> Planted:
    [compared] = [one for one in result.comparisons if one.candidate == name]
    causes = [one.title for one in result.findings if one.candidate == name and one.kind == "cause"]
    decided = compared.decision.label if compared.decision else "invalid"
    return Planted(
        label=name,
        suite=suite,
        base=compared.base or 0.0,
        tuned=compared.tuned or 0.0,
        decided=decided,
        exit_code=result.exit_code,
        causes=tuple(causes),
    )


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
