"""Arms behind lm-eval's other backends, asked over HTTP.

`transformers serve` is the real server for generated answers. It returns no log-likelihoods of a
prompt, so those are put to `PromptLogprobs`, a small server of these tests that answers in the
OpenAI completions shape with real forward passes of the built-in model.
"""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.servers import PromptLogprobs, transformers_serve

from harness import content, study
from harness.engine.remote.arm import RemoteArm
from harness.errors import (
    ComparisonError,
    HarnessError,
    InfrastructureError,
    ModelError,
    StudyError,
)
from harness.pipeline.answers.served_proofs import PROBES
from harness.pipeline.plan import plan
from harness.pipeline.run import run_study
from harness.records import ItemKey, Request, Result
from harness.store import read_samples
from harness.study import ArmSection

pytestmark = pytest.mark.model

TINY = str(content.BUILTIN_MODELS["tiny"])
SUITES = [{"name": "domain_qa", "limit": 8}, {"name": "coherence", "limit": 4}]
CHOICES = [{"name": "arc_mini", "limit": 8}]
KEY = "sk-never-written-down"


@pytest.fixture
def logprobs(request: pytest.FixtureRequest) -> Iterator[PromptLogprobs]:
    """Run a server of prompt log-likelihoods; a parameter holds its arguments."""
    with PromptLogprobs(**getattr(request, "param", {})) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Run `transformers serve` on the built-in model; return its address and its log."""
    log = tmp_path_factory.mktemp("served") / "log"
    with transformers_serve(TINY, log) as url:
        yield url, log


def chat(url: str, **more: Any) -> dict[str, Any]:
    """Return an arm that takes conversations."""
    args = {"base_url": f"{url}/chat/completions", "model": TINY, "max_retries": 1}
    return {"backend": "local-chat-completions", "model_args": args | more}


def text(url: str, **more: Any) -> dict[str, Any]:
    """Return an arm that takes text."""
    args = {"base_url": url, "model": TINY, "max_retries": 1}
    return {"backend": "local-completions", "model_args": args | more}


def load(
    folder: Path, candidate: dict[str, Any], *, base: Any = "builtin:tiny", suites: Any = None
) -> study.Study:
    """Write a study with one candidate called ``there``, and read it."""
    plain = {
        "name": "far",
        "base": base,
        "candidates": [{"name": "there", **candidate}],
        "suites": suites or SUITES,
        "review": {"items_per_suite": 2},
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(plain))
    return study.load(path)


def run(folder: Path, candidate: dict[str, Any], **changes: Any) -> Result:
    """Run a study with one candidate called ``there``."""
    loaded = load(folder, candidate, **changes)
    return run_study(loaded, out=folder / "run", allow_identical=True)


def responses(folder: Path, suite: str) -> tuple[list[Any], list[Any]]:
    """Return what base and candidate answered."""
    files = (
        folder / "run" / "samples" / arm / f"samples_{suite}.jsonl" for arm in ("base", "there")
    )
    base, there = ([sample.responses for sample in read_samples(path)] for path in files)
    return base, there


def test_a_study_whose_arms_all_answer_elsewhere(
    tmp_path: Path, served: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No weights here: conversations go to a real server, once, and no key is written down."""
    url, log = served
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    loaded = load(tmp_path, chat(url, seed=7), base=chat(url))
    first = run_study(loaded, out=tmp_path / "run", allow_identical=True)
    assert [(score.n, score.unscored) for score in first.scores] == [(8, 0), (8, 0), (4, 0), (4, 0)]
    assert first.base_model == f"{TINY} at {url}/chat/completions"
    assert any("cannot be hashed" in note for note in first.notes)
    asked = log.read_text().count("POST /v1/chat/completions")
    proofs = 1 + 3 * PROBES  # one trial; what knows the server again: twice before, once after
    assert asked == 2 * (8 + 4 + proofs)  # each arm is asked every item once
    again = run_study(loaded, out=tmp_path / "run", allow_identical=True)
    assert again.scores == first.scores
    assert log.read_text().count("POST /v1/chat/completions") == asked
    written = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert not [path for path in written if KEY.encode() in path.read_bytes()]


