"""PostgreSQL as the judge's third engine: scripts, a user's database, what may not be asked."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command import harness_here
from support.postgres import Server, require_postgres, running_postgres

from harness.errors import DataError, InfrastructureError, StudyError
from harness.sql import Database, Judge, Question, databases_at, judge_rows
from harness.sql.execute import postgres

SCRIPT = """
CREATE TABLE dept(id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL UNIQUE, floor INTEGER);
CREATE TABLE emp(
  id SERIAL PRIMARY KEY, name TEXT NOT NULL, dept_id INTEGER REFERENCES dept(id),
  pay NUMERIC(8,2) CHECK (pay > 0), hired DATE, senior BOOLEAN
);
INSERT INTO dept VALUES (1, 'Sales', 2), (2, 'IT', 3), (3, 'Law', 3);
INSERT INTO emp (name, dept_id, pay, hired, senior) VALUES ('Ann', 1, 300.5, '2020-01-01', true),
  ('Bob', 2, 400, '2021-05-02', false), ('Cid', 2, 500, '2022-01-01', true), ('Dee', NULL, 250, NULL, NULL);
CREATE VIEW rich AS SELECT name FROM emp WHERE pay > 350;
"""  # noqa: E501


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One server for all tests of this file."""
    with running_postgres() as running:
        yield running


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """One judge for all tests."""
    require_postgres()
    with Judge(seconds=0.5) as judge:
        yield judge


def ask(gold: str, script: str = SCRIPT) -> Question:
    """Ask on a script in a scratch database."""
    database = Database(schema_sql=script, engine="postgres")
    return Question(gold_sql=gold, database=database, dialect="postgres")


@pytest.mark.parametrize(
    ("gold", "answer", "outcome"),
    [
        ("SELECT name FROM emp WHERE hired > DATE '2021-01-01' + INTERVAL '3 months'",
         "SELECT e.name FROM public.emp AS e WHERE hired::date >= '2021-04-02'", "correct"),
        ("SELECT EXTRACT(YEAR FROM hired) FROM emp WHERE senior",
         "SELECT date_part('year', hired) FROM emp WHERE senior IS TRUE", "correct"),
        ("SELECT date_trunc('year', hired) FROM emp WHERE id = 1",
         "SELECT hired FROM emp WHERE id = 1", "incorrect"),
        ("SELECT dept_id, array_agg(name ORDER BY name) FROM emp GROUP BY 1",
         "SELECT dept_id, array_agg(DISTINCT name) FROM emp GROUP BY dept_id", "incorrect"),
        ("SELECT name FROM emp WHERE name LIKE 'A%'", "SELECT name FROM emp WHERE name ILIKE 'a%'",
         "incorrect"),
        ("SELECT name FROM rich", "SELECT name FROM emp WHERE pay >= 400", "incorrect"),
        ("SELECT name FROM emp WHERE pay > 350", "SELECT name FROM emp WHERE pay >= 350",
         "incorrect"),
        ("SELECT d.name, count(e.id) FROM dept d LEFT JOIN emp e ON e.dept_id = d.id GROUP BY 1",
         "SELECT name, (SELECT count(*) FROM emp WHERE dept_id = dept.id) FROM dept", "correct"),
        ("SELECT avg(pay) FROM emp", "SELECT sum(pay) / count(pay) FROM emp", "correct"),
    ],
)  # fmt: skip
def test_answers_are_run_and_challenged_on_postgresql(
    gold: str, answer: str, outcome: str, judge: Judge
) -> None:
    """Its own types and functions run, and neighbours on it tell near misses from the gold."""
    verdict = judge.judge(ask(gold), answer)
    assert verdict.outcome == outcome, verdict
    assert verdict.details["base_match"] is not None
    assert "translated_from" not in verdict.details


