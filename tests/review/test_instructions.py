"""What raters read before they rate, and the zip they get it in."""

import io
import re
import zipfile

import pytest
from support.example_result import SUITES
from support.packets import KINDS, packet, sheet

from harness.content import REPORTS
from harness.errors import DataError
from harness.review.forms import instructions, rater_folder, zipped
from harness.review.forms.instructions import instructions_html
from harness.review.forms.rater_zip import packet_in
from harness.review.packet import CHOICES, GENERAL_TAGS, TAGS, Form, kind_of
from harness.review.packet import KINDS as ALL_KINDS

FORMS: tuple[Form, ...] = ("preference", "direct")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ALL_KINDS)
def test_every_kind_has_instructions_with_two_examples(kind: str, form: Form) -> None:
    """They name ratings and faults that the form offers, and explain every one of them."""
    shown = sheet(kind, form=form)
    text = instructions(shown)
    ratings = re.findall(r"- Rating: (.+?)\.", text)
    assert len(ratings) == 2
    if form == "direct":
        assert all(re.fullmatch(r"A [1-5], B [1-5]", rating) for rating in ratings)
    else:
        assert set(ratings) <= set(CHOICES)
    ticked = re.findall(r'tick\s+"([^"]+)"', text)
    assert set(ticked) <= set(shown.tags)
    assert all(re.search(rf"^- {tag}: \w", text, re.MULTILINE) for tag in shown.tags)


def test_every_fault_is_explained_once() -> None:
    """No fault of any suite is without a meaning, and no meaning is left over."""
    told = re.findall(r"^- (.+?): ", (REPORTS / "rubrics" / "faults.md").read_text(), re.MULTILINE)
    assert sorted(told) == sorted({*GENERAL_TAGS, *(tag for tags in TAGS.values() for tag in tags)})


def test_a_suite_finds_its_instructions() -> None:
    """By its judge, else by its metric; what nobody knows is one's own."""
    from dataclasses import replace

    one = SUITES[0]
    kinds = [kind_of(replace(one, judge=judge)) for judge in ("sql", "qa", "coherence", "choice")]
    assert kinds == ["sql", "qa", "conversation", "choice"]
    assert kind_of(replace(one, judge=None, metric="acc_norm")) == "choice"
    assert kind_of(replace(one, judge=None, metric="preference")) == "conversation"
    assert kind_of(replace(one, judge=None, metric="bleu")) == "own"


def test_instructions_need_no_background() -> None:
    """No word of those who train models is in them."""
    jargon = re.compile(
        r"\b(model|fine-?tun\w*|baseline|candidate|adapter|LLM|prompt|token|arm|metric|inference)\b",
        re.IGNORECASE,
    )
    for kind in KINDS:
        for form in FORMS:
            assert not jargon.search(instructions(sheet(kind, form=form))), kind


def test_headings_descend_in_a_page() -> None:
    """A title is one heading of the level that is asked for, all others lie below it."""
    found = re.findall(r"<h(\d)>", instructions_html(sheet("qa"), top=2))
    assert found[0] == "2"
    assert set(found[1:]) == {"3"}


def test_a_zip_is_the_same_bytes_each_time() -> None:
    """Nothing in it but the rater's own texts: fixed dates, rights and order, no comment."""
    shown = packet(sheet("sql"), sheet("qa", form="direct"), rater=3)
    sheets = {"b.xlsx": b"2", "a.csv": b"1"}
    files = {f"rater-3/{name}": data for name, data in rater_folder(shown, sheets).items()}
    packed = zipped(files)
    assert packed == zipped(dict(reversed(files.items())))
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        names = archive.namelist()
        assert names == sorted(names)
        assert names == [
            "rater-3/READ ME FIRST.txt", "rater-3/instructions-qa.html",
            "rater-3/instructions-sql.html", "rater-3/rate.html", "rater-3/workbooks/a.csv",
            "rater-3/workbooks/b.xlsx",
        ]  # fmt: skip
        about = {(i.date_time, i.external_attr, i.create_system, i.extra, i.comment)
                 for i in archive.infolist()}  # fmt: skip
        assert about == {((2020, 1, 1, 0, 0, 0), 0o100644 << 16, 3, b"", b"")}
        assert "rater 3" in archive.read(names[0]).decode()
        assert "How to rate: Suite of sql" in archive.read(names[2]).decode()
    assert packet_in(packed) == shown


@pytest.mark.parametrize("broken", [b"", b"PK", b"no zip", zipped({"rater-1/x": b"y"})])
def test_what_is_no_zip_of_ours_is_told(broken: bytes) -> None:
    """One sentence, whatever is wrong with it."""
    with pytest.raises(DataError, match="as it was drawn"):
        packet_in(broken)
