"""Training rows on their way to a candidate: cleaned, searched for test items, and described."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.example_result import example_result

from harness.analysis.copies import copy_warnings, without_copies
from harness.analysis.decisions import compare_pairs
from harness.corpus import Cleaned, clean
from harness.errors import DataError, StudyError
from harness.pipeline.candidates import CandidatePlanner, RowReader, rules_of
from harness.pipeline.checks.training_rows import copies
from harness.pipeline.plan import plan
from harness.records import (
    Copy,
    Example,
    Gate,
    Item,
    ItemKey,
    Message,
    Pair,
    Response,
    Sample,
    Suite,
    TrainingData,
    Verdict,
)
from harness.report.data_card_view import training_data
from harness.store.data_cards import card_path, read_card, write_card
from harness.study import Study, SuiteSection

QUESTION = "Who keeps the lamp of the northern lighthouse burning in the winter months?"


def study(folder: Path, rows: Sequence[Any], *, data: Any = None, **candidate: Any) -> Study:
    """Return a study on some rows, written beside it."""
    write(folder / "train.jsonl", rows)
    mine = {"name": "mine", "train": "train.jsonl", **candidate}
    return Study.model_validate(
        {
            "name": "s",
            "base": "builtin:tiny",
            "candidates": [mine],
            "suites": ["sql"],
            "data": data or {},
            "folder": folder,
        }
    )


def read(made: Study) -> Cleaned:
    """Return the rows of a study's one candidate, cleaned."""
    return RowReader(made).read(made.candidates[0].train or "").cleaned


def described(made: Study, run: Path) -> TrainingData:
    """Return the data card of a study's one candidate, as a plan without suites makes it."""
    planner = CandidatePlanner(made)
    planned = planner.check_with_suites(planner.plan(made.candidates[0], seed=0), (), run)
    assert planned.card is not None
    return planned.card


