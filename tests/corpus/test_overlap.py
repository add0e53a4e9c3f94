"""Copies of test items in training text are found, and only those."""

from hypothesis import given
from hypothesis import strategies as st

from harness.corpus import overlap
from harness.corpus.overlap import SHORTEST

TEXTS = [
    "The cat sat on the mat, and then it went home to sleep for the whole long night.",
    "Hello there!",
]


def test_case_punctuation_and_spacing_do_not_hide_a_copy() -> None:
    """An item that stands inside a text is exact, however it is written."""
    (found,) = overlap(TEXTS, ["cat SAT on  the mat and then it"])
    assert (found.kind, found.item, found.text) == ("exact", 0, 0)


def test_short_items_count_only_when_they_are_the_whole_text() -> None:
    """'hello there' equals a row; 'the cat' occurs everywhere by chance."""
    found = overlap(TEXTS, ["hello there", "the cat"])
    assert [(entry.kind, entry.item, entry.text) for entry in found] == [("exact", 0, 1)]


def test_part_of_a_longer_item_is_an_ngram() -> None:
    """Thirteen words in a row count, twelve do not."""
    stretch = "it went home to sleep for the whole long night"
    longer = f"Say: on the mat and then {stretch} or not?"
    (found,) = overlap(TEXTS, [longer, f"x y z {stretch} u v w"])
    assert (found.kind, found.item, found.text) == ("ngram", 0, 0)
    assert found.shared.startswith("on the mat and then it went")
    assert len(overlap(TEXTS, [longer, f"x y z {stretch} u v w"], n=8)) == 2


def test_nothing_in_common_gives_nothing() -> None:
    """Disjoint texts, empty texts and empty lists have no overlap."""
    assert overlap(TEXTS, ["one two three four five six"]) == ()
    assert overlap([], ["a"]) == overlap(["a"], []) == overlap(["", " "], ["", "?"]) == ()


WORDS = st.lists(st.sampled_from("abcdefgh"), max_size=25).map(" ".join)


@given(texts=st.lists(WORDS, max_size=6), items=st.lists(WORDS, max_size=6), n=st.integers(2, 8))
def test_agrees_with_a_plain_search(texts: list[str], items: list[str], n: int) -> None:
    """The indexed search finds what comparing everything with everything finds."""

    def inside(needle: list[str], hay: list[str]) -> bool:
        return any(hay[i : i + len(needle)] == needle for i in range(len(hay) - len(needle) + 1))

    expected = {}
    for number, item in enumerate(items):
        words = item.split()
        rows = [text.split() for text in texts]
        if words and (
            words in rows or (len(words) >= SHORTEST and any(inside(words, r) for r in rows))
        ):
            expected[number] = "exact"
        elif any(inside(words[i : i + n], row) for i in range(len(words) - n + 1) for row in rows):
            expected[number] = "ngram"
    assert {e.item: e.kind for e in overlap(texts, items, n=n, near=None)} == expected


QUESTION = (
    "which of the two lighthouses on the northern coast was built first and who kept its lamp "
    "burning during the long winter of that year"
)


def test_a_reworded_copy_is_near() -> None:
    """A word changed here or there leaves most stretches of three words as they were."""
    reworded = QUESTION.replace("northern", "eastern").split()
    (found,) = overlap([f"Please tell me {' '.join(reworded)}. It was Ada."], [QUESTION], n=30)
    assert (found.kind, found.item, found.text) == ("near", 0, 0)
    assert overlap([" ".join(reversed(reworded))], [QUESTION]) == ()


def test_what_many_items_share_is_no_copy() -> None:
    """A schema that stands in every item does not make a training row on it a copy."""
    schema = "CREATE TABLE boats id INTEGER PRIMARY KEY name TEXT harbour TEXT length INTEGER year"
    items = [f"{schema} question {i} {i + 1} asks for boat {i * 7}" for i in range(30)]
    assert overlap([f"{schema} another question about all of them"], items) == ()
    copied = overlap([f"{schema} another", items[7]], [*items, items[7]])
    assert {(entry.kind, entry.item) for entry in copied} == {("exact", 7), ("exact", 30)}


@given(texts=st.lists(WORDS, max_size=6), items=st.lists(WORDS, max_size=6))
def test_near_adds_items_and_changes_none(texts: list[str], items: list[str]) -> None:
    """Looking for near copies changes nothing about the exact and partial ones."""
    without = {e.item: e for e in overlap(texts, items, n=5, near=None)}
    with_near = {e.item: e for e in overlap(texts, items, n=5)}
    assert {i: e for i, e in with_near.items() if e.kind != "near"} == without
