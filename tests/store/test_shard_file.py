"""A shard's file: whole whenever it is seen, gone on with after a kill, where it belongs."""

import resource
import sqlite3
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from harness.errors import ComparisonError, InfrastructureError
from harness.records import AnswerBatch, ItemKey, Request, Response
from harness.store import AnswerStore
from harness.store.answers import Loaded, Merged, answer_key
from harness.store.run_folder import RunFolder
from harness.store.shard_file import ShardFile, ShardOrigin

ORIGIN = ShardOrigin(
    study="mine", base="tiny", items={"s": "11"}, fingerprints={"base": "aa", "tuned": "bb"}
)


def request(number: int) -> Request:
    """Return a question with one continuation."""
    return Request(
        kind="loglikelihood",
        item=ItemKey("s", "none", f"doc{number}", 0),
        index=0,
        context=f"question {number}",
        continuation=" yes",
        context_ids=(1, 2, number),
        continuation_ids=(7,),
    )


def batch(*numbers: int, logprob: float = -1.5) -> AnswerBatch:
    """Return answers to some questions."""
    return [(request(n), Response(logprob=logprob, is_greedy=True, tokens=1)) for n in numbers]


def opened(folder: Path, name: str = "one.db", origin: ShardOrigin = ORIGIN) -> ShardFile:
    """Open a shard of a run folder."""
    return ShardFile.opened(folder / "answers" / name, origin, folder / "answers.db")


def numbers(found: object) -> set[int]:
    """Return which questions are answered."""
    assert isinstance(found, dict)
    return {int(item.doc_hash.removeprefix("doc")) for item, _ in found}


def agree(*_: object) -> bool:
    """Take any two answers for one model's."""
    return True


QUESTIONS = [request(number) for number in range(9)]


def test_what_is_seen_is_whole_after_every_batch(tmp_path: Path) -> None:
    """The file is there before anything is asked, and a reader finds what is written, exactly."""
    shard = opened(tmp_path)
    assert ShardFile.read(shard.path).get("aa", QUESTIONS) == {}
    shard.put("aa", batch(1, 2, logprob=-0.1 - 0.2))
    seen = ShardFile.read(shard.path)
    assert seen.origin == ORIGIN
    assert seen.get("aa", QUESTIONS) == shard.get("aa", QUESTIONS)
    assert seen.get("aa", QUESTIONS)[request(1).key].logprob == -0.1 - 0.2
    assert seen.get("bb", QUESTIONS) == {}
    assert not list(tmp_path.glob("answers/.*"))


def test_writing_takes_a_small_part_of_the_time(tmp_path: Path) -> None:
    """Batches that follow at once are written together, the last of them in the end."""
    shard = opened(tmp_path)
    for number in range(9):
        shard.put("aa", batch(number))
    shard.write()
    assert numbers(ShardFile.read(shard.path).get("aa", QUESTIONS)) == {*range(9)}
    stamp = shard.path.stat().st_mtime_ns
    shard.write()
    assert shard.path.stat().st_mtime_ns == stamp, "nothing new, nothing written"


def test_a_shard_goes_on_from_its_own_file_and_all_others(tmp_path: Path) -> None:
    """It finds what the run, other shards and its own earlier process have answered and shown."""
    AnswerStore(tmp_path / "answers.db").put("aa", batch(1))
    other = opened(tmp_path, "other.db")
    other.put("aa", batch(2))
    other.write()
    shown = opened(tmp_path, "shown.db")
    shown.note_loaded({"bb": Loaded("changes")})
    shown.write()
    mine = opened(tmp_path)
    mine.put("aa", batch(3))
    mine.note_loaded({"aa": Loaded("attached", ("in plain batches",))})
    mine.write()
    (tmp_path / "answers/broken.db").write_bytes(b"SQLite format 3\0 and no more")

    again = opened(tmp_path)
    assert numbers(again.get("aa", QUESTIONS)) == {1, 2, 3}
    assert again.loaded() == {
        "aa": Loaded("attached", ("in plain batches",)),
        "bb": Loaded("changes"),
    }
    assert numbers(ShardFile.read(again.path).get("aa", QUESTIONS)) == {3}, "no copies of others'"


