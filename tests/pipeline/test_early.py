"""``--until-decided``: few items are asked, the same decision comes back, nothing is unnoticed."""

import json
import shutil
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.tiny_models import lora

from harness import content, study
from harness.engine import Engine
from harness.errors import ComparisonError, StudyError
from harness.pipeline.conclude import reopen
from harness.pipeline.plan import plan
from harness.pipeline.run import run_study
from harness.records import Comparison, Result
from harness.stats import SequentialDecision
from harness.store import AnswerStore
from harness.store.run_folder import RunFolder

pytestmark = pytest.mark.model

PLANNED = 240


def write_study(folder: Path, **changes: Any) -> study.Study:
    """Write a study of two adapters made elsewhere: one that does harm, one that does nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = {
        "name": "early",
        "base": "builtin:tiny",
        "candidates": [{"name": "worse", "adapter": "worse"}, {"name": "same", "adapter": "same"}],
        "suites": [{"name": "arc_mini", "limit": PLANNED, "margin": 0.1}],
        "review": {"items_per_suite": 0},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(plain | changes))
    return study.load(folder / "study.yaml")


def run(loaded: study.Study, out: Path, **options: Any) -> Result:
    """Run a study whose unchanged candidate is meant."""
    return run_study(loaded, out=out, allow_identical=True, **options)


def early(comparison: Comparison) -> SequentialDecision:
    """Return the decision of a comparison that may have ended early."""
    assert isinstance(comparison.decision, SequentialDecision)
    return comparison.decision


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two adapters of the built-in base."""
    folder = tmp_path_factory.mktemp("early")
    base = content.BUILTIN_MODELS["tiny"]
    lora(base, folder / "worse", seed=3, lora_alpha=32)
    lora(base, folder / "same", trained=False)
    return folder


@pytest.fixture(scope="module")
def decided(adapters: Path) -> tuple[Path, Result]:
    """Return a run that ended early, and its result."""
    return adapters / "run", run(write_study(adapters), adapters / "run", until_decided=True)


def asked(folder: Path) -> int:
    """Return how many answers are stored."""
    return len(AnswerStore(folder / "answers.db"))


def test_each_candidate_ends_at_its_own_look(decided: tuple[Path, Result]) -> None:
    """A clear loss and an unchanged model close early, and only what they used was asked."""
    folder, result = decided
    worse, same = result.comparisons
    assert (worse.verdict, same.verdict) == ("fail", "pass")
    for comparison in (worse, same):
        decision = early(comparison)
        assert decision.used == len(comparison.pairs) < PLANNED
    assert early(same).method == "identical logits"
    assert any("same is proven by its weights" in note for note in result.notes)
    lines = {
        arm: len((folder / f"samples/{arm}/samples_arc_mini.jsonl").read_text().splitlines())
        for arm in ("base", "worse", "same")
    }
    assert lines["worse"] == early(worse).used
    assert lines["same"] == early(same).used
    assert lines["base"] == max(lines["worse"], lines["same"])
    assert 0 < asked(folder) <= 4 * sum(lines.values())


