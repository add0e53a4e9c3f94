"""Rating answers that were produced elsewhere: one verdict per row, no model needed."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from harness.errors import DataError, StudyError, nearest
from harness.extras import require
from harness.rating import embedding, input_rows
from harness.rating.judges import judge_all
from harness.records import Response, Verdict

if TYPE_CHECKING:
    from harness.sql import Rule

RULES = ("harness", "spider", "bird")
"""Comparison rules of `harness rate sql`: ours, and those of two papers."""

Row = Mapping[str, Any]


def rate(
    suite: str,
    given: Iterable[Row | str],
    *,
    databases: Path | None = None,
    rule: str = "harness",
    allow: Sequence[str] = (),
) -> Iterator[dict[str, Any]]:
    """Judge rows of answers; yield one output row each, in order.

    Args:
        suite: ``sql``, ``qa``, ``choice`` or ``coherence``.
        given: Input rows (mappings, or lines of JSON), with the fields that the
            suite's card lists under "rate".
        databases: For ``sql`` rows with a ``db_id``: the folder of ``<db_id>/<db_id>.sqlite``.
        rule: For ``sql``: the comparison rule.
        allow: For ``sql``: disputed differences that count as right, of ``extra_columns``,
            ``all_ties`` and ``text_numbers``.

    Yields:
        ``id``, ``verdict``, ``score``, ``labels``, ``explanation``, and the suite's own fields.
        A row that cannot be judged through no fault of its answer is ``unscored`` with the reason.

    Raises:
        StudyError: If there is no such suite or rule, or nothing of a name that can be allowed.
        DataError: If a line is no JSON object, an ``id`` is missing or repeated, or no row at all
            can be judged; the message names the line.
    """
    if suite not in input_rows.REQUIRED:
        raise StudyError(
            f"answers can be rated for no suite {suite!r}{nearest(suite, input_rows.REQUIRED)}"
        )
    if rule not in RULES:
        raise StudyError(f"there is no comparison rule {rule!r}{nearest(rule, RULES)}")
    if suite != "sql" and (rule != RULES[0] or allow):
        found = rule if rule != RULES[0] else allow[0]
        raise StudyError(
            f"rules and what they allow are for sql only: found {found!r} for {suite!r}"
        )
    lines = input_rows.checked(given)
    problems = [input_rows.problem(suite, row) for _, row in lines]
    if all(problems):
        raise DataError(f"line {lines[0][0]}: {problems[0]}; no row of the input can be judged")
    sound = [row for (_, row), problem in zip(lines, problems, strict=True) if problem is None]
    judged = iter(_judge(suite, sound, databases, rule=rule, allow=allow))
    for (line, row), problem in zip(lines, problems, strict=True):
        verdict = next(judged) if problem is None else _unusable(line, problem)
        yield {
            "id": row["id"],
            "verdict": verdict.outcome,
            "score": verdict.score,
            "labels": list(verdict.labels),
            "explanation": verdict.explanation,
            **_FIELDS[suite](verdict),
        }


def _judge(
    suite: str, sound: Sequence[Row], databases: Path | None, *, rule: str, allow: Sequence[str]
) -> list[Verdict]:
    if suite == "sql":
        require("sql")
        from harness.sql import Policy, judge_rows

        policy = Policy.allowing(allow)
        return list(judge_rows(sound, databases=databases, rule=cast("Rule", rule), policy=policy))
    verdicts = judge_all(
        suite, [(row, (Response(text=row["response"], finish=row.get("finish")),)) for row in sound]
    )
    if suite == "coherence":
        return embedding.add_relevance(sound, verdicts)
    return verdicts


def _unusable(line: int, problem: str) -> Verdict:
    return Verdict(
        outcome="unscored",
        score=None,
        labels=("bad_row",),
        explanation=f"line {line}: {problem}",
    )


def _qa(verdict: Verdict) -> dict[str, Any]:
    return {
        "exact_match": verdict.metrics.get("exact_match"),
        "f1": verdict.metrics.get("f1"),
        "extracted_answer": verdict.answer,
    }


def _choice(verdict: Verdict) -> dict[str, Any]:
    return {"chosen": verdict.details.get("chosen")}


def _coherence(verdict: Verdict) -> dict[str, Any]:
    return {"components": dict(verdict.metrics)}


def _sql(verdict: Verdict) -> dict[str, Any]:
    fields = ("base_match", "robust_match")
    found: dict[str, Any] = {name: verdict.details.get(name) for name in fields}
    found["extracted_sql"] = verdict.answer
    sometimes = ("witness", "allow", "translated_from")
    return found | {
        name: verdict.details[name] for name in sometimes if verdict.details.get(name) is not None
    }


_FIELDS: dict[str, Callable[[Verdict], dict[str, Any]]] = {
    "qa": _qa,
    "choice": _choice,
    "coherence": _coherence,
    "sql": _sql,
}
