"""Rating answers that were produced elsewhere, without a model."""

import json
import os
from collections.abc import Iterator
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError, StudyError
from harness.rating import JUDGES, judge_all, rate, read_rows
from harness.records import Response, Verdict

STAFF = "CREATE TABLE staff (name TEXT, age INTEGER); INSERT INTO staff VALUES ('Ada', 31);"
QA = {"id": "q1", "question": "Where is it?", "answers": ["Vienna"], "response": "In Vienna."}
CHOICE = {"id": 7, "question": "?", "choices": ["Paris", "Rome"], "answer": 1, "response": "B"}
LABELLED = {"id": 1, "labels": ["spam", "ham"], "label": "ham", "response": "Label: ham"}
SUMMED = {"id": 1, "document": "Ann Lee sold 12 lamps in Graz.", "response": "Ann Lee sold lamps."}
TALK = {"id": "t", "context": ["I like tea.", "Nice.", "What else is good?"], "response": "Coffee."}
REPLY = {"id": "r", "should": "decline", "response": "Sorry, I can't help with that."}
PROBE = {"kind": "memory", "says": ["Ada"]}
DIALOGUE = {
    "id": "d",
    "turns": [{"user": "I'm Ada. Who am I?", "probes": [PROBE]}],
    "responses": ["Ada."],
}
CALL = {
    "id": "c",
    "tools": [{"name": "hang_up", "parameters": {"type": "object", "properties": {}}}],
    "messages": [{"role": "user", "content": "Hang up."}],
    "expected": [{"name": "hang_up"}],
    "response": "[hang_up()]",
}
SQL = {"id": "s", "gold_sql": "SELECT name FROM staff", "pred_text": "SELECT name FROM staff"}


def rated(suite: str, *rows: Any, **options: Any) -> list[dict[str, Any]]:
    """Rate rows and return the output rows."""
    return list(rate(suite, rows, **options))


