"""``harness tasks``: the suites that come with the package, and those of one's own."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness import content
from harness.cli import console
from harness.display_text import clip, visible
from harness.errors import HarnessError, StudyError

if TYPE_CHECKING:
    from harness.ingest.own_suites import BegunSuite
    from harness.models.protocols import Tokenizer
    from harness.suites.load_suite import LoadedSuite

app = typer.Typer(name="tasks")
_NO_TARGET = {
    "conversation": "what its probes accept",
    "summary": "whatever is sound: nothing invented, copied, cut or too long",
}
_SHOWN = 3000
"""Characters of a first prompt that are shown."""


@app.callback(invoke_without_command=True)
def command(context: typer.Context) -> None:
    """List the built-in suites, or begin and check a suite of your own.

    Any other lm-eval task can be named in a study too.

    Example: `harness tasks`
    """
    if context.invoked_subcommand:
        return
    from rich.table import Table

    from harness.suites.catalogue import builtin_suites

    table = Table("suite", "primary metric", "margin", "what it measures")
    for suite in builtin_suites().values():
        cells = (suite.name, suite.metric, f"{100 * suite.margin:.0f} points", suite.title)
        table.add_row(*map(console.cell, cells))
    console.print_table(table)
    console.say(f"their folders, with a card each, are in {content.TASKS}")
    console.say("a suite of your own: harness tasks new KIND --data FILE (or sql --database FILE)")


@app.command()
def new(  # noqa: PLR0913, PLR0917 - one argument an option
    kind: Annotated[
        str,
        typer.Argument(
            help="What is asked for: qa, choice, classification, summary, refusal, coherence, "
            "conversation, tools or sql."
        ),
    ],
    data: Annotated[
        str, typer.Option(help="Your rows: CSV, JSONL, Excel, Parquet, or hub:owner/name.")
    ] = "",
    database: Annotated[
        str, typer.Option(help="sql: a .sqlite or .duckdb file, or postgresql://reader@host/name.")
    ] = "",
    name: Annotated[
        str | None, typer.Option(help="The suite's name; by default the file's.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where suites are kept.")] = Path("tasks"),
    base: Annotated[
        str, typer.Option(help="Show the first prompt through this model's chat template.")
    ] = "",
    column: Annotated[
        list[str] | None,
        typer.Option(help="A field and its column, such as text=body. May be given several times."),
    ] = None,
    group: Annotated[
        str, typer.Option(help="The column whose values belong together: document, customer.")
    ] = "",
    by: Annotated[
        str, typer.Option(help="classification: text (the answer names a label), or likelihood.")
    ] = "text",
) -> None:
    """Begin a suite of your own: YAML, data, card and golden lines, and its first prompt.

    All rows are in it: nothing is split off. The sql kind begins from a database instead, with a
    few questions whose golds were run, and holds no value of your data.

    Example: `harness tasks new classification --data tickets.csv`
    """
    from harness.suites.own import default_name

    if bool(data) == bool(database) or (kind == "sql" and data):
        raise StudyError("a suite begins from rows, --data FILE, and an sql one from --database")
    chosen = name or default_name((data or database).removeprefix("hub:")).strip("_")
    if database:
        _from_database(kind, chosen, database, folder)
        return
    if by not in ("text", "likelihood"):
        raise StudyError(f"labels are asked for by 'text' or 'likelihood': found {by!r}")
    from harness.ingest.own_suites import begin_suite

    begun = begin_suite(
        kind,
        data,
        chosen,
        columns=console.named_columns(column or ()),
        group=group,
        likelihood=by == "likelihood",
    )
    loaded = _write(begun, folder / chosen, chosen, base)
    _tell(begun, loaded, kind, folder / chosen, base)


def _from_database(kind: str, name: str, database: str, folder: Path) -> None:
    from harness.files import whole_folder, write_text
    from harness.suites.own import suite_files

    files = suite_files(kind, name, database)
    with whole_folder(folder / name) as made:
        for path, text in files.items():
            write_text(made / path, text)
    console.say(f"wrote {folder / name}; next: {folder / name / 'README.md'}")


def _write(begun: "BegunSuite", place: Path, name: str, base: str) -> "LoadedSuite":
    """Write a suite's folder, with golden lines made of its rows as a study loads them."""
    from harness.files import whole_folder, write_text
    from harness.suites.own.check_rows import load_own
    from harness.suites.own.golden_lines import first_golden

    tokenizer = _tokenizer(base)
    with whole_folder(place) as made:
        for path, text in begun.files.items():
            write_text(made / path, text)
        loaded = load_own(made, tokenizer, name=name)
        lines = [json.dumps(line, ensure_ascii=False) + "\n" for line in first_golden(loaded)]
        if lines:
            write_text(made / "golden.jsonl", "".join(lines))
    return loaded


