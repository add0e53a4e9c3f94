"""Cleaning, repetitions and held-out rows: what changes, what goes, what stays together."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.corpus import Cleaning, Rules, clean, hold_out, near_duplicates
from harness.corpus.mend import mended
from harness.errors import DataError
from harness.records import Example, Message


def row(prompt: str, completion: str, number: int = 1) -> Example:
    """Return a plain-text row."""
    return Example(prompt=prompt, completion=completion, origin=f"rows.jsonl:{number}")


@pytest.mark.parametrize(
    ("before", "after", "step"),
    [
        ("a \r\nb", "a\nb", "line breaks and spaces at line ends"),
        ("a\x00b\u200bc", "abc", "control and invisible characters"),
        ("a\ud83db", "ab", "control and invisible characters"),
        ("a\u00a0b", "a b", "special spaces"),
        ("e\u0301", "é", "Unicode composed (NFC)"),
        ("cafÃ© costs", "café costs", "broken encoding repaired"),
        ("the companyâ€™s", "the company’s", "broken encoding repaired"),
    ],
)
def test_each_step_is_counted_by_row(before: str, after: str, step: str) -> None:
    """A step changes what it says, and only its own count moves."""
    done = clean([row("q", before, 7), row("other question", "x", 8)])
    assert done.examples[0].completion == after
    assert {name: origins for name, origins in done.changed.items() if origins} == {
        step: ("rows.jsonl:7",)
    }


def test_turns_are_cleaned_like_texts() -> None:
    """Conversations go through the same steps, turn by turn."""
    chat = Example(
        prompt=(Message(role="user", content="hi\x00"),),
        completion=(Message(role="assistant", content="yo"),),
        origin="r",
    )
    (done,) = clean([chat]).examples
    assert done.prompt == (Message(role="user", content="hi"),)


def test_leading_and_trailing_spaces_of_texts_stay() -> None:
    """The space before an answer is part of what is learnt."""
    assert clean([row("Q: ", " yes ")]).examples[0].completion == " yes "


def test_repetitions_are_dropped_once_and_named() -> None:
    """The first of its kind stays; exact and near repetitions are told apart."""
    long = "the company pays for one train ticket a month if it is asked for in time"
    done = clean(
        [
            row("How is travel paid?", long, 1),
            row("How is  travel paid?", long, 2),
            row("How is travel paid?", long + " please", 3),
            row("How is lunch paid?", "it is not", 4),
            row("What?", " \u200b", 5),
        ],
        Rules(repetitions="drop"),
    )
    assert [example.origin[-1] for example in done.examples] == ["1", "4"]
    assert done.dropped == {
        "nothing to learn": ("rows.jsonl:5",),
        "exact repetition": ("rows.jsonl:2",),
        "near repetition": ("rows.jsonl:3",),
    }


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("write to ann.lee@example.org today", "e-mail address"),
        ("call +44 20 7946 0958", "phone number"),
        ("key sk-abcdefghijklmnop1234", "secret key"),
        ("that is \ufffd lost", "broken encoding"),
        ("call me in 2024 or 2025, price 1234567", None),
        ("call (555) 123-4567 or 555-123-4567", "phone number"),
        ("open on 2024-01-15 10:30 and 2024-02-16", None),
        ("the server is 192.168.10.25, port 8080", None),
        ("SELECT a FROM t WHERE b BETWEEN 1000 AND 2000 OR c IN (10, 20, 30, 40, 50)", None),
    ],
)
def test_what_a_person_should_see_is_flagged_and_kept(text: str, flag: str | None) -> None:
    """Personal data and broken encodings are pointed out, never changed."""
    done = clean([row("q", text)])
    assert done.examples[0].completion == text
    assert [name for name, origins in done.flagged.items() if origins] == ([flag] if flag else [])


def test_a_changed_sign_is_no_repetition() -> None:
    """Two queries that differ in one comparison teach two different things."""
    rows = [
        row(
            "how many employees earn more than 30", "SELECT count(*) FROM employees WHERE pay > 30"
        ),
        row(
            "how many employees earn less than 30", "SELECT count(*) FROM employees WHERE pay < 30"
        ),
    ]
    assert clean(rows, Rules(repetitions="drop")).examples == tuple(rows)


def test_near_duplicates_are_found_among_many() -> None:
    """Of texts with one word in thirty changed all are found; unrelated ones are left alone."""
    draw = random.Random(1)
    vocabulary = [f"w{i}" for i in range(5000)]
    texts = [" ".join(draw.choices(vocabulary, k=60)) for _ in range(400)]
    changed = []
    for text in texts[:200]:
        words = text.split()
        words[draw.randrange(60)] = "changed"
        words[draw.randrange(60)] = "again"
        changed.append(" ".join(words))
    assert near_duplicates(texts + changed) == {400 + i: i for i in range(200)}


@given(st.lists(st.text(alphabet="abc ", max_size=12), max_size=12))
def test_every_near_duplicate_points_to_one_that_stays(texts: list[str]) -> None:
    """No chain: what a repetition points to is itself kept, and stands earlier."""
    found = near_duplicates(texts)
    assert all(first < number and first not in found for number, first in found.items())


@given(
    groups=st.lists(st.sampled_from("abcdefghij"), min_size=2, max_size=60),
    share=st.floats(0.05, 0.6),
    seed=st.integers(0, 5),
)
def test_groups_stay_together(groups: list[str], share: float, seed: int) -> None:
    """No group is on both sides; both sides have rows; the same seed gives the same split."""
    if len(set(groups)) < 2:
        with pytest.raises(DataError, match="at least two groups"):
            hold_out(groups, share=share, seed=seed)
        return
    kept, held = hold_out(groups, share=share, seed=seed)
    assert sorted(kept + held) == list(range(len(groups)))
    assert kept
    assert held
    assert not {groups[i] for i in kept} & {groups[i] for i in held}
    assert (kept, held) == hold_out(groups, share=share, seed=seed)


def test_the_share_is_met() -> None:
    """With many small groups the held-out share is what was asked for."""
    kept, held = hold_out([f"g{i // 3}" for i in range(3000)], share=0.1, seed=0)
    assert len(held) == pytest.approx(300, abs=3)
    assert len(kept) + len(held) == 3000


def test_turns_of_one_speaker_in_a_row_become_one() -> None:
    """Many chat templates refuse doubled turns; joined, nothing of them is lost."""
    chat = Example(
        prompt=(
            Message(role="system", content="Be brief."),
            Message(role="user", content="Hi"),
            Message(role="user", content="Who are you?"),
        ),
        completion=(
            Message(role="assistant", content="A model."),
            Message(role="assistant", content="And you?"),
        ),
        origin="r:1",
    )
    done = clean([chat])
    (row,) = done.examples
    assert [turn.content for turn in row.prompt] == ["Be brief.", "Hi\n\nWho are you?"]  # type: ignore[union-attr]
    assert row.completion == (Message(role="assistant", content="A model.\n\nAnd you?"),)
    assert done.changed["turns of one speaker joined"] == ("r:1",)
    assert clean([chat], Rules(texts=False)).examples == (chat,)


VISIBLE = st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zs", "Zl", "Zp", "Mn"))


@given(st.text(alphabet=VISIBLE, max_size=40))
def test_mending_twice_changes_nothing_more(text: str) -> None:
    """What cleaning leaves is clean, and plain printable text is left alone."""
    once, _ = mended(text)
    assert mended(once) == (once, ())


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=60))
def test_plain_text_is_left_alone(text: str) -> None:
    """Printable ASCII goes through to the character."""
    assert mended(text) == (text, ())


def test_rows_pass_through_in_windows() -> None:
    """However many rows there are, each is seen once and repetitions are found across windows."""
    rows = [row(f"question {i % 7}", f"answer {i % 7}", i) for i in range(20)]
    done = Cleaning(Rules(repetitions="drop_exact"), window=3)
    assert [example.origin for example in done.rows(iter(rows))] == [
        f"rows.jsonl:{i}" for i in range(7)
    ]
    assert (done.read, len(done.dropped["exact repetition"])) == (20, 13)
