"""Large runs: what a decision needs is read alone, and texts only of what is looked at."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.example_result import SUITES, example_result
from support.finished_runs import written_run
from support.reviews import rated

from harness import report
from harness.analysis import looked_at
from harness.pipeline import conclude
from harness.pipeline.answers.scored_run import read_run
from harness.records import BASE, Result
from harness.report.item_browser import item_data
from harness.review import review_text
from harness.store.run_folder import RunFolder


def written(path: Path) -> RunFolder:
    """Write a run of all candidates of the example, one of which fails must-pass items."""
    samples, must_pass = {}, {}
    for comparison in example_result(size=40).comparisons:
        suite = comparison.suite.name
        for pair in comparison.pairs:
            for arm, sample in ((BASE, pair.base), (comparison.candidate, pair.tuned)):
                samples.setdefault((arm, suite), {})[sample.item.key] = replace(sample, arm=arm)
        lost = [p.base.item.key for p in comparison.pairs if p.transition == "lost"]
        must_pass.setdefault(suite, tuple(lost[:2]))
    answered = {name: list(found.values()) for name, found in samples.items()}
    return written_run(path, SUITES, answered, must_pass=must_pass, sealed=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Return the run, with ratings of a few items of one candidate."""
    run = written(tmp_path_factory.mktemp("large") / "run")
    result = conclude.reopen(run)[1]
    review = rated(result.comparisons[:1], lambda *_: -1, items=12)
    file = run.review / review.draw / "review.json"
    file.parent.mkdir(parents=True)
    file.write_text(review_text(review))
    return run


def bare(result: Result) -> Result:
    """Return a result without what a decision alone does not find out."""
    return replace(
        result,
        comparisons=tuple(map(looked_at.counted, result.comparisons)),
        findings=(),
        groups={},
    )


def test_a_verdict_is_the_same_without_texts(folder: RunFolder) -> None:
    """The gate says to the letter what the whole reading says, people and must-pass included."""
    whole = conclude.reopen(folder)[1]
    assert any("must-pass items failed" in c.reason for c in whole.comparisons)
    assert whole.reviews
    assert any(score.length for score in whole.scores)
    gate = conclude.gate(folder)
    assert gate == bare(whole)
    assert report.gate_json(gate) == report.gate_json(whole)


def test_the_gate_keeps_no_texts(folder: RunFolder) -> None:
    """Only must-pass items, which are named by their rows, and those asked for have texts."""
    lock = folder.read_lock()
    assert lock
    assert lock.declared
    named = {key for keys in lock.declared.must_pass.values() for key in keys}
    run = read_run(folder, texts=frozenset())
    for samples in run.samples.values():
        assert {s.item.key for s in samples if s.item.prompt or s.responses} <= named
        outcomes = [s for s in samples if s.item.key not in named]
        assert len({id(s.verdict) for s in outcomes}) < len(outcomes) / 4


def test_a_run_that_is_read_in_two_steps_is_reported_the_same(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is large by its bytes is read without texts first; no byte of a report differs."""
    whole = conclude.reopen(folder)[1]
    monkeypatch.setattr(conclude, "WHOLE_SIZE", 0)
    again = conclude.reopen(folder)[1]
    assert again == whole
    assert report.html(again) == report.html(whole)


@pytest.mark.parametrize("size", [0, conclude.WHOLE_SIZE])
def test_of_a_large_run_some_items_are_looked_at(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """The same items of every candidate, and all rated ones; verdicts and counts are of all."""
    whole = conclude.reopen(folder)[1]
    total = sum(c.items for c in whole.comparisons)
    monkeypatch.setattr(conclude, "WHOLE_SIZE", size)
    monkeypatch.setattr(looked_at, "WHOLE", 100)
    monkeypatch.setattr(looked_at, "LOOKED_AT", total // 3)
    monkeypatch.setattr(looked_at, "LISTED", 10)
    monkeypatch.setattr("harness.report.item_browser.MOST_ROWS", 100)
    part = conclude.reopen(folder)[1]
    assert bare(part) == bare(whole)
    for suite in SUITES:
        mine = [c for c in part.comparisons if c.suite.name == suite.name]
        drawn = {tuple(p.base.item.key for p in c.pairs) for c in mine}
        assert len(drawn) == 1
        assert 0 < len(drawn.pop()) < mine[0].items
    shown = [pair for c in part.comparisons for pair in c.shown]
    assert all(pair.base.item.prompt and pair.tuned.responses for pair in shown)
    assert part.reviews == whole.reviews
    listed = [p for c in part.comparisons for p in c.listed]
    known = {r.item for review in part.reviews for r in review.ratings}
    assert {p.transition for p in listed if p.base.item.key not in known} <= {"lost", "gained"}
    assert len(item_data(part)["rows"]) == len(shown)
    page = report.html(part)
    assert f"are of {sum(len(c.pairs) for c in part.comparisons)} of {total}, drawn so" in page
    for comparison in part.comparisons:
        assert len(comparison.pairs) == max(f.total for f in part.findings if f.kind == "cause"
                                            and f.candidate == comparison.candidate
                                            and f.suite == comparison.suite.name)  # fmt: skip
