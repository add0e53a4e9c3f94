"""A judge model through the whole protocol: declared, blinded, both orders, kept, beside people."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from support.finished_runs import write_run
from support.reviews import rating

from harness.analysis import answer_text
from harness.cli import app
from harness.errors import InfrastructureError, StudyError
from harness.pipeline.conclude import reopen
from harness.pipeline.finished.judge_pairs import judge_draw, only_draw
from harness.pipeline.finished.rating_sheets import draw
from harness.pipeline.plan import plan
from harness.pipeline.progress import Silent
from harness.records import JudgedPair
from harness.review import review_of, review_text, write_sheets
from harness.review.judging import read_judged
from harness.review.key import read_key
from harness.review.unblind import rated_set
from harness.store.run_folder import RunFolder
from harness.store.run_lock import write_lock
from harness.study import JudgeSection, ReviewSection, Study


class ChatJudge(ThreadingHTTPServer):
    """A chat endpoint that prefers the longer answer; after ``patience`` replies it fails.

    ``leans`` is what it replies whatever it is asked, where that is set.
    """

    def __init__(self, *, patience: int = 10**9, leans: str = "") -> None:
        self.patience, self.leans = patience, leans
        self.bodies: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), _Chat)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server_port}/v1/chat/completions"

    def reply(self, prompt: str) -> str:
        """Say which of the two answers in a prompt is longer."""
        found = re.search(r"Answer A:\n(.*)\n\nAnswer B:\n(.*)\n\nWhich answer", prompt, re.DOTALL)
        a, b = (len(text) for text in found.groups())
        return self.leans or ("A" if a > b else "B" if b > a else "C")


class _Chat(BaseHTTPRequestHandler):
    server: ChatJudge

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        failed = len(self.server.bodies) >= self.server.patience
        told: dict[str, Any] = {"error": "overloaded"}
        if not failed:
            self.server.bodies.append(asked)
            text = self.server.reply(asked["messages"][-1]["content"])
            told = {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}
        data = json.dumps(told).encode()
        self.send_response(503 if failed else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output quiet."""


@pytest.fixture
def chat() -> Iterator[ChatJudge]:
    """Run a judge that likes what is longer."""
    server = ChatJudge()
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def remote(server: ChatJudge, **changes: Any) -> JudgeSection:
    """Return the section of an endpoint."""
    args = {"base_url": server.url, "model": "judge", "max_retries": 1}
    told = {"backend": "local-chat-completions", "model_args": args, "samples": 2}
    return JudgeSection.model_validate({**told, **changes})


def drawn(path: Path, judge: JudgeSection | None, *, items: int = 6) -> tuple[RunFolder, Path]:
    """Return a finished run whose study declares a judge, and a draw of it."""
    folder = write_run(path / "run", size=24)
    declare(folder, judge)
    _, result = reopen(folder)
    asked = ReviewSection(items_per_suite=items, suites=("sql",))
    files = write_sheets(draw(result.comparisons, asked, seed=0), folder.review, seed=0)
    return folder, files["key"].parent


def declare(folder: RunFolder, judge: JudgeSection | None) -> None:
    """Write a judge into the study of a run."""
    lock = folder.read_lock()
    section = ReviewSection(judge=judge)
    study = {**lock.study_file, "review": section.model_dump(mode="json")}
    write_lock(folder.lock_file, replace(lock, study_file=study))


