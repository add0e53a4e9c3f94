"""What a turn with tools is worth: the right calls with the right arguments, or rightly none.

The rules are those of the Berkeley Function-Calling Leaderboard's syntax-tree check (Patil et al.
2025, "The Berkeley Function Calling Leaderboard"): names, types and values are compared, calls that
are made at once have no order; and beside them what a missing argument or a failed call asks for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.records import Verdict
from harness.scoring.free_text import qa
from harness.scoring.tools.asking import asks_for
from harness.scoring.tools.bare_calls import WrittenCalls
from harness.scoring.tools.call_arguments import Tool, WantedCall
from harness.scoring.tools.call_formats import without_marks, written_calls
from harness.scoring.tools.call_payloads import Json, ToolCall
from harness.scoring.tools.json_reply import WantedJson


@dataclass(frozen=True, slots=True)
class WantedTurn:
    """What a turn should do.

    Args:
        calls: The calls to make, in any order; none where it should answer in words.
        asks_for: Arguments that nobody has named: the turn should ask for one of them.
        answers: Texts of which the reply should state one, where it makes no call.
        json: The JSON object that the reply should be, where it makes no call.
    """

    calls: tuple[WantedCall, ...] = ()
    asks_for: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    json: WantedJson | None = None


def tool_use(
    tools: Sequence[Tool], wanted: WantedTurn, response: str, *, finish: str | None = None
) -> Verdict:
    """Judge a response that may call tools.

    Args:
        tools: What is on offer.
        wanted: What is right.
        response: The text as the model wrote it, in any format that `written_calls` reads.
        finish: ``length`` where it was cut.

    Returns:
        A verdict with a score of 0 or 1, its metric ``call_match``. ``details`` has the ``calls``
        as parsed; the metrics ``names`` and ``arguments`` are the shares of the wanted calls, and
        of their arguments, that are right.
    """
    written = written_calls(response, {tool.name for tool in tools})
    if wanted.json is not None and not tools:
        written = WrittenCalls((), response)
    by_name = {tool.name: tool for tool in tools}
    fault = _fault(by_name, wanted, written, response)
    calls = [{"name": call.name, "arguments": _named(by_name, call)} for call in written.calls]
    labels = () if fault is None else (fault[0],)
    if fault is not None and finish == "length":
        labels = ("truncated", *labels)
    score = 1.0 if fault is None else 0.0
    return Verdict(
        outcome="correct" if fault is None else "incorrect",
        score=score,
        labels=labels,
        answer=", ".join(call.name for call in written.calls) or None,
        explanation="as wanted" if fault is None else fault[1],
        metrics={"call_match": score, **_shares(by_name, wanted, written)},
        details={"calls": calls},
    )


def _named(tools: Mapping[str, Tool], call: ToolCall) -> dict[str, Json]:
    return tools[call.name].named(call) if call.name in tools else dict(call.arguments)


def _fault(
    tools: Mapping[str, Tool], wanted: WantedTurn, written: WrittenCalls, response: str
) -> tuple[str, str] | None:
    """Return the label and the explanation of what is wrong first, None where all is right."""
    if not without_marks(response).strip():
        return "empty", "the answer is empty"
    if written.broken is not None:
        return "malformed_call", written.broken
    for call in written.calls:
        if call.name not in tools:
            return "unknown_tool", f"there is no tool {call.name!r}"
    if not wanted.calls:
        return _fault_of_words(wanted, written)
    if not written.calls:
        return "no_call", f"{wanted.calls[0].name} should be called"
    return _fault_of_calls(tools, wanted.calls, written.calls)


def _fault_of_words(wanted: WantedTurn, written: WrittenCalls) -> tuple[str, str] | None:
    """Hold a turn that should call nothing to what it should say."""
    if written.calls:
        called = written.calls[0].name
        if wanted.asks_for:
            return "called_instead_of_asking", f"{called} is called; nobody named " + " or ".join(
                wanted.asks_for
            )
        return "needless_call", f"{called} is called where no call is wanted"
    if wanted.json is not None:
        return wanted.json.fault(written.text)
    if wanted.asks_for and not asks_for(written.text, wanted.asks_for):
        return "did_not_ask", f"it should ask for {' or '.join(wanted.asks_for)}"
    if wanted.answers:
        said = qa("", list(wanted.answers), written.text)
        if said.score != 1.0:
            label = "abstained" if "abstained" in said.labels else "wrong_answer"
            return label, f"it should say {wanted.answers[0]!r}"
    return None


def _fault_of_calls(
    tools: Mapping[str, Tool], wanted: Sequence[WantedCall], written: Sequence[ToolCall]
) -> tuple[str, str] | None:
    left = list(written)
    unmet: list[WantedCall] = []
    for one in wanted:
        tool = tools[one.name]
        same = next(
            (
                n
                for n, call in enumerate(left)
                if call.name == one.name
                and tool.fault(tool.named(call)) is None
                and one.fault(tool, tool.named(call)) is None
            ),
            None,
        )
        if same is None:
            unmet.append(one)
        else:
            left.pop(same)
    if unmet:
        return _why_unmet(tools, unmet[0], left)
    if left:
        return "extra_call", f"{left[0].name} is called beside what is wanted"
    return None


def _why_unmet(
    tools: Mapping[str, Tool], wanted: WantedCall, left: Sequence[ToolCall]
) -> tuple[str, str]:
    """Say what is wrong with the call that is nearest to a wanted one."""
    tool = tools[wanted.name]
    near = [call for call in left if call.name == wanted.name]
    if near:
        given = tool.named(near[0])
        found = tool.fault(given) or wanted.fault(tool, given)
        assert found is not None
        return found
    if left:
        return "wrong_tool", f"{left[0].name} is called; wanted is {wanted.name}"
    return "missing_call", f"{wanted.name} should be called, too"


def _shares(
    tools: Mapping[str, Tool], wanted: WantedTurn, written: WrittenCalls
) -> dict[str, float]:
    """Return the shares of wanted calls whose tool is called, and of wanted arguments given."""
    if not wanted.calls:
        return {}
    left = list(written.calls)
    names = right = total = 0
    for one in wanted.calls:
        total += len(one.arguments)
        near = next((call for call in left if call.name == one.name), None)
        if near is None:
            continue
        left.remove(near)
        names += 1
        tool = tools[one.name]
        given = tool.named(near)
        for name, value in one.arguments.items():
            alone = WantedCall(one.name, {name: value}, one.accepted)
            kept = {name: given[name]} if name in given else {}
            right += alone.fault(tool, kept) is None
    return {"names": names / len(wanted.calls), "arguments": right / total if total else 1.0}
