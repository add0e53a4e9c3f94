"""Multiple choice in free text: which choice a response names."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.scoring import choice, read_choice

CITIES = ("Paris", "Rome", "London", "New London")


@pytest.mark.parametrize(
    ("response", "chosen"),
    [
        ("B", 1),
        ("b", 1),
        ("(B)", 1),
        ("B.", 1),
        ("B) Rome", 1),
        ("B: Rome", 1),
        ("**B**", 1),
        ("B Rome", 1),
        ("Rome", 1),
        ("rome.", 1),
        ("The answer is B.", 1),
        ("The answer is (b).", 1),
        ("Answer: B", 1),
        ("The correct answer is Rome.", 1),
        ("I think it's Rome, since it is the capital of Italy.", 1),
        ("Option B is the best one.", 1),
        ("Let me think. Paris is in France. So the answer is B.", 1),
        ("The answer is A. No wait, the answer is B.", 1),
        ("$\\boxed{B}$", 1),
        ("<think>A? C?</think>B", 1),
        ("It is New London.", 3),
        ("Not Paris, so Rome.", 1),
        ("A city in Italy: Rome", 1),
        ("B\nUser: and A?", 1),
        ("B because Paris is in France", 1),
        ("B is right", 1),
        ("A is wrong, it is Rome", 1),
        ("B, unlike Paris or London, lies in Italy", 1),
        ("The answer is B since Paris is in France", 1),
        ("The answer is A because of the river", 0),
        ("A because of the river", 0),
        ("B. London", None),
        ("Paris or Rome", None),
        ("(A) or (B)", None),
        ("I don't know.", None),
        ("Berlin", None),
        ("A large one.", None),
        ("I would visit all of them.", None),
        ("", None),
    ],
)
def test_reading_a_choice(response: str, chosen: int | None) -> None:
    """The letter or the text of one choice is read; two are none."""
    assert read_choice(CITIES, "ABCD", response)[0] == chosen


def test_labels_of_the_prompt_count() -> None:
    """Labels are those that the prompt showed, and come before texts that look like labels."""
    assert read_choice(["3", "4", "5"], ["1", "2", "3"], "3")[0] == 2
    assert read_choice(["3", "4", "5"], ["A", "B", "C"], "3")[0] == 0
    assert read_choice(["x", "y"], ["1", "2"], "The answer is 2")[0] == 1


def test_the_causes_tell_form_from_knowledge() -> None:
    """A wrong choice, no choice, two choices and a refusal are different findings."""
    causes = {
        "A": "wrong_choice",
        "Berlin": "no_answer",
        "Paris, Rome": "ambiguous",
        "B. London": "conflict",
        "I cannot answer this.": "abstained",
        "": "empty",
        "no no no no no no no no no no no": "repetition",
    }
    found = {text: choice(CITIES, 1, text).labels[0] for text in causes}
    assert found == causes
    assert choice(CITIES, 1, "Let us see", finish="length").labels == ("truncated",)


def test_an_answer_outside_the_choices_is_the_rows_fault() -> None:
    """A row whose right answer is no choice leaves the item unscored."""
    assert choice(CITIES, 7, "A").outcome == "unscored"


@settings(deadline=None)
@given(
    st.lists(st.text(alphabet="bcdefgh", min_size=3, max_size=8), min_size=2, unique=True),
    st.text(max_size=80),
    st.data(),
)
def test_every_response_gets_a_verdict(texts: list[str], noise: str, data: st.DataObject) -> None:
    """Any text is judged; a label alone is always read as that choice."""
    texts = texts[:5]
    right = data.draw(st.integers(0, len(texts) - 1))
    assert choice(texts, right, noise).score in {0.0, 1.0}
    for index in range(len(texts)):
        assert choice(texts, right, f"({'ABCDE'[index]})").details["chosen"] == index