def _tokenizer(base: str) -> "Tokenizer":
    """Return a model's tokenizer; without a model one that shows prompts as plain text."""
    if not base:
        from harness.suites.text_tokenizer import TextTokenizer

        return TextTokenizer(chat=False)
    from harness.models.load_model import load_tokenizer
    from harness.study import BaseSection, resolve_model

    return load_tokenizer(resolve_model(base, Path.cwd()), BaseSection(model=base))


def _tell(begun: "BegunSuite", loaded: "LoadedSuite", kind: str, place: Path, base: str) -> None:
    from harness.suites.own.check_rows import NO_PROBES

    read = ", ".join(f"{field} = column {column}" for field, column in begun.columns.items())
    console.say(f"{kind}: {begun.rows} rows in {begun.groups} groups, by {begun.by}")
    if read:
        console.say(f"  read as: {read}")
    if begun.unread:
        options = " ".join(f"--column {field}=NAME" for field in begun.unfound)
        could = f" ({options} would be read)" if begun.unfound else ""
        console.say(f"  kept beside them, and read by nothing: {', '.join(begun.unread)}{could}")
    if begun.empty:
        console.say(f"  {console.more_rows(begun.empty)} left out: a needed column is empty there")
    if kind == "conversation" and loaded.suite.is_measured:
        told = NO_PROBES.format(items=len(loaded.items), measure=loaded.suite.measure)
        console.say(f"  {told}")
    request = loaded.requests[0]
    how = f"through the chat template of {base}" if loaded.recipe.chat else "as plain text"
    size = f", {len(request.context_ids)} tokens" if base else ""
    console.say(f"the first prompt, {how}{size}:")
    console.say("-" * 60)
    console.say(clip(visible(request.context), _SHOWN))
    console.say("-" * 60)
    if request.continuation:
        first = [one for one in loaded.requests if one.item == loaded.items[0].key]
        scored = ", ".join(repr(visible(one.continuation)) for one in first)
        console.say(f"scored after it: {scored}")
    else:
        right = clip(visible(loaded.items[0].target), 300)
        if not loaded.suite.is_measured:
            console.say(f"right: {right or _NO_TARGET.get(kind, 'no one answer')}")
    if not base:
        console.say("  (--base MODEL shows it as that model will see it)")
    lines = "fill in card.md and golden.jsonl"
    if not (place / "golden.jsonl").exists():
        lines = "fill in card.md, write golden.jsonl"
    console.say(f"wrote {place}: {lines}, then: harness tasks check {place}")
    entry = f"- {{name: {loaded.suite.name}, folder: {place}, target: true}}"
    console.say(f"in a study, under 'suites:' (the folder as seen from the study):\n  {entry}")


@app.command()
def check(
    suite: Annotated[Path, typer.Argument(help="The suite's folder.")],
    database: Annotated[
        str | None, typer.Option(help="Its database, the folder of its databases, or a url.")
    ] = None,
    base: Annotated[str, typer.Option(help="Make prompts with this model's tokenizer.")] = "",
) -> None:
    """Hold a suite of your own to its golden lines, and say what is wrong with its rows.

    Of sql each gold is run, and the near misses are named that the judge could not tell from it.
    Exit 2 if something is found on which no verdict should rest.

    Example: `harness tasks check tasks/tickets`
    """
    from harness.suites import catalogue
    from harness.suites.own.check_rows import check_rows, suite_file

    file = suite_file(suite)
    if catalogue.declaration(file.stem, catalogue.read_config(file)).judge == "sql":
        _check_sql(suite, database)
        return
    grave = 0
    for finding in check_rows(suite, _tokenizer(base)):
        grave += finding.grave
        console.say(f"{'wrong: ' if finding.grave else ''}{visible(finding.text)}")
    if grave:
        raise HarnessError(
            f"a suite that decides has no faults of its own: {grave} found in {suite}; mend the "
            "rows, the golden lines or the YAML"
        )
    console.say("nothing is wrong with it")


def _check_sql(suite: Path, database: str | None) -> None:
    from harness.suites.own.check_suite import check_suite

    bad = told = tried = 0
    for gold in check_suite(suite, database):
        tried += gold.near_misses
        told += gold.near_misses - len(gold.passing)
        bad += bool(gold.problem)
        share = f"{gold.near_misses - len(gold.passing)} of {gold.near_misses}"
        console.say(f"{gold.id}: {gold.problem or f'runs; near misses told apart: {share}'}")
        for miss in gold.passing:
            console.say(f"  cannot tell: {miss.what} (add rows like: {miss.remedy})")
    console.say(f"near misses told apart: {told} of {tried}")
    if bad:
        raise HarnessError(f"every gold has to run: {bad} of this suite do not")
