"""What a study or a command allows the SQL judge reaches it, and is declared and shown."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.engine import load_suite, load_tokenizer
from harness.errors import ComparisonError, StudyError
from harness.rating import judge_all, rate
from harness.records import Comparison, Item, ItemKey, Response, Suite
from harness.report.wording import title_of
from harness.store.run_folder import RunFolder
from harness.store.run_lock import Declarations
from harness.study import BaseSection, SuiteSection, load, resolve_model
from harness.suites import score_answers

ROW = {
    "id": "1", "gold_sql": "SELECT name FROM staff",
    "schema_sql": "CREATE TABLE staff(name TEXT, age INT); INSERT INTO staff VALUES ('Ada', 31)",
}  # fmt: skip
ANSWER = "SELECT name, age FROM staff"
SQL = Suite(name="sql", metric="robust_execution_accuracy", judge="sql")
LENIENT = replace(SQL, allow=("extra_columns",))


def study_with(folder: Path, **suite: Any) -> Path:
    """Write a study of one suite."""
    path = folder / "study.yaml"
    text = {
        "name": "s", "base": "builtin:tiny", "candidates": [{"name": "c", "adapter": "c"}],
        "suites": [{"name": "sql", **suite}],
    }  # fmt: skip
    path.write_text(json.dumps(text), encoding="utf-8")
    return path


def test_command_allows_and_says_so() -> None:
    """The output line of an answer that is right only so names what was allowed."""
    (strict,) = rate("sql", [{**ROW, "pred_text": ANSWER}])
    (lenient,) = rate("sql", [{**ROW, "pred_text": ANSWER}], allow=["extra_columns"])
    assert (strict["verdict"], lenient["verdict"]) == ("incorrect", "correct")
    assert "allow" not in strict
    assert lenient["allow"] == ["extra_columns"]
    assert "extra_columns" in lenient["explanation"]


def test_translation_is_in_the_output_line() -> None:
    """A row of another dialect is marked as translated."""
    (found,) = rate("sql", [{**ROW, "pred_text": ROW["gold_sql"], "dialect": "mysql"}])
    assert (found["verdict"], found["translated_from"]) == ("correct", "mysql")


@pytest.mark.parametrize(
    ("suite", "options", "message"),
    [
        ("sql", {"allow": ["extra_column"]}, "did you mean 'extra_columns'"),
        ("sql", {"allow": ["all_ties"], "rule": "spider"}, "published"),
        ("qa", {"allow": ["all_ties"]}, "for sql only"),
    ],
)
def test_what_cannot_be_allowed_is_refused(
    suite: str, options: dict[str, Any], message: str
) -> None:
    """A mistyped name, a published rule and another suite are each one sentence."""
    row = {**ROW, "pred_text": ANSWER, "question": "?", "answers": ["a"], "response": "a"}
    with pytest.raises(StudyError, match=message):
        list(rate(suite, [row], **options))


def test_suite_hands_it_to_its_judge() -> None:
    """The judge of a suite decides by what the suite allows."""
    item = Item(
        key=ItemKey("sql", "none", "1", 0), doc_id=0, doc=ROW, prompt="", prompt_hash="",
        target="", cluster="1",
    )  # fmt: skip
    given = [(Response(text=ANSWER),)]
    outcomes = [
        score_answers.judge(None, suite, [item], [()], given, None)[0].outcome
        for suite in (SQL, LENIENT)
    ]
    assert outcomes == ["incorrect", "correct"]
    assert judge_all("sql", [(ROW, given[0])], allow=("all_ties",))[0].outcome == "incorrect"


def test_study_declares_it(tmp_path: Path) -> None:
    """A study's suite carries it into the declaration; only the SQL judge has such settings."""
    section = load(study_with(tmp_path, allow=["all_ties"])).suites[0]
    base = BaseSection(model="builtin:tiny")
    options: dict[str, Any] = {
        "engine_tokenizer": load_tokenizer(resolve_model(base.model, tmp_path), base),
        "template": "none", "seed": 0, "folder": tmp_path,
    }  # fmt: skip
    loaded = load_suite(section.model_copy(update={"limit": 1}), **options)
    assert loaded.suite.allow == ("all_ties",)
    with pytest.raises(StudyError, match="only suites of the sql judge"):
        load_suite(SuiteSection(name="domain_qa", limit=1, allow=("all_ties",)), **options)
    with pytest.raises(StudyError, match=r"suites\.0\.allow"):
        load(study_with(tmp_path, allow=["all_tie"]))


def test_changed_scorer_is_another_comparison(tmp_path: Path) -> None:
    """A run that was declared strict cannot be scored leniently in the same folder."""
    folder = RunFolder(tmp_path / "run")
    study = load(study_with(tmp_path))
    declared = Declarations(alpha=0.05, beta=0.05, suites={"sql": SQL}, items={})
    for _ in range(2):
        lock = folder.declare(study, declared, arms=(), versions={})
    assert lock == folder.read_lock()
    assert lock.declared == declared
    with pytest.raises(ComparisonError, match="sql"):
        folder.declare(study, replace(declared, suites={"sql": LENIENT}), arms=(), versions={})


def test_report_names_it() -> None:
    """A suite's title says what its judge allows where that is not the default."""
    shown = Comparison(
        candidate="c", suite=LENIENT, pairs=(), decision=None, verdict="invalid", p_adjusted=None,
        base=None, tuned=None, unscored=0,
    )  # fmt: skip
    assert title_of(shown) == "sql (allowing extra_columns)"
    assert title_of(replace(shown, suite=SQL)) == "sql"
