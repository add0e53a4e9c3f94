"""Groups of items: how they are named, which stand out, and what lost items share."""

import random
from collections.abc import Callable

import pytest

from harness.analysis import analyse, findings, pair
from harness.analysis.decisions import compare_pairs
from harness.analysis.groups.facets import facets, thirds
from harness.analysis.groups.stand_out import stand_out
from harness.analysis.groups.themes import BY_COUNTS, BY_KMEANS, themes
from harness.analysis.run_result import result_of
from harness.records import (
    Arm,
    Comparison,
    Finding,
    Gate,
    Item,
    ItemKey,
    Response,
    Sample,
    Suite,
    Verdict,
)
from harness.report import without_texts

SUITE = Suite(name="sql", metric="acc", kind="binary", judge="sql", slices=("topic",), margin=0.05)
TOPICS = ("boats", "ferries", "nets", "tides")


def item(number: int) -> Item:
    """Return a question on one of four topics, of one of three databases, short or long."""
    draw = random.Random(f"item {number}")
    topic, is_long = draw.choice(TOPICS), draw.random() < 0.5
    words = " ".join(draw.choice(("ask", "tell", "show")) for _ in range(30 if is_long else 6))
    order = " ORDER BY name" if draw.random() < 0.5 else ""
    return Item(
        key=ItemKey("sql", "none", f"{number:064d}", 0),
        doc_id=number,
        doc={"db_id": draw.choice(("harbour", "fleet", "market")), "id": f"row {number}"},
        prompt=f"{words} the {topic} of number {number}",
        prompt_hash="p",
        target=f"SELECT name FROM {topic}{order}",
        cluster=str(number),
        slices={"topic": topic},
    )


def compared(count: int, chance: Callable[[Item], float], *, seed: int = 0) -> Comparison:
    """Compare a base that is right on 80 % with a candidate whose chance depends on the item."""
    draw = random.Random(seed)

    def sample(arm: str, one: Item, chance: float) -> Sample:
        is_right = draw.random() < chance
        return Sample(
            item=one,
            arm=arm,
            responses=(Response(text=one.target if is_right else "none", finish="stop"),),
            verdict=Verdict(
                outcome="correct" if is_right else "incorrect",
                score=float(is_right),
                labels=() if is_right else ("values",),
            ),
        )

    items = [item(number) for number in range(count)]
    base = [sample("base", one, 0.8) for one in items]
    tuned = [sample("tuned", one, chance(one)) for one in items]
    return compare_pairs("tuned", SUITE, pair(base, tuned, SUITE), Gate())


def of_kind(comparison: Comparison, kind: str) -> list[Finding]:
    """Return the findings of one kind."""
    return [finding for finding in findings(comparison) if finding.kind == kind]


def test_items_are_grouped_by_fields_lengths_and_clauses() -> None:
    """Declared fields, other fields with few values, thirds by length; no field of single rows."""
    items = [item(number) for number in range(120)]
    found = facets(SUITE, items)
    names = {name for groups in found.values() for name, _ in groups}
    assert names == {
        "topic", "db_id", "prompt length", "wanted query has",
    }  # fmt: skip
    ordered = next(one for one in items if "ORDER BY" in one.target)
    assert ("wanted query has", "ORDER BY") in found[ordered.key]


def test_thirds_name_their_ends() -> None:
    """Equal lengths are no group; two lengths make two groups."""
    assert thirds([4, 4, 4], "word") is None
    assert thirds([1, 1, 2], "turn") == ["up to 1 turn", "up to 1 turn", "over 1 turn"]
    assert thirds([1, 2, 2, 2], "turn") == ["up to 1 turn", *["over 1 turn"] * 3]


def test_a_group_of_two_conditions_is_found_and_confirmed() -> None:
    """What lost is named by both of its conditions, tested on items that the search did not see."""
    comparison = compared(
        400,
        lambda one: 0.1 if one.slices["topic"] == "boats" and one.doc["db_id"] == "fleet" else 0.8,
        seed=2,
    )
    first = of_kind(comparison, "stands_out")[0]
    assert first.title == "db_id = fleet and topic = boats"
    assert first.p is not None
    assert first.p < 0.01
    assert first.delta is not None
    assert first.elsewhere is not None
    assert first.delta < -0.4 < first.elsewhere
    groups = analyse([comparison]).groups
    held = [key for key, names in groups.items() if {"db_id: fleet", "topic: boats"} <= set(names)]
    assert len(held) == first.total


def test_one_condition_is_not_named_by_two() -> None:
    """A whole topic that lost is that topic, not the topic in one database."""
    comparison = compared(400, lambda one: 0.2 if one.slices["topic"] == "nets" else 0.8, seed=1)
    confirmed = [f for f in of_kind(comparison, "stands_out") if (f.p or 0) <= 0.05]
    assert [found.title for found in confirmed] == ["topic = nets"]


def test_the_search_confirms_noise_as_rarely_as_it_says() -> None:
    """Of sixty runs without any difference between groups, at most a few confirm one."""
    alarms = 0
    for seed in range(60):
        comparison = compared(160, lambda _: 0.6, seed=seed)
        grouped = facets(SUITE, [one.base.item for one in comparison.pairs])
        alarms += any((found.p or 0) <= 0.05 for found in stand_out(comparison, grouped))
    assert alarms <= 7


def test_the_search_does_not_depend_on_the_order_of_items() -> None:
    """The halves are drawn by hashes, so any order of items gives the same findings."""
    comparison = compared(200, lambda one: 0.3 if one.slices["topic"] == "tides" else 0.8)
    turned = compare_pairs("tuned", SUITE, comparison.pairs[::-1], Gate())
    kinds = ("stands_out", "slice")
    for kind in kinds:
        found, again = (of_kind(one, kind) for one in (comparison, turned))
        assert [(f.title, f.delta, f.p) for f in found] == [(f.title, f.delta, f.p) for f in again]


@pytest.mark.parametrize(("learned", "how"), [(False, BY_COUNTS), (True, BY_KMEANS)])
def test_lost_items_are_grouped_by_their_words(learned: bool, how: str) -> None:
    """Themes are words that kept items lack, and each says by what means it was found."""
    comparison = compared(400, lambda one: 0.1 if one.slices["topic"] == "ferries" else 0.9)
    first = themes(comparison, learned=learned)[0]
    assert "ferries" in first.title
    assert first.text.endswith(how)
    pairs = {one.base.item.key: one for one in comparison.pairs}
    assert all(pairs[key].transition == "lost" for key in first.keys)


def test_a_report_without_texts_keeps_only_groups_that_no_text_names() -> None:
    """Fields that no suite declares, and words that lost items share, are text of the rows."""
    comparison = compared(400, lambda one: 0.1 if one.slices["topic"] == "ferries" else 0.9)
    analysis = analyse([comparison])
    full = result_of(
        [comparison], study="s", base_model="b", suites=[SUITE], gate=Gate(),
        arms=[Arm(name="base"), Arm(name="tuned")],
        findings=analysis.findings, groups=analysis.groups,
    )  # fmt: skip
    assert {"theme", "stands_out"} <= {finding.kind for finding in full.findings}
    bare = without_texts(full)
    names = {name.partition(":")[0] for names in bare.groups.values() for name in names}
    assert names == {"topic", "prompt length", "wanted query has"}
    assert "theme" not in {finding.kind for finding in bare.findings}
    assert not any("db_id" in finding.title for finding in bare.findings)
