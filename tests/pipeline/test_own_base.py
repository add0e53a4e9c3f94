"""A candidate on a base of another family: its own prompts, the same items, and it is said."""

import json
import re
import weakref
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.tiny_models import lora, sentencepiece_llama, spread

from harness import content, study
from harness.errors import ComparisonError, StudyError
from harness.pipeline.answers.shards import Shard, answer_shard
from harness.pipeline.cluster.on_ray import _missing as missing_shards
from harness.pipeline.conclude import reopen
from harness.pipeline.plan import plan
from harness.pipeline.run import carry_out, run_study
from harness.pipeline.train import trained
from harness.records import BASE, Result, Sample
from harness.store import read_samples
from harness.store.run_folder import RunFolder
from harness.suites.tokenize import tokens_needed

pytestmark = pytest.mark.model

SUITES = [{"name": "arc_mini", "limit": 12}, {"name": "domain_qa", "limit": 4}]
TEXTS = ["The metal of this wire conducts electricity.", "Which of these is a planet? Mars."] * 20
TEMPLATE = (
    "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}[answer]{% endif %}"
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model of another tokenizer and template, and adapters of both."""
    folder = tmp_path_factory.mktemp("models")
    other = sentencepiece_llama(folder / "other", TEXTS)
    settings = json.loads((other / "tokenizer_config.json").read_text())
    (other / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": TEMPLATE}))
    lora(other, folder / "on_other", seed=3)
    lora(content.BUILTIN_MODELS["tiny"], folder / "plain", seed=4, lora_alpha=2)
    return folder


def written(models: Path, **changes: Any) -> study.Study:
    """Write a study with a model as it is, an adapter on it, and one on the study's base."""
    plain = {
        "name": "two_families",
        "base": "builtin:tiny",
        "candidates": [
            {"name": "plain", "adapter": "plain"},
            {"name": "other", "base": "./other"},
            {"name": "on_other", "base": {"model": "./other"}, "adapter": "on_other"},
        ],
        "suites": SUITES,
        "review": {"items_per_suite": 0},
    }
    (models / "study.yaml").write_text(yaml.safe_dump(plain | changes))
    return study.load(models / "study.yaml")


@pytest.fixture(scope="module")
def run(models: Path) -> tuple[Result, RunFolder]:
    """Run the study once, with no more than one base in memory at any time."""
    from harness.engine import model

    folder, loaded, load = RunFolder(models / "runs" / "both"), [], model.load_model_for_scoring

    def load_alone(*arguments: Any, **options: Any) -> Any:
        assert not any(earlier() is not None for earlier in loaded), "two bases in memory"
        found = load(*arguments, **options)
        loaded.append(weakref.ref(found))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "load_model_for_scoring", load_alone)
        result = run_study(written(models), out=folder.path)
    assert len(loaded) == 3
    return result, folder


def answered(folder: RunFolder, arm: str) -> list[Sample]:
    """Return an arm's samples of both suites."""
    return [one for suite in SUITES for one in read_samples(folder.samples(arm, suite["name"]))]


def said(samples: list[Sample]) -> list[tuple[object, ...]]:
    """Return what was asked and answered, without who did."""
    return [
        (one.item.key, one.item.prompt_hash, one.verdict.score, one.responses) for one in samples
    ]


def test_it_answers_as_where_it_is_the_studys_own_base(
    models: Path, run: tuple[Result, RunFolder]
) -> None:
    """Model and adapter get the prompts, and give the answers, of a study on that model."""
    alone = RunFolder(models / "runs" / "alone")
    candidates = [{"name": "on_other", "adapter": "on_other"}]
    run_study(written(models, base="./other", candidates=candidates), out=alone.path)
    assert said(answered(run[1], "other")) == said(answered(alone, BASE))
    theirs, mine = answered(alone, "on_other"), answered(run[1], "on_other")
    assert [one.item.prompt_hash for one in mine] == [one.item.prompt_hash for one in theirs]
    assert [one.verdict.answer for one in mine] == [one.verdict.answer for one in theirs]