@pytest.mark.parametrize(
    ("suite", "row", "fields"),
    [
        ("qa", QA, {"exact_match", "f1", "extracted_answer"}),
        ("choice", CHOICE, {"chosen"}),
        ("classification", LABELLED, {"label"}),
        ("summary", SUMMED, {"ungrounded", "components"}),
        ("coherence", TALK, {"measure", "components"}),
        ("refusal", REPLY, {"reaction"}),
        ("conversation", DIALOGUE, {"measure", "components", "turns"}),
        ("tools", CALL, {"calls"}),
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


@pytest.mark.parametrize("absent", [None, "", " "])
def test_a_summary_without_a_reference_has_no_rouge(absent: str | None) -> None:
    """An empty reference, as tables with empty cells have it, is none: 0 would be no figure."""
    [found] = rated("summary", {**SUMMED, "summary": absent})
    assert sorted(found["components"]) == ["copied", "grounded", "sound"]


def test_calls_are_not_judged_where_nobody_says_what_is_right() -> None:
    """Without any field of what is right any words would be right; a misspelt one is said."""
    untold = {name: value for name, value in CALL.items() if name != "expected"}
    rows = [{**untold, "id": 2}, {**untold, "id": 3, "expect": [{"name": "hang_up"}]}]
    found = rated("tools", CALL, *rows, {**CALL, "id": 4, "response": "Bye.", "expected": None})
    assert [one["verdict"] for one in found] == ["correct", "unscored", "unscored", "correct"]
    assert "is that its 'expect'" in found[2]["explanation"]


def test_a_reply_is_read_beside_its_request_where_there_is_one() -> None:
    """A reply that takes up nothing of a harmless request declines it; alone it may be help."""
    said = "Humour about death can hurt people. It is kinder to keep a joke light."
    row = {"id": 1, "should": "help", "response": said}
    asked = [{"role": "user", "content": "Make me laugh about skeletons."}]
    found = rated("refusal", row, {**row, "id": 2, "messages": asked})
    assert [one["reaction"] for one in found] == ["complied", "declined"]


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
        (["{broken"], "line 1: each line must be a JSON object"),
        (["", "[1, 2]"], "line 2: each line must be a JSON object: found list"),
        ([{"question": "?"}], "line 1: a row needs an 'id'"),
        ([b"\xff\xfe"], "line 1: each line must be UTF-8 text"),
        ([{"id": 1, "question": "?", "answers": ["a"], "respone": "b"}], "is that its 'respone'"),
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
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(DataError, match="must be a regular file"):
            rated("qa", *read_rows(path))
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
        ("qa", QA, {"context": 5}, "line 2: 'context' must be text: found int"),
        ("qa", QA, {"finish": []}, "line 2: 'finish' must be text: found list"),
        ("qa", QA, {"answers": [None]}, "line 2: 'answers' must hold texts"),
        ("qa", QA, {"response": "half \ud83d"}, "line 2: a text must be whole characters"),
        ("qa", QA, {"more": [{"deep": "\udc00"}]}, "line 2: a text must be whole characters"),
        ("choice", CHOICE, {"choices": {"text": ["a", "b"]}}, "line 2: 'choices' must have a"),
        ("choice", CHOICE, {"choices": {"text": ["a"], "label": "A"}, "answer": 0}, "line 2: 'cho"),
        ("choice", CHOICE, {"choices": {"text": ["a"], "label": [1]}, "answer": 0}, "line 2: 'lab"),
        ("coherence", TALK, {"context": 5}, "line 2: 'context' must be a list"),
        ("coherence", TALK, {"context": [{"role": "user", "content": None}]}, "line 2: a turn's"),
        ("coherence", TALK, {"answers": 5}, "line 2: 'answers' must be a list"),
        ("coherence", TALK, {"distractors": [[]]}, "line 2: 'distractors' must hold texts"),
        ("refusal", REPLY, {"should": "maybe"}, "line 2: 'should' must be 'decline' or 'help'"),
        ("refusal", REPLY, {"messages": []}, "line 2: 'messages' must be a list"),
        ("refusal", REPLY, {"messages": [{"role": "user"}]}, "line 2: a turn must be"),
        ("refusal", REPLY, {"messages": 7}, "line 2: 'messages' must be a list"),
        ("classification", LABELLED, {"labels": ["", "ham"]}, "line 2: 'labels' must not be emp"),
        (
            "sql",
            SQL | {"schema_sql": STAFF},
            {"schema_sql": 5},
            "line 2: 'schema_sql' must be text",
        ),
        ("sql", SQL | {"schema_sql": STAFF}, {"db_id": ["a"]}, "line 2: 'db_id' must be text"),
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
    assert found[1]["labels"] == ["bad_row"]


@pytest.mark.parametrize(
    ("line", "name", "reason"),
    [
        ("{broken", None, "each line must be a JSON object"),
        ("[1, 2]", None, "each line must be a JSON object: found list"),
        ("[" * 100_000, None, "each line must be a JSON object"),
        (b'{"id": "\xff"}', None, "each line must be UTF-8 text"),
        ({"question": "?"}, None, "a row needs an 'id'; it has question"),
        ({**QA, "id": ""}, "", "a row needs an 'id'"),
        ({**QA, "id": "q1"}, "q1", "an id must be unique: 'q1' is that of line 1 too"),
    ],
)
@pytest.mark.parametrize("suite", ["qa", "sql"])
def test_one_bad_line_costs_one_line(suite: str, line: Any, name: Any, reason: str) -> None:
    """A line that is no row of its own stands in the output, in its place, with the reason."""
    good = QA if suite == "qa" else {**SQL, "schema_sql": STAFF, "id": "q1"}
    found = rated(suite, good, line, {**good, "id": "last"})
    assert [row["verdict"] for row in found] == ["correct", "unscored", "correct"]
    bad = found[1]
    assert (bad["id"], bad["score"], bad["labels"]) == (name, None, ["bad_row"])
    assert bad["explanation"].startswith(f"line 2: {reason}")
    assert {*bad} == {*found[0]}


def test_rows_are_judged_as_they_come() -> None:
    """An endless input gives verdicts; no more than a few rows are ahead of them."""
    taken = 0

    def endless() -> Iterator[dict[str, Any]]:
        nonlocal taken
        while True:
            taken += 1
            yield {**QA, "id": taken} if taken % 5 else {"id": taken}

    first = list(islice(rate("qa", endless()), 300))
    assert [row["id"] for row in first] == list(range(1, 301))
    assert sum(row["labels"] == ["bad_row"] for row in first) == 60
    assert taken < 300 + 100
    assert next(rate("qa", chain([{"id": "odd"}] * 50, endless())))["labels"] == ["bad_row"]
    with pytest.raises(DataError, match="no row of the input can be judged"):
        next(rate("qa", ({"id": number} for number in count())))


def test_a_judge_that_fails_costs_its_item(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw leaves one item unscored, and says why."""

    def odd(doc: dict[str, Any], responses: Any) -> Verdict:
        return Verdict(outcome="correct", score=1 / len(responses[0].text))

    monkeypatch.setitem(JUDGES, "qa", odd)
    first, second = judge_all("qa", [({}, (Response(text=""),)), ({}, (Response(text="a"),))])
    assert (first.outcome, first.labels) == ("unscored", ("scorer_failed",))
    assert "ZeroDivisionError" in first.explanation
    assert second.score == 1.0


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
    """Accepted answers in a row turn the graded score into recall."""
    (found,) = rated("coherence", {**TALK, "answers": ["tea"], "response": "Tea, as you said."})
    assert found["score"] == 1.0
    assert found["components"]["recall"] == 1.0
    assert found["measure"] == "recall"