def test_a_run_s_answers_are_read_while_it_writes(tmp_path: Path) -> None:
    """What stands in SQLite's log beside the file counts, and neither is touched."""
    path = tmp_path / "answers.db"
    AnswerStore(path).put("aa", batch(1))
    with sqlite3.connect(path) as writing:  # a connection that is open keeps the log
        key = answer_key("aa", request(2))
        writing.execute(
            "INSERT INTO answers SELECT ?, kind, logprob, is_greedy, text, finish, tokens "
            "FROM answers", (key,),
        )  # fmt: skip
        writing.commit()
        assert (tmp_path / "answers.db-wal").stat().st_size
        before = path.read_bytes()
        assert numbers(opened(tmp_path).get("aa", QUESTIONS)) == {1, 2}
        assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"", b"no database at all" * 99, None], ids=["empty", "other", "cut"]
)
def test_what_is_not_whole_is_named_and_answered_anew(
    tmp_path: Path, content: bytes | None
) -> None:
    """A reader refuses it with the file's name; its own shard begins again in its place."""
    shard = opened(tmp_path)
    shard.put("aa", batch(*range(9)))
    shard.write()
    whole = shard.path.read_bytes()
    shard.path.write_bytes(whole[: len(whole) // 2 + 100] if content is None else content)
    with pytest.raises(InfrastructureError, match=r"one\.db.*asked for anew"):
        ShardFile.read(shard.path)
    again = opened(tmp_path)
    assert again.get("aa", QUESTIONS) == {}
    again.put("aa", batch(4))
    assert numbers(ShardFile.read(shard.path).get("aa", QUESTIONS)) == {4}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"study": "yours"}, "study 'yours' on base 'tiny'"),
        ({"base": "big"}, "study 'mine' on base 'big'"),
        ({"items": {"s": "22"}}, "other items or prompts of suite 's'"),
        ({"fingerprints": {"tuned": "cc"}}, "another 'tuned', cc for bb"),
    ],
)
def test_a_file_of_something_else_is_refused(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    """Another study, other items or another model: one sentence, and the file stays as it is."""
    foreign = replace(ORIGIN, **changes)
    file = opened(tmp_path, origin=foreign)
    file.put("cc", batch(1))
    before = file.path.read_bytes()
    with pytest.raises(ComparisonError, match=f"{said}.*delete the file") as refused:
        opened(tmp_path)
    assert refused.value.exit_code == 3
    assert file.path.read_bytes() == before


def test_what_was_merged_may_be_of_an_earlier_model(tmp_path: Path) -> None:
    """A candidate is trained anew after a run: its shards begin again without a word."""
    store, earlier = AnswerStore(tmp_path / "answers.db"), opened(tmp_path)
    earlier.put("bb", batch(1))
    file = ShardFile.read(earlier.path)
    assert store.take_in(file, name=file.name, file=file.merged_as, agree=agree) is None
    changed = replace(ORIGIN, fingerprints={"base": "aa", "tuned": "cc"})
    again = opened(tmp_path, origin=changed)
    again.put("cc", batch(2))
    again.write()
    assert numbers(again.get("bb", QUESTIONS)) == {1}, "it is in the run's own answers"
    assert ShardFile.read(again.path).origin == changed


@pytest.mark.parametrize("said", ["{}}", "5", '{"items": 5}', '{"fingerprints": [1]}', None])
def test_a_file_that_does_not_say_whose_it_is_is_not_whole(
    tmp_path: Path, said: str | None
) -> None:
    """A stranger's table is told like a broken one."""
    path = opened(tmp_path).path
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM origin")
        if said is not None:
            database.execute("INSERT INTO origin VALUES ('origin', ?)", (said,))
    with pytest.raises(InfrastructureError, match="belongs to cannot be read"):
        ShardFile.read(path)


def test_suites_and_arms_that_only_one_of_two_has_make_no_difference() -> None:
    """A study may get another suite or candidate between two shards."""
    more = replace(ORIGIN, items={"s": "11", "t": "33"}, fingerprints={"base": "aa", "new": "dd"})
    assert ORIGIN.differs(more) is None
    assert more.differs(ORIGIN) is None


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """What a later package wrote may mean something else."""
    path = opened(tmp_path).path
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version=99")
    with pytest.raises(ComparisonError, match="format 99"):
        ShardFile.read(path)


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    """Before a model is loaded, in one sentence, as infrastructure."""
    (tmp_path / "answers").write_text("a file where the folder should be")
    with pytest.raises(InfrastructureError, match="cannot write") as refused:
        opened(tmp_path)
    assert refused.value.exit_code == 3


def test_a_full_disk_keeps_what_was_written(tmp_path: Path) -> None:
    """The batch is told to be lost in one sentence, and the file is as it was before it."""
    shard = opened(tmp_path)
    shard.put("aa", batch(1))
    before = shard.path.read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
    try:
        shard.note_loaded({"aa": Loaded("attached")})
        with pytest.raises(InfrastructureError, match=r"cannot write .*is kept") as refused:
            shard.write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert refused.value.exit_code == 3
    assert shard.path.read_bytes() == before
    shard.write()
    assert ShardFile.read(shard.path).loaded() == {"aa": Loaded("attached")}
    assert len(list(shard.path.parent.iterdir())) == 1


def test_the_day_that_prompts_say_is_that_of_the_first_shard(tmp_path: Path) -> None:
    """Shards that begin after midnight, before a run has a lock, ask what the others asked."""
    folder = RunFolder(tmp_path)
    opened(tmp_path)
    assert folder.day() == date.today()
    opened(tmp_path, "two.db", replace(ORIGIN, day="2026-02-03"))
    (tmp_path / "answers/one.db").unlink()
    assert folder.day() == date(2026, 2, 3)


def test_answers_that_do_not_agree_are_not_taken_in(tmp_path: Path) -> None:
    """The key of the first is returned, and nothing of that file is stored, not even its proofs."""
    store = AnswerStore(tmp_path / "answers.db")
    store.put("aa", batch(1, logprob=-1.0))
    file = opened(tmp_path)
    file.put("aa", [*batch(0), *batch(1, logprob=-1.00001)])
    file.note_loaded({"aa": Loaded("attached")})
    file.write()

    def near(_: bytes, one: Response, other: Response) -> bool:
        return abs((one.logprob or 0) - (other.logprob or 0)) < 1e-6

    key = store.take_in(file, name="x", file=Merged("y"), agree=near)
    assert key == answer_key("aa", request(1))
    assert numbers(store.get("aa", QUESTIONS)) == {1}
    assert not store.loaded()
    assert not store.merged()
    assert store.take_in(file, name="x", file=Merged("y"), agree=agree) is None
    assert store.get("aa", QUESTIONS)[request(1).key].logprob == -1.0, "what is stored stays"
    assert store.merged() == {"x": Merged("y")}
    assert store.loaded() == {"aa": Loaded("attached")}


def test_what_loading_has_shown_is_joined(tmp_path: Path) -> None:
    """What was proven anywhere is proven; notes of all processes are kept once."""
    store = AnswerStore(tmp_path / "answers.db")
    store.note_loaded({"aa": Loaded("attached", ("one",)), "bb": Loaded("changes")})
    file = opened(tmp_path)
    file.note_loaded({"aa": Loaded("attached", ("one", "two")), "bb": Loaded("attached")})
    store.take_in(file, name="x", file=Merged("y"), agree=agree)
    assert store.loaded() == {"aa": Loaded("attached", ("one", "two")), "bb": Loaded("changes")}