def test_items_are_paired_though_their_prompts_differ(run: tuple[Result, RunFolder]) -> None:
    """Every item of the suite is compared; on the study's own base the token ids stay the same."""
    result, folder = run
    hashes = {
        arm: [one.item.prompt_hash for one in answered(folder, arm)]
        for arm in (BASE, "plain", "other", "on_other")
    }
    assert hashes[BASE] == hashes["plain"]
    assert hashes["other"] == hashes["on_other"]
    assert not set(hashes[BASE]) & set(hashes["other"])
    assert {(c.candidate, c.prompts_differ, len(c.pairs)) for c in result.comparisons} == {
        (arm, arm != "plain", size) for arm in ("plain", "other", "on_other") for size in (12, 4)
    }
    prompts = [one.item.prompt for one in answered(folder, "other")]
    assert any("[user]" in prompt and prompt.endswith("[answer]") for prompt in prompts)


def test_whoever_reads_the_verdict_is_told(run: tuple[Result, RunFolder]) -> None:
    """Lock, gate, JUnit and both reports say whose prompts differ, and of which base."""
    folder = run[1].path
    gate = json.loads((folder / "gate.json").read_text())
    told = "Prompts differ: other (./other), on_other (./other) answer on bases of their own"
    assert gate["prompts"].startswith(told)
    assert {(c["candidate"], c.get("prompts_differ", False)) for c in gate["checks"]} == {
        ("plain", False), ("other", True), ("on_other", True),
    }  # fmt: skip
    markdown = (folder / "report.md").read_text().replace("\\", "")
    assert "Prompts differ" in "\n".join(markdown.splitlines()[:6])
    assert told in (folder / "report.html").read_text()
    junit = (folder / "junit.xml").read_text()
    assert re.findall(r'testsuite name="(\w+)"[^§]*?</properties>', junit)
    assert junit.count('name="prompts"') == 2
    lock = json.loads((folder / "study.lock.json").read_text())
    own = {arm["name"]: arm["base"] and arm["base"]["title"] for arm in lock["arms"]}
    assert own == {BASE: None, "plain": None, "other": "./other", "on_other": "./other"}
    assert "arc_mini as other reads it" in lock["items"]


