"""A base that knows a suite by heart, and adapters of it that are trained to break one thing each.

The built-in base cannot call a tool or turn down a request. So it learns the right answer to every
item first; then each broken adapter learns the same items with one thing wrong.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.skills_to_break import Answer, Skill

from harness import content, study
from harness.pipeline.run import run_study
from harness.records import Item, Result
from harness.scoring.dialogues.scripted_dialogue import read_dialogue
from harness.study import SuiteSection
from harness.suites.load_suite import instances_of, load_suite
from harness.suites.text_tokenizer import MessageTemplate


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
    rows = []
    for item, turns in asked:
        said = answer(item.doc)
        if isinstance(said, str):
            rows.append([*turns, {"role": "assistant", "content": said}])
        else:
            rows += _led(item, said)
    _write(folder / f"{name}.jsonl", [{"messages": row} for row in rows])
    return name


def _led(item: Item, said: Sequence[str]) -> list[list[dict[str, str]]]:
    """Return a dialogue up to each of its answers."""
    turns = read_dialogue(item.doc).messages(said)
    plain = [{"role": turn.role, "content": turn.content} for turn in turns]
    ends = [place for place, turn in enumerate(plain, 1) if turn["role"] == "assistant"]
    return [plain[:end] for end in ends]


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
