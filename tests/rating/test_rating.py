"""Rating answers that were produced elsewhere, without a model."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError, StudyError
from harness.rating import JUDGES, embedding, judge_all, rate, read_rows
from harness.records import Response

STAFF = "CREATE TABLE staff (name TEXT, age INTEGER); INSERT INTO staff VALUES ('Ada', 31);"
QA = {"id": "q1", "question": "Where is it?", "answers": ["Vienna"], "response": "In Vienna."}
CHOICE = {"id": 7, "question": "?", "choices": ["Paris", "Rome"], "answer": 1, "response": "B"}
TALK = {"id": "t", "context": ["I like tea.", "Nice.", "What else is good?"], "response": "Coffee."}
SQL = {"id": "s", "gold_sql": "SELECT name FROM staff", "pred_text": "SELECT name FROM staff"}


def rated(suite: str, *rows: Any, **options: Any) -> list[dict[str, Any]]:
    """Rate rows and return the output rows."""
    return list(rate(suite, rows, **options))


@pytest.mark.parametrize(
    ("suite", "row", "fields"),
    [
        ("qa", QA, {"exact_match", "f1", "extracted_answer"}),
        ("choice", CHOICE, {"chosen"}),
        ("coherence", TALK, {"components"}),
        ("sql", {**SQL, "schema_sql": STAFF}, {"base_match", "robust_match", "extracted_sql"}),
    ],
)
def test_the_output_has_the_fields_of_the_contract(
    suite: str, row: dict[str, Any], fields: set[str]
) -> None:
    """Each suite gives the common fields and its own, and the row can be written as JSON."""
    (found,) = rated(suite, row)
    assert set(found) == {"id", "verdict", "score", "labels", "explanation"} | fields
    assert found["id"] == row["id"]
    assert found["verdict"] == "correct"
    assert json.loads(json.dumps(found)) == found


def test_verdicts_come_in_the_order_of_the_rows() -> None:
    """One output row per input row, in order, wrong answers included."""
    rows = [{**QA, "id": n, "response": r} for n, r in enumerate(["Vienna", "Graz", ""])]
    found = rated("qa", *rows)
    assert [row["id"] for row in found] == [0, 1, 2]
    assert [row["verdict"] for row in found] == ["correct", "incorrect", "incorrect"]
    assert found[2]["labels"] == ["empty"]


def test_a_file_is_rated_line_by_line(tmp_path: Path) -> None:
    """Lines of a file are read as JSON; blank lines are no rows."""
    path = tmp_path / "answers.jsonl"
    path.write_text(json.dumps(QA) + "\n\n" + json.dumps({**QA, "id": "q2"}) + "\n", "utf-8")
    assert [row["id"] for row in rate("qa", read_rows(path))] == ["q1", "q2"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "empty"),
        ([QA, "{broken"], "line 2: each line must be a JSON object"),
        ([QA, "[1, 2]"], "line 2: each line must be a JSON object: found list"),
        ([QA, {"question": "?"}], "line 2: a row needs an 'id'"),
        ([QA, {**QA, "id": "x"}, QA], "line 3: an id must be unique: 'q1' is that of line 1"),
        ([{"id": 1, "question": "?", "answers": ["a"], "respone": "b"}], "did you mean 'respone'"),
    ],
)
def test_an_unusable_file_is_refused_with_its_line(rows: list[Any], message: str) -> None:
    """What makes the whole file unusable is one sentence that names the line."""
    with pytest.raises(DataError, match=message):
        rated("qa", *rows)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    """A file that is not there, or is no text, is no traceback."""
    with pytest.raises(DataError, match="must be readable"):
        rated("qa", *read_rows(tmp_path / "none.jsonl"))
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="UTF-8"):
        rated("qa", *read_rows(tmp_path / "bytes.jsonl"))


@pytest.mark.parametrize(
    ("suite", "good", "bad", "reason"),
    [
        ("qa", QA, {"answers": []}, "line 2: 'answers' must be a list"),
        ("qa", QA, {"response": None}, "line 2: 'response' must be text: found NoneType"),
        ("choice", CHOICE, {"answer": 2}, "line 2: 'answer' must be an index from 0 to 1"),
        ("choice", CHOICE, {"answer": True}, "line 2: 'answer' must be an index"),
        ("choice", CHOICE, {"choices": []}, "line 2: 'choices' must be a list"),
        ("coherence", TALK, {"context": []}, "line 2: 'context' must be a list"),
        ("coherence", TALK, {"context": [1]}, "line 2: a turn must be a text"),
    ],
)
def test_one_bad_row_is_unscored_with_its_reason(
    suite: str, good: dict[str, Any], bad: dict[str, Any], reason: str
) -> None:
    """A row that cannot be judged costs that row, never the file, and is never a zero."""
    found = rated(suite, good, {**good, **bad, "id": "bad"})
    assert found[0]["verdict"] == "correct"
    assert found[1]["verdict"] == "unscored"
    assert found[1]["score"] is None
    assert found[1]["explanation"].startswith(reason)


def test_a_missing_database_costs_its_row(tmp_path: Path) -> None:
    """SQL rows whose database or gold does not work are unscored, named."""
    found = rated(
        "sql",
        {**SQL, "schema_sql": STAFF},
        {**SQL, "id": "a", "db_id": "nowhere"},
        {**SQL, "id": "b", "schema_sql": "CREATE TABL"},
        {**SQL, "id": "c", "schema_sql": STAFF, "gold_sql": "SELECT salary FROM staff"},
        databases=tmp_path,
    )
    assert [row["verdict"] for row in found] == ["correct", *["unscored"] * 3]
    assert "nowhere" in found[1]["explanation"]


def test_unknown_suites_and_rules_are_refused() -> None:
    """A mistyped name is answered with the nearest one."""
    with pytest.raises(StudyError, match="did you mean 'coherence'"):
        rated("coherense", TALK)
    with pytest.raises(StudyError, match="rule"):
        rated("sql", {**SQL, "schema_sql": STAFF}, rule="birds")
    with pytest.raises(StudyError, match="rule"):
        rated("qa", QA, rule="bird")
    with pytest.raises(StudyError, match="did you mean 'qa'"):
        judge_all("qaa", [])


def test_answers_that_could_not_be_had_are_unscored() -> None:
    """A prompt that did not fit is no wrong answer, whichever judge it would have gone to."""
    for judge in JUDGES:
        (verdict,) = judge_all(judge, [({}, (Response(unscored="too long"),))])
        assert verdict.outcome == "unscored"
        assert verdict.labels == ("too_long",)


def test_choices_may_have_arcs_shape() -> None:
    """A document in ARC's row shape is judged by its own labels."""
    doc = {"choices": {"text": ["Paris", "Rome"], "label": ["1", "2"]}, "answerKey": "2"}
    assert JUDGES["choice"](doc, (Response(text="2"),)).score == 1.0


def test_a_conversation_with_answers_is_judged_by_recall() -> None:
    """Accepted answers in a row turn the graded proxy into recall."""
    (found,) = rated("coherence", {**TALK, "answers": ["tea"], "response": "Tea, as you said."})
    assert found["score"] == 1.0
    assert found["components"]["recall"] == 1.0


def test_an_optional_package_adds_columns_and_changes_no_score() -> None:
    """Where the package with MiniLM is installed, its relevance stands beside the same score."""
    plain = JUDGES["coherence"](
        {key: value for key, value in TALK.items() if key != "response"},
        (Response(text=TALK["response"]),),
    )
    (found,) = rated("coherence", TALK)
    assert found["score"] == plain.score
    added = set(found["components"]) - set(plain.metrics)
    if not all(find_spec(name) for name in embedding.NEEDED):
        assert added == set()
    else:
        assert added == {"minilm_relevance", "minilm_score"}
        far = rated("coherence", {**TALK, "response": "The tax office closes at noon."})
        near, unrelated = found["components"], far[0]["components"]
        assert near["minilm_relevance"] > unrelated["minilm_relevance"]
