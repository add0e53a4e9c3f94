"""Dialogues in a run: own answers as context, kills, shards, early ends, endpoints and reports."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.killing import harness_killed
from support.paths import ROOT
from support.scripted_speakers import ScriptedChat
from support.tiny_models import lora

from harness import content, study
from harness.engine import Engine
from harness.pipeline.answers.shards import Shard, answer_shard
from harness.pipeline.plan import plan
from harness.pipeline.run import carry_out, run_study
from harness.pipeline.train import trained
from harness.records import Request, Sample
from harness.store.samples import read_samples
from harness.suites.tokenize import Encoder, render

pytestmark = pytest.mark.model

ROWS = [
    json.loads(line)
    for line in (content.TASKS / "conversation/data/test.jsonl").read_text("utf-8").splitlines()
]
MT_BENCH = ROOT.parent / "shared/data/mt_bench/question.jsonl"


def write_study(folder: Path, **changes: Any) -> Path:
    """Write a study of one adapter made elsewhere, on a few dialogues."""
    folder.mkdir(parents=True, exist_ok=True)
    suite = {"name": "conversation", "limit": 6, "measure": "words"}
    plain = {
        "name": "talks",
        "base": "builtin:tiny",
        "candidates": [{"name": "other", "adapter": str(folder.parent / "other")}],
        "suites": [suite],
        "review": {"items_per_suite": 2},
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(plain | changes))
    return path


def samples(run: Path, arm: str) -> list[Sample]:
    """Return an arm's dialogues."""
    return read_samples(run / f"samples/{arm}/samples_conversation.jsonl")


def texts(run: Path, arm: str) -> dict[str, list[str | None]]:
    """Return what an arm said, by scenario."""
    return {s.item.cluster: [one.text for one in s.responses] for s in samples(run, arm)}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an adapter of the built-in base."""
    folder = tmp_path_factory.mktemp("talks")
    lora(content.BUILTIN_MODELS["tiny"], folder / "other", seed=3, lora_alpha=32)
    return folder


@pytest.fixture(scope="module")
def whole(home: Path) -> Path:
    """Return the run folder of a study that was never stopped."""
    run_study(study.load(write_study(home / "whole")), out=home / "whole/run")
    return home / "whole/run"


def test_each_turn_follows_the_arms_own_answers(whole: Path) -> None:
    """Greedy decoding on the whole conversation, as a chat would lay it out, says the same."""
    engine = Engine.load(str(content.BUILTIN_MODELS["tiny"]), dtype="float32")
    for sample in samples(whole, "base")[:3]:
        rows = {row["scenario"]: row for row in ROWS}
        row, said = rows[sample.item.cluster], [one.text or "" for one in sample.responses]
        messages = [{"role": "system", "content": row["system"]}] if row.get("system") else []
        for number, turn in enumerate(row["turns"]):
            messages.append({"role": "user", "content": turn["user"]})
            prompt = render(engine.tokenizer, messages, generate=True)
            request = Request(
                kind="generate_until", item=sample.item.key, index=number, context=prompt,
                continuation="", context_ids=tuple(Encoder(engine.tokenizer).encode(prompt)),
                settings={"until": [], "max_new_tokens": 64},
            )  # fmt: skip
            [[(_, answer)]] = engine.answer("base", [request])
            assert answer.text == said[number], (row["id"], number)
            messages.append({"role": "assistant", "content": said[number].strip()})


def test_arms_hear_themselves_and_read_the_same_declared_turns(whole: Path) -> None:
    """Items pair by scenario: one declared prompt, answers of one's own."""
    base, other = samples(whole, "base"), samples(whole, "other")
    assert [s.item.prompt_hash for s in base] == [s.item.prompt_hash for s in other]
    assert texts(whole, "base") != texts(whole, "other")
    assert all(len(s.responses) == len(s.item.doc["turns"]) for s in base)  # type: ignore[arg-type]


@pytest.mark.parametrize("batches", [2, pytest.param(9, marks=pytest.mark.nightly)])
def test_a_run_killed_inside_a_dialogue_goes_on_with_the_same_texts(
    home: Path, whole: Path, batches: int
) -> None:
    """What was said before the kill is heard by the turns after it."""
    path = write_study(home / f"killed{batches}")
    run = path.parent / "run"
    harness_killed("run", path, "--out", run, batches=batches, folder=path.parent)
    assert not (run / "samples").exists()
    run_study(study.load(path), out=run)
    for arm in ("base", "other"):
        assert texts(run, arm) == texts(whole, arm)


