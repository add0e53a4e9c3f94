"""report.md: safe in a pull request, whatever models say, and never too long."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.example_result import example_result, saying

from harness import report
from harness.analysis.run_result import result_of
from harness.records import AnswerTime, Gate, Origin
from harness.report.lost_items import asked
from harness.report.markdown import BUDGET, code, escape

HOSTILE = [
    "::error file=x.py,line=1::you have been hacked",
    "##[error]broken",
    "<!-- harness:gate -->",
    "</details></details><h1>hi</h1>",
    "![pixel](https://example.com/a.png)",
    "@everyone please look at #1",
    "`````` fence ``````",
    "| a | table | row |",
    "line\n::set-output name=x::y\r\n# heading",
    "javascript:alert(1) [x](javascript:alert(1))",
]


def test_what_has_to_be_confirmed_is_not_headed_as_shipping() -> None:
    """Where the sentence asks for fresh items first, so does the heading."""
    result = replace(example_result(), to_confirm=True)
    assert report.markdown(result).splitlines()[1].startswith("# harbour: confirm mixed; ")


def test_what_passes_and_gains_nothing_is_not_headed_as_shipping() -> None:
    """Heading, status and headline say it as plainly as the recommendation; it still passes."""
    example = example_result()
    held = [
        replace(
            c, suite=replace(c.suite, target=True), decision=replace(c.decision, label="unchanged")
        )
        for c in example.comparisons
        if c.candidate == "mixed" and c.decision
    ]
    found = result_of(
        held, study="kunden", base_model="b", arms=example.arms, gate=Gate(),
        suites=[c.suite for c in held],
    )  # fmt: skip
    assert (found.verdict, found.recommended) == ("pass", "mixed")
    text, page = report.markdown(found), report.html(found)
    assert text.splitlines()[1] == "# kunden: nothing broke, nothing gained"
    assert "| ✓ | **mixed**: passes, gains nothing that shows |" in text
    assert "mixed passes the gate and gains nothing that shows." in page
    assert "ships" not in text
    assert "ship mixed" not in text + page


def test_the_first_lines_tell_the_story() -> None:
    """Twenty-five lines say what ships, what broke, how sure, and show three different losses."""
    top = report.markdown(example_result()).splitlines()[:25]
    assert top[1] == "# harbour: ship mixed; narrow broke Science questions"
    text = "\n".join(top)
    assert "**Ship mixed: " in text
    assert re.search(r"narrow: do not ship\. Science questions lost 32 points", text)
    assert "practically certain" in text
    assert "| ✗ | narrow: do not ship |" in text
    assert re.search(r"## 3 of \d+ items that narrow lost on Science questions", text)
    lost = [line for line in top if line.startswith("- ")]
    assert len(lost) == len(set(lost)) == 3
    assert all(re.search(r"wanted and base `.+`, narrow `.+`: `chose a wrong", ln) for ln in lost)
    assert re.search(r"Worst group: `.+`, −\d", text)


def test_a_lost_item_is_shown_without_a_template_s_tokens() -> None:
    """A question reads as it was asked, whatever the prompt around it looks like."""
    item = example_result().comparisons[0].pairs[0].base.item
    for prompt in (
        "<|user|>Who keeps the lamp?<|end|>\n<|assistant|>",
        "<s>[INST] Who keeps the lamp? [/INST]",
        "<bos><start_of_turn>user\nWho keeps the lamp?<end_of_turn>\n<start_of_turn>model\n",
        "<|start_header_id|>user<|end_header_id|>\n\nWho keeps the lamp?<|eot_id|>",
    ):
        assert asked(replace(item, prompt=prompt, doc={})) == "Who keeps the lamp?"


def test_the_command_that_makes_the_run_again_stands_there() -> None:
    """With study, rows and items by their hashes, and what answering took."""
    origin = Origin(
        command="harness run study.yaml", study_sha256="ab" * 32, rows={"mixed": "cd" * 32}
    )
    time = AnswerTime(arm="mixed", suite="sql", items=60, seconds=90.0, machine="a GPU")
    text = report.markdown(replace(example_result(), origin=origin, times=(time,)))
    assert "- run again: `harness run study.yaml`, seed 7" in text
    assert f"`sha256 {'ab' * 32}`" in text
    assert "- rows: mixed `cdcdcdcdcdcd`" in text
    assert "60 answers in 1 min 30 s on a GPU" in text


@pytest.mark.parametrize("text", HOSTILE)
def test_foreign_text_stays_inert(text: str) -> None:
    """No answer starts a line, opens HTML, makes a link or image, or speaks to a workflow."""
    marker, _, written = report.markdown(saying(text)).partition("\n")
    assert marker == "<!-- finetune-harness harbour -->"
    prose = re.sub(r"(`+)(?:(?!\1).)+?\1(?!`)", "", written)
    assert not re.search(r"(?m)^\s*(::|##\[)", written)
    assert "##[" not in written
    assert "<!--" not in written
    assert "](" not in prose
    assert "@everyone" not in prose
    assert prose.count("</details>") == prose.count("<details>")
    assert "<h1>" not in prose


@given(st.text(max_size=300))
def test_a_code_span_cannot_be_left(text: str) -> None:
    """One line, fenced by a run of backticks that the text does not have."""
    span = code(text)
    fence = re.match("`+", span)[0]
    assert "\n" not in span
    assert "\r" not in span
    assert span.endswith(fence)
    assert fence not in re.findall("`+", span[len(fence) : -len(fence)])
    span.encode()


@given(st.text(max_size=300))
def test_escaped_prose_has_no_markup(text: str) -> None:
    """Prose holds no tag, no unescaped pipe or backtick, and is one line."""
    escaped = escape(text)
    assert "\n" not in escaped
    assert "<" not in escaped
    assert not re.search(r"(?<!\\)(?:\\\\)*[`|\[]", escaped)
    escaped.encode()


@settings(max_examples=15, deadline=None)
@given(st.integers(min_value=500, max_value=20_000))
def test_the_budget_holds(budget: int) -> None:
    """Whatever the budget, the text fits and says what was left out."""
    written = report.markdown(example_result(size=60), budget=budget)
    assert len(written.encode()) <= budget
    assert "Left out for size" in written or len(written) < budget


def test_thousands_of_hostile_items_fit_a_comment() -> None:
    """However many items a run lost, and whatever they say, the comment keeps to its size."""
    written = report.markdown(saying("\n".join(HOSTILE), size=1500))
    assert len(written.encode()) <= BUDGET
    assert "more in `report.html`" in written
    assert not re.search(r"(?m)^\s*(::|##\[)", written)


def test_long_answers_fit_a_comment() -> None:
    """A large run of wide characters stays below the size of a comment."""
    written = report.markdown(saying("語" * 3000, size=200))
    assert len(written.encode()) <= BUDGET
    assert len(written) < 65_536
