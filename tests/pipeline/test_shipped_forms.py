"""Candidates scored as they are served: merged, in 4 and 8 bits, exported, and made elsewhere."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from peft import PromptTuningConfig
from support.command import harness
from support.tiny_models import adapter, lora

from harness import content, study
from harness.engine import Engine
from harness.errors import ComparisonError, HarnessError, StudyError
from harness.models import merged_form
from harness.pipeline.answers.shards import Shard, answer_shard
from harness.pipeline.exported.export import export
from harness.pipeline.finished.chat import open_chat
from harness.pipeline.plan import plan
from harness.pipeline.run import carry_out, run_study
from harness.pipeline.train import trained
from harness.records import BASE, Result, Sample
from harness.store import read_samples
from harness.store.run_folder import RunFolder

pytestmark = pytest.mark.model

SERVER = {
    "backend": "local-completions",
    "model_args": {"base_url": "http://127.0.0.1:9/v1/completions", "model": "mine"},
}
SUITES = [{"name": "arc_mini", "limit": 10}, {"name": "domain_qa", "limit": 4}]
FORMS = ("merged", "4bit", "8bit")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an adapter of the built-in base."""
    folder = tmp_path_factory.mktemp("place")
    lora(content.BUILTIN_MODELS["tiny"], folder / "tuned", seed=4, lora_alpha=2)
    return folder


def written(place: Path, *candidates: dict[str, Any]) -> study.Study:
    """Write a study with the adapter, or other candidates."""
    plain = {
        "name": "shipped",
        "base": "builtin:tiny",
        "candidates": candidates or [{"name": "tuned", "adapter": "tuned", "as": list(FORMS)}],
        "suites": SUITES,
        "review": {"items_per_suite": 0},
    }
    (place / "study.yaml").write_text(yaml.safe_dump(plain))
    return study.load(place / "study.yaml")


@pytest.fixture(scope="module")
def run(place: Path) -> tuple[Result, RunFolder]:
    """Run the study with every form."""
    folder = RunFolder(place / "runs" / "every_form")
    return run_study(written(place), out=folder.path), folder


@pytest.fixture(scope="module")
def four_bits(place: Path, run: tuple[Result, RunFolder]) -> Path:
    """Return the 4-bit form of the candidate, exported."""
    export(run[1], "tuned", place / "four_bits", form="4bit")
    return place / "four_bits"


def answered(folder: RunFolder, arm: str) -> list[Sample]:
    """Return an arm's samples of both suites."""
    return [one for suite in SUITES for one in read_samples(folder.samples(arm, suite["name"]))]


def said(folder: RunFolder, arm: str) -> list[object]:
    """Return what an arm answered: texts, and log-likelihoods without their last digits."""
    return [
        response.text if response.logprob is None else pytest.approx(response.logprob, abs=1e-3)
        for sample in answered(folder, arm)
        for response in sample.responses
    ]


def test_every_form_is_judged_by_the_base_and_by_its_adapter(run: tuple[Result, RunFolder]) -> None:
    """Each is an arm of its own with the base's prompts, paired with the adapter item by item."""
    result, folder = run
    forms = [f"tuned-{form}" for form in FORMS]
    assert [arm.name for arm in result.arms] == [BASE, "tuned", *forms]
    assert {c.candidate for c in result.comparisons} == {"tuned", *forms}
    assert not any(c.prompts_differ for c in result.comparisons)
    assert [(c.candidate, c.reference) for c in result.forms] == [
        (form, "tuned") for form in forms for _ in SUITES
    ]
    scores = {(s.arm, s.suite): s.mean for s in result.scores}
    for found in result.forms:
        name = found.suite.name
        assert (found.base, found.tuned) == (scores["tuned", name], scores[found.candidate, name])
    hashes = [[s.item.prompt_hash for s in answered(folder, arm.name)] for arm in result.arms]
    assert all(one == hashes[0] for one in hashes)
    lock = folder.read_lock()
    assert lock is not None
    assert len(set(lock.fingerprints.values())) == 5
    assert said(folder, "tuned-4bit") != said(folder, "tuned-8bit")


def test_whoever_reads_the_verdict_reads_what_a_form_cost(run: tuple[Result, RunFolder]) -> None:
    """Gate, report and page have a sentence and a row for each form and suite."""
    folder = run[1].path
    gate = json.loads((folder / "gate.json").read_text())
    assert [(f["candidate"], f["form_of"], f["as"]) for f in gate["forms"][::2]] == [
        (f"tuned-{form}", "tuned", form) for form in FORMS
    ]
    told = gate["forms_told"][1]
    assert told.startswith("tuned-4bit, the merged 4-bit model, against its adapter tuned: ")
    markdown = (folder / "report.md").read_text().replace("\\", "")
    assert "What ships, beside its adapter" in markdown
    assert told in markdown
    assert told in (folder / "report.html").read_text()


