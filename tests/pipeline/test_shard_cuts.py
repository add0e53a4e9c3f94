"""How work is cut for several processes: all of it, once, evenly, and little is read twice."""

import random
from collections.abc import Iterator, Sequence

import pytest

from harness.engine.prefix.trie import build_trie
from harness.errors import StudyError
from harness.pipeline.answers.shards import Shard, cut
from harness.records import ItemKey, Request

DRAW = random.Random(7)


def tokens(count: int) -> tuple[int, ...]:
    """Return random token ids."""
    return tuple(DRAW.randrange(3, 30_000) for _ in range(count))


def request(
    name: str, context: tuple[int, ...], continuation: tuple[int, ...] = (), *, index: int = 0
) -> Request:
    """Return a request of an item: a choice, or a generation where nothing continues."""
    return Request(
        kind="loglikelihood" if continuation else "generate_until",
        item=ItemKey("suite", "none", name, 0), index=index, context="", continuation="",
        context_ids=context, continuation_ids=continuation,
        settings={} if continuation else {"max_new_tokens": 64, "until": []},
    )  # fmt: skip


def choices(stem: tuple[int, ...], count: int, *, shots: int = 0) -> Iterator[Request]:
    """Yield four choices of each item; behind a block of examples, if each has its own."""
    for number in range(count):
        context = stem + tokens(shots) + tokens(DRAW.randint(15, 50))
        for index in range(4):
            yield request(f"{len(stem)}-{number}", context, tokens(DRAW.randint(2, 9)), index=index)


def over_schemas(databases: int, questions: int) -> Iterator[Request]:
    """Yield questions about databases, each behind its schema, as text-to-SQL asks them."""
    instruction = tokens(40)
    for database in range(databases):
        schema = instruction + tokens(DRAW.randint(100, 1500))
        for number in range(DRAW.randint(questions // 2, questions * 3 // 2)):
            yield request(f"{database}-{number}", schema + tokens(DRAW.randint(10, 40)))


def distinct(requests: Sequence[Request]) -> int:
    """Return how many tokens one process reads for some requests."""
    return build_trie([one.context_ids + one.continuation_ids for one in requests]).num_tokens


WORK = {
    "choices behind one instruction": list(choices(tokens(30), 200)),
    "choices behind one block of examples": list(choices(tokens(200), 500)),
    "choices behind a block of their own": list(choices(tokens(30), 60, shots=300)),
    "questions over schemas": list(over_schemas(20, 40)),
}
WORK["all of these"] = [one for requests in WORK.values() for one in requests]


@pytest.mark.parametrize("name", WORK)
def test_eight_processes_read_hardly_more_than_one(name: str) -> None:
    """Runs of sorted requests share little: at most a tenth is read twice."""
    requests = WORK[name]
    runs = cut(requests, 8)
    assert sum(map(distinct, runs)) <= 1.10 * distinct(requests)


@pytest.mark.parametrize("name", WORK)
def test_the_work_is_shared_out_evenly_and_whole(name: str) -> None:
    """Every request is in one run, an item's in the same; no run has much more than its share."""
    requests = WORK[name]
    shuffled = random.Random(1).sample(requests, len(requests))
    runs = cut(shuffled, 8)
    assert runs == cut(requests, 8)
    assert len(runs) == 8
    assert sorted(id(one) for run in runs for one in run) == sorted(map(id, requests))
    items = [{one.item for one in run} for run in runs]
    assert sum(map(len, items)) == len(set().union(*items))
    work = [
        distinct(run) + sum(one.settings.get("max_new_tokens", 0) for one in run) for run in runs
    ]
    assert max(work) <= 1.3 * sum(work) / 8
    assert min(work) >= 0.7 * sum(work) / 8


def test_fewer_items_than_processes_are_answered_once() -> None:
    """Some processes have nothing to do then, whatever the items are."""
    requests = list(choices(tokens(30), 3))
    for count in (1, 2, 5, 40):
        runs = cut(requests, count)
        assert len(runs) == count
        assert sorted(id(one) for run in runs for one in run) == sorted(map(id, requests))
    assert cut([], 3) == [[], [], []]


@pytest.mark.parametrize(
    "text", ["0/3", "4/3", "a/b", "3", "", "-1/3", "1/0", "1/2/3", "1.0/2", "٣/٤"]
)
def test_what_is_no_shard_is_refused(text: str) -> None:
    """One sentence says how a shard is written."""
    with pytest.raises(StudyError, match=r"K/N with K from 1 to N, such as 3/16") as refused:
        Shard.parse(text)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"RANK": "0", "WORLD_SIZE": "1"}, None),
        ({"RANK": "2", "WORLD_SIZE": "16"}, Shard(3, 16)),
        ({"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_MIN": "0",
          "SLURM_ARRAY_TASK_COUNT": "8"}, Shard(1, 8)),
        ({"SLURM_ARRAY_TASK_ID": "16", "SLURM_ARRAY_TASK_MIN": "1",
          "SLURM_ARRAY_TASK_COUNT": "16"}, Shard(16, 16)),
        ({"SLURM_ARRAY_TASK_ID": "10", "SLURM_ARRAY_TASK_MIN": "4", "SLURM_ARRAY_TASK_COUNT": "4",
          "SLURM_ARRAY_TASK_STEP": "2"}, Shard(4, 4)),
        ({"RANK": "1", "WORLD_SIZE": "2", "SLURM_ARRAY_TASK_ID": "5"}, Shard(2, 2)),
        ({"RANK": "0", "WORLD_SIZE": "1", "SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_MIN": "5",
          "SLURM_ARRAY_TASK_COUNT": "2"}, Shard(1, 2)),
    ],
)  # fmt: skip
def test_a_launcher_names_the_shard(environment: dict[str, str], expected: Shard | None) -> None:
    """Torchrun and accelerate count from 0, Slurm from what the array begins with."""
    assert Shard.from_environment(environment) == expected


@pytest.mark.parametrize(
    "environment",
    [
        {"RANK": "1"},
        {"WORLD_SIZE": "4"},
        {"RANK": "4", "WORLD_SIZE": "4"},
        {"RANK": "x", "WORLD_SIZE": "4"},
        {"SLURM_ARRAY_TASK_ID": "3"},
        {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "3"},
        {"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "4",
         "SLURM_ARRAY_TASK_STEP": "2"},
    ],
)  # fmt: skip
def test_half_of_a_launcher_is_refused(environment: dict[str, str]) -> None:
    """A guess would leave work undone, or do it twice."""
    with pytest.raises(StudyError):
        Shard.from_environment(environment)
