"""``harness mcp``: studies and runs for other programs, over the Model Context Protocol."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    root: Annotated[
        Path, typer.Option(help="The folder outside of which nothing is read or written.")
    ] = Path(),
    allow_run: Annotated[
        bool, typer.Option("--allow-run", help="Let studies be run; without it all is read only.")
    ] = False,
) -> None:
    """Serve plans, verdicts and lost items on stdin and stdout.

    A client starts this command itself: it needs a line in the client's own settings.

    Example: `harness mcp --root . --allow-run`
    """
    from harness.extras import require

    require("mcp")
    from harness.mcp.mcp_server import serve

    serve(root, allow_run=allow_run)