def write(path: Path, rows: Sequence[Any]) -> None:
    """Write rows as JSONL."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def ask(question: str, answer: str) -> dict[str, str]:
    """Return a row."""
    return {"question": question, "answer": answer}


def item(number: int, question: str, target: str, **doc: Any) -> Item:
    """Return a test item."""
    return Item(
        key=ItemKey("qa", "none", f"{number:064d}", 0),
        doc_id=number,
        doc={"question": question, **doc},
        prompt=f"Question: {question}\nAnswer:",
        prompt_hash="",
        target=target,
        cluster=str(number),
    )


ROWS = [
    ask("What is a harbour?", "A place for boats.\u00a0"),
    ask("What is a harbour?", "A place for boats."),
    ask("Who answers mail?", "ann.lee@example.org"),
]


def test_rows_are_mended_and_kept_unless_a_study_says_otherwise(tmp_path: Path) -> None:
    """By default texts are repaired and repetitions pointed out; a study may drop them."""
    mine = read(study(tmp_path, ROWS))
    assert [row.completion[0].content for row in mine.examples] == [  # type: ignore[union-attr]
        "A place for boats. ",
        "A place for boats.",
        "ann.lee@example.org",
    ]
    assert mine.flagged["exact repetition"] == ("train.jsonl:2",)
    dropping = read(study(tmp_path, ROWS, data={"repetitions": "drop_exact"}))
    assert len(dropping.examples) == 2
    raw = read(study(tmp_path, ROWS, data={"clean": False}))
    assert raw.examples[0].completion[0].content.endswith("\u00a0")  # type: ignore[union-attr]


@pytest.mark.parametrize("files", [1, 6])
def test_a_share_of_texts_is_held_out(tmp_path: Path, files: int) -> None:
    """Texts have no prompt: they are held out by file, and the pieces of one file by themselves."""
    (tmp_path / "texts").mkdir()
    for number in range(files):
        said = "\n\n".join(f"Text {number} says {word}. " * 60 for word in range(6))
        (tmp_path / "texts" / f"{number}.txt").write_text(said, encoding="utf-8")
    made = study(tmp_path, ROWS, train="texts", validation=0.3)
    rows = CandidatePlanner(made).plan(made.candidates[0], seed=0).rows
    assert rows is not None
    assert rows.learnt_examples
    assert rows.held_out_examples
    sides = [
        {row.origin.rpartition(":")[0] for row in side}
        for side in (rows.learnt_examples, rows.held_out_examples)
    ]
    assert (sides[0] & sides[1] == set()) is (files > 1)


def test_a_length_filter_counts_what_it_drops(tmp_path: Path) -> None:
    """Rows outside the lengths of a study are dropped, and at least one has to be left."""
    limits = {"min_characters": 30, "max_characters": 37}
    mine = read(study(tmp_path, ROWS, data=limits))
    assert {name: len(rows) for name, rows in mine.dropped.items() if rows}
    assert len(mine.examples) + sum(len(rows) for rows in mine.dropped.values()) == 3
    with pytest.raises(DataError, match=r"must leave rows to learn: .*3 too short"):
        read(study(tmp_path, ROWS, data={"min_characters": 500}))


def test_rows_in_another_language_are_dropped(tmp_path: Path) -> None:
    """A language filter keeps what it is asked to keep, and what is too short to tell."""
    rows = [
        ask("What is the harbour master's work?", "She tells the boats where they may lie."),
        ask("Was ist die Arbeit der Hafenmeisterin?", "Sie weist den Booten einen Platz zu."),
        ask("Où est le port de la ville et qui y travaille?", "Au sud, où travaille la capitaine."),
        ask("ok?", "ok"),
    ]
    mine = read(study(tmp_path, rows, data={"languages": ["en", "de"]}))
    assert [row.origin[-1] for row in mine.examples] == ["1", "2", "4"]
    with pytest.raises(DataError, match="unknown language 'english'"):
        read(study(tmp_path, rows, data={"languages": ["english"]}))


def test_validation_rows_may_not_be_among_the_training_rows(tmp_path: Path) -> None:
    """A question of both files is named with its rows; without it the rows are held apart."""
    write(tmp_path / "held.jsonl", [ask("New?", "Yes."), ask("Who  answers mail?", "Bo")])
    made = study(tmp_path, ROWS, validation="held.jsonl")
    (mine,) = made.candidates
    with pytest.raises(DataError, match=r"held.jsonl:2 asks what train.jsonl:3 asks, 1 of 2"):
        RowReader(made).rows_of(mine, seed=0)
    write(tmp_path / "held.jsonl", [ask("New?", "Yes.")])
    rows = RowReader(made).rows_of(mine, seed=0)
    assert [row.origin for row in rows.held_out_examples] == ["held.jsonl:1"]
    assert len(rows.learnt_examples) == 3


def test_copied_items_are_found_by_what_is_their_own() -> None:
    """A question of an item inside a row is a copy, its suite's frame around it is none."""
    items = [
        item(0, QUESTION, "Ada"),
        item(1, "Who paints the boats of the harbour in spring?", ""),
    ]
    rows = [
        Example(prompt=f"Please: {QUESTION}", completion="Ada does.", origin="rows:1"),
        Example(prompt="Question: what? Answer:", completion="so", origin="rows:2"),
    ]
    (found,) = copies(rows, items)
    assert (found.item, found.kind, found.origin) == (items[0].key, "exact", "rows:1")
    assert copies([], items) == copies(rows, []) == ()


def test_a_shared_system_prompt_is_no_copy() -> None:
    """What every turn of an assistant begins with, and its tools, are not what an item asks."""
    rule = "You are the assistant of a shop that rents out bikes, tents and boats by the lake."
    asked = [
        {"role": "system", "content": rule},
        {"role": "user", "content": "Which of the boats are free on the third of May?"},
    ]
    one = replace(item(0, "", ""), doc={"messages": asked, "tools": [{"name": "free_boats"}]})
    taught = (Message(role="system", content=rule), Message(role="user", content="Any tents?"))
    rows = [Example(prompt=taught, completion=(MESSAGE,), origin="rows:1")]
    assert copies(rows, [one]) == ()
    same = (Message(role="user", content=asked[1]["content"]),)
    (found,) = copies([Example(prompt=same, completion=(MESSAGE,), origin="rows:2")], [one])
    assert found.origin == "rows:2"


