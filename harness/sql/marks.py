"""What a verdict says about how it was reached: translations, what was allowed, what was not tried.

Only what differs from the default is marked, so that a plain verdict stays short.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from harness.records import Verdict
from harness.sql.parse.dialects import ENGINES, can_translate
from harness.sql.question import Question


def marked(verdict: Verdict, question: Question) -> Verdict:
    """Return the verdict with ``translated_from`` and ``allow`` where they are not the default."""
    added: dict[str, Any] = {}
    said: list[str] = []
    if question.policy.allowed:
        added["allow"] = list(question.policy.allowed)
    if question.dialect != question.database.engine:
        added["translated_from"] = question.dialect
        said.append(_translation(verdict.answer, question))
    if not added:
        return verdict
    return replace(
        verdict,
        explanation="; ".join([verdict.explanation, *said]),
        details={**verdict.details, **added},
    )


def _translation(answer: str | None, question: Question) -> str:
    """Say which of the two statements ran in translation, and which as it was written."""
    sides = [("the gold", question.gold_sql)] + ([("the answer", answer)] if answer else [])
    done = {name: can_translate(sql, question.dialect, question.engine) for name, sql in sides}
    way = f"from {question.dialect} to {ENGINES[question.engine]}"
    translated = _names([name for name in done if done[name]])
    kept = _names([name for name in done if not done[name]])
    if not kept:
        return f"{translated} ran in translation {way}"
    reason = f"which cannot be translated {way}, ran as written"
    return (
        f"{translated} ran in translation; {kept}, {reason}" if translated else f"{kept}, {reason}"
    )


def _names(names: Sequence[str]) -> str:
    return " and ".join(names)