@pytest.mark.parametrize("kind", ["chat", "text, three at a time"])
def test_a_server_says_what_the_engine_says(
    tmp_path: Path, served: tuple[str, Path], kind: str
) -> None:
    """The same model here and behind either endpoint gives the same greedy answers."""
    url, _ = served
    far = text(f"{url}/completions", tokenized_requests=False, num_concurrent=3)
    run(tmp_path, chat(url) if kind == "chat" else far)
    for suite in SUITES:
        base, there = responses(tmp_path, suite["name"])
        assert [r.text for (r,) in there] == [r.text for (r,) in base]
        assert [r.finish for (r,) in there] == [r.finish for (r,) in base]


def test_a_backend_in_this_process_may_be_an_arm(tmp_path: Path) -> None:
    """lm-eval's own hf model gives the engine's log-likelihoods."""
    args = {"pretrained": TINY, "dtype": "float32", "device": "cpu"}
    run(tmp_path, {"backend": "hf", "model_args": args}, suites=CHOICES)
    check_same_likelihoods(tmp_path)


@pytest.mark.parametrize("ids", [True, False], ids=["token ids", "text"])
def test_log_likelihoods_come_from_the_prompt(
    tmp_path: Path, logprobs: PromptLogprobs, ids: bool
) -> None:
    """A server that returns a prompt's log-likelihoods can be asked multiple choice."""
    run(tmp_path, text(logprobs.url, tokenized_requests=ids), suites=CHOICES)
    check_same_likelihoods(tmp_path)


def check_same_likelihoods(folder: Path) -> None:
    """Hold a candidate's log-likelihoods to the base's."""
    base, there = responses(folder, "arc_mini")
    for ours, theirs in zip(base, there, strict=True):
        assert [r.logprob for r in theirs] == pytest.approx([r.logprob for r in ours], abs=1e-4)
        assert [r.is_greedy for r in theirs] == [r.is_greedy for r in ours]


@pytest.mark.parametrize(
    ("logprobs", "expected"),
    [
        ({"begin": [1]}, "counts other tokens than lm-eval"),
        ({"fault": "no echo"}, "ignores 'echo'"),
        ({"fault": "no logprobs"}, "returns none"),
        ({"fault": "truncates", "context": 4}, "cuts prompts short"),
    ],
    indirect=["logprobs"],
)
def test_log_likelihoods_of_other_tokens_are_refused(
    tmp_path: Path, logprobs: PromptLogprobs, expected: str
) -> None:
    """A server that reads or returns other tokens than it is sent would score the wrong ones."""
    with pytest.raises(ModelError, match=expected):
        run(tmp_path, text(logprobs.url, tokenized_requests=False), suites=CHOICES)
    assert not (tmp_path / "run" / "samples").exists()


@pytest.mark.parametrize(
    ("logprobs", "expected"),
    [
        ({"fault": "truncates", "context": 100}, "the server read only 100 tokens of a prompt of"),
        ({"context": 100}, "refused by the server"),
    ],
    indirect=["logprobs"],
)
def test_an_answer_to_a_part_of_a_prompt_is_unscored(
    logprobs: PromptLogprobs, expected: str
) -> None:
    """Whether a server refuses a long prompt or cuts it, no text is an answer to all of it."""
    asked = [generation("Who wrote it? " * words) for words in (2, 100)]
    answers = [answer for batch in lone_text(logprobs).answer(asked) for _, answer in batch]
    assert [answer.unscored is None for answer in answers] == [True, False]
    assert expected in str(answers[1].unscored)