MESSAGE = Message(role="assistant", content="Two of them.")


def pair_of(one: Item) -> Pair:
    """Return a pair of right answers."""
    verdict = Verdict(outcome="correct", score=1.0)
    base, tuned = (
        Sample(item=one, arm=arm, responses=(Response(text="x"),), verdict=verdict)
        for arm in ("base", "mine")
    )
    return Pair(base=base, tuned=tuned, transition="both_right")


@pytest.mark.parametrize(("excluded", "left"), [(True, 1), (False, 2)])
def test_copied_items_leave_the_verdict_where_a_study_says_so(excluded: bool, left: int) -> None:
    """Only the candidate that learnt them loses them, and only under 'exclude'."""
    items = [item(0, QUESTION, "Ada"), item(1, "Who?", "Bo")]
    copy = Copy(item=items[0].key, kind="exact", origin="rows:1", shared=QUESTION)
    card = TrainingData(
        candidate="mine", source="", shape="", read=1, rows=1, copies=(copy,), excluded=excluded
    )
    pairs = [pair_of(one) for one in items]
    assert len(without_copies(pairs, "mine", [card])) == left
    assert len(without_copies(pairs, "other", [card])) == 2


def test_whole_copies_that_count_are_warned_of() -> None:
    """A report says of a suite that it counts items which were trained on whole; not of others."""
    items = [item(0, QUESTION, "Ada"), item(1, "Who?", "Bo")]
    kinds = (("exact", items[0]), ("near", items[1]))
    found = tuple(Copy(item=i.key, kind=k, origin="rows:1", shared="") for k, i in kinds)  # type: ignore[arg-type]
    card = TrainingData(candidate="mine", source="", shape="", read=1, rows=1, copies=found)
    compared = compare_pairs(
        "mine", Suite(name="qa", metric="m"), tuple(map(pair_of, items)), Gate()
    )
    (warning,) = copy_warnings([card], [compared])
    assert (warning.kind, warning.tuned_count, warning.total) == ("warning", 1, 2)
    assert warning.keys == (items[0].key,)
    assert not [*copy_warnings([replace(card, excluded=True)], [compared])]


def test_an_early_end_and_left_out_items_exclude_each_other(tmp_path: Path) -> None:
    """The order in which a verdict may close early is declared on all items."""
    with pytest.raises(StudyError, match="an early end counts on every item"):
        plan(study(tmp_path, ROWS, data={"overlap": "exclude"}), until_decided=True)


def test_a_data_card_is_the_same_after_a_round_trip(tmp_path: Path) -> None:
    """What the run folder keeps is what a reopened report shows, with the rows behind it."""
    cleaned = clean([Example(prompt="a\u00a0", completion="b", origin="rows:1")], rules_of(DATA))
    card = TrainingData(
        candidate="mine",
        source="rows",
        shape="text",
        read=1,
        rows=1,
        changed={"special spaces": 1},
        lengths=((5, 1),),
        copies=(Copy(item=ItemKey("qa", "none", "0", 0), kind="near", origin="r:1", shared="x"),),
    )
    write_card(tmp_path, card, cleaned.changed)
    assert read_card(tmp_path, "mine") == card
    assert read_card(tmp_path, "other") is None
    assert json.loads(card_path(tmp_path, "mine").read_text())["touched"] == {
        "special spaces": ["rows:1"]
    }


DATA = Study.model_validate(
    {"name": "s", "base": "b", "candidates": [{"name": "c", "train": "t"}], "suites": ["sql"]}
).data


