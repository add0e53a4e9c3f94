"""Test questions, literals and gold SQL occur in neither pretraining nor training text.

A part of each kind of pretraining document is searched at each commit, the whole corpus of the
shipped weights every night. Its copy rows are left out: they are random token ids, in which
held-out values occur as ids by design.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache

import pytest

from harness.quickstart.pools import held_out, number_split
from harness.quickstart.pretrain import SHARD, Recipe
from harness.quickstart.pretraining_text import corpus_documents
from harness.quickstart.row_sets import CANDIDATES, training_rows
from harness.quickstart.suite_items import suite_rows

WORD = re.compile(r"\w+")
SPLITS = ("validation", "test")
GRAM = 8


def words(text: str) -> list[str]:
    """Return the lower-cased words of a text."""
    return WORD.findall(text.lower())


def grams(text: str) -> set[tuple[str, ...]]:
    """Return the runs of eight words of a text."""
    found = words(text)
    return {tuple(found[i : i + GRAM]) for i in range(len(found) - GRAM + 1)}


def turns(row: dict[str, object]) -> list[str]:
    """Return what a user says in a coherence item."""
    messages = row["messages"]
    assert isinstance(messages, list)
    return [m["content"] for m in messages if m["role"] == "user"]


@cache
def asked() -> frozenset[str]:
    """Return, as lower-cased words, every question, gold SQL and conversation of an item.

    A coherence question is among them where its phrasing is a new one; other items of that suite
    test values, on phrasings that were trained.
    """
    texts = []
    for split in SPLITS:
        for suite, rows in suite_rows(split).items():
            for row in rows:
                if suite == "coherence":
                    texts.append(" ".join(turns(row)))
                    texts += turns(row)[-1:] if row["slice"] == "new_phrasing" else []
                else:
                    texts += [str(row[key]) for key in ("question", "gold_sql") if key in row]
    return frozenset(" ".join(words(text)) for text in texts)


@cache
def runs() -> frozenset[tuple[str, ...]]:
    """Return every run of eight words within a question, a gold SQL or a user turn."""
    said = [
        turn for split in SPLITS for row in suite_rows(split)["coherence"] for turn in turns(row)
    ]
    questions = [
        str(row[key])
        for split in SPLITS
        for rows in suite_rows(split).values()
        for row in rows
        for key in ("question", "gold_sql")
        if key in row
    ]
    return frozenset(gram for text in (*said, *questions) for gram in grams(text))


@cache
def literals() -> frozenset[str]:
    """Return every literal of gold SQL and every value to recall, lower-cased."""
    found = set()
    for split in SPLITS:
        rows = suite_rows(split)
        for row in rows["sql"]:
            found |= {a or b for a, b in re.findall(r"'([^']*)'|[<>] (\d+)", str(row["gold_sql"]))}
        for row in rows["coherence"]:
            answers = row["answers"]
            assert isinstance(answers, list)
            found |= set(answers)
    return frozenset(value.lower() for value in found)


def pretraining_text() -> Iterator[str]:
    """Yield every document of the shipped weights' corpus."""
    recipe = Recipe()
    for shard in range(-(-recipe.documents // SHARD)):
        count = min(SHARD, recipe.documents - shard * SHARD)
        yield from corpus_documents(count, seed=recipe.seed, shard=shard)


@pytest.mark.nightly
def test_nothing_of_a_test_occurs_in_pretraining_text() -> None:
    """No literal as a word, no question or gold SQL as a line, and no run of eight words."""
    assert_nothing_occurs(pretraining_text())


def test_nothing_of_a_test_occurs_in_a_part_of_pretraining_text() -> None:
    """Three thousand documents, about a hundred of the rarest kind."""
    assert_nothing_occurs(corpus_documents(3000, seed=Recipe().seed))


def assert_nothing_occurs(documents: Iterable[str]) -> None:
    """Count literals, questions and runs of eight words in documents: there are none."""
    values = literals() | held_out("test") | held_out("validation")
    starts = {gram[0] for gram in runs()}
    counts = {"literal": 0, "question": 0, "eight words": 0}
    for document in documents:
        found = words(document)
        counts["literal"] += not values.isdisjoint(found)
        counts["question"] += any(" ".join(words(line)) in asked() for line in document.split("\n"))
        counts["eight words"] += any(
            found[i] in starts and tuple(found[i : i + GRAM]) in runs()
            for i in range(len(found) - GRAM + 1)
        )
    assert counts == {"literal": 0, "question": 0, "eight words": 0}


@pytest.mark.parametrize("candidate", sorted(CANDIDATES))
def test_nothing_of_a_test_occurs_in_training_rows(candidate: str) -> None:
    """No literal as a word, no question and no gold SQL; eight equal words never with a literal.

    Runs of eight words without a literal do occur: slices that test values use trained phrasings.
    """
    values = literals() | held_out("test") | held_out("validation")
    told = {gram for gram in runs() if not values.isdisjoint(gram)}
    for row in training_rows(candidate):
        texts = [m["content"] for m in (*row["prompt"], *row["completion"])]
        everything = " ".join(texts)
        assert values.isdisjoint(words(everything)), everything
        assert not told & grams(everything)
        for text in texts:
            assert not any(" ".join(words(line)) in asked() for line in text.split("\n")), text


def test_every_literal_is_one_that_training_may_not_use() -> None:
    """A literal is a held-back word, or a number of a residue class that training never draws."""
    for value in literals():
        if value.isdigit():
            assert number_split(int(value)) in SPLITS
        else:
            assert value in held_out("test") | held_out("validation")
