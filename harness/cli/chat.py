"""``harness chat``: talk to the base and the candidates side by side."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.report import RunPath

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from harness.pipeline.finished.chat import ArmsChat

_HELP = "/new begins again, /keep ARM goes on with that arm's answers, /quit ends"


def command(
    run: RunPath,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Where an answer is cut.")] = 256,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.0,
) -> None:
    """Talk to base and candidates side by side.

    Every arm sees the same conversation. The transcript is in the run folder, and
    `harness review draw` puts it on the raters' sheets.

    Example: `harness chat runs/mine`
    """
    from rich.console import Console

    from harness.pipeline.finished.chat import open_chat
    from harness.store.run_folder import RunFolder

    console = Console(highlight=False)
    talk = open_chat(RunFolder(run))
    console.print(f"{', '.join(talk.arms)} are listening; {_HELP}", style="dim", soft_wrap=True)
    while (text := _asked(console)) is not None:
        if text.startswith("/"):
            _obey(console, talk, text)
        elif text:
            _answer(console, talk, text, max_new_tokens=max_new_tokens, temperature=temperature)
    if talk.transcript.exists():
        typer.echo(f"the conversation is in {talk.transcript}")


def _asked(console: "Console") -> str | None:
    """Return what the user says next, None at the end."""
    try:
        text = console.input("[bold]you>[/] ").strip()
    except (EOFError, KeyboardInterrupt):
        console.print()
        return None
    return None if text in ("/quit", "/exit") else text


def _obey(console: "Console", talk: "ArmsChat", text: str) -> None:
    name, _, argument = text.partition(" ")
    if name == "/new":
        talk.begin_again()
        console.print("a new conversation", style="dim")
    elif name == "/keep" and argument in talk.arms:
        talk.continue_with = argument
        console.print(f"going on with {argument}'s answers", style="dim")
    else:
        console.print(f"{_HELP}; arms: {', '.join(talk.arms)}", style="dim", soft_wrap=True)


def _answer(
    console: "Console", talk: "ArmsChat", text: str, *, max_new_tokens: int, temperature: float
) -> None:
    """Show the answers as they are made: columns on a terminal, one after another elsewhere."""
    from rich.live import Live
    from rich.table import Table

    said = dict.fromkeys(talk.arms, "")

    def table() -> Table:
        shown = Table.grid(padding=(0, 2), expand=True)
        for _ in talk.arms:
            shown.add_column(ratio=1, overflow="fold")
        shown.add_row(*(f"[bold cyan]{arm}[/]" for arm in talk.arms))
        shown.add_row(*(_plain(answer) for answer in said.values()))
        return shown

    say = partial(talk.say, text, max_new_tokens=max_new_tokens, temperature=temperature)
    if not console.is_terminal:
        for arm, answer in say(tell=lambda *_: None).items():
            typer.echo(f"{arm}: {answer}")
        return
    with Live(table(), console=console, refresh_per_second=12) as live:

        def tell(arm: str, piece: str) -> None:
            said[arm] += piece
            live.update(table())

        said.update(say(tell=tell))
        live.update(table())


def _plain(text: str) -> "Text":
    """Return a model's text as rich shows it to the letter, no markup, nothing hidden."""
    from rich.text import Text

    from harness.analysis.display_text import visible

    return Text(visible(text))
