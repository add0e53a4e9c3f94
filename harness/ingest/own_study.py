"""Begin a study from a file of one's own rows: a test part split off by group, and each line said.

What is split off is asked, and never learnt: rows that ask the same, or nearly the same, stay
together.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from harness import corpus
from harness.errors import DataError
from harness.ingest.groups import group_column, groups_of
from harness.ingest.labelled_texts import OwnRow
from harness.ingest.own_rows import OwnRows, recognised
from harness.ingest.sources import rows_of
from harness.suites.own import default_name

SHARE, MOST = 0.2, 500
"""Share of the rows that is asked, and how many at most: a few hundred tell five points."""

LEAST = 10
"""Rows below which a split leaves nothing to learn or nothing to ask."""

TRAIN, TEST = Path("data", "train.jsonl"), Path("data", "test.jsonl")
HELD_OUT = Path("suites", "held_out")

_LIKELIHOOD = """\
# Texts that were held out, scored by how likely the model finds each token.
task: held_out
custom_dataset: !function harness.suites.dataset.load
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list:
  - {metric: word_perplexity, aggregation: weighted_perplexity, higher_is_better: false}
metadata:
  version: 1.0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunStudy:
    """What ``harness init --data`` writes: texts by path beside the study, and what it found.

    ``by`` says how rows were kept together, ``unused`` names columns that nothing is made of,
    ``empty`` counts rows that were left out because a column is empty in them.
    """

    files: Mapping[Path, str]
    what: str
    learnt: int
    asked: int
    by: str
    unused: tuple[str, ...] = ()
    empty: int = 0


def begin_study(
    source: str,
    base: str,
    *,
    columns: Mapping[str, str] | None = None,
    group: str = "",
    databases: str = "",
) -> BegunStudy:
    """Recognise rows, split a test part off by group, and write a study about them.

    Args:
        source: A file of rows, a folder of texts, or ``hub:owner/name``.
        base: Hub name or folder of the base model.
        columns: Field -> the column that it is, where the names do not say so.
        group: The column whose values stay together; by default one of `GROUPS`, and near
            repetitions always.
        databases: For questions to SQL with ``db_id``: the folder of databases.

    Raises:
        DataError: If the rows are not recognised, too few, or cannot be split.
    """
    own = recognised(source, rows_of(source, Path.cwd()), columns)
    if own.suite == "sql":
        own = replace(own, rows=_with_schemas(own.rows, databases))
    if len(own.rows) < LEAST:
        raise DataError(
            f"a study needs {LEAST} rows or more, to learn some and ask others: {source} has "
            f"{len(own.rows)}"
        )
    column = group_column(own.columns, [row.fields for row in own.rows], group)
    values = [str(row.fields.get(column)) for row in own.rows] if column else None
    groups = groups_of([row.asked for row in own.rows], values)
    share = min(SHARE, MOST / len(own.rows))
    kept, held = corpus.hold_out(groups, share=share, seed=0)
    asked = [(groups[place], own.rows[place]) for place in held if own.rows[place].ask]
    if not asked:
        raise DataError(
            f"some rows must have an answer to ask for: none of the {len(held)} that were split "
            f"off {source} has one in words"
        )
    learnt = [own.rows[place].learn for place in kept]
    test = [_item(own, number, name, row) for number, (name, row) in enumerate(asked, start=1)]
    by = f"column {column!r} and near repetitions" if column else "near repetitions"
    tests = HELD_OUT / TEST if own.suite == "held_out" else TEST
    files = {TRAIN: _lines(learnt), tests: _lines(test)}
    if own.suite == "held_out":
        files[HELD_OUT / "held_out.yaml"] = _LIKELIHOOD
    files[Path("study.yaml")] = _study(own, source, base, databases, (len(learnt), len(test)), by)
    unused = tuple(name for name in own.unused if name != column)
    return BegunStudy(
        files=files,
        what=own.what,
        learnt=len(learnt),
        asked=len(test),
        by=by,
        unused=unused,
        empty=own.empty,
    )


def _item(own: OwnRows, number: int, group: str, row: OwnRow) -> dict[str, object]:
    """Return a row as an item of its suite, with the field that its suite clusters by."""
    cluster = {
        "domain_qa": "fact", "coherence": "conversation", "sql": "template",
        "arc_challenge": "fact", "held_out": "group", "classification": "group",
        "summary": "group",
    }[own.suite]  # fmt: skip
    return {"id": f"row-{number}", **(row.ask or {}), cluster: group}