def test_lm_eval_cuts_no_prompt(tmp_path: Path, logprobs: PromptLogprobs) -> None:
    """lm-eval would drop the beginning of a prompt beyond its own max_length, 2,048 by default."""
    arm = lone_text(logprobs, max_length=60)
    asked = [generation("Who wrote it? " * words) for words in (2, 40)]
    answers = [answer for batch in arm.answer(asked) for _, answer in batch]
    assert {answer.unscored for answer in answers} == {
        None, "162 tokens with its answer are more than max_length 60"
    }  # fmt: skip
    long = generation("a b c d " * 400)
    logprobs.context = 10**6
    arm = lone_text(logprobs)
    assert [answer.unscored for batch in arm.answer([long]) for _, answer in batch] == [None]
    assert len(logprobs.bodies[-1]["prompt"][0]) == len(long.context_ids)


def lone_text(server: PromptLogprobs, **more: Any) -> RemoteArm:
    """Return an arm that takes token ids, and belongs to no study."""
    section = ArmSection(**text(server.url, batch_size=1, **more))
    args = {**section.model_args, "tokenizer": TINY, "tokenizer_backend": "huggingface"}
    return RemoteArm("there", section, args, {}, tokenizer=server.tokenizer)


def generation(prompt: str) -> Request:
    """Return a request for one token after a prompt."""
    from transformers import AutoTokenizer

    ids = AutoTokenizer.from_pretrained(TINY).encode(prompt, add_special_tokens=False)
    return Request(
        kind="generate_until", item=ItemKey("s", "none", prompt, 0), index=0, context=prompt,
        continuation="", context_ids=tuple(ids), settings={"until": [], "max_new_tokens": 1},
    )  # fmt: skip


@pytest.mark.parametrize("logprobs", [{"fault": "null text"}], indirect=True)
def test_no_text_is_an_empty_answer(tmp_path: Path, logprobs: PromptLogprobs) -> None:
    """A model that thought until its limit said nothing; lm-eval's placeholder is no answer."""
    run(tmp_path, text(logprobs.url), suites=SUITES[:1])
    _, there = responses(tmp_path, "domain_qa")
    assert {(r.text, r.finish) for (r,) in there} == {("", "length")}


TUNED = "tuned"


@pytest.mark.parametrize(
    ("logprobs", "expected"),
    [
        ({"fault": "one model", "tuned": TUNED}, "the reply is of 'tuned', which is another arm's"),
        ({}, "answers 8 of 8 requests exactly as the base"),
    ],
    indirect=["logprobs"],
)
def test_a_server_that_answers_as_another_model_is_refused(
    tmp_path: Path, logprobs: PromptLogprobs, expected: str
) -> None:
    """A name that a server ignores, or several models behind one, would be scored as one arm."""
    loaded = load(
        tmp_path,
        text(logprobs.url, model=TUNED),
        base=text(logprobs.url) | {"model": "builtin:tiny"},
        suites=CHOICES,
    )
    with pytest.raises(ModelError, match=expected):
        run_study(loaded, out=tmp_path / "run")
    assert not (tmp_path / "run" / "samples").exists()


@pytest.mark.parametrize("logprobs", [{"tuned": TUNED}], indirect=True)
def test_weights_that_change_behind_a_name_are_noticed(
    tmp_path: Path, logprobs: PromptLogprobs
) -> None:
    """Stored answers of other weights would be compared with those of today's: exit 3."""
    base = text(logprobs.url) | {"model": "builtin:tiny"}
    first = load(tmp_path, text(logprobs.url, model=TUNED), base=base, suites=CHOICES)
    before = run_study(first, out=tmp_path / "run")
    logprobs.tuned = ""  # both names are the base from now on
    more = load(
        tmp_path,
        text(logprobs.url, model=TUNED),
        base=base,
        suites=[*CHOICES, {"name": "domain_qa", "limit": 4}],
    )
    with pytest.raises(ComparisonError, match="must stay the same model while it is compared"):
        run_study(more, out=tmp_path / "run")
    assert run_study(first, out=tmp_path / "run").scores == before.scores  # nothing was lost


