"""Answers on disk: found again by what made them, and by nothing else; never lost."""

import os
import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.command import PYTHON, python, started

from harness.errors import InfrastructureError
from harness.records import ItemKey, Request, Response
from harness.records.items import NOT_A_NUMBER
from harness.store import AnswerStore
from harness.store.answers import answer_key


def request(number: int = 0, **changes: object) -> Request:
    """Return a generation request."""
    made = Request(
        kind="generate_until",
        item=ItemKey("s", "none", f"doc{number}", 0),
        index=0,
        context=f"question {number}",
        continuation="",
        context_ids=(1, 2, number),
        settings={"until": ["\n"], "max_new_tokens": 8},
    )
    return replace(made, **changes)


RESPONSES = st.one_of(
    st.builds(
        Response,
        logprob=st.floats(allow_nan=False, allow_infinity=False),
        is_greedy=st.booleans(),
        tokens=st.integers(0, 99),
    ),
    st.builds(
        Response,
        text=st.text(st.characters(exclude_categories=["Cs"])),
        finish=st.sampled_from(["stop", "length"]),
        tokens=st.integers(0, 99),
    ),
)


@given(st.lists(RESPONSES, min_size=1, max_size=5))
def test_what_was_put_is_found_again_exactly(
    tmp_path_factory: pytest.TempPathFactory, responses: list[Response]
) -> None:
    """Numbers keep every bit, texts every character."""
    store = AnswerStore(tmp_path_factory.mktemp("store") / "answers.db")
    batch = [(request(number), response) for number, response in enumerate(responses)]
    store.put("arm", batch)
    found = store.get("arm", [asked for asked, _ in batch])
    assert found == {(asked.item, asked.index): response for asked, response in batch}


@pytest.mark.parametrize("cut", ["middle", "end", "another's table", "another's rows"])
def test_a_broken_file_says_what_works(tmp_path: Path, cut: str) -> None:
    """Nothing can be mended in it by hand: deleted, it is made anew, and that is what is said."""
    path = tmp_path / "answers.db"
    store = AnswerStore(path)
    asked = [request(number) for number in range(200)]
    store.put("arm", [(r, Response(text="x" * 500)) for r in asked])
    sqlite3.connect(path).execute("PRAGMA wal_checkpoint(TRUNCATE)").connection.close()
    data = path.read_bytes()
    if cut.startswith("another's"):
        path.unlink()
        column = "key BLOB" if cut == "another's table" else "key, kind, text, finish, tokens"
        sqlite3.connect(path).execute(f"CREATE TABLE answers ({column})").connection.close()
    else:
        half = len(data) // 2
        path.write_bytes(data[:half] + (b"" if cut == "end" else b"\xff" * half))

    def use() -> None:
        AnswerStore(path).get("arm", asked)
        AnswerStore(path).put("arm", [(request(900), Response(text="new"))])

    with pytest.raises(InfrastructureError, match="delete it or move it away, and run again"):
        use()
    for file in tmp_path.iterdir():
        file.unlink()
    use()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (Response(logprob=float("nan")), Response(unscored=NOT_A_NUMBER)),
        (Response(logprob=float("-inf"), tokens=3), Response(unscored=NOT_A_NUMBER, tokens=3)),
        (Response(text="half \ud83d"), Response(text="half \ufffd")),
    ],
)
def test_a_run_and_its_second_half_are_told_the_same(
    tmp_path: Path, given: Response, told: Response
) -> None:
    """What SQLite cannot carry is told at once as it will be found, or is asked again."""
    store = AnswerStore(tmp_path / "answers.db")
    assert store.put("arm", [(request(), given)]) == [(request(), told)]
    kept = {} if told.unscored else {request().key: told}
    assert store.get("arm", [request()]) == kept


def test_what_an_earlier_version_kept_of_no_number_is_asked_again(tmp_path: Path) -> None:
    """Its NaN is NULL in the table, which is not a log-likelihood of 0."""
    store = AnswerStore(tmp_path / "answers.db")
    with sqlite3.connect(tmp_path / "answers.db") as connection:
        key = answer_key("arm", request())
        row = (key, "loglikelihood", None, 1, None, None, 0)
        connection.execute("INSERT INTO answers VALUES (?,?,?,?,?,?,?)", row)
    assert store.get("arm", [request()]) == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"context_ids": (1, 2, 4)},
        {"continuation_ids": (5,)},
        {"kind": "loglikelihood"},
        {"settings": {"until": ["\n"], "max_new_tokens": 9}},
        {"settings": {"until": [], "max_new_tokens": 8}},
        {"settings": {"until": ["\n"], "max_new_tokens": 8, "do_sample": True}},
    ],
)
def test_whatever_can_change_an_answer_is_in_its_key(changes: dict[str, object]) -> None:
    """Other ids, kinds or settings are other questions."""
    assert answer_key("arm", request()) != answer_key("arm", replace(request(), **changes))


def test_another_arm_never_reads_the_first_ones_answers(tmp_path: Path) -> None:
    """lm-eval's cache has no model in its key and would give the base's answers to the tuned."""
    store = AnswerStore(tmp_path / "answers.db")
    store.put("base", [(request(), Response(text="base", finish="stop"))])
    assert store.get("tuned", [request()]) == {}


