"""Studies of models that think: judged by their answers, their thoughts counted and shown apart."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.command import harness, harness_here
from support.thinking_models import R1, says, speaking

from harness import rating, study
from harness.errors import StudyError
from harness.pipeline.finished.chat import open_chat
from harness.pipeline.plan import plan
from harness.pipeline.run import run_study
from harness.records import BASE, Result, Sample
from harness.report.markdown import markdown
from harness.store import read_samples
from harness.store.run_folder import RunFolder

pytestmark = pytest.mark.model

ROWS = [{"id": n, "question": f"Which word is it, {n}?", "answers": ["w8 w9"]} for n in range(24)]
THINKS = says("<pad> <think> w5 w6 w7 </think> w8 w9")
ENDLESS = {**says("<pad> <think> w5 w6"), "w6": "w5"}
QA: dict[str, Any] = {"name": "domain_qa", "data": "rows.jsonl"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model that thinks and answers, one that never ends, and rows."""
    folder = tmp_path_factory.mktemp("reasoning")
    speaking(folder / "thinks", THINKS, context=2048)
    speaking(folder / "endless", ENDLESS, context=2048)
    speaking(folder / "opened", THINKS | {"<think>": "w5"}, template=R1, context=2048)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    choices = [
        {"id": n, "question": f"Which, {n}?", "choices": ["w8", "w30"], "answer": 0}
        for n in range(12)
    ]
    (folder / "choices.jsonl").write_text("".join(json.dumps(row) + "\n" for row in choices))
    return folder


def written(place: Path, **changes: Any) -> study.Study:
    """Return a study of the two models."""
    plain = {
        "name": "reasoning",
        "base": {"model": "./thinks"},
        "candidates": [{"name": "endless", "base": "./endless"}],
        "suites": [QA],
        "thinking_tokens": 40,
        "review": {"items_per_suite": 4},
    }
    (place / "study.yaml").write_text(yaml.safe_dump(plain | changes))
    return study.load(place / "study.yaml")


@pytest.fixture(scope="module")
def run(place: Path) -> tuple[Result, RunFolder]:
    """Run the study once."""
    folder = RunFolder(place / "run")
    return run_study(written(place), out=folder.path), folder


def samples(folder: RunFolder, arm: str, suite: str = "domain_qa") -> list[Sample]:
    """Return an arm's samples of one suite."""
    return read_samples(folder.samples(arm, suite))


def test_the_answer_is_judged_and_the_thought_kept_apart(run: tuple[Result, RunFolder]) -> None:
    """What is scored, logged as the response and shown to raters is the answer alone."""
    for sample in samples(run[1], BASE):
        (response,) = sample.responses
        assert (response.text, response.thought) == ("w8 w9", "w5 w6 w7")
        assert (response.tokens, response.thought_tokens) == (7, 5)
        assert sample.verdict.outcome == "correct"
        assert sample.verdict.metrics["thinking_tokens"] == 5
        assert sample.verdict.metrics["answer_tokens"] == 2


def test_a_thought_until_the_limit_is_wrong_with_its_own_cause(
    run: tuple[Result, RunFolder],
) -> None:
    """A model that never answers is wrong, and everybody sees why."""
    for sample in samples(run[1], "endless"):
        (response,) = sample.responses
        assert (response.text, response.finish, response.thought_tokens) == ("", "length", 40)
        assert sample.verdict.outcome == "incorrect"
        assert sample.verdict.labels == ("thought_until_limit",)
    result = run[0]
    assert result.verdict == "fail"
    assert result.comparisons[0].decision is not None
    assert "thought until the limit" in markdown(result)


def test_the_report_tells_what_thoughts_cost(run: tuple[Result, RunFolder]) -> None:
    """Mean, median and the paired difference stand beside the length of answers."""
    result, folder = run
    base, endless = (score.thought for score in result.scores)
    assert base is not None
    assert endless is not None
    assert (base.mean, base.median, base.more) == (5, 5, None)
    assert (endless.mean, endless.more, endless.until_limit) == (40, 35, 24)
    assert (endless.more_low, endless.more_high) == (35, 35)
    page = (folder.path / "report.html").read_text(encoding="utf-8")
    assert "thoughts of 40 tokens (median 40), 35 more than the base" in page
    assert "its thought, not judged" in page


def test_raters_see_answers_and_are_told(run: tuple[Result, RunFolder]) -> None:
    """No thought reaches a sheet, and the sheet says so."""
    sheets = [
        file.read_text(encoding="utf-8")
        for file in run[1].path.glob("review/**/*.html")
        if "key" not in file.name
    ]
    assert sheets
    for sheet in sheets:
        assert "think before they answer" in sheet
        assert "w5 w6" not in sheet


