"""The same rows as tasks of Label Studio, and ratings back from its JSON export.

A set becomes one project: its labelling configuration (XML) and its tasks (JSON). Texts are shown
by ``<Text>``, which renders no HTML; a task's data has no arm in it, since annotators can see it.
An export is a list of tasks, each with ``annotations`` whose ``result`` holds a region for each
control that was used (Label Studio's guide, "Export annotations").
"""

from dataclasses import asdict
from xml.etree import ElementTree

from pydantic import TypeAdapter
from typing_extensions import TypedDict  # pydantic needs it on Python 3.11

from harness.files import json_line
from harness.inputs import first_problem
from harness.review.forms.instructions import meanings
from harness.review.packet import CANNOT_JUDGE, CHOICES, SCORES, Packet, RowRating, SuiteSheet

_SHOWN = {
    "question": "Question", "reference": "Wanted answer", "answer_a": "Answer A",
    "answer_b": "Answer B",
}  # fmt: skip


class _Value(TypedDict, total=False):
    choices: list[str]
    rating: int
    text: list[str] | str


class _Region(TypedDict):
    from_name: str
    value: _Value


class _Annotation(TypedDict, total=False):
    was_cancelled: bool
    updated_at: str
    result: list[_Region]


class _Data(TypedDict):
    row: str


class _Task(TypedDict):
    data: _Data
    annotations: list[_Annotation]


def label_studio_files(packet: Packet) -> dict[str, bytes]:
    """Return what a project for each set of a rater is made from: ``<set>.xml``, ``<set>.json``."""
    files = {}
    for sheet in packet.sheets:
        files[f"{sheet.name}.xml"] = _configuration(sheet)
        tasks = [{"data": {"row": row.id, **_texts(asdict(row))}} for row in sheet.rows]
        files[f"{sheet.name}.json"] = json_line(tasks).encode("utf-8", "backslashreplace")
    return files


def _texts(row: dict[str, str]) -> dict[str, str]:
    return {name: row[name] for name in _SHOWN}


def _configuration(sheet: SuiteSheet) -> bytes:
    view = ElementTree.Element("View")
    for name, title in _SHOWN.items():
        if name != "reference" or any(row.reference for row in sheet.rows):
            ElementTree.SubElement(view, "Header", value=title)
            ElementTree.SubElement(view, "Text", name=name, value=f"${name}")
    if sheet.form == "direct":
        for name, title in (("score_a", "Answer A"), ("score_b", "Answer B")):
            ElementTree.SubElement(view, "Header", value=f"{title}, 1 useless to 5 very good")
            ElementTree.SubElement(
                view, "Rating", name=name, toName=f"answer_{name[-1]}", maxRating=str(SCORES[-1])
            )
        _choices(view, "choice", "answer_a", (CANNOT_JUDGE,), is_one=True)
    else:
        ElementTree.SubElement(view, "Header", value="Which answer is better?")
        _choices(view, "choice", "answer_a", CHOICES, is_one=True).set("required", "true")
    for side in ("a", "b"):
        ElementTree.SubElement(view, "Header", value=f"What is wrong with {side.upper()}?")
        _choices(view, f"tags_{side}", f"answer_{side}", sheet.tags, is_one=False)
    ElementTree.SubElement(view, "Header", value="Comment")
    ElementTree.SubElement(view, "TextArea", name="comment", toName="question", maxSubmissions="1")
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode").encode() + b"\n"


def _choices(
    view: ElementTree.Element, name: str, to: str, values: tuple[str, ...], *, is_one: bool
) -> ElementTree.Element:
    kind = "single-radio" if is_one else "multiple"
    block = ElementTree.SubElement(view, "Choices", name=name, toName=to, choice=kind)
    for value, meaning in meanings(values).items():
        choice = ElementTree.SubElement(block, "Choice", value=value)
        if meaning != value:
            choice.set("hint", meaning)
    return block


def label_studio_ratings(export: object) -> list[RowRating]:
    """Return the ratings of a JSON export; a task that nobody finished gives none.

    Of several annotations of a task the one that was changed last counts; one that was cancelled
    does not.

    Args:
        export: The JSON, parsed.

    Raises:
        ValueError: If it is no such export, or nothing in it is annotated.
    """
    try:
        tasks = TypeAdapter(list[_Task]).validate_python(export)
    except ValueError as error:
        raise ValueError(
            "it is no export of Label Studio with the tasks of a draw (choose the format 'JSON' "
            f"when you export): {first_problem(error)}"
        ) from error
    ratings = []
    for task in tasks:
        kept = [one for one in task["annotations"] if not one.get("was_cancelled")]
        if kept:
            newest = max(kept, key=lambda one: one.get("updated_at", ""))
            ratings.append(_rating(task["data"]["row"], newest.get("result", [])))
    if not ratings:
        raise ValueError("no task in it is annotated")
    return ratings


def _rating(row: str, result: list[_Region]) -> RowRating:
    said = {region["from_name"]: region["value"] for region in result}
    chosen = said.get("choice", {}).get("choices", [])
    text = said.get("comment", {}).get("text", [])
    return RowRating(
        row=row,
        choice=chosen[0] if chosen else "",
        score_a=said.get("score_a", {}).get("rating"),
        score_b=said.get("score_b", {}).get("rating"),
        tags_a=tuple(said.get("tags_a", {}).get("choices", ())),
        tags_b=tuple(said.get("tags_b", {}).get("choices", ())),
        comment=text if isinstance(text, str) else "\n".join(text),
    )