def test_a_second_run_asks_nothing_and_a_changed_base_is_noticed(
    models: Path, run: tuple[Result, RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is answered is answered, on whichever base; weights are not loaded for it."""
    from harness.engine import model

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("weights are loaded")

    monkeypatch.setattr(model, "load_model_for_scoring", refused)
    again = run_study(written(models), out=run[1].path)
    assert [c.decision for c in again.comparisons] == [c.decision for c in run[0].comparisons]


@pytest.mark.nightly
def test_shards_answer_for_every_base(
    models: Path, run: tuple[Result, RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes answer a part each, on all bases; merged they are the one run."""
    candidates = [{"name": "other", "base": "./other"}]
    changes = {"suites": [{"name": "arc_mini", "limit": 4}], "candidates": candidates}
    planned = plan(written(models, **changes), out=models / "runs" / "shards")
    planned.folder.claim(planned.study)
    assert len(missing_shards(planned, trained(planned), 2)) == 2
    for text in ("1/2", "2/2"):
        answer_shard(planned, trained(planned), Shard.parse(text))
    from harness.engine import model

    monkeypatch.setattr(model, "load_model_for_scoring", None)  # nothing is left to ask
    carry_out(planned)
    assert missing_shards(planned, trained(planned), 2) == []
    for arm in (BASE, "other"):
        known = {one.item.key: one.verdict for one in answered(run[1], arm)}
        mine = read_samples(planned.folder.samples(arm, "arc_mini"))
        assert [one.verdict.answer for one in mine] == [known[one.item.key].answer for one in mine]


def test_an_item_beyond_one_context_is_unscored_for_every_arm(models: Path, tmp_path: Path) -> None:
    """A base of a shorter context takes its long items from everybody, and says which.

    Once it is another model, its scores are not shown as this one's.
    """
    from transformers import AutoModelForCausalLM

    short = sentencepiece_llama(tmp_path / "short", TEXTS)
    candidates = [
        {"name": "short", "base": str(short)}, {"name": "plain", "adapter": str(models / "plain")},
    ]  # fmt: skip
    changes = {"candidates": candidates, "suites": [SUITES[0]], "gate": {"max_unscored": 0.95}}
    folder = RunFolder(tmp_path / "run")
    [suite] = plan(written(models, **changes), out=folder.path).read_by("short")
    needed = sorted(tokens_needed(request) for request in suite.requests)
    fits = needed[len(needed) // 2]
    config = json.loads((short / "config.json").read_text())
    (short / "config.json").write_text(json.dumps(config | {"max_position_embeddings": fits}))
    run_study(written(models, **changes), out=folder.path)
    unscored = {
        arm: {
            one.item.key: one.verdict.explanation
            for one in read_samples(folder.samples(arm, "arc_mini"))
            if one.verdict.outcome == "unscored"
        }
        for arm in (BASE, "plain", "short")
    }
    assert 0 < len(unscored[BASE]) < 12
    assert unscored[BASE] == unscored["plain"] == unscored["short"]
    assert all(f"{fits} fit the context of {short}" in why for why in unscored[BASE].values())
    assert reopen(folder)[1].exit_code in (0, 1, 4)
    spread(AutoModelForCausalLM.from_pretrained(short), seed=9).save_pretrained(short)
    with pytest.raises(ComparisonError, match="'short' had"):
        reopen(folder)


def test_a_candidate_is_trained_on_its_own_base(models: Path, tmp_path: Path) -> None:
    """Its rows are encoded by that base's tokenizer, and the adapter fits it and no other."""
    rows = [{"question": f"What is {n} and {n}?", "answer": f"It is {2 * n}."} for n in range(8)]
    (models / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    candidate = {
        "name": "learnt", "base": "./other", "train": "rows.jsonl",
        "training": {"max_steps": 2, "per_device_train_batch_size": 2},
    }  # fmt: skip
    changed = written(models, candidates=[candidate], suites=[{"name": "arc_mini", "limit": 4}])
    result = run_study(changed, out=tmp_path / "run")
    config = json.loads((tmp_path / "run/adapters/learnt/adapter_config.json").read_text())
    assert config["base_model_name_or_path"].endswith("other")
    assert [c.prompts_differ for c in result.comparisons] == [True]


@pytest.mark.parametrize(
    ("candidate", "changes", "told"),
    [
        ({"base": "builtin:tiny"}, {}, "is the study's base, builtin:tiny: leave its 'base' out"),
        ({"base": "./other", "settings": {"r": 4}}, {}, "is a model that exists already"),
        ({"base": "./other", "seeds": [0, 1]}, {}, "give it 'train'"),
        (
            {"base": "./other", "backend": "local-completions", "model_args": {"model": "m"}},
            {},
            "a base of its own is loaded here",
        ),
        ({"base": "./nothing_here"}, {}, "is no folder"),
        (
            {"base": "./other"},
            {"suites": [{"name": "arc_mini", "truncation": "left"}]},
            "leave its 'truncation' out",
        ),
        (
            {"base": "./other", "train": "plain", "keep": {"best": "arc_mini"}},
            {},
            "leave it out beside a base of its own",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_beforehand(
    models: Path, tmp_path: Path, candidate: dict[str, Any], changes: dict[str, Any], told: str
) -> None:
    """One sentence, before anything is loaded or written."""
    with pytest.raises(StudyError, match=re.escape(told)):
        plan(
            written(models, candidates=[{"name": "own", **candidate}], **changes),
            out=tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()


def test_no_verdict_ends_early_across_bases(models: Path, tmp_path: Path) -> None:
    """Bases answer one after the other, so that looks would come too late."""
    with pytest.raises(StudyError, match="leave --until-decided out"):
        plan(written(models), out=tmp_path / "run", until_decided=True)
