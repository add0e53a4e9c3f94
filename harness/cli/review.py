"""``harness review``: blinded sheets for human raters, and their ratings back."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import console
from harness.cli.report import RunPath

if TYPE_CHECKING:
    from harness.records import SetSummary
    from harness.review import Collected, DrawnSet
    from harness.study import ReviewSection

app = typer.Typer(name="review", help="Blinded sheets for raters.", no_args_is_help=True)


@app.command()
def draw(
    run: RunPath,
    items: Annotated[int, typer.Option(min=1, help="Pairs for each suite and candidate.")] = 20,
    raters: Annotated[int, typer.Option(min=1, help="People who rate every pair.")] = 2,
    seed: Annotated[int, typer.Option(help="Which items are drawn, and which side is which.")] = 0,
    suites: Annotated[str, typer.Option(help="Suites to rate, with commas; all if empty.")] = "",
    form: Annotated[
        str, typer.Option(help="preference or direct, or by suite: sql=direct,chat=preference.")
    ] = "preference",
    by: Annotated[
        str, typer.Option(help="Split strata by a field of the rows, or by 'label'.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be drawn, and how much it tells.")
    ] = False,
) -> None:
    """Draw blinded, side-balanced sheets from a finished run.

    Example: `harness review draw runs/mine --suites sql,coherence --items 60 --raters 3`
    """
    from harness import review
    from harness.pipeline.conclude import reopen
    from harness.pipeline.finished import rating_sheets
    from harness.pipeline.finished.chat import chat_comparisons
    from harness.store.run_folder import RunFolder

    asked = _asked(items, raters, suites, form, by)
    folder = RunFolder(run)
    _, result = reopen(folder)
    sets = rating_sheets.draw([*result.comparisons, *chat_comparisons(folder)], asked, seed=seed)
    _show_precision(sets)
    if dry_run:
        return
    with folder.held():
        files = review.write_sheets(sets, folder.review, raters=raters, seed=seed)
    for name in (name for name in files if name.endswith(".zip")):
        console.say(f"{name.removesuffix('.zip').replace('-', ' ')} gets {files[name]}")
    console.say(f"keep {files['key']}: it says which answer is whose")


@app.command()
def serve(
    draw: Annotated[Path, typer.Argument(metavar="DRAW", help="A draw's folder.")],
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 chooses a free one.")] = 0,
) -> None:
    """Let raters rate in their browser: a link each, every rating on the disk at once.

    Example: `harness review serve runs/mine/review/1f2e3d4c --port 8600`
    """
    from harness.review.forms.server import serving

    with suppress(KeyboardInterrupt), serving(draw, host=host, port=port) as server:
        for rater, link in server.links.items():
            console.say(f"rater {rater}: {link}")
        if not server.is_loopback:
            console.say(f"whoever has a link and reaches {host} can rate; nothing is encrypted")
        console.say(f"ratings are kept in {server.kept}; Ctrl-C ends this")
        server.serve_forever()
    console.say(f"\nstopped; read the ratings with: harness review collect {draw}")


@app.command()
def collect(
    place: Annotated[
        Path, typer.Argument(metavar="RUN|DRAW", help="A run folder, or one of its draws.")
    ],
    rated: Annotated[
        list[Path] | None,
        typer.Argument(
            help="What came back: XLSX, ODS, CSV, JSON or a zip of them; what was served if empty."
        ),
    ] = None,
) -> None:
    """Read raters' sheets back, add them to the ratings so far, and report the run again.

    Example: `harness review collect runs/mine rated/*.xlsx`
    """
    from harness.errors import StudyError
    from harness.pipeline.finished import rating_sheets
    from harness.review.forms.served_ratings import served_files
    from harness.review.key import KEY
    from harness.store.run_folder import RunFolder

    is_draw = (place / KEY).is_file() and not (place / "study.lock.json").exists()
    folder = RunFolder(place.resolve().parents[1] if is_draw else place)
    draws = place if is_draw else folder.review
    files = rated or served_files(draws)
    if not files:
        raise StudyError(
            f"collecting needs what came back: no file is named, and nothing was served in {draws};"
            " name the files"
        )
    collected = rating_sheets.collect(folder, draws, files, console.TerminalProgress())
    _show_files(collected)
    for each in collected.draws:
        _show_summaries(each.review.summaries)
        for rater, count in sorted(each.rows.items()):
            rated_rows = count - each.missing.get(rater, 0)
            console.say(f"rater {rater}: {rated_rows} of {count} rows rated")
        console.say(f"ratings in {each.folder / 'review.json'}; report in {folder.path}")


@app.command()
def judge(
    place: Annotated[
        Path, typer.Argument(metavar="DRAW", help="A draw's folder, or a run that has only one.")
    ],
    trust: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that comes with the judge.")
    ] = False,
) -> None:
    """Let the judge model that the study declares rate a draw's pairs, beside the people.

    Its figure is shown only where it agrees with 100 human ratings or more. A key for an endpoint
    comes from the environment, such as OPENAI_API_KEY.

    Example: `harness review judge runs/mine/review/ab12cd34`
    """
    from harness.pipeline.finished.judge_pairs import judge_draw, only_draw
    from harness.store.run_folder import RunFolder

    draw = only_draw(place)
    folder = RunFolder(draw.resolve().parents[1])
    judged = judge_draw(folder, draw, console.TerminalProgress(), trust_remote_code=trust)
    unread = sum(pair.preference is None for pair in judged.pairs)
    console.say(
        f"{judged.model} rated {len(judged.pairs)} pairs ({unread} could not be read); how far it "
        f"agrees with people is in {folder.path / 'report.html'}"
    )


def _asked(items: int, raters: int, suites: str, form: str, by: str) -> "ReviewSection":
    """Return what is asked for, checked like a study's own section.

    Raises:
        StudyError: If the form is none.
    """
    from pydantic import ValidationError

    from harness.errors import StudyError
    from harness.inputs import first_problem
    from harness.study import ReviewSection

    forms = dict(part.split("=", 1) for part in form.split(",")) if "=" in form else form
    try:
        return ReviewSection.model_validate(
            {
                "items_per_suite": items, "raters": raters, "form": forms, "by": by or None,
                "suites": [name.strip() for name in suites.split(",") if name.strip()],
            }
        )  # fmt: skip
    except (ValidationError, ValueError) as error:
        reason = first_problem(error)
    raise StudyError(
        f"a form is 'preference' or 'direct', or one of them by suite: found {form!r}: {reason}"
    )


def _show_precision(sets: "Sequence[DrawnSet]") -> None:
    """Say what raters will see, and how much their ratings will tell of the whole suite."""
    from rich.table import Table

    table = Table("candidate", "suite", "drawn of", "± at worst", "± hopefully")
    for each in sets:
        strata = ", ".join(f"{name} {n}/{each.draw.sizes[name]}" for name, n in each.drawn.items())
        expected = each.precision
        widths = ("", "") if expected is None else (f"{x * 100:.1f} points" for x in expected)
        cells = (each.comparison.candidate, each.comparison.suite.name, strata, *widths)
        table.add_row(*map(console.cell, cells))
    console.print_table(table)
    console.say(
        "±: half of the 90 % interval of the win rate in the whole suite; at worst every item is a "
        "toss-up, hopefully raters see nine of ten lost and gained items as the metric does"
    )


def _show_files(collected: "Collected") -> None:
    for file in collected.files:
        counts = f"{file.new} new, {file.known} known, {file.changed} changed"
        console.say(f"{file.name}: {counts}")
        for problem in file.problems:
            console.say(f"  {problem}")


def _show_summaries(summaries: "Sequence[SetSummary]") -> None:
    from rich.table import Table

    table = Table("candidate", "suite", "wins", "ties", "losses", "win rate", "agreement")
    for s in summaries:
        if not s.judgements and not s.not_judged:
            continue
        rate = "too few ratings"
        if s.win_rate is not None and s.ci_low is not None and s.ci_high is not None:
            rate = f"{s.win_rate:.0%} ({s.ci_low:.0%} to {s.ci_high:.0%})"
        agreement = "" if s.agreement is None else f"{s.agreement:.2f}"
        cells = (s.candidate, s.suite, str(s.wins), str(s.ties), str(s.losses), rate, agreement)
        table.add_row(*map(console.cell, cells))
    console.print_table(table)
    console.say("wins are the candidate's; a tie is half a win; agreement is Krippendorff's alpha")