@pytest.mark.nightly
def test_shards_take_whole_dialogues(home: Path, whole: Path) -> None:
    """Two processes lead some dialogues each; merged they are those of one."""
    path = write_study(home / "shards")
    planned = plan(study.load(path), out=path.parent / "run")
    for number in (1, 2):
        answer_shard(planned, trained(planned), Shard(number, 2))
    carry_out(plan(study.load(path), out=path.parent / "run"))
    for arm in ("base", "other"):
        assert texts(path.parent / "run", arm) == texts(whole, arm)


@pytest.mark.nightly
def test_a_verdict_may_end_early(home: Path, whole: Path) -> None:
    """Block after block, each dialogue led to its end."""
    path = write_study(home / "early")
    run_study(study.load(path), out=path.parent / "run", until_decided=True)
    found = texts(path.parent / "run", "base")
    assert found.items() <= texts(whole, "base").items()
    assert found


def test_a_dialogue_that_might_not_fit_is_unscored_for_every_arm(home: Path) -> None:
    """Whether it fits does not depend on how much an arm says."""
    probe = {"kind": "memory", "says": ["word"]}
    long = {**ROWS[0], "turns": [{"user": "word " * 3000}, {"user": "And?", "probes": [probe]}]}
    data = home / "long.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in (*ROWS[1:6], long)))
    suite = {"name": "conversation", "data": str(data), "measure": "words"}
    path = write_study(home / "long", suites=[suite], gate={"max_unscored": 0.5})
    run_study(study.load(path), out=path.parent / "run")
    for arm in ("base", "other"):
        left = [s for s in samples(path.parent / "run", arm) if s.verdict.score is None]
        assert [s.item.doc["id"] for s in left] == [long["id"]]
        assert "too long" in (left[0].responses[0].unscored or "")


def test_the_report_shows_both_dialogues_turn_by_turn(whole: Path) -> None:
    """A reader sees what was said and what each turn kept, and raters see what was said."""
    page = (whole / "report.html").read_text("utf-8")
    assert "turn 2: fit" in page
    [packet] = sorted(whole.glob("review/*/for_raters/rater-1/*.html"))[:1]
    assert "Assistant:" in packet.read_text("utf-8")


def test_speakers_behind_an_endpoint_are_told_by_their_causes(tmp_path: Path) -> None:
    """One who forgets, one who repeats, one who flips: the gate fails each, its cause on top."""
    rows = [row for row in ROWS if row["kind"] in ("memory", "correction", "twice")]
    faults = {"forgetful": "forgot", "repeating": "self_echo", "flipping": "contradicts_itself"}
    data = tmp_path / "talks.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with ScriptedChat.of(rows) as server:
        path = write_study(
            tmp_path / "served",
            base=server.arm("good"),
            candidates=[{"name": name, **server.arm(name)} for name in faults],
            suites=[{"name": "conversation", "data": str(data), "measure": "words"}],
        )
        result = run_study(study.load(path), out=path.parent / "run", allow_identical=True)
    assert {one.candidate for one in result.comparisons if one.verdict == "fail"} == set(faults)
    for name, cause in faults.items():
        kinds = ("twice",) if name == "flipping" else ("memory", "correction", "twice")
        found = Counter(
            s.verdict.labels[0]
            for s in samples(path.parent / "run", name)
            if s.item.slices["kind"] in kinds and s.verdict.labels
        )
        assert found[cause] >= 0.95 * sum(row["kind"] in kinds for row in rows), (name, found)
        first = next(f for f in result.findings if f.kind == "cause" and f.candidate == name)
        assert first.title == cause
    sent = [body["messages"] for body in server.bodies if body["model"] == "repeating"]
    assert max(sum(one["role"] == "assistant" for one in messages) for messages in sent) == 4


@pytest.mark.skipif(not MT_BENCH.is_file(), reason="MT-Bench's questions are not here")
def test_mt_bench_is_asked_in_two_turns(home: Path) -> None:
    """Its own file is read as it is; the second turn hears the first answer."""
    suite = {"name": "conversation", "data": str(MT_BENCH), "limit": 4, "measure": "words"}
    path = write_study(home / "mt_bench", suites=[suite])
    result = run_study(study.load(path), out=path.parent / "run")
    assert result.suites[0].metric == "coherence_words"
    assert {len(s.responses) for s in samples(path.parent / "run", "base")} == {2}
