"""Rating answers that were produced elsewhere: one verdict per row, no model needed."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import cast

from harness.errors import DataError, StudyError, nearest
from harness.extras import require
from harness.rating import embedding, input_rows
from harness.rating.embedding import RatedConversation
from harness.rating.input_rows import InputRow
from harness.rating.judges import judge_all
from harness.records import Response, Verdict

DEFAULT_RULE = "harness"


def rate(
    suite: str,
    given: Iterable[InputRow | str],
    *,
    databases: Path | str | None = None,
    rule: str = "harness",
    allow: Sequence[str] = (),
) -> Iterator[dict[str, object]]:
    """Judge rows of answers; yield one output row each, in order.

    Args:
        suite: ``sql``, ``qa``, ``choice`` or ``coherence``.
        given: Input rows (mappings, or lines of JSON), with the fields that the
            suite's card lists under "rate".
        databases: For ``sql`` rows with a ``db_id``: the folder of ``<db_id>/<db_id>.sqlite``, or a
            PostgreSQL server's url.
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
    if suite != "sql" and (rule != DEFAULT_RULE or allow):
        found = rule if rule != DEFAULT_RULE else allow[0]
        raise StudyError(
            f"rules and what they allow are for sql only: found {found!r} for {suite!r}"
        )
    judge = _sql_judge(databases, rule, allow) if suite == "sql" else _judge_of(suite)
    lines = input_rows.checked(given)
    problems = [input_rows.problem(suite, row) for _, row in lines]
    if all(problems):
        raise DataError(f"line {lines[0][0]}: {problems[0]}; no row of the input can be judged")
    judged = iter(judge([row for (_, row), bad in zip(lines, problems, strict=True) if not bad]))
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


JudgeRows = Callable[[Sequence[InputRow]], list[Verdict]]


def _sql_judge(databases: Path | str | None, rule: str, allow: Sequence[str]) -> JudgeRows:
    require("sql")
    from harness.sql import Policy, check_databases, check_rule, databases_at, judge_rows

    policy = Policy.allowing(allow)
    checked = check_rule(rule, policy)
    place = databases_at(databases) if databases else None

    def judge(rows: Sequence[InputRow]) -> list[Verdict]:
        check_databases(rows, place)
        return list(judge_rows(rows, databases=place, rule=checked, policy=policy))

    return judge


def _judge_of(suite: str) -> JudgeRows:
    def judge(rows: Sequence[InputRow]) -> list[Verdict]:
        verdicts = judge_all(suite, [(row, (_response(row),)) for row in rows])
        if suite != "coherence":
            return verdicts
        return embedding.add_relevance(cast("Sequence[RatedConversation]", rows), verdicts)

    return judge


def _response(row: InputRow) -> Response:
    finish = row.get("finish")
    return Response(text=str(row["response"]), finish="length" if finish == "length" else None)


def _unusable(line: int, problem: str) -> Verdict:
    return Verdict(
        outcome="unscored",
        score=None,
        labels=("bad_row",),
        explanation=f"line {line}: {problem}",
    )


def _qa(verdict: Verdict) -> dict[str, object]:
    return {
        "exact_match": verdict.metrics.get("exact_match"),
        "f1": verdict.metrics.get("f1"),
        "extracted_answer": verdict.answer,
    }


def _choice(verdict: Verdict) -> dict[str, object]:
    return {"chosen": verdict.details.get("chosen")}


def _coherence(verdict: Verdict) -> dict[str, object]:
    return {"components": dict(verdict.metrics)}


def _sql(verdict: Verdict) -> dict[str, object]:
    fields = ("base_match", "robust_match")
    found: dict[str, object] = {name: verdict.details.get(name) for name in fields}
    found["extracted_sql"] = verdict.answer
    sometimes = ("witness", "allow", "translated_from")
    return found | {
        name: verdict.details[name] for name in sometimes if verdict.details.get(name) is not None
    }


_FIELDS: dict[str, Callable[[Verdict], dict[str, object]]] = {
    "qa": _qa,
    "choice": _choice,
    "coherence": _coherence,
    "sql": _sql,
}
