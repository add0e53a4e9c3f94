"""Reports for passing around: a run whose every text is a canary leaves none of them behind."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from support.command import harness_here
from support.example_result import SUITES, example_result
from support.finished_runs import written_run

from harness import report
from harness.pipeline.conclude import reopen
from harness.records import BASE, Arm, Copy, Item, Response, Sample, TrainingData
from harness.report.model_card import model_card
from harness.store.data_cards import write_card
from harness.store.run_folder import RunFolder

CANARY = "the quetzal of Mrs Canary-Smith sings at dawn"


class Marks:
    """Numbers canaries by where they stand, so that a leak says whence it came."""

    def __init__(self) -> None:
        self.places: set[str] = set()

    def __call__(self, place: str) -> str:
        """Return the canary of a place."""
        self.places.add(place)
        return f"{CANARY} ({place})"

    def all(self, value: Any, place: str) -> Any:
        """Put a canary in the place of every text of nested data."""
        if isinstance(value, str):
            return self(place)
        if isinstance(value, dict):
            return {key: self.all(inner, f"{place}.{key}") for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.all(inner, place) for inner in value]
        return value


def marked(sample: Sample, arm: str, mark: Marks) -> Sample:
    """Return a sample all of whose texts are canaries; groups, hashes and scores stay."""
    item: Item = sample.item
    labels = tuple(label for label in sample.verdict.labels if label != "wrong_choice")
    responses = tuple(
        replace(
            response,
            text=None if response.text is None else mark("response"),
            unscored=None if response.unscored is None else mark("unscored"),
        )
        for response in sample.responses
    )
    return replace(
        sample,
        arm=arm,
        item=replace(
            item,
            prompt=mark("prompt"),
            target=item.target if item.target.isdecimal() else mark("target"),
            doc={
                **mark.all(dict(item.doc), "doc"),
                "id": mark("id"),
                "author": mark("author"),
                "messages": [{"role": mark("role"), "content": mark("turn")}],
            },
            cluster=f"{mark('cluster')} {item.cluster}",
            arguments=((mark("argument"), mark("argument")),),
            slices={
                **item.slices,
                "subject": mark(f"slice {item.doc_id % 2}"),
                "undeclared": mark("undeclared slice"),
            },
        ),
        responses=responses,
        verdict=replace(
            sample.verdict,
            answer=mark("answer"),
            explanation=mark("explanation"),
            labels=(*labels, mark("label")) if sample.verdict.outcome != "correct" else (),
            details={"witness": {"rows": [[mark("details"), 1]]}, "note": mark("details")},
        ),
    )


@pytest.fixture(scope="module")
def canaries(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Marks]:
    """Write a run of a candidate that lost items, must-pass ones among them."""
    path, mark = tmp_path_factory.mktemp("canaries") / "run", Marks()
    must_pass, written = {}, {}
    for comparison in example_result(size=40).comparisons:
        if comparison.candidate != "narrow":
            continue
        for arm in (BASE, "narrow"):
            samples = [pair.base if arm == BASE else pair.tuned for pair in comparison.pairs]
            if comparison.suite.name == "domain_qa":
                unscored = replace(samples[0].verdict, outcome="unscored", score=None, metrics={})
                said = (Response(unscored=mark("unscored")),)
                samples[0] = replace(samples[0], verdict=unscored, responses=said)
            name = comparison.suite.name
            written[arm, name] = [marked(s, arm, mark) for s in samples]
        lost = [p.base.item.key for p in comparison.pairs if p.transition == "lost"]
        must_pass[comparison.suite.name] = tuple(lost[:2])
    card = TrainingData(
        candidate="narrow", source=f"/home/{CANARY.split()[1]}/rows.jsonl", shape="qa", read=9,
        rows=9, tokens=90, learnt=30,
        copies=(Copy(item=example_result(size=40).comparisons[3].pairs[0].base.item.key,
                     kind="exact", origin="/home/quetzal/rows.jsonl:3", shared=mark("shared")),),
    )  # fmt: skip
    written_run(
        path,
        SUITES,
        written,
        study="canaries",
        base="/home/quetzal/models/tiny",
        arms=(Arm(name=BASE), Arm(name="narrow", path="/home/quetzal/narrow", seconds=1.0,
                                  settings={"init": "/home/quetzal/init.pt"})),
        must_pass=must_pass,
        notes=("the tokenizer of /home/quetzal/models/tiny has no template",),
    )  # fmt: skip
    write_card(path, card, {"near": [mark("touched")]})
    return path, mark


def is_leaked(text: str) -> bool:
    """Say whether a file says anything of a canary, in any of the ways that files quote."""
    return any(word in text.casefold() for word in ("quetzal", "canary", "sings at dawn"))


def test_no_file_has_a_text_of_a_row(canaries: tuple[Path, Marks]) -> None:
    """Not of a question, an answer, a label, a group, a row's id, a cluster, a copy or a path."""
    path, mark = canaries
    assert len(mark.places) > 15
    shown = harness_here("report", str(path), "--without-texts")
    assert shown.returncode == 0
    written = sorted((path / "without_texts").rglob("*"))
    assert {file.name for file in written} >= set(report.WRITERS)
    leaks = [file.name for file in written if is_leaked(file.read_text(encoding="utf-8"))]
    assert leaks == []
    assert not is_leaked(shown.stdout)
    _, result = reopen(RunFolder(path))
    card = model_card(report.without_texts(result), "narrow", form="adapter")
    assert not is_leaked(card)


def test_the_whole_report_has_them(canaries: tuple[Path, Marks]) -> None:
    """The canaries are where a report would show them: the test above could fail."""
    _, result = reopen(RunFolder(canaries[0]))
    page = report.html(result)
    expected = ("prompt", "response", "explanation", "label", "slice 0", "details", "shared")
    assert not [place for place in expected if f"{CANARY} ({place})" not in page]
    assert CANARY.split()[1] in report.markdown(result)


def test_every_figure_is_kept(canaries: tuple[Path, Marks]) -> None:
    """Checks, counts of causes and groups, scores and verdicts are those of the whole report."""
    _, result = reopen(RunFolder(canaries[0]))
    bare = report.without_texts(result)
    whole, left = report.gate_json(result), report.gate_json(bare)
    for gate in (whole, left):
        for check in gate["checks"]:
            check.pop("reason")
    assert json.dumps(whole["checks"]) == json.dumps(left["checks"])
    assert bare.scores == result.scores
    kept = [f for f in result.findings if f.kind in ("warning", "cause")]
    counts = ("base_count", "tuned_count", "total", "delta", "ci_low", "ci_high")
    assert [[asdict(f)[c] for c in counts] for f in bare.findings if f.kind != "slice"][
        : len(kept)
    ] == [[asdict(f)[c] for c in counts] for f in kept]
    titles = [f.title for f in bare.findings if f.kind == "slice"]
    assert any(title.startswith("subject = text ") for title in titles)
    assert "template = count" in titles
