"""The first files of a suite about a database: what a model is shown, and a few golds that run.

Nothing but names and types is taken from the database: no value of it stands in any file.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import DataError
from harness.extras import require

if TYPE_CHECKING:
    from harness.sql.execute.database import Schema, TableSchema

_YAML = """\
# Questions about {name}, answered by a query that is executed and compared with the gold's.
task: {name}
custom_dataset: !function harness.suites.dataset.load
output_type: generate_until
test_split: test
doc_to_text: "{{{{schema}}}}\\n{{{{question}}}}"
doc_to_target: gold_sql
process_results: !function harness.sql.process_results
generation_kwargs:
  until: []
  do_sample: false
  max_gen_toks: 256
metric_list:
  - metric: robust_execution_accuracy
    aggregation: nanmean
    higher_is_better: true
metadata:
  version: 1.0
  harness:
    title: Questions about {name}
    metric: robust_execution_accuracy
    kind: binary
    judge: sql
    cluster: template    # rows that ask the same thing in other words are one cluster
    margin: 0.05         # the largest drop that you can live with
"""
_README = """\
# {name}: questions to SQL on your own database

`data/test.jsonl` has {count} questions to begin with, each with a gold query that was run. They
hold names of your tables and columns and no value of your data. `schema.sql` is for reading.

1. Replace and add rows: ask what your users ask, in their words, and write the query that is right.
   A few dozen rows tell a large change; a few hundred, five points. `template` groups rows that ask
   the same thing.
2. `harness tasks check {folder} --database {shown}`
   says which golds run, and which the judge could not tell from a near miss, with the rows that
   would help. A value that a gold names stands in this folder: leave out what may not be shared.
3. Name the folder in a study:

   ```yaml
   suites:
     - name: {name}
       folder: {folder}
       databases: {databases}
   ```

4. `harness plan study.yaml`, then `harness run study.yaml`.

