"""A server that misbehaves, by every way that we know: told for what it is, and nothing scored.

The server is real HTTP, its answers are forward passes of the built-in model, and each test gives
it one fault of `support.servers.FAULTS`.
"""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from support.servers import PromptLogprobs

from harness import content, study
from harness.errors import ComparisonError, HarnessError
from harness.pipeline.answers.served_proofs import alone, probes_of
from harness.pipeline.answers.shards import Shard, answer_shard
from harness.pipeline.plan import plan
from harness.pipeline.run import run_study
from harness.pipeline.train import trained
from harness.records import ItemKey, Request, Response, Result
from harness.store import AnswerStore, read_samples
from harness.study import SuiteSection

pytestmark = pytest.mark.model

TINY = str(content.BUILTIN_MODELS["tiny"])
CHOICES = [{"name": "arc_mini", "limit": 4}]
TEXTS = [{"name": "domain_qa", "limit": 4}]
TUNED = "tuned"


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[PromptLogprobs]:
    """Run a server with the parameter's fault."""
    with PromptLogprobs(tuned=TUNED, **getattr(request, "param", {})) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def arm(server: PromptLogprobs, model: str, **more: Any) -> dict[str, Any]:
    """Return an arm that is behind the server under a name."""
    args = {"base_url": server.url, "model": model, "max_retries": 1, **more}
    return {"backend": "local-completions", "model_args": args}


def run(folder: Path, server: PromptLogprobs, suites: list[dict[str, Any]], **more: Any) -> Result:
    """Run a study whose base and candidate are both behind the server."""
    plain = {
        "name": "far",
        "base": arm(server, TINY, **more) | {"model": "builtin:tiny"},
        "candidates": [{"name": "there", **arm(server, TUNED, **more)}],
        "suites": suites,
        "review": {"items_per_suite": 1},
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(plain))
    return run_study(study.load(path), out=folder / "run")


class Row(NamedTuple):
    """A fault, what a study asks for, and the sentence that it ends in."""

    fault: str
    suites: list[dict[str, Any]]
    says: str
    more: tuple[tuple[str, int], ...] = ()
    context: int = 2048


ROWS = [
    Row("no echo", CHOICES, r"ignores 'echo'"),
    Row("no logprobs", CHOICES, r"its server returns none"),
    Row("no numbers", CHOICES, r"must be numbers of at most 0"),
    Row("no best", CHOICES, r"must return the best token.*'top_logprobs'"),
    Row("truncates", CHOICES, r"cuts prompts short", context=8),
    Row("truncates", TEXTS, r"whole prompts.*read only 8 tokens of a prompt of", context=8),
    Row("one model", TEXTS, r"the reply is of 'tuned', which is another arm's"),
    Row("varies", TEXTS, r"must say the same again"),
    Row("swaps", CHOICES, r"mixes up the prompts of one request", (("batch_size", 4),)),
    Row("swaps", TEXTS, r"at once as it answers each alone.*batch_size: 1", (("batch_size", 4),)),
    Row("one place", TEXTS, r"to 4 prompts come 4 choices with the indexes", (("batch_size", 4),)),
    Row("no choices", CHOICES, r"must answer with 'choices'.*\"choices\": \[\]"),
    Row("no choices", TEXTS, r"must answer with 'choices'.*\"choices\": \[\]"),
    Row("an error", TEXTS, r"must answer with 'choices'.*the engine is dead"),
    Row("no text", TEXTS, r"must answer with a text.*\"message\""),
    Row("other words", CHOICES, r"must read the words that it is sent.*another tokenizer"),
    Row("other words", TEXTS, r"must read the words that it is sent.*another tokenizer"),
    Row("adds a token", CHOICES, r"counts other tokens than lm-eval"),
    Row("adds a token", TEXTS, r"token ids that it is sent and no others.*beginning-of-text"),
    Row("caps", TEXTS, r"the server stopped after 2 of \d+ tokens"),
    Row("writes on", TEXTS, r"the server wrote \d+ tokens where at most"),
    Row("a stream", TEXTS, r"must reply with one JSON object.*data: "),
    Row("a stream", CHOICES, r"must reply with one JSON object", (("num_concurrent", 2),)),
    Row("cut short", TEXTS, r"ends its replies before they are whole"),
    Row("cut short", CHOICES, r"ends its replies before they are whole", (("num_concurrent", 2),)),
    Row("always busy", TEXTS, r"429: .*too many requests"),
    Row("a cache", CHOICES, r"requests exactly as the base; .*\(a cache\)"),
    Row("a cache", TEXTS, r"requests exactly as the base; .*\(a cache\)"),
]