HOSTILE = (
    "DELETE FROM emp", "WITH d AS (DELETE FROM emp RETURNING name) SELECT name FROM d",
    "SELECT name FROM emp; DROP TABLE emp", "SELECT name INTO loot FROM emp",
    "SELECT pg_read_file('/etc/passwd')", 'SELECT "pg_read_file"(\'/etc/passwd\')',
    'SELECT U&"pg\\005fread_file"(\'/etc/passwd\')', "SELECT pg_catalog . pg_ls_dir ('/')",
    "SELECT lo_import('/etc/passwd')", "COPY emp TO PROGRAM 'touch /tmp/owned'",
    "SELECT set_config('transaction_read_only', 'off', false)", "SELECT pg_sleep(3600)",
    "SELECT query_to_xml('DELETE FROM emp', true, true, '')",
    "SELECT dblink('host=/tmp', 'SELECT 1')",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity", "SELECT nextval('emp_id_seq')",
    "SELECT * FROM pg_shadow", "SELECT name FROM emp FOR UPDATE",
    "LOCK TABLE emp", "SET ROLE postgres",
    "DO $$ BEGIN DELETE FROM emp; END $$", "VACUUM emp", "CALL nothing()", "LISTEN spy",
    "REFRESH MATERIALIZED VIEW rich", "CREATE SEQUENCE s",
    "COMMIT", "CREATE FUNCTION f() RETURNS int",
    "SELECT repeat('x', 1000000000)", "SELECT generate_series(1, 100000000)",
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
    "SELECT " + "(" * 9000 + "1" + ")" * 9000, "SELECT name FROM emp WHERE name ~ '((a*)*)*b'",
    "SELECT \0", "EXPLAIN ANALYZE DELETE FROM emp",
)  # fmt: skip


@pytest.mark.parametrize("answer", HOSTILE)
def test_what_only_does_harm_is_contained(answer: str, judge: Judge) -> None:
    """It is refused or wrong, soon, and the next question finds everything as it was."""
    verdict = judge.judge(ask("SELECT count(*) FROM emp"), answer)
    assert verdict.outcome in {"refused", "incorrect"}, verdict
    after = judge.judge(ask("SELECT name FROM emp"), "SELECT name FROM emp")
    assert after.outcome == "correct", after
    assert not Path("/tmp/owned").exists()


def rows_of(answers: dict[str, str]) -> list[dict[str, object]]:
    """Return rows about the shop, gold -> answer."""
    return [{"id": str(i), "db_id": "shop", "gold_sql": gold, "pred_text": answer}
            for i, (gold, answer) in enumerate(answers.items())]  # fmt: skip


def test_a_database_of_ones_own_is_judged_from_the_command_line(
    server: Server, tmp_path: Path
) -> None:
    """A url with a reader takes the place of the folder; PostgreSQL is then the dialect."""
    given = tmp_path / "given.jsonl"
    rows = rows_of({
        "SELECT name FROM customer WHERE city = 'Rome'":
            "SELECT name FROM customer WHERE city <> 'Oslo'",
        "SELECT sum(amount) FROM purchase WHERE paid":
            "SELECT sum(amount) FROM purchase WHERE paid = true",
    })  # fmt: skip
    given.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = harness_here(
        "rate", "sql", str(given), "-o", str(tmp_path / "out.jsonl"), "--db", server.url("reader")
    )
    assert done.returncode == 0, done.stderr
    verdicts = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [v["verdict"] for v in verdicts] == ["incorrect", "correct"], verdicts
    assert [v["base_match"] for v in verdicts] == [True, True]


def test_a_db_id_names_a_database_or_a_schema(server: Server, judge: Judge) -> None:
    """The row names the database where the url does not; where it does, other names are schemas."""
    answer = "SELECT note.words FROM archive.note"
    for database, db_id, table in (("shop", "archive", "note"), ("", "shop", "archive.note")):
        place = databases_at(server.url("reader", database))
        row = {"db_id": db_id, "gold_sql": f"SELECT words FROM {table}", "pred_text": answer}
        (verdict,) = judge_rows([row], databases=place, judge=judge)
        assert verdict.outcome == "correct", verdict