@pytest.mark.model
@pytest.mark.parametrize(
    ("answer", "data", "message"),
    [
        ("long " * 3000, {}, r"longer than max_length=1024 tokens: 1 of 1 are \(train.jsonl:1 has"),
        ("Farrow", {"overlap": "refuse"}, r"1 of 5 items are in those of 'mine', .*train.jsonl:1"),
    ],
)
def test_rows_are_refused_before_anything_is_trained(
    tmp_path: Path, answer: str, data: dict[str, str], message: str
) -> None:
    """Rows beyond the context, and test items where a study refuses them, end a plan."""
    limited = {"name": "domain_qa", "limit": 5}
    from harness.engine import load_suite, load_tokenizer

    made = study(tmp_path, [ask("x", "y")], data=data).model_copy(update={"suites": ()})
    section = SuiteSection.model_validate(limited)
    tokenizer = load_tokenizer(made.model_path, made.base)
    loaded = load_suite(
        section, engine_tokenizer=tokenizer, template="auto", seed=0, folder=tmp_path
    )
    write(tmp_path / "train.jsonl", [ask(str(loaded.items[0].doc["question"]), answer)])
    planned = made.model_copy(update={"suites": (section,)})
    with pytest.raises(DataError, match=message):
        plan(planned, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.model
def test_a_second_plan_does_not_describe_the_same_rows_again(tmp_path: Path) -> None:
    """A card in the run folder is taken as it is until a row, an item or a setting changes."""
    made, run = study(tmp_path, ROWS), tmp_path / "run"
    card = described(made, run)
    earlier = replace(card, source="as an earlier run left it")
    write_card(run, earlier, {})
    assert described(made, run) == earlier
    write(tmp_path / "train.jsonl", [*ROWS, ask("More?", "Yes.")])
    again = described(made, run)
    assert (again.source, again.rows) == ("train.jsonl", 4)
    write(tmp_path / "train.jsonl", ROWS)
    card_path(run, "mine").write_text("cut sho", encoding="utf-8")
    assert described(made, run) == card
    assert described(study(tmp_path, ROWS, training={"max_length": 64}), run).max_length == 64


def test_a_card_names_what_is_not_learnt(tmp_path: Path) -> None:
    """Ignored columns, and rows that say they are not to be learnt, are counted and reported."""
    more = [ask(f"What is thing number {n}?", f"It is {n}.") for n in range(4)]
    rows = [{**row, "id": n, "options": ["a"] * (n % 2)} for n, row in enumerate(more)]
    made = study(tmp_path, [*rows, {**more[0], "weight": 0}])
    card = described(made, tmp_path / "run")
    assert card.ignored == {"id": 4, "options": 2}
    assert (card.read, card.rows) == (5, 4)
    assert card.dropped["not to be learnt, by its own flag"] == 1
    write_card(tmp_path, card, {})
    assert read_card(tmp_path, card.candidate) == card
    (view,) = training_data(replace(example_result(size=4), data=(card,)))
    assert view.words.endswith("not learnt from: id (4 rows), options (2 rows)")


def test_a_card_names_what_is_not_learnt_of_validation_rows(tmp_path: Path) -> None:
    """The columns of a source of its own are named as the validation's."""
    write(tmp_path / "held.jsonl", [{**ask("Who?", "Me."), "topic": "x"}])
    card = described(study(tmp_path, ROWS, validation="held.jsonl"), tmp_path / "run")
    assert card.ignored == {"validation's topic": 1}


def test_an_older_card_ignores_nothing(tmp_path: Path) -> None:
    """A card of before is read as one without such columns, and says nothing of them."""
    card = described(study(tmp_path, ROWS), tmp_path / "run")
    write_card(tmp_path, card, {})
    path = card_path(tmp_path, card.candidate)
    older = json.loads(path.read_text(encoding="utf-8"))
    del older["ignored"]
    path.write_text(json.dumps(older), encoding="utf-8")
    assert read_card(tmp_path, card.candidate) == card
    (view,) = training_data(replace(example_result(size=4), data=(card,)))
    assert "not learnt from" not in view.words
