"""A history in SQLite and on PostgreSQL: the same content, kept once, by several at a time."""

import gzip
import sqlite3
import subprocess
from collections.abc import Iterator
from os import environ
from pathlib import Path

import pytest
from support.command import PYTHON, SUPPORT, harness_here
from support.finished_runs import write_run
from support.histories import right, run_with, scores_of
from support.postgres import running_postgres

from harness.errors import InfrastructureError, StudyError
from harness.history import place as places
from harness.history.drift import trends
from harness.history.history_store import add, reading
from harness.history.place import HistoryPlace
from harness.history.trend_page import history_page

pytest.importorskip("sqlalchemy")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Run PostgreSQL; return the address of a database on it, of its owner."""
    with running_postgres() as running:
        yield running.url("owner")


@pytest.fixture
def file(tmp_path: Path) -> HistoryPlace:
    """Return where an SQLite history may begin."""
    return HistoryPlace(tmp_path / "kept" / "history.db")


def fill(place: HistoryPlace) -> None:
    """Add six runs, two of them releases, the last of which fell."""
    for number in range(6):
        suites = {
            "qa": scores_of(right(180 - 30 * (number == 5), of=200), cluster=2),
            "B": scores_of([0.25, None, 1 / 3] * 40),
            "a": scores_of([1] * 60, scorer=f"made {number // 3}"),
        }
        add(place, run_with(number, suites), release=f"v{number}" if number % 2 == 0 else "")


def page(place: HistoryPlace) -> str:
    """Return the page of trends, without the minutes in which runs were added."""
    with reading(place) as reader:
        runs = reader.runs()
        found = trends(runs, reader.scores)
    text = history_page(found)
    for run in runs:
        text = text.replace(run.added[:16].replace("T", " "), "then")
    return text


def test_sqlite_and_postgresql_show_the_same(file: HistoryPlace, server: str) -> None:
    """Whichever a team keeps, the page and the terminal say the same."""
    fill(file)
    fill(HistoryPlace.of(server))
    assert page(file) == page(HistoryPlace.of(server))
    shown = [
        harness_here("history", "show", "--store", str(store), "--suite", "qa").stdout
        for store in (file, server)
    ]
    assert "worse than v4" in shown[0]
    assert shown[0].splitlines()[3:] == shown[1].splitlines()[3:]


def test_what_was_written_is_read_again(file: HistoryPlace) -> None:
    """Scores come back to the last digit, items with their groups, unscored ones as such."""
    run = run_with(1, {"qa": scores_of([1 / 3, None, 1.0, 0.1 + 0.2], cluster=2)})
    kept, is_new = add(file, run, release="v1")
    with reading(file) as reader:
        [found] = reader.runs()
        assert is_new
        assert found.means == run.means
        assert reader.scores(found, "qa") == run.scores["lora", "qa"]
        assert (found.release, found.added, found.gate) == ("v1", kept.added, run.gate)


def test_adding_again_changes_nothing(tmp_path: Path) -> None:
    """The same run folder is one run, whatever was reported anew in between."""
    run, store = write_run(tmp_path / "run").path, tmp_path / "history.db"
    first = harness_here("history", "add", run, "--store", store)
    assert first.returncode == 0, first.stderr
    before = store.read_bytes()
    assert harness_here("report", run).returncode == 0
    again = harness_here("history", "add", run, "--store", store)
    assert "already" in again.stdout
    assert store.read_bytes() == before
    named = harness_here("history", "add", run, "--store", store, "--release", "v1")
    assert "already" in named.stdout
    assert "release v1" in named.stdout
    shown = harness_here("history", "show", "--store", store)
    assert "1 run, 1 of them released" in shown.stdout


def test_a_history_holds_no_text(tmp_path: Path) -> None:
    """Neither questions nor answers nor groups are in the file, only their hashes."""
    folder, store = write_run(tmp_path / "run", note=" secret-word"), tmp_path / "history.db"
    done = harness_here("history", "add", folder.path, "--store", store)
    assert done.returncode == 0, done.stderr
    known = sqlite3.connect(store)
    kept = [cell for table in ("runs", "checks") for row in known.execute(
        f"SELECT * FROM harness_history_{table}") for cell in row]  # fmt: skip
    for (data,) in known.execute("SELECT data FROM harness_history_suites"):
        kept.append(gzip.decompress(data).decode())
    known.close()
    texts = "\n".join(map(str, kept))
    assert "secret-word" not in texts
    sample = next(folder.path.glob("samples/mixed/*.jsonl")).read_text()
    assert "secret-word" in sample


def test_two_processes_add_at_once(tmp_path: Path) -> None:
    """Whoever comes second waits; a run that both add is there once, and no run is lost."""
    store, code = tmp_path / "history.db", (
        "import sys\n"
        "from support.histories import run_with, scores_of\n"
        "from harness.history.history_store import add\n"
        "from harness.history.place import HistoryPlace\n"
        "place = HistoryPlace.of(sys.argv[1])\n"
        "for n in range(6):\n"
        "    add(place, run_with(n + 100 * (n % 2) * int(sys.argv[2]),"
        " {'qa': scores_of([1] * 50)}))\n"
    )  # fmt: skip
    running = [
        subprocess.Popen([*PYTHON, "-c", code, str(store), which], env={**environ, **SUPPORT})
        for which in ("1", "2")
    ]
    assert [process.wait() for process in running] == [0, 0]
    with reading(HistoryPlace(store)) as reader:
        assert len(reader.runs()) == 3 + 2 * 3


def test_a_release_is_one_run_and_a_run_one_release(file: HistoryPlace) -> None:
    """A name is given once in a study and never taken away."""
    one, two = (run_with(n, {"qa": scores_of([1] * 30)}) for n in (1, 2))
    add(file, one, release="v1")
    with pytest.raises(StudyError, match="'v1' of 'made' was added"):
        add(file, two, release="v1")
    with pytest.raises(StudyError, match="added as 'v1', now as 'v2'"):
        add(file, one, release="v2")
    with pytest.raises(StudyError, match="may not be called 'base'"):
        add(file, two, release="base")
    add(file, run_with(3, {"qa": scores_of([1] * 30)}, study="other"), release="v1")
    with reading(file) as reader:
        assert [(run.study, run.release) for run in reader.runs()] == [
            ("made", "v1"),
            ("other", "v1"),
        ]


def test_items_that_runs_share_are_kept_once(tmp_path: Path) -> None:
    """A further run of the same items costs its scores, not the items again."""
    sizes = []
    for runs in (1, 11):
        place = HistoryPlace(tmp_path / f"{runs}.db")
        for number in range(runs):
            wrong = range(number, 2000, 17)
            add(place, run_with(number, {"qa": scores_of(right(1500, of=2000, wrong=wrong))}))
        sizes.append(place.where.stat().st_size)
    assert (sizes[1] - sizes[0]) / 10 < 4096


@pytest.mark.parametrize(
    ("store", "code", "told"),
    [
        ("mysql://me:hush-hush@host/db", 2, "found mysql://"),
        ("sqlite://history.db", 2, "found sqlite://"),
        ("postgresql://me:hush-hush@host", 2, "must name a database"),
        ("postgresql://me:hush-hush@127.0.0.1:1/db", 3, "cannot be used"),
        ("postgresql://me:hush-hush/x@127.0.0.1:1/db", 2, "number for its port"),
        ("postgresql://me:hush-hush@127.0.0.1:1/${UNSET_NAME}", 2, "UNSET_NAME"),
        ("none.db", 2, "no history at none.db"),
        ("text.db", 3, "not a database"),
        ("other.db", 2, "no history in other.db"),
        ("newer.db", 3, "knows histories of format 1: newer.db has 2"),
        ("folder.db", 2, "no history at folder.db"),
    ],
)
def test_a_store_that_cannot_be_read_is_one_sentence(
    tmp_path: Path, store: str, code: int, told: str
) -> None:
    """Exit 2 for what was asked wrongly, 3 for what is broken; no password is said."""
    (tmp_path / "text.db").write_text("no database, and long enough to be looked at" * 40)
    (tmp_path / "folder.db").mkdir()
    made(tmp_path / "other.db", "CREATE TABLE mine (x)")
    add(HistoryPlace(tmp_path / "newer.db"), run_with(1, {"qa": scores_of([1])}))
    made(tmp_path / "newer.db", "UPDATE harness_history SET schema = 2")
    done = harness_here("history", "show", "--store", store, folder=tmp_path)
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert "hush" not in done.stderr


def made(path: Path, sql: str) -> None:
    """Run a statement on an SQLite file."""
    connection = sqlite3.connect(path)
    connection.execute(sql)
    connection.commit()
    connection.close()


def test_nothing_is_added_where_something_else_lies(tmp_path: Path) -> None:
    """The database of another program, such as a run's answers, gets no tables of ours."""
    made(tmp_path / "answers.db", "CREATE TABLE answers (x)")
    before = (tmp_path / "answers.db").read_bytes()
    with pytest.raises(StudyError, match="needs a file of its own"):
        add(HistoryPlace(tmp_path / "answers.db"), run_with(1, {"qa": scores_of([1])}))
    assert (tmp_path / "answers.db").read_bytes() == before