def test_which_postgresql_judges_is_known(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a user's server, of one named for scripts, and of the installed programs."""
    place = databases_at(server.url("reader"))
    assert isinstance(place, postgres.PostgresServer)
    release = postgres.server_release(place)
    assert release[0].isdigit()
    assert postgres.scratch_release() == release
    monkeypatch.setenv(postgres.SCRATCH, server.url("judge", "postgres"))
    assert postgres.scratch_release() == release


@pytest.mark.parametrize(
    ("role", "database", "kind", "said"),
    [
        ("owner", "shop", StudyError, "'owner' is a superuser"),
        ("clerk", "shop", StudyError, "'clerk' may write to"),
        ("nobody", "shop", InfrastructureError, "cannot be reached"),
        ("reader", "shops", InfrastructureError, "cannot be reached"),
    ],
)
def test_a_role_that_could_write_is_refused_first(
    role: str, database: str, kind: type[Exception], said: str, server: Server
) -> None:
    """One sentence before anything is judged, and the password is not in it."""
    url = server.url(role, database).replace("@", ":secret@")
    with pytest.raises(kind, match=said) as caught:
        postgres.check_server(databases_at(url))
    assert "secret" not in str(caught.value)


def test_a_schema_that_is_not_there_is_named(server: Server) -> None:
    """A misspelt db_id is no reason to judge on other tables."""
    place = databases_at(server.url("reader"))
    with pytest.raises(DataError, match="no schema 'archives'"):
        postgres.check_server(place.named("archives"))


def test_a_database_that_is_being_written_to_is_refused(server: Server) -> None:
    """A gold and its answers could see different rows."""
    writer = server.connect()
    writer.script("BEGIN; UPDATE customer SET city = 'Bonn' WHERE id = 1")
    with pytest.raises(InfrastructureError, match="is being written to"):
        postgres.check_server(databases_at(server.url("reader")))
    writer.close()


def test_all_statements_of_a_judge_read_one_state(server: Server, judge: Judge) -> None:
    """What is written after the first statement is not seen: a gold keeps its result."""
    place = databases_at(server.url("reader") + "&port=5432")
    row = rows_of({"SELECT count(*) FROM archive.note": "SELECT count(id) FROM archive.note"})[0]
    (before,) = judge_rows([row], databases=place, judge=judge)
    server.run("INSERT INTO archive.note VALUES (NULL, 'new')")
    (after,) = judge_rows([row], databases=place, judge=judge)
    server.run("DELETE FROM archive.note WHERE id IS NULL")
    assert before.details["base_match"] is after.details["base_match"] is True


def test_a_scratch_server_is_used_by_a_role_that_may_only_create(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A superuser's is refused; with the right one scripts run there, and nothing is left."""
    monkeypatch.setenv(postgres.SCRATCH, server.url("owner", "postgres"))
    with pytest.raises(StudyError, match="may create databases and nothing more"):
        postgres.check_scratch()
    monkeypatch.setenv(postgres.SCRATCH, server.url("judge", "postgres"))
    with Judge(workers=1) as judge:
        verdict = judge.judge(ask("SELECT name FROM emp"), "SELECT name FROM dept")
    assert verdict.outcome == "incorrect", verdict


DUMP = r"""
\restrict xyz
SET statement_timeout = 0; SET transaction_timeout = 0; SET client_encoding = 'LATIN1';
SELECT pg_catalog.set_config('search_path', '', false);
CREATE DATABASE shop; \connect shop
CREATE EXTENSION IF NOT EXISTS no_such_extension; COMMENT ON SCHEMA public IS 'it''s /* all';
CREATE SCHEMA sales; ALTER SCHEMA sales OWNER TO somebody;
CREATE TYPE sales.size AS ENUM ('s', 'l'); ALTER TYPE sales.size OWNER TO somebody;
CREATE FUNCTION public.twice(n integer) RETURNS integer LANGUAGE sql AS $_$ SELECT 2 * n; $_$;
CREATE TABLE sales.item (id integer NOT NULL, size sales.size, price numeric(10,2) DEFAULT 0.0,
  "Made at" timestamp without time zone DEFAULT now(), tags text[], note text);
ALTER TABLE sales.item OWNER TO somebody;
CREATE SEQUENCE sales.item_id_seq START WITH 1; ALTER SEQUENCE sales.item_id_seq OWNED BY sales.item.id;
ALTER TABLE ONLY sales.item ALTER COLUMN id SET DEFAULT nextval('sales.item_id_seq'::regclass);
CREATE TABLE public.sold (item_id integer, day date);
COPY sales.item (id, size, price, "Made at", tags, note) FROM stdin;
1	s	1.50	2024-01-01 10:00:00	{a,b}	tab\there; -- no comment
2	l	20.00	\N	{}	\N
\.
SELECT pg_catalog.setval('sales.item_id_seq', 2, true);
INSERT INTO public.sold VALUES (1, CURRENT_DATE - INTERVAL '5 days'), /* ; */ (2, '2020-02-29');
ALTER TABLE ONLY sales.item ADD CONSTRAINT item_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.sold ADD CONSTRAINT sold_fkey FOREIGN KEY (item_id) REFERENCES sales.item(id);
CREATE INDEX item_price ON sales.item USING btree (price); CREATE UNIQUE INDEX u ON sold (item_id);
CREATE VIEW sales.cheap AS SELECT id, public.twice(id) AS two FROM sales.item WHERE price < 10;
GRANT SELECT ON TABLE sales.item TO somebody; REVOKE ALL ON SCHEMA public FROM PUBLIC;
\unrestrict xyz
"""  # noqa: E501 - as pg_dump writes


@pytest.mark.parametrize(
    ("gold", "answer", "outcome"),
    [
        ("SELECT note FROM item WHERE id = 1",
         "SELECT sales.item.note FROM sales.item WHERE size = 's'", "incorrect"),
        ("SELECT count(*) FROM public.sold s JOIN sales.item i ON i.id = item_id WHERE price >= 20",
         "SELECT count(*) FROM sold JOIN item ON item_id = id WHERE price > 19.99", "correct"),
        ("SELECT two FROM cheap", "SELECT 2 * id FROM sales.item WHERE price < 10", "correct"),
        ('SELECT "Made at" FROM item', 'SELECT "Made at" FROM item ORDER BY id', "correct"),
        ("SELECT unnest(tags) FROM item", "SELECT t FROM item, unnest(tags) t", "correct"),
        ("SELECT item_id FROM sold WHERE day > CURRENT_DATE - 7",
         "SELECT item_id FROM sold WHERE day >= CURRENT_DATE - INTERVAL '6 days'", "correct"),
    ],
)  # fmt: skip
def test_dumps_load_as_they_are(gold: str, answer: str, outcome: str, judge: Judge) -> None:
    """Schemas, owners, COPY data, sequences, meta-commands: as ``pg_dump`` writes them."""
    verdict = judge.judge(ask(gold, DUMP), answer)
    assert verdict.details["base_match"] is True, verdict
    assert verdict.outcome == outcome, verdict


def test_a_dump_of_data_may_come_in_any_order(judge: Judge) -> None:
    """Rows may precede those that they refer to, as in a dump without its triggers."""
    script = SCRIPT.replace(
        "INSERT INTO dept VALUES (1, 'Sales', 2)", "INSERT INTO dept VALUES (9, 'A', 1)"
    )
    script += (
        "INSERT INTO emp (name, dept_id) VALUES ('Eva', 7); INSERT INTO dept VALUES (7, 'Art', 1);"
    )
    verdict = judge.judge(ask("SELECT name FROM emp", script), "SELECT name FROM emp")
    assert verdict.outcome == "correct", verdict


def test_a_script_that_does_not_load_says_where(judge: Judge) -> None:
    """The item is unscored, and its reason names the statement."""
    verdict = judge.judge(ask("SELECT 1", SCRIPT + "CREATE TABLE t (a intt);"), "SELECT 1")
    assert verdict.outcome == "unscored"
    assert "CREATE TABLE t (a intt)" in verdict.explanation


def test_neighbours_are_missing_where_there_is_no_scratch(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader's database is judged all the same, and the verdict says what it rests on."""
    monkeypatch.setenv(postgres.SCRATCH, "postgresql://judge@/x?host=/nowhere")
    database = Database(server=databases_at(server.url("reader")), engine="postgres")
    asked = Question(gold_sql="SELECT name FROM customer", database=database, dialect="postgres")
    with Judge(workers=1) as judge:
        verdict = judge.judge(asked, "SELECT customer.name FROM customer")
    assert (verdict.outcome, verdict.details["robust_match"]) == ("correct", None), verdict