def test_an_endpoint_rates_the_blinded_pairs(
    tmp_path: Path, chat: ChatJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both orders of every pair, samples with seeds of their own, no word about arms."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    folder, place = drawn(tmp_path, remote(chat))
    judged = judge_draw(folder, place, Silent())
    assert len(judged.pairs) == 6
    longer = {
        pair.base.item.key: len(answer_text(pair.tuned)) - len(answer_text(pair.base))
        for comparison in reopen(folder)[1].comparisons
        for pair in comparison.pairs
    }
    for pair in judged.pairs:
        assert pair.preference == (longer[pair.item] > 0) - (longer[pair.item] < 0)
    asked = [body["messages"][-1]["content"] for body in chat.bodies[1:]]  # one tries the endpoint
    assert len(asked) == 6 * 2 * 2
    assert set(Counter(asked).values()) == {2}
    assert {body["seed"] for body in chat.bodies[1:]} == {0, 1}
    assert not any(word in text for text in asked for word in ("mixed", "tuned", "<|"))
    assert b"sk-of-the-environment" not in b"".join(
        file.read_bytes() for file in place.rglob("*") if file.is_file()
    )


def test_what_was_asked_is_kept_and_only_the_rest_is_asked(tmp_path: Path) -> None:
    """A server that fails midway costs nothing that it answered; a second call asks the rest."""
    server = ChatJudge(patience=9)
    Thread(target=server.serve_forever, daemon=True).start()
    folder, place = drawn(tmp_path, remote(server))
    with pytest.raises(InfrastructureError, match="'the judge' needs its server"):
        judge_draw(folder, place, Silent())
    assert read_judged(place / "judge.json").pairs == ()  # declared, not yet done
    server.patience = 10**9
    judge_draw(folder, place, Silent())
    assert len(server.bodies) == 24 + 2  # each call tries the endpoint once
    judge_draw(folder, place, Silent())
    assert len(server.bodies) == 24 + 2
    server.shutdown()
    server.server_close()


def test_a_judge_that_prefers_a_side_ties(tmp_path: Path, chat: ChatJudge) -> None:
    """What both orders do not agree on is a tie, and what cannot be read is no judgement."""
    chat.leans = "A"
    folder, place = drawn(tmp_path, remote(chat))
    assert {pair.preference for pair in judge_draw(folder, place, Silent()).pairs} == {0}
    chat.leans = "I cannot say."
    folder, place = drawn(tmp_path / "other", remote(chat))
    assert {pair.preference for pair in judge_draw(folder, place, Silent()).pairs} == {None}


def test_a_draw_has_one_judge(tmp_path: Path, chat: ChatJudge) -> None:
    """None is chosen by its figures: another prompt, model or seed needs another draw."""
    folder, place = drawn(tmp_path, remote(chat))
    judge_draw(folder, place, Silent())
    asked = len(chat.bodies)
    declare(folder, remote(chat, prompt="{question} {a} {b} Which?", seed=3))
    with pytest.raises(StudyError, match="has another prompt, seed than the study; draw again"):
        judge_draw(folder, place, Silent())
    assert len(chat.bodies) == asked


def test_a_judge_is_declared_before_it_is_asked(tmp_path: Path) -> None:
    """Without a section in the study there is no judge."""
    folder, place = drawn(tmp_path, None)
    with pytest.raises(StudyError, match="declared before it is asked: the study of this run has"):
        judge_draw(folder, place, Silent())


def test_the_report_holds_a_judge_to_people(tmp_path: Path, chat: ChatJudge) -> None:
    """With few ratings its figure is withheld; what it agrees with people on is still said."""
    folder, place = drawn(tmp_path, remote(chat), items=20)
    judged = judge_draw(folder, place, Silent())
    assert "people have rated 0 of the pairs" in (folder.path / "report.md").read_text()
    key = read_key(place / "key.json")
    sets = [rated_set(name, entry) for name, entry in key["sets"].items()]

    def ratings(raters: int) -> list:
        return [
            rating(number, pair.preference, row=f"{rater}-{number}", rater=rater, item=pair.item,
                   set_name=pair.set_name, stratum=pair.stratum, answers=pair.answers)
            for rater in range(1, raters + 1)
            for number, pair in enumerate(judged.pairs)
        ]  # fmt: skip

    for raters, said in ((2, "people have rated 40 of the pairs"), (5, "mixed wins")):
        (place / "review.json").write_text(review_text(review_of("d", sets, ratings(raters))))
        _, result = reopen(folder)
        from harness.report import markdown

        assert said in markdown(result)


@pytest.mark.model
def test_a_local_model_judges(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The built-in base as judge, by the command; a second call loads it and asks nothing."""
    section = JudgeSection(model="builtin:tiny", samples=5, max_new_tokens=4)
    folder, place = drawn(tmp_path, section, items=2)
    assert run("review", "judge", str(place)) == 0
    assert "builtin:tiny rated 2 pairs" in " ".join(capsys.readouterr().out.split())
    first = read_judged(place / "judge.json")
    assert (first.model, first.samples, len(first.pairs)) == ("builtin:tiny", 5, 2)
    assert all(isinstance(pair, JudgedPair) for pair in first.pairs)
    stored = (place / "judge.db").read_bytes()
    assert run("review", "judge", str(folder.path)) == 0  # its only draw
    assert read_judged(place / "judge.json") == first
    assert (place / "judge.db").read_bytes() == stored
    assert "The judge model builtin:tiny" in (folder.path / "report.html").read_text()


@pytest.mark.model
def test_a_judges_folder_is_found_from_the_run(tmp_path: Path) -> None:
    """A path of the study file holds from the run folder, too; a wrong one costs no training."""
    rows = [{"prompt": f"Who keeps light {n}?", "completion": f"Keeper {n}."} for n in range(4)]
    (tmp_path / "train.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (tmp_path / "judge").mkdir()

    def planned(model: str) -> str:
        study = Study.model_validate(
            {
                "name": "s",
                "base": "builtin:tiny",
                "candidates": [{"name": "mine", "train": "train.jsonl"}],
                "suites": [{"name": "domain_qa", "limit": 2}],
                "review": {"judge": {"model": model}},
                "folder": tmp_path,
            }
        )
        return plan(study, out=tmp_path / "run").study.review.judge.model

    assert planned("./judge") == str(tmp_path / "judge")
    assert planned("builtin:tiny") == "builtin:tiny"
    with pytest.raises(StudyError, match="a model is a folder or a hub name"):
        planned("./juge")


def test_a_judge_is_told_which_draw(tmp_path: Path) -> None:
    """A run of several draws, or of none, is no draw."""
    folder = write_run(tmp_path / "run", size=24)
    with pytest.raises(StudyError, match="its draws are none"):
        only_draw(folder.path)
    for seed in (0, 1):
        asked = ReviewSection(items_per_suite=4)
        write_sheets(
            draw(reopen(folder)[1].comparisons, asked, seed=seed), folder.review, seed=seed
        )
    with pytest.raises(StudyError, match=r"its draws are \S+review\S+, \S+review\S+"):
        only_draw(folder.path)


def run(*command: str) -> int:
    """Run a command of the harness in this process."""
    try:
        app(list(command))
    except SystemExit as done:
        return int(done.code or 0)
    return 0