def test_a_locked_store_is_waited_for_and_then_told(
    file: HistoryPlace, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who holds a store for longer than the patience keeps a run out of it, not half in it."""
    import pg8000.dbapi

    from harness.history import history_store

    fill(file)
    shared = HistoryPlace.of(server)
    add(shared, run_with(0, {"qa": scores_of([1] * 30)}))
    monkeypatch.setattr(places, "PATIENCE", 0)
    monkeypatch.setattr(history_store, "PATIENCE", 0.1)
    holder = sqlite3.connect(file.where, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    elsewhere = pg8000.dbapi.connect(
        shared.where.user, unix_sock=shared.where.socket, database=shared.where.database
    )
    elsewhere.cursor().execute("LOCK TABLE harness_history_runs IN ACCESS EXCLUSIVE MODE")
    for place in (file, shared):
        with pytest.raises(InfrastructureError, match="another command is at work in it"):
            add(place, run_with(9, {"qa": scores_of([1] * 30)}))
    holder.close()
    elsewhere.close()
    with reading(file) as reader:
        assert len(reader.runs()) == 6


def test_a_run_of_several_candidates_names_the_one_to_follow(tmp_path: Path) -> None:
    """What is not there, or not chosen, is a sentence with the names."""
    run = write_run(tmp_path / "run").path
    done = harness_here("history", "add", run, "--candidate", "mixxed", folder=tmp_path)
    assert done.returncode == 2
    assert "did you mean 'mixed'" in done.stderr
    assert not (tmp_path / "runs").exists()
