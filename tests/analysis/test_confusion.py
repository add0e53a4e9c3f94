"""Classification: which label is named for which, macro-F1, and what a report says of them."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.analysis import analyse, findings, pair
from harness.analysis.choice_patterns import letters
from harness.analysis.confusion import NONE, confusion, label_groups
from harness.analysis.decisions import compare_pairs
from harness.analysis.run_result import result_of
from harness.records import Comparison, Gate, Item, ItemKey, Sample, Suite
from harness.report.gate_json import gate_json
from harness.report.label_view import label_view
from harness.report.lost_items import losses
from harness.report.standouts import beside
from harness.scoring import classification
from harness.stats import macro_f1_of

LABELS = ["billing", "delivery", "refund"]
SUITE = Suite(
    name="s", metric="acc", kind="binary", margin=0.05, judge="classification", slices=("label",)
)
Answer = Callable[[int, str], str]


def compared(base: Answer, tuned: Answer, count: int = 120, *, suite: Suite = SUITE) -> Comparison:
    """Compare two arms; refunds are a sixth of the items."""
    arms = []
    for arm, answer in (("base", base), ("tuned", tuned)):
        samples = []
        for number in range(count):
            label = LABELS[2] if number % 6 == 5 else LABELS[number % 2]
            item = Item(
                key=ItemKey("s", "none", f"{number:064d}", 0),
                doc_id=number,
                doc={"text": f"Message {number}", "label": label, "labels": LABELS},
                prompt=f"Which label fits message {number}?",
                prompt_hash="p",
                target=label,
                cluster=str(number),
                slices={"label": label},
            )
            verdict = classification(LABELS, label, answer(number, label))
            samples.append(Sample(item=item, arm=arm, responses=(), verdict=verdict))
        arms.append(samples)
    return compare_pairs("tuned", suite, pair(arms[0], arms[1], suite), Gate())


def right(_: int, label: str) -> str:
    """Answer rightly."""
    return label


def no_refunds(number: int, label: str) -> str:
    """Call refunds billing, or nothing."""
    lost = "billing" if number % 12 == 5 else "I would ask them to call us back tomorrow."
    return lost if label == "refund" else label


def test_a_label_that_is_no_longer_named_is_counted_where_it_went() -> None:
    """Both matrices, the cells that moved, F1 of each label, and macro-F1 with its interval."""
    comparison = compared(right, no_refunds)
    found = confusion(comparison)
    assert found is not None
    assert found.base["refund", "refund"] == 20
    assert (found.tuned["refund", "billing"], found.tuned["refund", NONE]) == (10, 10)
    assert set(found.moved) == {("refund", "billing"), ("refund", NONE)}
    refund = next(label for label in found.labels if label.name == "refund")
    assert (refund.items, refund.f1, refund.recall) == (20, (1.0, 0.0), (1.0, 0.0))
    golds = [str(pair.base.item.doc["label"]) for pair in comparison.pairs]
    said = [pair.tuned.verdict.answer for pair in comparison.pairs]
    assert found.macro == (1.0, pytest.approx(macro_f1_of(golds, said)))
    assert found.decision is not None
    assert found.decision.label == "regressed"
    assert found.decision.ci_high < -0.2
    causes = {f.title: f.tuned_count for f in findings(comparison, {}) if f.kind == "cause"}
    assert causes == {"wrong_label": 10, "no_label": 10}


def test_each_cell_opens_its_items() -> None:
    """The items of a cell are in the group that its link names."""
    groups = [group for _, group in label_groups(compared(right, no_refunds))]
    assert groups.count(("refund, named by the candidate", "billing")) == 10
    assert groups.count(("refund, named by the base", "refund")) == 20


def test_a_report_shows_both_matrices_and_what_moved() -> None:
    """Side by side, the mistakes that changed most first, with the rarest label named."""
    view = label_view(compared(right, no_refunds))
    assert view is not None
    assert view.words.startswith("Macro-F1 100.0 → ")
    assert "the rarest, refund, has 20 items" in view.words
    assert view.named == ("billing", "delivery", "refund", NONE)
    refund = view.matrices[1][1][2]
    assert [cell.items for cell in refund.cells] == [10, 0, 0, 10]
    assert refund.cells[0].tone == "more"
    assert [move.counts for move in view.moves] == [(0, 10), (0, 10)]
    assert "slice=refund" in view.moves[0].links[1]


def test_gate_json_has_macro_f1_beside_the_score_that_decides() -> None:
    """With its interval and label; where every label is lost it is worse, not undecided."""
    lost = compared(right, lambda *_: "I would ask them.")
    checks = [
        gate_json(result_of([c], study="s", base_model="b", arms=[], gate=Gate(), suites=[SUITE]))
        for c in (compared(right, no_refunds), lost)
    ]
    some, every = (check["checks"][0]["macro_f1"] for check in checks)
    assert (some["n"], some["base"], some["label"]) == (120, 1.0, "regressed")
    assert some["ci_low"] < some["delta"] < some["ci_high"] < 0
    assert (every["tuned"], every["label"], every["ci_low"]) == (0.0, "regressed", -1.0)


def test_where_all_is_lost_no_group_is_the_worst() -> None:
    """Groups and themes are told where they differ from all items, which may be lost, too."""
    for answer, told in ((lambda *_: "I would ask them.", False), (no_refunds, True)):
        comparison = compared(right, answer)
        result = result_of(
            [comparison], study="s", base_model="b", arms=[], gate=Gate(), suites=[SUITE],
            findings=analyse([comparison]).findings,
        )  # fmt: skip
        found = losses(result)
        assert found is not None
        assert (found.group is not None) == told
        said = [one.words for one in beside(result)["tuned"].standouts]
        assert told or not any("label = " in words for words in said)
        assert told or not [f for f in result.findings if f.kind == "theme"]


def test_only_classifications_have_labels() -> None:
    """Too few items, another judge, or rows without a closed set: nothing is drawn."""
    assert confusion(compared(right, right, 12)) is None
    assert confusion(compared(right, right, suite=replace(SUITE, judge="qa"))) is None


def test_labels_that_were_scored_are_no_letters() -> None:
    """By likelihood each label is a choice; its place in the list says nothing."""
    suite = replace(SUITE, judge=None)
    comparison = compared(right, no_refunds, suite=suite)
    pairs = tuple(
        replace(p, base=_chosen(p.base), tuned=_chosen(p.tuned)) for p in comparison.pairs
    )
    scored = replace(comparison, pairs=pairs)
    assert letters(scored) is None
    assert confusion(scored) is not None


def _chosen(sample: Sample) -> Sample:
    answer = sample.verdict.answer
    details = {"chosen": LABELS.index(answer) if answer else 0, "choices": LABELS}
    return replace(sample, verdict=replace(sample.verdict, details=details))