@pytest.mark.parametrize("logprobs", [{"tuned": TUNED}], indirect=True)
def test_weights_that_change_while_they_answer_are_noticed(
    tmp_path: Path, logprobs: PromptLogprobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deployment in the middle of a run is told at its end."""
    base = text(logprobs.url) | {"model": "builtin:tiny"}
    loaded = load(tmp_path, text(logprobs.url, model=TUNED), base=base, suites=CHOICES)
    answered = RemoteArm.answer

    def deploy(arm: RemoteArm, requests: Any) -> Iterator[Any]:
        yield from answered(arm, requests)
        logprobs.moved = arm.name == "there"

    monkeypatch.setattr(RemoteArm, "answer", deploy)
    with pytest.raises(ComparisonError, match=r"answers \d of 8 stored requests otherwise"):
        run_study(loaded, out=tmp_path / "run")
    assert not (tmp_path / "run" / "samples").exists()


@pytest.mark.parametrize("concurrent", [1, 4])
@pytest.mark.parametrize("logprobs", [{"fault": "fails at times"}], indirect=True)
def test_a_server_s_own_words_are_told(
    tmp_path: Path, logprobs: PromptLogprobs, concurrent: int
) -> None:
    """An HTTP error comes with the server's text, also where lm-eval asks several at once."""
    with pytest.raises(InfrastructureError, match=r"500: .*an internal fault"):
        run(tmp_path, text(logprobs.url, num_concurrent=concurrent), suites=CHOICES)
    run(tmp_path, text(logprobs.url, max_retries=3, num_concurrent=concurrent), suites=CHOICES)
    check_same_likelihoods(tmp_path)


@pytest.mark.parametrize("logprobs", [{"context": 21}], indirect=True)
def test_what_a_server_refuses_is_unscored(tmp_path: Path, logprobs: PromptLogprobs) -> None:
    """A prompt beyond the server's context is no fault of the model, and the others go on."""
    run(tmp_path, text(logprobs.url, batch_size=1), suites=CHOICES)
    _, there = responses(tmp_path, "arc_mini")
    reasons = {r.unscored for item in there for r in item}
    assert reasons == {None, 'refused by the server: {"error": "too long"}'}


@pytest.mark.parametrize("logprobs", [{"patience": 40}], indirect=True)
def test_a_server_that_fails_midway_loses_nothing(tmp_path: Path, logprobs: PromptLogprobs) -> None:
    """What was answered before a failure is not asked again after it."""
    far = text(logprobs.url)
    with pytest.raises(InfrastructureError, match=r"503.*answered before is kept"):
        run(tmp_path, far, suites=CHOICES)
    before = [body["prompt"] for body in logprobs.bodies]
    logprobs.patience = 10**9
    run(tmp_path, far, suites=CHOICES)
    check_same_likelihoods(tmp_path)
    after = [body["prompt"] for body in logprobs.bodies[len(before) :]]
    assert len(after) < 4 * 8 + 1 + 2 * PROBES  # four choices of eight items, less those answered


def test_every_sample_of_an_item_has_its_own_seed(logprobs: PromptLogprobs) -> None:
    """A server that is sent one seed for all samples would answer the same each time."""
    arm = RemoteArm(
        name="there",
        section=ArmSection(**text(logprobs.url)),
        model_args={**text(logprobs.url)["model_args"], **PLAIN},
        conversations={},
    )
    settings = {"until": ["."], "max_new_tokens": 1, "do_sample": True, "temperature": 0.7}
    asked = [
        Request(
            kind="generate_until", item=ItemKey("s", "none", "hash", 0), index=repeat,
            context="Who", continuation="", context_ids=(1,), settings=settings | again,
        )
        for repeat, again in enumerate(({}, {"repeat": 1}, {"repeat": 2}))
    ]  # fmt: skip
    answers = [answer for batch in arm.answer(asked) for answer in batch]
    assert [request.index for request, _ in answers] == [0, 1, 2]
    assert len({body["seed"] for body in logprobs.bodies}) == 3
    assert {(body["temperature"], *body["stop"]) for body in logprobs.bodies} == {(0.7, ".")}


PLAIN = {"tokenizer_backend": "none", "tokenized_requests": False}


def test_no_key_is_shown(
    tmp_path: Path, logprobs: PromptLogprobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that repeats the key in its refusal does not make it into the message."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    locked = logprobs.url.replace("/v1/", "/locked/")
    with pytest.raises(
        ModelError, match=r"\(401\).*wrong key: Bearer \$\{OPENAI_API_KEY\}"
    ) as caught:
        run(tmp_path, text(locked), suites=CHOICES)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "code", "expected"),
    [
        ({"model": "other"}, 2, r"refused a request \(400\).*requested 'other'"),
        ({"tokenized_requests": True}, 2, "prompt must be a string"),
        ({"base_url": "http://127.0.0.1:9/v1"}, 3, "does not answer"),
        ({"suite": CHOICES}, 3, "'echo' with 'logprobs'"),
    ],
)
def test_trouble_shows_before_anything_is_scored(
    tmp_path: Path,
    served: tuple[str, Path],
    changes: dict[str, Any],
    code: int,
    expected: str,
) -> None:
    """A wrong model, a dead server or a missing ability is one sentence, and costs no answers."""
    suites = changes.pop("suite", SUITES[:1])
    far = text(f"{served[0]}/completions", **{"tokenized_requests": False} | changes)
    with pytest.raises(HarnessError, match=expected) as caught:
        run(tmp_path, far, suites=suites)
    assert caught.value.exit_code == code
    assert not (tmp_path / "run" / "samples").exists()


