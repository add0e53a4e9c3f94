"""The examples: what a newcomer copies is complete, and runs on the architectures that it names."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.example_studies import BASES, EXAMPLES, rows, small

from harness import study
from harness.pipeline.plan import plan
from harness.pipeline.run import run_study
from harness.rating import judge_all
from harness.rating.lm_eval_hooks import fitting_reaction, fitting_turn
from harness.records import Response, Result

SHAPES = {
    "medical-terms": {"question/answer"},
    "conversation": {"messages"},
    "text-to-sql": {"sql_prompt/sql_context/sql"},
    "company-qa": {"question/answer", "text"},
    "instructions": {"instruction/input/output"},
    "assistant": {"messages"},
}
JUDGED = {
    "medical-terms/data/questions.jsonl": "qa",
    "conversation/data/recall.jsonl": "coherence",
    "text-to-sql/data/questions.jsonl": "sql",
    "company-qa/data/test.jsonl": "qa",
    "instructions/data/questions.jsonl": "qa",
    "assistant/data/turns.jsonl": "tools",
    "assistant/data/requests.jsonl": "refusal",
}
GOLD: dict[str, Callable[[dict[str, Any]], str]] = {
    "sql": lambda row: str(row["gold_sql"]),
    "tools": fitting_turn,
    "refusal": fitting_reaction,
}
"""Judge -> a right answer to a row; the others' rows have ``answers``."""


def test_every_project_has_its_example_and_the_readme_says_how_to_run_it() -> None:
    """No folder without a paragraph, and no paragraph without a folder."""
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    folders = {path.parent.name for path in EXAMPLES.glob("*/study.yaml")}
    assert folders == set(BASES)
    for name in folders:
        assert f"]({name}/study.yaml)" in text
        assert f"harness run examples/{name}/study.yaml" in text


@pytest.mark.parametrize("name", BASES)
def test_a_study_is_complete_as_it_stands(name: str) -> None:
    """It loads under its folder's name, and every file that it names lies beside it."""
    loaded = study.load(EXAMPLES / name / "study.yaml")
    assert loaded.name == name
    named = [suite.data for suite in loaded.suites if suite.data]
    named += [str(candidate.train) for candidate in loaded.candidates]
    assert named
    for file in named:
        assert loaded.path(file).exists()


@pytest.mark.parametrize("file", JUDGED)
def test_the_gold_answers_are_right_and_others_are_not(file: str) -> None:
    """A suite's own judge accepts each row's answer, and not what another row accepts."""
    found = rows(EXAMPLES / file)
    gold = GOLD.get(JUDGED[file], lambda row: str(row["answers"][0]))
    golds = [gold(row) for row in found]
    assert 20 <= len(found) <= 60
    assert len({row["id"] for row in found}) == len(found)

    def scores(texts: Sequence[str]) -> list[float | None]:
        said = [(Response(text=text, finish="stop"),) for text in texts]
        return [v.score for v in judge_all(JUDGED[file], list(zip(found, said, strict=True)))]

    assert scores(golds) == [1.0] * len(found)
    wrong = scores([*golds[1:], golds[0]])
    assert wrong.count(0.0) >= 0.9 * len(found)


@pytest.mark.model
@pytest.mark.parametrize("name", BASES)
def test_the_plan_accepts_a_study(name: str, tmp_path: Path) -> None:
    """On a model of its architecture nothing is refused, cut, or known from the training rows."""
    planned = plan(study.load(small(name, tmp_path)), out=tmp_path / "run")
    cards = [candidate.card for candidate in planned.candidates]
    assert {card.shape for card in cards if card} == SHAPES[name]
    for card in cards:
        assert card is not None
        assert (card.too_long, card.copies) == (0, ())
        assert not any(card.flagged.values())
        assert card.rows == card.read
        assert card.shape == "text" or 20 <= card.rows <= 60


@pytest.mark.model
def test_the_schema_is_asked_as_it_was_learnt(tmp_path: Path) -> None:
    """Schema and question stand in a test prompt exactly as in a training row."""
    planned = plan(study.load(small("text-to-sql", tmp_path)), out=tmp_path / "run")
    (learnt, *_) = next(c.examples for c in planned.candidates if c.name == "qlora")
    taught = rows(EXAMPLES / "text-to-sql" / "data" / "train.jsonl")[0]
    between = learnt.prompt[0].content.removeprefix(taught["sql_context"])
    between = between.removesuffix(taught["sql_prompt"])
    asked = [item for item in planned.loaded[0].items if item.key.suite == "sql"]
    assert asked
    for item in asked:
        assert item.doc["schema"].rstrip() + between + item.doc["question"] in item.prompt


def run(name: str, folder: Path) -> Result:
    """Run an example for two steps; a change so small may well change nothing."""
    loaded = study.load(small(name, folder))
    result = run_study(loaded, out=folder / "run", allow_identical=True)
    compared = {(c.candidate, c.suite.name): len(c.pairs) for c in result.comparisons}
    own: dict[str, Any] = {suite.name: suite.data for suite in loaded.suites}
    for candidate in loaded.candidates:
        for suite, data in own.items():
            items = len(rows(loaded.path(data))) if data else 20
            assert compared[candidate.name, suite] == items
    assert (folder / "run" / "report.html").is_file()
    return result


@pytest.mark.nightly
@pytest.mark.model
def test_a_search_on_conversations_runs(tmp_path: Path) -> None:
    """GPT-2 without a chat template: four trials, of which the best on held-out rows is judged."""
    (arm,) = [arm for arm in run("conversation", tmp_path).arms if arm.name == "searched"]
    assert len(arm.trials) == 4
    assert len({str(trial.choice) for trial in arm.trials}) == 4
    best = min(min(trial.losses) for trial in arm.trials)
    assert min(point.eval_loss for point in arm.loss if point.eval_loss is not None) == best


@pytest.mark.nightly
@pytest.mark.model
def test_qlora_against_prompt_tuning_runs(tmp_path: Path) -> None:
    """Gemma: both methods learn from the same rows, and their queries are executed."""
    result = run("text-to-sql", tmp_path)
    trainable = {arm.name: arm.trainable for arm in result.arms}
    assert trainable["prompt"] == 32 * 64
    assert trainable["qlora"] != trainable["prompt"]
    assert all(score.unscored == 0 for score in result.scores)