@pytest.mark.parametrize("form", FORMS)
def test_an_export_answers_as_what_was_scored(
    run: tuple[Result, RunFolder], tmp_path: Path, form: str
) -> None:
    """Written, loaded again and asked the run's items, it gives the answers that were judged."""
    found = export(run[1], "tuned", tmp_path / "out", form=form)
    assert (found.form, found.scored_as, found.checked) == (form, f"tuned-{form}", 14)
    assert found.as_scored == 14 or (form == "8bit" and found.as_scored > 7)
    assert "against its adapter" in (tmp_path / "out" / "README.md").read_text()
    by_name = export(run[1], f"tuned-{form}", tmp_path / "same")
    assert by_name == found


def test_an_export_that_answers_otherwise_is_refused(
    run: tuple[Result, RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where other weights were written than were scored, nothing is left behind but a sentence."""
    honest = merged_form.write_form

    def in_fewer_bits(path: Path, form: str, out: Path, **options: Any) -> None:
        honest(path, "4bit", out, **options)

    monkeypatch.setattr(merged_form, "write_form", in_fewer_bits)
    with pytest.raises(ComparisonError, match=r"answer as what was scored: arc_mini [0-9a-f]{12}"):
        export(run[1], "tuned", tmp_path / "out", form="merged")
    assert not list(tmp_path.iterdir())


@pytest.mark.nightly
def test_a_form_that_was_not_scored_is_said_to_be(place: Path, tmp_path: Path) -> None:
    """It is exported, answers as before it was written, and no score is shown as its own."""
    folder = RunFolder(place / "runs" / "adapter_alone")
    run_study(written(place, {"name": "tuned", "adapter": "tuned"}), out=folder.path)
    done = harness(
        "export", str(folder.path), "tuned", "--out", str(tmp_path / "out"), "--as", "4bit"
    )
    assert done.returncode == 0, done.stderr
    assert "answers 14 items of the run as before it was written" in done.stdout
    assert "not scored in this run" in done.stdout
    assert "as: [4bit]" in done.stdout
    assert "This form was not scored" in (tmp_path / "out" / "README.md").read_text()


def test_a_second_run_makes_no_form_again(
    place: Path, run: tuple[Result, RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is answered is kept by form, so nothing is merged; a form that is added is asked."""
    before = [answered(run[1], arm.name) for arm in run[0].arms]

    def not_again(*_: object, **__: object) -> None:
        raise AssertionError("a form was made again")

    monkeypatch.setattr(Engine, "of_form", not_again)
    run_study(written(place), out=run[1].path)
    assert [answered(run[1], arm.name) for arm in run[0].arms] == before


@pytest.mark.nightly
def test_shards_answer_for_forms(place: Path, run: tuple[Result, RunFolder]) -> None:
    """Two processes' parts are merged, and a run then has the same answers."""
    planned = plan(written(place), out=place / "runs" / "shards")
    for number in (1, 2):
        answer_shard(planned, trained(planned), Shard(number, 2))
    carry_out(planned)
    for arm in run[0].arms:
        if arm.form != "8bit":  # whose answers depend a little on what they are batched with
            assert said(planned.folder, arm.name) == said(run[1], arm.name)


def test_a_chat_is_with_the_adapter(run: tuple[Result, RunFolder]) -> None:
    """No form answers under a name that is not its own."""
    assert open_chat(run[1]).arms == (BASE, "tuned")


def test_a_folder_that_was_made_elsewhere_is_compared_with_its_adapter(
    place: Path, run: tuple[Result, RunFolder], four_bits: Path
) -> None:
    """One study file names both; the prompts are the base's, the answers the 4-bit form's."""
    shipped = {"name": "shipped", "base": f"./{four_bits.name}", "form_of": "tuned"}
    both = written(place, {"name": "tuned", "adapter": "tuned"}, shipped)
    folder = RunFolder(place / "runs" / "elsewhere")
    result = run_study(both, out=folder.path)
    assert [(c.candidate, c.reference) for c in result.forms] == [("shipped", "tuned")] * 2
    assert not any(c.prompts_differ for c in (*result.comparisons, *result.forms))
    assert said(folder, "shipped") == said(run[1], "tuned-4bit")
    gate = json.loads((folder.path / "gate.json").read_text())
    assert "prompts" not in gate
    assert gate["forms_told"][0].startswith("shipped, made elsewhere, against its adapter tuned: ")


def test_a_form_with_other_prompts_is_refused(place: Path, four_bits: Path) -> None:
    """A folder whose chat template was changed is no form of the candidate that was scored."""
    other = Path(shutil.copytree(four_bits, place / "other_template"))
    (other / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    )
    shipped = {"name": "shipped", "base": "./other_template", "form_of": "tuned"}
    both = written(place, {"name": "tuned", "adapter": "tuned"}, shipped)
    with pytest.raises(ComparisonError, match="'shipped' reads 10 of 10 items of suite 'arc_mini'"):
        plan(both, out=place / "runs" / "never")


@pytest.mark.parametrize("served", [{"gguf": "a.gguf"}, SERVER])
def test_what_is_served_is_no_form_of_a_candidate_with_other_prompts(
    place: Path, four_bits: Path, served: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file or server gets the base's prompts: beside a base of its own they would not pair."""
    monkeypatch.setattr("harness.extras.find_spec", lambda _: True)  # a plan asks no llama.cpp
    other = place / "own_template"
    shutil.copytree(four_bits, other, dirs_exist_ok=True)
    (other / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    (place / "a.gguf").touch()
    own = {"name": "tuned", "base": "./own_template"}
    both = written(place, own, {"name": "shipped", "form_of": "tuned", **served})
    with pytest.raises(ComparisonError, match="make that one's base the study's"):
        plan(both, out=place / "runs" / "never")
    on_base = written(
        place, {"name": "tuned", "adapter": "tuned"},
        {"name": "shipped", "form_of": "tuned", **served},
    )  # fmt: skip
    assert plan(on_base, out=place / "runs" / "never").arms == (BASE, "tuned", "shipped")


@pytest.mark.parametrize("candidate", [{"adapter": "tuned"}, {"train": "rows.jsonl"}])
def test_forms_are_not_paired_with_another_engine_s_adapter(
    place: Path, candidate: dict[str, Any]
) -> None:
    """A form would be answered here, its adapter by vLLM: no package has to be there to say so."""
    mixed = {
        "name": "mixed", "base": {"model": "builtin:tiny", "backend": "vllm"},
        "candidates": [{"name": "mine", "as": "merged", **candidate}], "suites": SUITES,
    }  # fmt: skip
    (place / "mixed.yaml").write_text(yaml.safe_dump(mixed))
    with pytest.raises(StudyError, match="'mine' is scored as merged as well: forms are made and"):
        plan(study.load(place / "mixed.yaml"), out=place / "runs" / "never")


@pytest.mark.parametrize("elsewhere", [{"gguf": "a.gguf"}, SERVER])
def test_a_base_elsewhere_has_no_forms_made_here(place: Path, elsewhere: dict[str, Any]) -> None:
    """Weights that are not here can neither be merged nor quantized here."""
    plain = {
        "name": "away", "base": {"model": "builtin:tiny", **elsewhere},
        "candidates": [{"name": "mine", "adapter": "tuned", "as": "4bit"}], "suites": SUITES,
    }  # fmt: skip
    (place / "away.yaml").write_text(yaml.safe_dump(plain))
    with pytest.raises(StudyError, match="'mine' changes weights of the base"):
        study.load(place / "away.yaml")


@pytest.mark.parametrize(
    ("candidate", "options", "expected"),
    [
        ({"adapter": "virtual", "as": "4bit"}, {}, "virtual tokens"),
        ({"adapter": "four_bits", "as": "merged"}, {}, "whole model already"),
        ({"adapter": "tuned", "as": "8bit"}, {"until_decided": True}, "--until-decided"),
    ],
)
def test_what_has_no_such_form_is_refused_by_a_plan(
    place: Path, four_bits: Path, candidate: dict[str, Any], options: dict[str, Any], expected: str
) -> None:
    """Before anything is trained or answered, in a sentence that names the candidate."""
    assert four_bits.is_dir()
    virtual = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)
    if not (place / "virtual").exists():
        adapter(content.BUILTIN_MODELS["tiny"], place / "virtual", virtual)
    with pytest.raises(StudyError, match=expected) as refused:
        plan(written(place, {"name": "mine", **candidate}), out=place / "runs" / "no", **options)
    assert "'mine'" in str(refused.value)


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        ([{"name": "a", "adapter": "tuned", "as": ["5bit"]}], "'adapter', 'merged', '4bit'"),
        ([{"name": "a", "adapter": "tuned", "as": ["4bit", "4bit"]}], "each form may stand once"),
        ([{"name": "a", "base": "./m", "as": "4bit"}], "'form_of'"),
        ([{"name": "a", "adapter": "tuned", "form_of": "b"}], "found form_of 'b'"),
        (
            [
                {"name": "a", "adapter": "tuned", "as": "4bit"},
                {"name": "a-4bit", "adapter": "tuned"},
            ],
            "'a-4bit' is used twice",
        ),
        ([{"name": "a", "train": "x.jsonl", "form_of": "b"}], "no other form"),
    ],
)
def test_a_study_that_says_it_wrongly_is_told(
    place: Path, candidates: list[dict[str, Any]], expected: str
) -> None:
    """Forms that do not exist, twice, or of nobody."""
    with pytest.raises(HarnessError, match=expected):
        written(place, *candidates)