@pytest.mark.parametrize(
    ("server", "row"),
    [({"fault": row.fault, "context": row.context}, row) for row in ROWS],
    indirect=["server"],
    ids=[f"{row.fault}-{row.suites[0]['name']}" for row in ROWS],
)
def test_a_fault_is_told_and_nothing_is_scored(
    tmp_path: Path, server: PromptLogprobs, row: Row
) -> None:
    """Each fault ends in a sentence of its own with exit code 3, before a sample is written."""
    with pytest.raises(HarnessError, match=row.says) as caught:
        run(tmp_path, server, row.suites, **dict(row.more))
    assert caught.value.exit_code == 3
    assert not (tmp_path / "run" / "samples").exists()


@pytest.mark.parametrize(
    ("server", "concurrent"),
    [
        pytest.param({"fault": "fails at times"}, 3, marks=pytest.mark.nightly),
        ({"fault": "busy"}, 1),
    ],
    indirect=["server"],
)
def test_a_server_that_fails_at_times_is_asked_again(
    tmp_path: Path, server: PromptLogprobs, concurrent: int
) -> None:
    """A passing failure changes no answer: a 500 is tried again, a busy server when it says."""
    retries = 3 if server.fault == "fails at times" else 1
    found = run(tmp_path, server, CHOICES, max_retries=retries, num_concurrent=concurrent)
    assert [score.unscored for score in found.scores] == [0, 0]
    server.fault = ""
    after = run_study(study.load(tmp_path / "study.yaml"), out=tmp_path / "without")
    assert found.scores == after.scores
    for name in ("base", "there"):
        files = [tmp_path / out / "samples" / name / "samples_arc_mini.jsonl" for out in RUNS]
        at_times, never = ([one.responses for one in read_samples(file)] for file in files)
        assert at_times == never


RUNS = ("run", "without")


def test_an_endpoint_that_moved_is_noticed_in_a_shard(
    tmp_path: Path, server: PromptLogprobs
) -> None:
    """Each process of many asks again what was asked before it answers its part."""
    run(tmp_path, server, CHOICES)
    server.moved = True
    more = study.load(tmp_path / "study.yaml").model_copy(
        update={"suites": [SuiteSection(**one) for one in (*CHOICES, *TEXTS)]}
    )
    planned = plan(more, out=tmp_path / "run")
    with pytest.raises(ComparisonError, match="must stay the same model"):
        answer_shard(planned, trained(planned), Shard(1, 2))


def test_what_was_asked_before_is_asked_again_whatever_a_study_gets(tmp_path: Path) -> None:
    """Many more requests of the same kind do not push out those by which a server is known."""
    few, many = ([_request(n) for n in range(count)] for count in (9, 900))
    table = AnswerStore(tmp_path / "answers.db")
    first = probes_of(few, table, {"there"})
    table.put(alone("there"), [(probe, Response(logprob=-1.0)) for probe in first])
    assert probes_of(many, table, {"there"}) == first
    assert probes_of(many, table, set()) != first


def _request(number: int) -> Request:
    key = ItemKey("s", "none", str(number), 0)
    return Request(
        kind="loglikelihood", item=key, index=0, context="a", continuation="b",
        context_ids=(number,), continuation_ids=(1,),
    )  # fmt: skip
