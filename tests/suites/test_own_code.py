"""Code that a suite's YAML names runs only where the study trusts it."""

import json
from pathlib import Path

import pytest
from support.command import harness_here
from support.suites import load_polite

from harness.errors import HarnessError, StudyError
from harness.suites.own.own_code import ours, require_trust

pytestmark = pytest.mark.model

ENTRIES = {
    "task": "polite",
    "custom_dataset": "!function harness.suites.dataset.load",
    "output_type": "generate_until",
    "test_split": "test",
    "doc_to_text": '"{{question}}"',
    "doc_to_target": "thanks",
    "generation_kwargs": "{until: [], do_sample: false, max_gen_toks: 8}",
    "metric_list": "[{metric: exact_match, aggregation: mean, higher_is_better: true}]",
}
CODE = """
from pathlib import Path
Path(__file__).with_name("ran").touch()

def process(docs):
    return docs

def text(doc):
    return doc["question"]

class Task:
    pass
"""


def write(folder: Path, name: str = "polite", **entries: str | None) -> Path:
    """Write a suite with one row, and code beside it that leaves a trace when it is imported."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    kept = {key: value for key, value in (ENTRIES | entries).items() if value is not None}
    (folder / f"{name}.yaml").write_text("".join(f"{k}: {v}\n" for k, v in kept.items()))
    (folder / "mine.py").write_text(CODE)
    row = {"question": "Say thanks.", "thanks": "thanks"}
    (folder / "data" / "test.jsonl").write_text(json.dumps(row) + "\n")
    return folder


CODES: dict[str, dict[str, str | None]] = {
    "rows": {"process_docs": "!function mine.process"},
    "prompt": {"doc_to_text": "!function mine.text"},
    "metric": {"metric_list": "[{metric: !function mine.text, aggregation: mean}]"},
    "filter": {
        "filter_list": "[{name: f, filter: [{function: custom, filter_fn: !function mine.text}]}]"
    },
    "examples": {"fewshot_config": "{sampler: !function mine.Task}"},
    "class": {"class": "!function mine.Task"},
    "anything installed": {"doc_to_text": "!function os.system"},
    "program of evaluate": {"metric_list": "[{metric: ./polite, aggregation: mean}]"},
    "program that is asked for": {
        "metric_list": "[{metric: exact_match, hf_evaluate: true, aggregation: mean}]"
    },
}


@pytest.mark.parametrize("case", CODES)
def test_code_of_a_suite_is_not_imported_without_leave(tmp_path: Path, case: str) -> None:
    """One sentence names the file and what to write; nothing has run by then."""
    write(tmp_path / "polite", **CODES[case])
    with pytest.raises(StudyError, match=r"polite.yaml of suite 'polite' .*'trust: \[code\]'"):
        load_polite(tmp_path)
    with pytest.raises(StudyError):
        load_polite(tmp_path, trust=["judge"])
    assert not (tmp_path / "polite" / "ran").exists()


def test_code_of_an_included_file_is_code_of_the_suite(tmp_path: Path) -> None:
    """However deep it is included, and also where the suite replaces what it includes."""
    write(tmp_path / "polite", include="../middle.yaml")
    (tmp_path / "middle.yaml").write_text("include: [deep/end.yaml]\n")
    write(tmp_path / "deep", "end", doc_to_text="!function mine.text")
    with pytest.raises(StudyError, match=r"end\.yaml of suite 'polite' names the function mine"):
        load_polite(tmp_path)
    assert not (tmp_path / "deep" / "ran").exists()


def test_trusted_code_runs(tmp_path: Path) -> None:
    """What the study trusts makes prompts as it does for lm-eval."""
    write(tmp_path / "polite", doc_to_text="!function mine.text")
    assert load_polite(tmp_path, trust=["code"]).items[0].prompt == "Say thanks."


def test_a_file_that_stands_where_ours_is_named_is_code(tmp_path: Path) -> None:
    """lm-eval looks beside the YAML first."""
    write(tmp_path / "polite")
    load_polite(tmp_path)
    shadow = tmp_path / "polite" / "harness" / "suites" / "dataset.py"
    shadow.parent.mkdir(parents=True)
    shadow.write_text(CODE)
    with pytest.raises(StudyError, match=r"the function harness\.suites\.dataset\.load"):
        load_polite(tmp_path)


def test_what_is_shipped_needs_no_leave(tmp_path: Path) -> None:
    """Neither lm-eval's own tasks, also where a suite includes one, nor the built-in suites."""
    import lm_eval.tasks

    from harness.content import TASKS

    hellaswag = Path(lm_eval.tasks.__file__).parent / "hellaswag" / "hellaswag.yaml"
    assert "!function" in hellaswag.read_text()
    (tmp_path / "mine.yaml").write_text(f"include: {hellaswag}\ntask: mine\n")
    require_trust(tmp_path / "mine.yaml", "mine", trusted=False)
    for suite in TASKS.glob("*/*.yaml"):
        copy = tmp_path / suite.name
        copy.write_text(suite.read_text())
        require_trust(copy, suite.stem, trusted=False)
    assert {"harness.suites.dataset.load", "harness.sql.process_results"} <= ours()
    assert all(name.startswith("harness.") for name in ours())


def test_a_template_is_no_program(tmp_path: Path) -> None:
    """Templates are rendered in a sandbox: one that reaches for Python's classes is refused."""
    trace = tmp_path / "ran"
    reach = "cycler.__init__.__globals__.os.system"
    write(tmp_path / "polite", doc_to_text=f"\"{{{{ {reach}('touch {trace}') }}}}\"")
    with pytest.raises(HarnessError, match="unsafe"):
        load_polite(tmp_path)
    assert not trace.exists()


def test_the_command_says_what_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2 and one sentence."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "polite", doc_to_text="!function mine.text")
    (tmp_path / "study.yaml").write_text(
        "{name: a, base: 'builtin:tiny', candidates: [{name: b, train: rows.jsonl}], "
        "suites: [{name: polite, folder: polite}]}"
    )
    (tmp_path / "rows.jsonl").write_text('{"question": "Who?", "answer": "Me."}\n')
    done = harness_here("plan", "study.yaml", "--no-probe")
    assert done.returncode == 2
    assert "read it, then write 'trust: [code]' into the suite's entry" in done.stderr
