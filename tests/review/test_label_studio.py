"""Label Studio: what it imports tells no arm, and what it exports becomes ratings."""

import json
from xml.etree import ElementTree

import pytest
from support.example_result import XSS
from support.packets import packet, sheet

from harness.review.forms import label_studio_files, label_studio_ratings
from harness.review.packet import CANNOT_JUDGE, CHOICES, RowRating


def exported(task: dict[str, object], *annotations: dict[str, object]) -> dict[str, object]:
    """Return a task as Label Studio's JSON export has it, with what else it puts there."""
    told = [
        {"id": number, "completed_by": 1, "was_cancelled": False, "lead_time": 3.1,
         "created_at": "2026-11-20T10:00:00Z", "updated_at": f"2026-11-20T10:0{number}:00Z", **one}
        for number, one in enumerate(annotations)
    ]  # fmt: skip
    return {"id": 7, "inner_id": 1, "project": 2, "predictions": [], **task, "annotations": told}


def region(name: str, kind: str, value: object) -> dict[str, object]:
    """Return what one control says."""
    return {"id": "x1", "type": kind, "origin": "manual", "from_name": name,
            "to_name": "answer_a", "value": {kind: value}}  # fmt: skip


def test_a_project_for_each_set() -> None:
    """Tasks hold row and texts only; the controls offer what the form offers, nothing is HTML."""
    shown = packet(sheet("sql", texts=(*XSS, "$answer_b")), sheet("qa", form="direct", count=2))
    files = label_studio_files(shown)
    assert sorted(files) == ["qa-set-1.json", "qa-set-1.xml", "sql-set-1.json", "sql-set-1.xml"]
    for each in shown.sheets:
        tasks = json.loads(files[f"{each.name}.json"])
        assert [task["data"]["row"] for task in tasks] == [row.id for row in each.rows]
        assert {*tasks[0]["data"]} == {"row", "question", "reference", "answer_a", "answer_b"}
        assert {*tasks[0]} == {"data"}
        view = ElementTree.fromstring(files[f"{each.name}.xml"])
        assert {node.tag for node in view.iter()} <= {
            "View", "Header", "Text", "Choices", "Choice", "TextArea", "Rating"
        }  # fmt: skip
        names = {node.get("name") for node in view.iter()}
        assert {node.get("toName") for node in view.iter()} <= names
        offered = [node.get("value") for node in view.find("Choices[@name='choice']")]
        assert offered == ([CANNOT_JUDGE] if each.form == "direct" else [*CHOICES])
        tags = [node.get("value") for node in view.find("Choices[@name='tags_b']")]
        assert tags == [*each.tags]


def test_an_export_becomes_ratings() -> None:
    """The newest annotation that was not cancelled counts; what was not annotated is left out."""
    first, second, third, _ = json.loads(
        label_studio_files(packet(sheet(count=4)))["sql-set-1.json"]
    )
    said = [region("choice", "choices", ["both bad"]), region("comment", "text", ["one", "two"]),
            region("tags_b", "choices", ["wrong join", "wrong form"])]  # fmt: skip
    export = [
        exported(first, {"result": [region("choice", "choices", ["both good"])]}, {"result": said},
                 {"was_cancelled": True, "result": []}),
        exported(second),
        exported(third, {"result": [region(f"score_{side}", "rating", score)
                                    for side, score in (("a", 4), ("b", 1))]}),
    ]  # fmt: skip
    assert label_studio_ratings(export) == [
        RowRating(row="row-sql-0", choice="both bad", tags_b=("wrong join", "wrong form"),
                  comment="one\ntwo"),
        RowRating(row="row-sql-2", score_a=4, score_b=1),
    ]  # fmt: skip


@pytest.mark.parametrize("export", [[1], [{"data": {}}], [{"data": {"row": "x"}}], {"a": 1}])
def test_another_format_is_told(export: object) -> None:
    """The short forms of an export, and other files, say which format to choose."""
    with pytest.raises(ValueError, match="format 'JSON'"):
        label_studio_ratings(export)