NOWHERE = "http://127.0.0.1:9/v1"


@pytest.mark.parametrize(
    ("candidate", "changes", "expected"),
    [
        (chat(NOWHERE), {"suites": CHOICES}, "chat endpoints do not give"),
        (chat(NOWHERE), {"base": {"model": "builtin:tiny", "template": "none"}}, "plain text"),
        (chat(NOWHERE, base_ur="x"), {}, "did you mean 'base_url'"),
        (chat(NOWHERE) | {"backend": "local-chat-complettions"}, {}, "did you mean 'local-chat-c"),
        ({"backend": "local-completions"}, {}, "needs base_url and model"),
        (chat(NOWHERE), {"base": chat(NOWHERE) | {"dtype": "float16"}}, "remove dtype"),
        (chat(NOWHERE), {"suites": [{"name": "sql", "truncation": "left"}]}, "left truncation"),
        (text("127.0.0.1/v1"), {}, "begins with http"),
        (text(NOWHERE), {"base": chat(NOWHERE)}, "takes text"),
        (text(NOWHERE), {"base": text(NOWHERE), "suites": CHOICES}, "need a tokenizer"),
        ({"adapter": "x"}, {"base": chat(NOWHERE)}, "serve the candidate too"),
        ({"train": "x.jsonl"}, {"base": chat(NOWHERE)}, "serve the candidate too"),
        (chat(NOWHERE) | {"training": {"max_steps": 1}}, {}, "remove training"),
        (chat(NOWHERE, api_key=KEY), {}, "take api_key out of model_args"),
        (chat(NOWHERE, header={"Authorization": KEY}), {}, "take header out"),
        (text(f"http://user:{KEY}@127.0.0.1/v1"), {}, "a password in base_url"),
        (text(f"{NOWHERE}?sig={KEY}"), {}, "take sig in base_url out"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_asked(
    tmp_path: Path, candidate: dict[str, Any], changes: dict[str, Any], expected: str
) -> None:
    """A study that no server could answer, or that holds a key, is refused without one."""
    with pytest.raises(StudyError, match=expected) as caught:
        plan(load(tmp_path, candidate, **changes), out=tmp_path / "run")
    assert KEY not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_the_base_s_own_endpoint_is_no_candidate(tmp_path: Path) -> None:
    """Comparing an endpoint with itself is a mistake unless it is allowed."""
    loaded = load(tmp_path, chat(NOWHERE), base=chat(NOWHERE), suites=SUITES[:1])
    with pytest.raises(ModelError, match="the base's own endpoint"):
        run_study(loaded, out=tmp_path / "run")