@pytest.mark.nightly
def test_candidates_that_answer_together_end_as_each_does_alone(
    adapters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same decisions, items used, choices and texts; who is decided is asked no more."""
    asked_at_once: list[set[str]] = []
    real = Engine.answer_arms

    def noted(self: Engine, asked: Any, **options: Any) -> Any:
        asked_at_once.append({*asked})
        return real(self, asked, **options)

    monkeypatch.setattr(Engine, "answer_arms", noted)
    both = [{"name": name, "adapter": str(adapters / name)} for name in ("worse", "same")]
    suites = [
        {"name": "arc_mini", "limit": PLANNED, "margin": 0.1}, {"name": "domain_qa", "limit": 24}
    ]  # fmt: skip
    result = run(
        write_study(tmp_path, candidates=both, suites=suites), tmp_path / "both", until_decided=True
    )
    assert {"worse", "same"} in asked_at_once
    for one in both:
        name = one["name"]
        alone = run(
            write_study(tmp_path, candidates=[one], suites=suites),
            tmp_path / name, until_decided=True,
        )  # fmt: skip
        found = [c.decision for c in result.comparisons if c.candidate == name]
        assert found == [c.decision for c in alone.comparisons]
        for suite in ("arc_mini", "domain_qa"):
            files = [f / f"samples/{name}/samples_{suite}.jsonl" for f in tmp_path.iterdir()]
            together, by_itself = (f.read_text() for f in files if f.exists())
            texts = name == "same"  # those of a broken model hang on ties
            assert _given(together, texts=texts) == _given(by_itself, texts=texts)


def _given(samples: str, *, texts: bool) -> list[tuple[str, float, Any]]:
    """Return by item what an answer counts, and its text where that is generated."""
    rows = [json.loads(line) for line in samples.splitlines()]
    return [
        (r["doc_hash"], r["score"], r["filtered_resps"] if texts and "acc" not in r else None)
        for r in rows
    ]


def test_what_is_written_says_that_it_ended_early(decided: tuple[Path, Result]) -> None:
    """gate.json counts used and planned items; the reports say it in words, corrected."""
    folder, result = decided
    worse = early(result.comparisons[0])
    check = json.loads((folder / "gate.json").read_text())["checks"][0]
    assert (check["used"], check["n"]) == (worse.used, PLANNED)
    assert check["delta"] == worse.delta != worse.observed
    words = f"decided after {worse.used} of {PLANNED} items"
    for name in ("report.md", "report.html", "junit.xml"):
        assert words in (folder / name).read_text(), name


def test_the_decision_comes_back_from_the_files(decided: tuple[Path, Result]) -> None:
    """Reopening, and running again after answers were lost, decide exactly the same."""
    folder, result = decided
    expected = [c.decision for c in result.comparisons]
    assert [c.decision for c in reopen(RunFolder(folder))[1].comparisons] == expected
    before = asked(folder)
    with sqlite3.connect(folder / "answers.db") as database:
        database.execute("DELETE FROM answers WHERE substr(hex(key), 1, 1) IN ('0', '1', '2')")
    assert asked(folder) < before
    again = run(study.load(folder.parent / "study.yaml"), folder, until_decided=True)
    assert asked(folder) == before
    for one, two in zip(again.comparisons, result.comparisons, strict=True):
        assert (early(one).label, early(one).used) == (early(two).label, early(two).used)


def test_the_rest_is_answered_later_and_changes_no_verdict(
    decided: tuple[Path, Result], tmp_path: Path
) -> None:
    """A full run over the same folder reuses answers, and is no second chance."""
    folder = shutil.copytree(decided[0].parent, tmp_path / "copy") / "run"
    result = run(study.load(folder.parent / "study.yaml"), folder)
    assert asked(folder) > asked(decided[0])
    for full, first in zip(result.comparisons, decided[1].comparisons, strict=True):
        assert len(full.pairs) == PLANNED
        assert full.decision == first.decision
        assert full.verdict == first.verdict
    assert any("change no verdict" in note for note in result.notes)
    assert reopen(RunFolder(folder))[1].comparisons[0].decision == result.comparisons[0].decision


def test_a_run_on_all_items_cannot_end_early_afterwards(adapters: Path, tmp_path: Path) -> None:
    """Whoever has seen the verdict on all items does not get another one from fewer."""
    loaded = write_study(adapters, suites=[{"name": "arc_mini", "limit": 20}])
    run(loaded, tmp_path / "run")
    with pytest.raises(ComparisonError, match="leave --until-decided out"):
        run(loaded, tmp_path / "run", until_decided=True)


def test_a_suite_more_or_another_seed_is_another_design(
    decided: tuple[Path, Result], adapters: Path
) -> None:
    """The order of the items and the suites that share alpha are declared."""
    two = [{"name": "arc_mini", "limit": PLANNED, "margin": 0.1}, {"name": "sql", "limit": 20}]
    for changes in ({"suites": two}, {"seed": 5}):
        with pytest.raises(ComparisonError, match="until_decided were declared"):
            run(write_study(adapters, **changes), decided[0], until_decided=True)


def test_clusters_are_never_torn_apart(decided: tuple[Path, Result]) -> None:
    """Items made from one fact are asked together, and a look comes after the last of them."""
    folder, result = decided
    loaded = study.load(folder.parent / "study.yaml")
    items = plan(loaded, out=folder).loaded[0].items
    whole = Counter(item.cluster for item in items)
    assert max(whole.values()) > 1
    for comparison in result.comparisons:
        used = Counter(pair.base.item.cluster for pair in comparison.pairs)
        assert all(used[cluster] == whole[cluster] for cluster in used)


def test_must_pass_items_are_asked_in_any_case(adapters: Path, tmp_path: Path) -> None:
    """One that fails is a regression by name, wherever it stands in the order."""
    plain = write_study(adapters, candidates=[{"name": "same", "adapter": "same"}])
    first = run(plain, tmp_path / "first", until_decided=True).comparisons[0]
    assert first.verdict == "pass"
    seen = {pair.base.item.key for pair in first.pairs}
    later = [
        item.key.doc_hash
        for item in plan(plain, out=tmp_path / "x").loaded[0].items
        if item.key not in seen
    ]
    wrong = [p.tuned.item.doc for p in first.pairs if p.tuned.verdict.outcome == "incorrect"]
    suite = {"name": "arc_mini", "limit": PLANNED, "margin": 0.1}
    named = write_study(
        adapters,
        candidates=[{"name": "same", "adapter": "same"}],
        suites=[suite | {"must_pass": [later[0], str(wrong[0]["id"])]}],
    )
    result = run(named, tmp_path / "second", until_decided=True)
    failed = result.comparisons[0]
    assert failed.decision == first.decision
    assert (failed.verdict, result.exit_code) == ("fail", 1)
    assert str(wrong[0]["id"]) in failed.reason
    assert {p.base.item.key.doc_hash for p in failed.pairs} >= {later[0]}
    text = (tmp_path / "second/report.md").read_text()
    assert "must-pass items failed" in text
    assert reopen(RunFolder(tmp_path / "second"))[1].comparisons == result.comparisons


def test_a_must_pass_item_that_is_not_there_is_refused(adapters: Path, tmp_path: Path) -> None:
    """Before anything is asked, by name."""
    loaded = write_study(
        adapters, suites=[{"name": "arc_mini", "limit": 20, "must_pass": ["no-such-row"]}]
    )
    with pytest.raises(StudyError, match="'no-such-row' names none"):
        run(loaded, tmp_path / "run")
    assert not (tmp_path / "run").exists()