The database itself is not copied: whoever runs the study needs it{reader}.
"""
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
Asked = tuple[str, str, str]
"""A question, its gold, and what it is an example of."""


def sql_files(name: str, source: str) -> dict[str, str]:
    """Return the files of a suite about a SQLite or DuckDB file, or a PostgreSQL url.

    Raises:
        DataError: If the database is not there, or has no table with rows.
        StudyError: If a server's role could write.
        InfrastructureError: If a server cannot be reached.
    """
    require("sql")
    from harness.sql import Judge, Question, databases_at

    databases, db_id = place_of(source)
    row: dict[str, object] = {"db_id": db_id, "gold_sql": "SELECT 1"}
    with Judge(instances=0) as judge:
        database = Question.from_row(row, databases=databases_at(databases)).database
        schema = judge.schema(database)
        shown = "\n".join(_shown(table) for table in schema.tables)
        rows: list[dict[str, object]] = []
        for question, gold, kind in _asked(schema):
            asked: dict[str, object] = {
                "id": f"{name}-{len(rows) + 1}", "question": question, "schema": shown,
                "db_id": db_id, "dialect": database.engine, "gold_sql": gold, "template": kind,
            }  # fmt: skip
            checked = Question.from_row(asked, databases=databases_at(databases))
            if judge.judge(checked, gold).outcome == "correct":
                rows.append(asked)
    if not rows:
        raise DataError(f"a suite needs a table with rows: the database {source} has none")
    server = "://" in source
    databases = without_password(databases)
    readme = _README.format(
        name=name, count=len(rows), folder=f"tasks/{name}", databases=databases,
        shown=databases if server else source,
        reader=", and a role that can only read it" if server else "",
    )  # fmt: skip
    return {
        f"{name}.yaml": _YAML.format(name=name),
        "schema.sql": ";\n\n".join(table.ddl for table in schema.tables) + ";\n",
        "data/test.jsonl": "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows),
        "README.md": readme,
    }


def place_of(source: str) -> tuple[str, str]:
    """Return where databases are and which of them is meant, as a study and its rows say it.

    Raises:
        DataError: If there is no file.
    """
    if "://" in source:
        from harness.sql.execute.postgres import PostgresServer

        return source, PostgresServer.from_url(source).database
    path = Path(source).expanduser()
    if not path.is_file():
        raise DataError(f"no database at {path}: give a .sqlite or .duckdb file, or postgresql://…")
    named = path.suffix in {".sqlite", ".duckdb"}
    return os.path.relpath(path.parent), path.stem if named else path.name


def without_password(url: str) -> str:
    """Return a url as a file may hold it: its password is a variable's.

    >>> without_password("postgresql://me:secret@host/shop")
    'postgresql://me:${SHOP_PASSWORD}@host/shop'
    """
    database = url.partition("://")[2].partition("/")[2].partition("?")[0]
    variable = re.sub(r"\W", "_", database or "database").upper() + "_PASSWORD"
    return re.sub(r"(://[^:@/]+):(?!\$)[^@]*@", rf"\1:${{{variable}}}@", url)


def _shown(table: "TableSchema") -> str:
    columns = ", ".join(f"{column.name} {column.type}".strip() for column in table.columns)
    links = "".join(
        f"; {', '.join(key.columns)} refers to {key.table}" for key in table.foreign_keys
    )
    return f"{table.name}({columns}{links})"


def _asked(schema: "Schema") -> Iterator[Asked]:
    """Yield a question of each kind, about the fullest tables that it can be asked of."""
    tables = sorted((t for t in schema.tables if t.rows), key=lambda t: -len(t.rows))
    for make in (_counted, _grouped, _joined, _averaged, _largest):
        yield from [asked for table in tables for asked in make(table, schema)][:1]


def _counted(table: "TableSchema", _: "Schema") -> Iterator[Asked]:
    yield (
        f"How many rows of {table.name} are there?",
        f"SELECT COUNT(*) FROM {_name(table.name)}",
        "count",
    )


def _grouped(table: "TableSchema", _: "Schema") -> Iterator[Asked]:
    for column in table.columns:
        if column.stats.few and column.stats.distinct > 1 and column.stats.kind == "text":
            yield (
                f"How many rows of {table.name} are there for each {column.name}?",
                f"SELECT {_name(column.name)}, COUNT(*) FROM {_name(table.name)} "
                f"GROUP BY {_name(column.name)}",
                "group",
            )


def _joined(table: "TableSchema", schema: "Schema") -> Iterator[Asked]:
    for key in table.foreign_keys:
        parent = schema.table(key.table)
        if parent is None or parent is table or len(key.columns) != 1:
            continue
        target = (key.parents[0] or parent.primary_key[0]) if parent.primary_key else key.parents[0]
        label = _label(parent) or target
        yield (
            f"For each {label} of {parent.name}, how many rows of {table.name} belong to it?",
            f"SELECT p.{_name(label)}, COUNT(c.{_name(key.columns[0])}) "
            f"FROM {_name(parent.name)} AS p "
            f"LEFT JOIN {_name(table.name)} AS c ON c.{_name(key.columns[0])} = p.{_name(target)} "
            f"GROUP BY p.{_name(target)}, p.{_name(label)}",
            "join",
        )


def _averaged(table: "TableSchema", _: "Schema") -> Iterator[Asked]:
    for column in _numbers(table):
        yield (
            f"What is the average {column} over all of {table.name}?",
            f"SELECT AVG({_name(column)}) FROM {_name(table.name)}",
            "average",
        )


def _largest(table: "TableSchema", _: "Schema") -> Iterator[Asked]:
    label = _label(table)
    for column in _numbers(table) if label else ():
        yield (
            f"Which {label} of {table.name} has the largest {column}?",
            f"SELECT {_name(label)} FROM {_name(table.name)} "
            f"WHERE {_name(column)} = (SELECT MAX({_name(column)}) FROM {_name(table.name)})",
            "largest",
        )


def _numbers(table: "TableSchema") -> list[str]:
    """Return the columns that measure something: numbers that are no key and no flag."""
    keys = {*table.primary_key, *(name for key in table.foreign_keys for name in key.columns)}
    return [
        column.name
        for column in table.columns
        if column.stats.kind in {"int", "real"} and not column.stats.flag
        and column.name.lower() not in keys and not column.name.lower().endswith("id")
    ]  # fmt: skip


def _label(table: "TableSchema") -> str:
    """Return a column that tells the rows of a table apart for people, if there is one."""
    texts = [column for column in table.columns if column.stats.kind == "text"]
    best = sorted(texts, key=lambda c: ("name" not in c.name.lower(), -c.stats.distinct))
    return best[0].name if best else ""


def _name(name: str) -> str:
    """Return a name as SQL writes it, in quotes where it needs them."""
    from sqlglot.tokens import Tokenizer

    reserved = {word for phrase in Tokenizer.KEYWORDS for word in phrase.split()}
    if _PLAIN.fullmatch(name) and name.upper() not in reserved:
        return name
    return '"' + name.replace('"', '""') + '"'
