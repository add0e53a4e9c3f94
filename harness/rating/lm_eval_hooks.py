"""The judges as lm-eval's ``process_results``, so that every suite runs in plain lm-eval too.

A suite's YAML names one of these functions. lm-eval takes the mean of what they return over all
items, so they return numbers only; an item that cannot be scored is NaN in every column, and the
YAML aggregates with ``nanmean``.
"""

import json
from collections.abc import Mapping, Sequence
from math import nan
from typing import cast

from harness.errors import StudyError
from harness.rating.answer_alone import never_answered, without_thought
from harness.rating.judges import JUDGES, CoherenceDocument, Document, QADocument, ToolsDocument
from harness.records import Response, Verdict
from harness.scoring.dialogue import messages
from harness.scoring.dialogues.scripted_dialogue import read_dialogue
from harness.scoring.tools import fenced_calls, plain_turns, read_tool_row


def domain_qa(doc: Document, results: Sequence[str]) -> dict[str, float]:
    """Return ``exact_match``, ``f1`` and ``squad_em`` of a free-text answer."""
    return _columns("qa", doc, results, ("exact_match", "f1", "squad_em"))


def coherence(doc: Document, results: Sequence[str]) -> dict[str, float]:
    """Return ``recall`` and the other columns of a turn of conversation.

    ``recall`` is NaN for a conversation without accepted answers; ``coherence_words`` is there
    for every one.
    """
    names = ("recall", "coherence_words", "contradiction", "repetition", "echo", "role_confusion")
    return _columns("coherence", doc, results, names)


def refusal(doc: Document, results: Sequence[str]) -> dict[str, float]:
    """Return ``fitting`` (declines what it should, and nothing else) and ``declined``."""
    return _columns("refusal", doc, results, ("fitting", "declined"))


def classification(doc: Document, results: Sequence[str]) -> dict[str, float]:
    """Return ``acc`` (the right label is named, and no other) and ``answered``."""
    return _columns("classification", doc, results, ("acc", "answered"))


def summary(doc: Document, results: Sequence[str]) -> dict[str, float]:
    """Return ``sound``, ``grounded``, ``copied`` and, with a reference, three kinds of ROUGE."""
    names = ("sound", "grounded", "copied", "rouge1", "rouge2", "rougeL")
    return _columns("summary", doc, results, names)


def reference_summary(doc: Document) -> str:
    """Return a person's summary, empty where there is none, as ``doc_to_target``."""
    return str(doc.get("summary") or "")


def tools(doc: Document, results: Sequence[str]) -> dict[str, float]:
    """Return ``call_match`` and, where calls are wanted, shares of right names and arguments."""
    return _columns("tools", doc, results, ("call_match", "names", "arguments"))


def tools_transcript(doc: ToolsDocument) -> str:
    """Return a conversation with its tools as plain text, for models without a chat template."""
    said = cast("Sequence[Document]", doc["messages"])
    turns = plain_turns(said, doc.get("tools") or ())
    return transcript({"messages": turns})


def fitting_turn(doc: ToolsDocument) -> str:
    """Return an example of a right reply: calls as fenced JSON, JSON, a question, or an answer."""
    _, wanted = read_tool_row(cast("Document", doc))
    if wanted.calls:
        calls = [
            {"name": one.name, "arguments": {**_any_values(one.accepted), **one.arguments}}
            for one in wanted.calls
        ]
        return fenced_calls(calls)
    if wanted.json is not None:
        return json.dumps(wanted.json.value, ensure_ascii=False)
    if wanted.asks_for:
        return f"Could you tell me this first: {wanted.asks_for[0]}?"
    return next(iter(wanted.answers), "That needs no tool.")


def _any_values(accepted: Mapping[str, object]) -> dict[str, object]:
    """Return a text for each argument that may have any value."""
    return {name: "..." for name, values in accepted.items() if values is None}


def conversation(doc: Document, results: Sequence[str]) -> dict[str, float]:  # noqa: ARG001
    """Refuse to score a dialogue: lm-eval asks one turn.

    Raises:
        StudyError: In any case.
    """
    raise StudyError(
        "a dialogue is asked turn by turn, which lm-eval cannot do: score the suite with "
        "'harness run' or 'harness score', or answers of yours with 'harness rate conversation'"
    )


def first_turn(doc: Document) -> str:
    """Return a dialogue up to its first answer as plain text."""
    turns = read_dialogue(doc).messages([])
    return transcript({"messages": turns})


def fitting_reaction(doc: Document) -> str:
    """Return an example of a fitting reply."""
    return "I can't help with that." if doc["should"] == "decline" else "Sure, here is how."


def first_answer(doc: QADocument) -> str:
    """Return the first accepted answer (empty where there is none), as ``doc_to_target``.

    A function, because lm-eval evaluates a template's text that looks like a list.
    """
    return str((doc.get("answers") or [""])[0])


def transcript(doc: CoherenceDocument) -> str:
    r"""Return a conversation as plain text, for models without a chat template.

    >>> transcript({"messages": [{"role": "user", "content": "Hi"}]})
    'User: Hi\nAssistant:'
    """
    turns = (f"{turn.role.capitalize()}: {turn.content}" for turn in messages(doc["messages"]))
    return "\n".join([*turns, "Assistant:"])


def _columns(
    judge: str, doc: Document, results: Sequence[str], names: Sequence[str]
) -> dict[str, float]:
    verdict = _verdict(judge, doc, results)
    if verdict.score is None:
        return dict.fromkeys(names, nan)
    return {name: verdict.metrics.get(name, nan) for name in names}


def _verdict(judge: str, doc: Document, results: Sequence[str]) -> Verdict:
    given = (without_thought(Response(text=results[0])),)
    return never_answered(JUDGES[judge](doc, given), given)
