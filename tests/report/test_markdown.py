"""report.md: safe in a pull request, whatever models say, and never too long."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.example_result import example_result, saying

from harness import report
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


def test_the_first_lines_hold_the_verdict() -> None:
    """A reader who sees ten lines knows which candidate ships and what broke."""
    top = "\n".join(report.markdown(example_result()).splitlines()[:10])
    assert "mixed: ships" in top
    assert re.search(r"narrow: do not ship\. Science questions lost 32 points", top)
    assert "practically certain" in top


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
