"""Tool use: which calls a response makes, in any model's format, and whether they are right."""

from harness.scoring.tools.call_arguments import NotAToolError, Tool, WantedCall
from harness.scoring.tools.plain_tools import fenced_calls, plain_turns
from harness.scoring.tools.tool_rows import read_tool_row
from harness.scoring.tools.tool_use import WantedTurn, tool_use

__all__ = [
    "NotAToolError",
    "Tool",
    "WantedCall",
    "WantedTurn",
    "fenced_calls",
    "plain_turns",
    "read_tool_row",
    "tool_use",
]
