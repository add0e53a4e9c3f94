"""From a draw through each form that is no spreadsheet, and back: the same ratings."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from support.example_result import example_result
from support.rated_sheets import drawn

from harness.errors import DataError
from harness.review import Collected, collect
from harness.review.forms.rater_zip import packet_in
from harness.review.forms.served_ratings import SERVED, ServedRatings, served_files
from harness.review.packet import CHOICES, Packet, RowRating, ratings_json

FORMS = {"sql": "direct"}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Draw for two raters, SQL with two numbers, all else by preference."""
    return drawn(example_result().comparisons, tmp_path, items=4, forms=FORMS)


def packet_of_rater(files: dict[str, Path], rater: int) -> Packet:
    """Return what a rater sees."""
    return packet_in(files[f"rater-{rater}.zip"].read_bytes())


def ratings(packet: Packet) -> list[RowRating]:
    """Rate every row in all ways that its form offers."""
    found = []
    for sheet in packet.sheets:
        for place, row in enumerate(sheet.rows):
            said = (
                {"score_a": place % 5 + 1, "score_b": 5 - place % 5}
                if sheet.form == "direct"
                else {"choice": CHOICES[place % len(CHOICES)]}
            )
            tags = {"tags_a": sheet.tags[: place % 3], "tags_b": sheet.tags[-1:]}
            found.append(RowRating(row=row.id, comment=f'"{place}";=1+1\nü', **said, **tags))
    return found


def collected(found: Collected) -> dict[str, tuple[object, ...]]:
    """Return what the draw's ratings say, by row."""
    (draw,) = found.draws
    return {
        one.row: (one.preference, one.base_score, one.base_tags, one.tuned_tags, one.comment)
        for one in draw.review.ratings
    }


def exported(packet: Packet, folder: Path) -> list[dict[str, object]]:
    """Return what Label Studio exports of the tasks that were drawn, once all are annotated."""
    rated = {rating.row: rating for rating in ratings(packet)}
    tasks = []
    for sheet in packet.sheets:
        path = folder / "label-studio" / f"rater-{packet.rater}" / f"{sheet.name}.json"
        for task in json.loads(path.read_text()):
            said = asdict(rated[task["data"]["row"]])
            result = [
                {"from_name": name, "to_name": "answer_a", "type": kind, "value": {kind: value}}
                for name, kind, value in (
                    ("choice", "choices", [said["choice"]] if said["choice"] else None),
                    ("score_a", "rating", said["score_a"]), ("score_b", "rating", said["score_b"]),
                    ("tags_a", "choices", [*said["tags_a"]] or None),
                    ("tags_b", "choices", [*said["tags_b"]] or None),
                    ("comment", "text", [said["comment"]]),
                )
                if value is not None
            ]  # fmt: skip
            tasks.append({"id": len(tasks), **task, "annotations": [{"result": result}]})
    return tasks


def test_every_form_gives_the_same_ratings(files: dict[str, Path], tmp_path: Path) -> None:
    """The page's file, a server's, Label Studio's export; a second call counts nothing twice."""
    draw = files["key"].parent
    packet = packet_of_rater(files, 1)
    page = tmp_path / "ratings.json"
    page.write_text(ratings_json(draw.name, 1, ratings(packet)))
    (draw / SERVED).mkdir()
    ServedRatings(draw / SERVED, packet).save(page.read_text())
    studio = tmp_path / "project-1.json"
    studio.write_text(json.dumps(exported(packet, draw / "for_raters")))
    first = collect(draw, [page])
    assert sum(file.new for file in first.files) == len(ratings(packet))
    assert [file.problems for file in first.files] == [()]
    assert collected(first) == collected(collect(draw, served_files(draw)))
    assert collected(first) == collected(collect(draw, [studio]))
    assert collected(first) == collected(collect(tmp_path, [page, studio, *served_files(tmp_path)]))


def test_two_raters_and_their_sides(files: dict[str, Path], tmp_path: Path) -> None:
    """What a page says of A and B becomes base and tuned by the key, for each rater apart."""
    draw = files["key"].parent
    key = json.loads(files["key"].read_text())
    sides = {
        row: known["base_side"]
        for one in key["sets"].values()
        for row, known in one["rows"].items()
    }
    for rater in (1, 2):
        packet = packet_of_rater(files, rater)
        path = tmp_path / f"{rater}.json"
        likes_a = [
            RowRating(row=row.id, choice=CHOICES[0])
            for sheet in packet.sheets
            if sheet.form == "preference"
            for row in sheet.rows
        ]
        path.write_text(ratings_json(draw.name, rater, likes_a))
    (found,) = collect(draw, [tmp_path / "1.json", tmp_path / "2.json"]).draws
    assert {one.rater for one in found.review.ratings} == {1, 2}
    assert all(
        one.preference == (-2 if sides[one.row] == "A" else 2) for one in found.review.ratings
    )
    assert len(found.review.ratings) > 20


def test_an_empty_export_is_told(files: dict[str, Path], tmp_path: Path) -> None:
    """Tasks that nobody annotated are no ratings."""
    path = tmp_path / "project.json"
    path.write_text(json.dumps([{"id": 1, "data": {"row": "row-1"}, "annotations": []}]))
    with pytest.raises(DataError, match="no task in it is annotated"):
        collect(files["key"].parent, [path])