def _lines(rows: Sequence[Mapping[str, object]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)


def _with_schemas(rows: Sequence[OwnRow], databases: str) -> tuple[OwnRow, ...]:
    """Show the tables of a row's database where the row itself shows none."""
    shown: dict[str, str] = {}
    made = []
    for row in rows:
        name = str((row.ask or {}).get("db_id") or "")
        if not name or (row.ask or {}).get("schema"):
            made.append(row)
            continue
        if name not in shown:
            shown[name] = _tables(databases, name)
        asked = f"{shown[name]}{row.asked}"
        prompt = [{"role": "user", "content": asked}]
        ask = {**(row.ask or {}), "schema": shown[name].rstrip("\n")}
        made.append(replace(row, learn={**row.learn, "prompt": prompt}, ask=ask, asked=asked))
    return tuple(made)


def _tables(databases: str, name: str) -> str:
    path = Path(databases or "databases", name, f"{name}.sqlite")
    if not path.is_file():
        raise DataError(
            f"a query is judged by running it: no database at {path}; give the folder with "
            "--databases, or the rows a 'schema_sql'"
        )
    with closing(sqlite3.connect(f"file:{path.absolute()}?mode=ro", uri=True)) as opened:
        found = opened.execute("SELECT sql FROM sqlite_master WHERE type = 'table' ORDER BY name")
        return "".join(f"{' '.join(str(sql).split())};\n" for (sql,) in found if sql)


_ASKED = {
    "domain_qa": "is the accepted answer given?",
    "coherence": "does a reply fit what was said?",
    "arc_challenge": "is the right choice the likeliest?",
    "sql": "queries are run, and compared with yours",
    "classification": "is the right label named?",
    "summary": "is nothing invented, copied, cut or too long?",
    "held_out": "how likely does the model find each token?",
}

_STUDY = """\
# yaml-language-server: $schema=study.schema.json
# Begun from {source}: {what}.
# Next: harness plan study.yaml, then harness run study.yaml. Paths are relative to this file.

name: {name}  # the run goes to runs/{name}
base: {base}  # a hub name or a local folder

candidates:
  - name: first
    method: lora                  # an adapter beside the base's weights; qlora: less memory
{objective}    train: {train}       # {learnt} rows
{validation}    settings: {{r: 16, lora_alpha: 32, target_modules: all-linear}}   # PEFT's names
    training:                     # TRL's names
      num_train_epochs: {epochs}
      per_device_train_batch_size: 8
      # learning_rate: 2.0e-4     # the setting that matters most; by default what suits the method

suites:
  - name: {suite}
{where}    target: true                  # tuned for this: {asked}
{how}    margin: 0.05                  # the largest drop that is still acceptable: 5 points
  - {{name: arc_mini, limit: 600}}  # what the base knew, {arc}: is it kept?

data:
  overlap: warn                   # test items found in training rows; exclude leaves them out

# {items} rows were split off by {by}:
# none of them, nor one that asks nearly the same, is learnt. Rows of one template may still share
# long stretches: 'harness plan' counts these. The fewer there are, the larger a change has to be to
# show: 'harness plan' says how large.
"""


def _study(
    own: OwnRows, source: str, base: str, databases: str, counts: tuple[int, int], by: str
) -> str:
    learnt, items = counts
    objective = {
        "dpo": "    objective: dpo                # pairs of a chosen and a rejected answer\n",
        "kto": "    objective: kto                # answers that are called good or bad\n",
    }.get(own.objective, "")
    validation = (
        "    validation: 0.1               # held out: their lowest loss keeps a checkpoint\n"
        if learnt >= 200
        else ""
    )
    return _STUDY.format(
        source=json.dumps(source, ensure_ascii=False),
        what=own.what,
        name=(default_name(source.removeprefix("hub:")).strip("_") or "mine")[:60],
        base=json.dumps(
            str(Path(base).resolve()) if Path(base).is_dir() else base, ensure_ascii=False
        ),
        objective=objective,
        train=TRAIN.as_posix(),
        learnt=learnt,
        validation=validation,
        epochs=5 if learnt < 200 else 3 if learnt < 2000 else 1,
        suite=own.suite,
        where=_where(own, databases),
        how=_how(own),
        asked=_ASKED[own.suite],
        arc="in science",
        items=items,
        by=by,
    )


def _where(own: OwnRows, databases: str) -> str:
    if own.suite == "held_out":
        return f"    folder: {HELD_OUT.as_posix()}       # its file says how texts are scored\n"
    found = f"    data: {TEST.as_posix()}\n"
    if own.suite == "sql" and any((row.ask or {}).get("db_id") for row in own.rows):
        place = json.dumps(str(Path(databases or "databases").resolve()), ensure_ascii=False)
        found += f"    databases: {place}\n"
    return found


def _how(own: OwnRows) -> str:
    """Say what else decides how rows are asked and judged."""
    lines = ""
    if own.plain:
        lines += "    template: none                # prompts as they stand, as they are learnt\n"
    if own.suite == "arc_challenge":
        lines += "    cluster: fact                 # questions that are much alike count as one\n"
    if own.suite in {"classification", "summary"}:
        lines += "    cluster: group                # texts that are much alike count as one\n"
    if own.suite == "held_out":
        lines += "    cluster: group                # texts that are much alike count as one\n"
    if own.suite == "domain_qa":
        said = [str(answer) for row in own.rows[:200] if row.ask
                for answer in _list(row.ask.get("answers"))[:1]]  # fmt: skip
        if said and sum(len(answer.split()) for answer in said) > 12 * len(said):
            lines += (
                "    # similar: 0.6                # long answers: what means much the same counts "
                "as right\n                                  # (pip install "
                "'finetune-harness[judges]')\n"
            )
    return lines


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, (list, tuple)) else []