def test_thinking_can_be_turned_off(place: Path) -> None:
    """``enable_thinking: false`` is part of every prompt, and of the key of every answer."""
    off = {"model": "./thinks", "chat_template_kwargs": {"enable_thinking": False}}
    ways = {
        "study": written(place, base=off),
        "suite": written(
            place, suites=[{**QA, "chat_template_kwargs": off["chat_template_kwargs"]}]
        ),
        "on": written(place),
    }
    planned = {name: plan(one, out=place / "off") for name, one in ways.items()}
    prompts = {name: one.loaded[0].requests[0] for name, one in planned.items()}
    assert prompts["study"].context == prompts["suite"].context
    assert prompts["study"].context.endswith("<think>\n\n</think>\n\n")
    assert prompts["on"].context.endswith("<|im_start|>assistant\n")
    assert prompts["suite"].settings["chat_template_kwargs"] == {"enable_thinking": False}
    result = run_study(ways["study"], out=place / "off")
    assert (result.scores[0].thought, result.scores[0].mean) == (None, 1.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"base": {"model": "./thinks", "chat_template_kwargs": {"enable_thinkin": False}}},
            "it reads enable_thinking; did you mean 'enable_thinking'",
        ),
        (
            {"suites": [{**QA, "chat_template_kwargs": {"effort": "low"}}]},
            "suite 'domain_qa' has 'effort', and it reads enable_thinking",
        ),
        (
            {"suites": [{**QA, "template": "none",
                         "chat_template_kwargs": {"enable_thinking": False}}]},
            "need a chat template, and suite 'domain_qa' is asked in plain text",
        ),
        (
            {"base": {"model": "./thinks", "template": "none",
                      "chat_template_kwargs": {"enable_thinking": False}}},
            "is asked in plain text",
        ),
        (
            {"base": {"model": "./thinks", "chat_template_kwargs": {"tools": []}}},
            "'tools' is set by the harness",
        ),
    ],
)  # fmt: skip
def test_arguments_that_change_nothing_are_refused(
    place: Path, changes: dict[str, Any], said: str
) -> None:
    """A template takes any argument without a word; the study would say what is not so."""
    with pytest.raises(StudyError, match=said):
        plan(written(place, **changes), out=place / "refused")


def test_choices_are_scored_after_an_empty_thought(place: Path) -> None:
    """Where the template offers it, and it is said; where it doesn't, that is said."""
    suites = [{"name": "arc_mini", "limit": 4}]
    base = [{"name": "self", "base": "./endless"}]
    closed = plan(written(place, suites=suites, candidates=base), out=place / "closed").loaded[0]
    assert all(r.context.endswith("<think>\n\n</think>\n\n") for r in closed.requests)
    assert "after an empty thought (enable_thinking: false)" in closed.notes[-1]
    asked = [{**suites[0], "chat_template_kwargs": {"enable_thinking": True}}]
    begun = plan(written(place, suites=asked, candidates=base), out=place / "begun").loaded[0]
    assert not any("</think>" in r.context for r in begun.requests)
    assert "would begin to think" in begun.notes[-1]
    opened = written(place, suites=suites, base={"model": "./opened"}, candidates=base)
    inside = plan(opened, out=place / "inside").loaded[0]
    assert "inside a thought" in inside.notes[-1]


def test_a_prompt_that_opens_the_thought(place: Path) -> None:
    """DeepSeek-R1's template opens it: only its end is written, and the answer follows that."""
    opened = written(place, base={"model": "./opened"})
    run_study(opened, out=place / "run_opened")
    (response,) = samples(RunFolder(place / "run_opened"), BASE)[0].responses
    assert (response.text, response.thought, response.thought_tokens) == ("w8 w9", "w5 w6 w7", 4)


