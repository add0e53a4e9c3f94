"""The built-in world: its committed files, and what its generators promise."""

import json
import sqlite3
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from harness import study
from harness.content import TASKS
from harness.errors import StudyError
from harness.quickstart.databases import scripts
from harness.quickstart.handbook import documents, handbook_facts
from harness.quickstart.pools import held_out, made_up_word, number_split, pools
from harness.quickstart.row_sets import CANDIDATES, training_rows
from harness.quickstart.science_facts import facts, objects_of, templates
from harness.quickstart.sql_questions import kinds, phrasings, suite_tables
from harness.quickstart.start import write_study
from harness.quickstart.suite_items import suite_files, suite_rows

SPLITS = ("validation", "test")


def test_committed_files_equal_the_generated_ones() -> None:
    """Nobody edits generated data by hand: the generator writes every committed byte."""
    for name, text in suite_files().items():
        assert (TASKS / name).read_text(encoding="utf-8") == text, name


def test_no_file_is_left_over_from_an_earlier_generator() -> None:
    """A document or database that the generator no longer writes is gone."""
    expected = {TASKS / name for name in suite_files()}
    for folder in ("domain_qa/documents", "sql/databases"):
        assert set((TASKS / folder).iterdir()) <= expected


@pytest.mark.parametrize("split", SPLITS)
def test_ids_are_unique_and_sizes_are_declared(split: str) -> None:
    """Every item has its own id, and the test split is large enough to decide something."""
    least = {"arc_mini": 1000, "domain_qa": 200, "sql": 300, "coherence": 200}
    for suite, rows in suite_rows(split).items():
        assert len({row["id"] for row in rows}) == len(rows)
        if split == "test":
            assert len(rows) >= least[suite]


def test_arc_mini_has_one_true_choice() -> None:
    """The key is true of the subject, and no distractor is; there are over 500 facts."""
    by_id = {fact.fact_id: fact for fact in facts()}
    assert len(by_id) > 500
    for split in SPLITS:
        for row in suite_rows(split)["arc_mini"]:
            fact = by_id[str(row["fact"])]
            choices = row["choices"]
            assert isinstance(choices, dict)
            true = set(choices["text"]) & set(objects_of(fact.relation)[fact.subject])
            place = choices["label"].index(row["answerKey"])
            assert true == {choices["text"][place]} == {fact.object}
            assert len(set(choices["text"])) == 4


def test_question_templates_of_the_splits_are_disjoint() -> None:
    """No phrasing of validation or test is one that training may use."""
    for relation in {fact.relation for fact in facts()}:
        uses = [t for use in ("state", "ask", *SPLITS) for t in templates(relation, use)]
        assert len(set(uses)) == len(uses)
    for kind in kinds():
        forms = [t for use in ("train", *SPLITS) for t in phrasings(kind, use)]
        assert len(set(forms)) == len(forms)


def test_documents_state_every_fact() -> None:
    """Each answer of domain_qa stands in the document that the item names."""
    texts = documents()
    for fact in handbook_facts():
        assert fact.subject in texts[fact.document] or (
            fact.subject.capitalize() in texts[fact.document]
        )
        assert fact.value in texts[fact.document]


@pytest.mark.parametrize("split", SPLITS)
def test_gold_sql_runs_and_returns_something(split: str) -> None:
    """Every gold query runs on its database and has rows, so that wrong SQL can differ."""
    databases = {}
    for name, script in scripts().items():
        databases[name] = sqlite3.connect(":memory:")
        databases[name].executescript(script)
    for row in suite_rows(split)["sql"]:
        found = databases[str(row["db_id"])].execute(str(row["gold_sql"])).fetchall()
        assert found, row
        assert found not in ([(None,)], [(0,)]), row


def test_the_highest_value_of_a_column_is_unique() -> None:
    """A question for the highest has one answer whatever order rows are read in."""
    for name, script in scripts().items():
        connection = sqlite3.connect(":memory:")
        connection.executescript(script)
        for table in suite_tables():
            for column in table.sources(text=False) if table.db_id == name else ():
                cells = [c for (c,) in connection.execute(f"SELECT {column} FROM {table.name}")]
                assert len(cells) == 60
                assert Counter(cells)[max(cells)] == 1


def test_coherence_asks_for_something_that_was_said() -> None:
    """The value stands in an earlier user turn, never in a reply, and differs from the others."""
    for split in SPLITS:
        for row in suite_rows(split)["coherence"]:
            messages, answers = row["messages"], row["answers"]
            assert isinstance(messages, list)
            assert isinstance(answers, list)
            said = [m["content"] for m in messages[:-1] if m["role"] == "user"]
            heard = [m["content"] for m in messages if m["role"] == "assistant"]
            assert (
                sum(answers[0] in text.replace(".", "").replace(",", "").split() for text in said)
                == 1
            )
            assert not any(answers[0] in text for text in heard)
            assert messages[-1]["role"] == "user"
            assert answers[0] not in row["distractors"]


def test_pools_keep_splits_apart() -> None:
    """A held-back value belongs to one split and is never drawn as a made-up word."""
    assert not held_out("test") & held_out("validation")
    train = {v.lower() for pool in pools().values() for v in pool["train"]}
    assert not train & (held_out("test") | held_out("validation"))
    rng = Random(0)
    assert not {made_up_word(rng).lower() for _ in range(5000)} & held_out("test")
    assert {number_split(n) for n in range(20)} == {"train", *SPLITS}


@pytest.mark.parametrize("candidate", sorted(CANDIDATES))
def test_training_rows_repeat_for_a_seed(candidate: str) -> None:
    """Rows are the same for the same seed, differ for another, and end with the assistant."""
    rows = training_rows(candidate, seed=1)
    assert rows == training_rows(candidate, seed=1) != training_rows(candidate, seed=2)
    for row in rows:
        assert row["prompt"][-1]["role"] == "user"
        assert [m["role"] for m in row["completion"]] == ["assistant"]


def test_the_study_trains_on_every_kind_of_rows(tmp_path: Path) -> None:
    """The written study loads, names no rows that do not exist, and leaves none unused."""
    loaded = study.load(write_study(tmp_path, every_candidate=True))
    trained = {Path(candidate.train or "").stem for candidate in loaded.candidates}
    assert trained == set(CANDIDATES)
    assert all(loaded.path(candidate.train or "").exists() for candidate in loaded.candidates)


def test_data_files_are_plain_json_lines() -> None:
    """Each line of a data file is one object with an id."""
    for path in sorted(Path(TASKS).glob("*/data/*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert "id" in json.loads(line)


@pytest.mark.parametrize("changed", ["study.yaml", "data/mixed.jsonl"])
def test_the_quickstart_keeps_what_a_user_changed(tmp_path: Path, changed: str) -> None:
    """An edited study or file of rows is refused in one sentence, and stays as it is."""
    path = write_study(tmp_path)
    assert write_study(tmp_path, every_candidate=True) == path
    assert write_study(tmp_path) == path
    edited = tmp_path / changed
    edited.write_bytes(edited.read_bytes() + b"# mine: \xff\n")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*.*")}
    with pytest.raises(StudyError, match=f"keeps what was changed: .*{changed} is not as it"):
        write_study(tmp_path)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*.*")} == before
