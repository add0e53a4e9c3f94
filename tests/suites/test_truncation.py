"""Items beyond the context: unscored, or cut at their start for every arm alike, and recorded."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from peft import PromptTuningConfig
from support.suites import loaded, samples, write_rows
from support.tiny_models import adapter, answers

from harness import content, study
from harness.engine import Engine, LoadedSuite
from harness.pipeline.plan import plan
from harness.records import BASE, Request
from harness.store import read_samples, write_samples
from harness.suites.lm_eval_task import quiet
from harness.suites.tokenize import cut_left, tokens_needed

pytestmark = pytest.mark.model
ROOM = 300


@pytest.fixture(scope="module")
def short_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built-in base with a context of 300 tokens, which many prompts exceed."""
    folder = tmp_path_factory.mktemp("cut") / "base"
    shutil.copytree(content.BUILTIN_MODELS["tiny"], folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": ROOM}))
    return folder


@pytest.fixture(scope="module")
def engine(short_base: Path) -> Engine:
    """Return an engine on it."""
    return Engine.load(str(short_base), device="cpu")


def theirs(base: Path, room: int = ROOM) -> Any:
    """Return lm-eval's own hf model on the same base, which cuts on the left too."""
    from lm_eval.models.huggingface import HFLM

    with quiet():
        return HFLM(
            pretrained=str(base), device="cpu", batch_size=1, dtype="float32", max_length=room
        )


def long_rows(path: Path, count: int = 12) -> Path:
    """Write multiple-choice rows of which every other one is far too long for the context."""
    write_rows(path, count, text="item {}")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for n, row in enumerate(rows):
        if n % 2:
            row["question"] = f"The list {n} goes on. " * (40 + n) + row["question"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def check_choices(suite: LoadedSuite, uncut: LoadedSuite) -> None:
    """Every choice of an item loses the same tokens, and the longest just fits."""
    for item, before in zip(suite.items, uncut.items, strict=True):
        now = [r for r in suite.requests if r.item == item.key]
        then = [r for r in uncut.requests if r.item == before.key]
        for one, other in zip(now, then, strict=True):
            assert one.context_ids == other.context_ids[item.cut :]
            assert one.continuation_ids == other.continuation_ids
        longest = max(len(r.context_ids) + len(r.continuation_ids) - 1 for r in now)
        assert longest == ROOM if item.cut else longest <= ROOM


def test_choices_lose_the_same_start_and_score_as_in_lm_eval(
    engine: Engine, short_base: Path, tmp_path: Path
) -> None:
    """The item's hash changes with the cut, and lm-eval's hf gives the same numbers."""
    long_rows(tmp_path / "rows.jsonl")
    uncut = loaded(engine, tmp_path, data="rows.jsonl", max_tokens=ROOM)
    suite = loaded(engine, tmp_path, data="rows.jsonl", max_tokens=ROOM, truncation="left")
    check_choices(suite, uncut)
    assert [item.cut > 0 for item in suite.items] == [n % 2 == 1 for n in range(12)]
    for item, before in zip(suite.items, uncut.items, strict=True):
        assert (item.prompt_hash == before.prompt_hash) == (not item.cut)
        assert before.prompt.endswith(item.prompt)
    most = max(item.cut for item in suite.items)
    assert suite.notes == [
        f"6 of 12 items of arc_challenge were cut on the left by up to {most} tokens to fit the "
        "context"
    ]
    instances = [one for group in suite.instances for one in group]
    with quiet():
        expected = theirs(short_base).loglikelihood(instances)
    longest = {
        item.key: max(len(r.continuation_ids) for r in suite.requests if r.item == item.key)
        for item in suite.items
    }
    found = answers(engine, BASE, list(suite.requests))
    compared = 0
    for request, response, (logprob, greedy) in zip(suite.requests, found, expected, strict=True):
        # a shorter choice keeps more of its context in lm-eval, by as many tokens as it is shorter
        if len(request.continuation_ids) == longest[request.item]:
            assert response.logprob == pytest.approx(logprob, abs=1e-4)
            assert response.is_greedy == greedy
            compared += 1
    assert compared > 24


def test_generations_keep_room_for_the_answer_as_in_lm_eval(
    engine: Engine, short_base: Path, tmp_path: Path
) -> None:
    """Context and new tokens fit together; texts are those of lm-eval's hf."""
    section = {"name": "sql", "template": "auto", "limit": 12}
    whole = loaded(engine, tmp_path, **section)
    needs = sorted(tokens_needed(request) for request in whole.requests)
    room = needs[6]
    assert needs[0] < room < needs[-1]
    suite = loaded(engine, tmp_path, **section, max_tokens=room, truncation="left")
    for request, before in zip(suite.requests, whole.requests, strict=True):
        assert tokens_needed(request) == min(room, tokens_needed(before))
        assert before.context_ids[-len(request.context_ids) :] == request.context_ids
    instances = [one for group in suite.instances for one in group]
    with quiet():
        expected = theirs(short_base, room).generate_until(instances)
    found = [response.text for response in answers(engine, BASE, list(suite.requests))]
    assert found == expected


def test_without_the_option_long_items_are_unscored(engine: Engine, tmp_path: Path) -> None:
    """The default cuts nothing in silence."""
    long_rows(tmp_path / "rows.jsonl")
    suite = loaded(engine, tmp_path, data="rows.jsonl", max_tokens=ROOM)
    assert suite.notes == []
    for n, sample in enumerate(samples(engine, BASE, suite)):
        assert (sample.verdict.outcome == "unscored") == (n % 2 == 1)
        assert sample.item.cut == 0


def test_the_cut_reaches_the_samples_file(engine: Engine, tmp_path: Path) -> None:
    """A reader of the log sees which items were cut, by how much, and what the model saw."""
    long_rows(tmp_path / "rows.jsonl")
    suite = loaded(engine, tmp_path, data="rows.jsonl", max_tokens=ROOM, truncation="left")
    judged = samples(engine, BASE, suite)
    write_samples(tmp_path / "samples.jsonl", judged)
    lines = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert [line["cut"] for line in lines] == [item.cut for item in suite.items]
    assert [sample.item for sample in read_samples(tmp_path / "samples.jsonl")] == list(suite.items)
    for line in lines:
        assert line["arguments"]["gen_args_0"]["arg_0"].endswith(line["prompt"])


def test_every_arm_is_cut_to_what_the_fullest_arm_has_room_for(
    short_base: Path, tmp_path: Path
) -> None:
    """Virtual tokens of one candidate take room; all arms get the same ids, and all answer."""
    config = PromptTuningConfig(num_virtual_tokens=7, task_type="CAUSAL_LM")
    adapter(short_base, tmp_path / "tuned", config)
    long_rows(tmp_path / "rows.jsonl")
    section = {"name": "arc_challenge", "data": "rows.jsonl", "truncation": "left"}
    made = study.Study(
        name="cut", base=str(short_base), folder=tmp_path,
        candidates=({"name": "tuned", "adapter": "tuned"},), suites=(section,),
    )  # fmt: skip
    planned = plan(made, out=tmp_path / "run")
    (suite,) = planned.loaded
    assert planned.notes == tuple(suite.notes) != ()
    tokens = [len(r.context_ids) + len(r.continuation_ids) - 1 for r in suite.requests]
    assert max(tokens) == ROOM - 7
    engine = Engine.load(str(short_base), device="cpu")
    engine.attach("tuned", tmp_path / "tuned")
    for arm in (BASE, "tuned"):
        assert all(r.unscored is None for r in answers(engine, arm, list(suite.requests)))


def request(context: str, ids: tuple[int, ...], scored: tuple[int, ...] = (5,)) -> Request:
    """Return a log-likelihood request of one item."""
    from harness.records import ItemKey

    return Request(
        kind="loglikelihood", item=ItemKey("s", "none", "0", 0), index=0, context=context,
        continuation="x", context_ids=ids, continuation_ids=scored,
    )  # fmt: skip


def test_what_cannot_be_cut_stays_whole(engine: Engine) -> None:
    """An empty context loses nothing; an answer that fills the context leaves its item as it is."""
    question, alone = request("long", tuple(range(3, 33))), request("", (1,))
    (shorter, same), cut = cut_left([question, alone], 20, engine.tokenizer)
    assert (cut, same) == (10, alone)
    assert shorter.context_ids == question.context_ids[10:]
    full = request("long", (3, 4), tuple(range(3, 40)))
    assert cut_left([question, full], 20, engine.tokenizer) == ([question, full], 0)
