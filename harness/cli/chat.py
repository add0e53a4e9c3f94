"""``harness chat``: chat with the base and the candidates side by side."""

import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import console
from harness.cli.report import RunPath

if TYPE_CHECKING:
    from harness.pipeline.finished.chat import ArmsChat

_HELP = "/new begins again, /keep ARM goes on with that arm's answers, /quit ends"


def command(
    run: RunPath,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Where an answer is cut.")] = 256,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.0,
    trust: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that comes with the base.")
    ] = False,
) -> None:
    """Chat with base and candidates side by side.

    Every arm sees the same conversation. The transcript is in the run folder, and
    `harness review draw` puts it on the raters' sheets.

    Example: `harness chat runs/mine`
    """
    from harness.pipeline.finished.chat import open_chat
    from harness.store.run_folder import RunFolder

    chat = open_chat(RunFolder(run), trust_remote_code=trust)
    console.say(f"{', '.join(chat.arms)} are listening; {_HELP}", style="dim")
    while (text := _read_turn()) is not None:
        if text.startswith("/"):
            _slash_command(chat, text)
        elif text:
            _answer(chat, text, max_new_tokens=max_new_tokens, temperature=temperature)
    if chat.transcript.exists():
        console.say(f"the conversation is in {chat.transcript}")


def _read_turn() -> str | None:
    """Return the user's next turn, None at the end."""
    try:
        text = input("you> ").strip()
    except (EOFError, KeyboardInterrupt):
        console.say()
        return None
    return None if text in ("/quit", "/exit") else text


def _slash_command(chat: "ArmsChat", text: str) -> None:
    name, _, argument = text.partition(" ")
    if name == "/new":
        chat.clear()
        console.say("a new conversation", style="dim")
    elif name == "/keep" and argument in chat.arms:
        chat.continue_with = argument
        console.say(f"going on with {argument}'s answers", style="dim")
    else:
        console.say(f"{_HELP}; arms: {', '.join(chat.arms)}", style="dim")


def _answer(chat: "ArmsChat", text: str, *, max_new_tokens: int, temperature: float) -> None:
    """Show answers as they are generated: columns on a terminal, one after another elsewhere."""
    from rich.live import Live
    from rich.table import Table

    texts = dict.fromkeys(chat.arms, "")

    def table() -> Table:
        shown = Table.grid(padding=(0, 2), expand=True)
        for _ in chat.arms:
            shown.add_column(ratio=1, overflow="fold")
        shown.add_row(*(console.cell(arm, "bold cyan") for arm in chat.arms))
        shown.add_row(*map(console.plain, texts.values()))
        return shown

    send = partial(chat.send, text, max_new_tokens=max_new_tokens, temperature=temperature)
    if not sys.stdout.isatty():
        for arm, answer in send(on_text=lambda *_: None).items():
            console.say(f"{arm}: {answer}")
        return
    with Live(table(), refresh_per_second=12) as live:

        def on_text(arm: str, piece: str) -> None:
            texts[arm] += piece
            live.update(table())

        texts.update(send(on_text=on_text))
        live.update(table())