def test_names_of_items_are_not_in_the_key(tmp_path: Path) -> None:
    """A second study that asks the same thing under another suite finds the answer."""
    store = AnswerStore(tmp_path / "answers.db")
    store.put("arm", [(request(), Response(text="x", finish="stop"))])
    other = replace(request(), item=ItemKey("other", "f", "h", 3), index=2, context="")
    assert store.get("arm", [other]) == {(other.item, 2): Response(text="x", finish="stop")}


def test_many_requests_are_looked_up_at_once(tmp_path: Path) -> None:
    """More than one statement's worth of keys, some of them missing."""
    store = AnswerStore(tmp_path / "answers.db")
    asked = [request(number) for number in range(1500)]
    store.put("arm", [(r, Response(text=str(r.context_ids[-1]))) for r in asked[:1300]])
    found = store.get("arm", asked)
    assert len(found) == len(store) == 1300
    assert found[asked[1299].item, 0].text == "1299"


def test_unscored_answers_are_not_kept(tmp_path: Path) -> None:
    """What memory or length prevented is tried again by the next run."""
    store = AnswerStore(tmp_path / "answers.db")
    store.put("arm", [(request(), Response(unscored="out of memory"))])
    assert len(store) == 0


def test_a_batch_is_stored_whole_or_not_at_all(tmp_path: Path) -> None:
    """A failure within a batch leaves no part of it, and all batches before it."""
    store = AnswerStore(tmp_path / "answers.db")
    store.put("arm", [(request(0), Response(text="kept"))])
    broken = [(request(1), Response(text="lost")), (request(2), Response(text="", finish=object()))]  # type: ignore[arg-type]
    with pytest.raises(InfrastructureError):
        store.put("arm", broken)
    assert list(store.get("arm", [request(0), request(1)])) == [(request(0).item, 0)]


def test_a_full_disk_is_a_clear_error_that_loses_nothing(tmp_path: Path) -> None:
    """SQLite's own page limit stands in for the disk; it fails with the same message."""
    path = tmp_path / "answers.db"
    store = AnswerStore(path)
    store.put("arm", [(request(0), Response(text="kept"))])

    class Full(AnswerStore):
        """A store on a disk with no page left."""

        def _open(self) -> sqlite3.Connection:
            connection = super()._open()
            connection.execute("PRAGMA max_page_count=4")
            return connection

    with pytest.raises(InfrastructureError, match="is full"):
        Full(path).put("arm", [(request(1), Response(text="x" * 100_000))])
    assert len(store) == 1
    store.put("arm", [(request(1), Response(text="after it was mended"))])
    assert len(store) == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_read_only_folder_is_a_clear_error(tmp_path: Path) -> None:
    """The message names the file."""
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(InfrastructureError, match=r"answers\.db"):
        AnswerStore(tmp_path / "answers.db")


def test_a_place_that_cannot_be_a_file_is_a_clear_error(tmp_path: Path) -> None:
    """A file where a folder is needed, a folder instead of the file, a file of another kind."""
    (tmp_path / "file").write_text("this is not a database, but it is long enough to be read")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "answers.db", tmp_path / "folder"):
        with pytest.raises(InfrastructureError, match="answers must be writable"):
            AnswerStore(path)
    with pytest.raises(InfrastructureError, match="delete it or move it away, and run again"):
        AnswerStore(tmp_path / "file")


WRITER = """
import sys
from harness.records import ItemKey, Request, Response
from harness.store import AnswerStore
from pathlib import Path
store, name, count = AnswerStore(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
for number in range(count):
    asked = Request(kind="generate_until", item=ItemKey("s", "f", str(number), 0), index=0,
                    context="", continuation="", context_ids=(number,), settings={})
    store.put(name, [(asked, Response(text=f"{name} {number}", finish="stop"))])
    print(number, flush=True)
"""


def test_two_processes_may_write_at_the_same_time(tmp_path: Path) -> None:
    """Neither waits in vain, and both find everything."""
    path = tmp_path / "answers.db"
    with (
        started(*PYTHON, "-c", WRITER, path, "one", "60") as one,
        started(*PYTHON, "-c", WRITER, path, "two", "60") as two,
    ):
        for writer in (one, two):
            writer.communicate()
            assert writer.returncode == 0
    assert len(AnswerStore(path)) == 120


def test_a_killed_process_loses_no_stored_batch(tmp_path: Path) -> None:
    """Kill -9 at any moment leaves every answer that `put` had returned for."""
    path = tmp_path / "answers.db"
    with started(*PYTHON, "-c", WRITER, path, "one", "1_000_000") as writer:
        assert writer.stdout is not None
        printed = [writer.stdout.readline() for _ in range(20)]
        writer.kill()
        printed += writer.communicate()[0].split()
    assert len(AnswerStore(path)) >= len(printed) - 1, "the last line may be half a number"
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_store_does_not_import_torch() -> None:
    """Re-scoring and comparing stay light."""
    code = "import sys, harness.store; sys.exit('torch' in sys.modules or 'lm_eval' in sys.modules)"
    assert python("-c", code).returncode == 0