def test_answers_from_elsewhere_are_rated_without_their_thoughts(tmp_path: Path) -> None:
    """`harness rate` has only the text to go by."""
    said = {
        "closed": "<think>Is it Rome?</think>\n\nVienna",
        "lone end": "Is it Rome? No.\n</think>\n\nVienna",
        "harmony": "<|channel|>analysis<|message|>Rome?<|end|><|start|>assistant<|channel|>final"
        "<|message|>Vienna<|return|>",
        "Magistral": "[THINK]Rome?[/THINK]Vienna",
        "cut": "<think>It is Vienna, I would say",
    }
    rows = [
        {"id": name, "question": "Which city?", "answers": ["Vienna"], "response": text,
         "finish": "length" if name == "cut" else "stop"}
        for name, text in said.items()
    ]  # fmt: skip
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    harness("rate", "qa", tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl")
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    found = {row["id"]: row for row in map(json.loads, lines)}
    assert {name: row["verdict"] for name, row in found.items()} == {
        **dict.fromkeys(said, "correct"), "cut": "incorrect"
    }  # fmt: skip
    assert found["cut"]["labels"] == ["thought_until_limit"]


def test_a_chat_shows_thoughts_and_goes_on_with_answers(run: tuple[Result, RunFolder]) -> None:
    """A person sees what was thought; the model's own history and the transcript have the answer.

    The model knows none of the words that transformers tries a vocabulary with for stop strings.
    """
    talk = open_chat(run[1])
    shown: list[str] = []
    said = talk.send("w20 w21", on_text=lambda _, piece: shown.append(piece), max_new_tokens=8)
    assert said[BASE].split() == ["<think>", "w5", "w6", "w7", "</think>", "w8", "w9"]
    assert "".join(shown).split()[:3] == ["<think>", "w5", "w6"]
    assert talk.turns[-1] == {"role": "assistant", "content": "w8 w9"}
    assert "w6" not in talk.transcript.read_text(encoding="utf-8")


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("arguments", "answered", "asked"),
    [
        ("thinking_tokens=2", "", "assistant\n"),
        ("thinking_tokens=40,enable_thinking=False", "w8 w9", "<think>\n\n</think>\n\n"),
    ],
)
def test_lm_eval_judges_answers_without_thoughts(
    place: Path, tmp_path: Path, arguments: str, answered: str, asked: str
) -> None:
    """lm-eval's own command takes what a thought may take, and the template's switch."""
    task = {
        "task": "thinks",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(place / "rows.jsonl")}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{question}}",
        "doc_to_target": "w8 w9",
        "generation_kwargs": {"until": ["</s>"], "max_gen_toks": 2},
        "metric_list": [{"metric": "exact_match"}],
    }
    (tmp_path / "thinks.yaml").write_text(yaml.safe_dump(task))
    ended = harness_here(
        "lm-eval", "--model", "harness", "--device", "cpu", "--tasks", "thinks", "--limit", "2",
        "--model_args", f"pretrained={place / 'thinks'},{arguments}", "--include_path", tmp_path,
        "--apply_chat_template", "--log_samples", "--output_path", tmp_path / "out",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    (samples_file,) = (tmp_path / "out").rglob("samples_*.jsonl")
    rows = list(map(json.loads, samples_file.read_text(encoding="utf-8").splitlines()))
    assert [row["filtered_resps"] for row in rows] == [[answered]] * 2
    assert all(row["arguments"]["gen_args_0"]["arg_0"].endswith(asked) for row in rows)


def test_training_sees_the_template_that_scoring_sees(place: Path) -> None:
    """Told not to think, a model learns what follows the closed thought.

    Each token decides the next, so the answer was learnt only if the training prompt ended alike.
    """
    rows = [
        {"messages": [{"role": "user", "content": f"w{n}"},
                      {"role": "assistant", "content": "w30 w31"}]}
        for n in range(10, 18)
    ]  # fmt: skip
    (place / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    training = {"learning_rate": 0.2, "max_steps": 12, "lr_scheduler_type": "constant"}
    learnt = written(
        place,
        base={"model": "./thinks", "chat_template_kwargs": {"enable_thinking": False}},
        candidates=[
            {"name": "tuned", "method": "full", "train": "train.jsonl", "training": training}
        ],
        suites=[{**QA, "limit": 4}],
    )
    folder = RunFolder(place / "trained")
    run_study(learnt, out=folder.path)
    assert [samples(folder, arm)[0].responses[0].text for arm in (BASE, "tuned")] == [
        "w8 w9", "w30 w31"
    ]  # fmt: skip


UNANSWERED: dict[str, dict[str, object]] = {
    "sql": {"gold_sql": "SELECT 1", "schema_sql": "CREATE TABLE t (a INTEGER);"},
    "qa": {"question": "Which city?", "answers": ["Vienna"]},
    "choice": {"question": "Which?", "choices": ["Vienna", "Rome"], "answer": 0},
    "coherence": {"context": ["Which city?"], "answers": ["Vienna"]},
    "tools": {"tools": [], "messages": [{"role": "user", "content": "Hi"}], "expected": None},
    "refusal": {"messages": [{"role": "user", "content": "Hi"}], "should": "decline"},
    "classification": {"labels": ["Vienna", "Rome"], "label": "Vienna"},
    "summary": {"document": "It is Vienna."},
    "conversation": {"turns": [{"user": "Hi"}]},
}


@pytest.mark.parametrize(("suite", "row"), UNANSWERED.items())
def test_every_judge_knows_a_thought_without_an_answer(
    suite: str, row: Mapping[str, object]
) -> None:
    """Cut, or said by its row to have ended by itself: wrong, whatever else the judge looks for."""
    thought = "<think>I would say SELECT 1, Vienna, or that I can't help with"
    said = {"pred_text": thought} if suite == "sql" else {"response": thought}
    if suite == "conversation":
        said = {"responses": [thought]}
    rows = [
        {"id": str(finish), **row, **said, **({"finish": finish} if finish else {})}
        for finish in (None, "length", "stop")
    ]
    found = list(rating.rate(suite, rows))
    assert [one["verdict"] for one in found] == ["incorrect"] * 3
    assert [one["score"] for one in found] == [0] * 3
    assert [one["labels"] for one in found] == [
        ["thought_until_limit"], ["thought_until_limit"], ["only_thought"]
    ]  # fmt: skip
