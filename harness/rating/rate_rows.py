"""Rating answers that were produced elsewhere: one verdict per row, no model needed."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path

from harness.errors import DataError, StudyError, nearest
from harness.extras import require
from harness.rating import embedding, similar_answers
from harness.rating.answer_alone import never_answered, without_thought
from harness.rating.input_rows import REQUIRED, InputRow, RowToRate, rows_to_rate
from harness.rating.judges import judge_all
from harness.records import Response, Verdict

DEFAULT_RULE = "harness"
HELD = 1000
"""Rows at the start of an input of which one must be fit to be judged, or the input is refused."""

_MEASURED = ("coherence", "conversation")
_AT_ONCE = {"coherence": 4096, "conversation": 1024}
"""Rows that are judged before the first of them is given back, where that is not a few: vectors
are cheaper by the thousand."""


def rate(
    suite: str,
    given: Iterable[InputRow | str | bytes],
    *,
    databases: Path | str | None = None,
    rule: str = "harness",
    allow: Sequence[str] = (),
    done: int = 0,
    measure: str | None = None,
) -> Iterator[dict[str, object]]:
    """Judge rows of answers as they come; yield one output row each, in order.

    Args:
        suite: ``sql``, ``qa``, ``choice``, ``coherence``, ``tools``,
            ``refusal``, ``classification``, ``conversation`` or ``summary``.
        given: Input rows (mappings, or lines of JSON), with the fields that the
            suite's card lists under "rate".
        databases: For ``sql`` rows with a ``db_id``: the folder of ``<db_id>/<db_id>.sqlite``, or a
            PostgreSQL server's url.
        rule: For ``sql``: the comparison rule.
        allow: For ``sql``: disputed differences that count as right, of ``extra_columns``,
            ``all_ties`` and ``text_numbers``.
        done: Rows at the start that have been judged before: they are read, and not given back.
        measure: For ``coherence`` and ``conversation``: what the fit of an answer is measured by,
            ``minilm``, ``wordllama`` or ``words``; None takes the first of these that is installed.

    Yields:
        ``id``, ``verdict``, ``score``, ``labels``, ``explanation``, and the suite's own fields.
        A row that cannot be judged through no fault of its answer is ``unscored`` with the reason;
        its ``id`` is None where it has none.

    Raises:
        StudyError: If there is no such suite, rule or measure, or nothing of a name that can be
            allowed.
        MissingMeasureError: If the measure's package is not installed.
        DataError: If there is no row, or none of the first `HELD` can be judged; the message names
            the line.
    """
    check(suite, rule, allow, measure)
    judge = _sql_judge(databases, rule, allow) if suite == "sql" else _judge_of(suite, measure)
    rows = rows_to_rate(suite, given)
    skipped = list(islice(rows, done - 1, done)) if done else []
    first = skipped or _up_to_a_good_one(rows)
    if not first:
        raise DataError("there must be at least one row to rate: the input is empty")
    if all(each.problem for each in first) and not skipped:
        each = first[0]
        raise DataError(f"line {each.line}: {each.problem}; no row of the input can be judged")
    taken: deque[RowToRate] = deque()

    def usable() -> Iterator[InputRow | None]:
        for each in chain(() if skipped else first, rows):
            taken.append(each)
            yield None if each.problem else each.row

    for verdict in judge(usable()):
        yield _output(suite, taken.popleft(), verdict)


def _up_to_a_good_one(rows: Iterator[RowToRate]) -> list[RowToRate]:
    """Return the first row that can be judged, with those before it."""
    found: list[RowToRate] = []
    for each in islice(rows, HELD):
        found.append(each)
        if each.problem is None:
            break
    return found


def _output(suite: str, row: RowToRate, judged: Verdict | None) -> dict[str, object]:
    verdict = judged or Verdict(
        outcome="unscored",
        score=None,
        labels=("bad_row",),
        explanation=f"line {row.line}: {row.problem}",
    )
    return {
        "id": row.row.get("id"),
        "verdict": verdict.outcome,
        "score": verdict.score,
        "labels": list(verdict.labels),
        "explanation": verdict.explanation,
        **_FIELDS[suite](verdict),
    }


JudgeRows = Callable[[Iterable[InputRow | None]], Iterator[Verdict | None]]
"""Gives a verdict on each row, None on one that is None; takes no more rows than it must."""


def check(suite: str, rule: str, allow: Sequence[str], measure: str | None) -> None:
    """Refuse a suite that has no judge, and what its judge does not know.

    Raises:
        StudyError: If there is no such suite, or it has no rules, nothing to allow or no measure.
    """
    if suite not in REQUIRED:
        raise StudyError(f"answers can be rated for no suite {suite!r}{nearest(suite, REQUIRED)}")
    if suite != "sql" and (rule != DEFAULT_RULE or allow):
        found = rule if rule != DEFAULT_RULE else allow[0]
        raise StudyError(
            f"rules and what they allow are for sql only: found {found!r} for {suite!r}"
        )
    if suite not in _MEASURED and measure:
        raise StudyError(
            f"a measure is for coherence and conversation only: found {measure!r} for {suite!r}"
        )


def _sql_judge(databases: Path | str | None, rule: str, allow: Sequence[str]) -> JudgeRows:
    require("sql")
    from harness.sql import Policy, check_databases, check_rule, databases_at, judge_rows

    policy = Policy.allowing(allow)
    checked = check_rule(rule, policy)
    place = databases_at(databases) if databases else None

    def judge(rows: Iterable[InputRow | None]) -> Iterator[Verdict | None]:
        taken: deque[InputRow | None] = deque()
        known: set[object] = set()

        def asked() -> Iterator[InputRow]:
            for row in rows:
                taken.append(row)
                if row is not None and row.get("db_id") not in known:
                    known.add(row.get("db_id"))
                    with suppress(DataError):  # its verdict says so
                        check_databases([row], place)
                yield row or {}  # no gold: told without asking a database

        for verdict in judge_rows(asked(), databases=place, rule=checked, policy=policy):
            row = taken.popleft()
            yield never_answered(verdict, _responses(row, "pred_text")) if row is not None else None

    return judge


def _judge_of(suite: str, measure: str | None) -> JudgeRows:
    settings: dict[str, object] = {}
    if suite in _MEASURED:
        settings["measure"] = embedding.check_measure(measure or embedding.best())
    if suite == "qa" and similar_answers.available():
        settings["similar"] = similar_answers.LABEL_ONLY

    def judge(rows: Iterable[InputRow | None]) -> Iterator[Verdict | None]:
        left = iter(rows)
        while part := list(islice(left, _AT_ONCE.get(suite, 64))):
            fit = [row for row in part if row is not None]
            found = iter(judge_all(suite, [(row, _responses(row)) for row in fit], **settings))
            yield from (None if row is None else next(found) for row in part)

    return judge


def _responses(row: InputRow, name: str = "response") -> tuple[Response, ...]:
    texts = [row[name]] if name in row else row["responses"]
    finish = str(row.get("finish") or "") or None
    assert isinstance(texts, list)
    return tuple(without_thought(Response(text=str(text), finish=finish)) for text in texts)


def _qa(verdict: Verdict) -> dict[str, object]:
    found: dict[str, object] = {
        "exact_match": verdict.metrics.get("exact_match"),
        "f1": verdict.metrics.get("f1"),
        "extracted_answer": verdict.answer,
    }
    return found | dict(verdict.details)


def _choice(verdict: Verdict) -> dict[str, object]:
    return {"chosen": verdict.details.get("chosen")}


def _coherence(verdict: Verdict) -> dict[str, object]:
    return {"measure": verdict.details.get("measure"), "components": dict(verdict.metrics)}


def _sql(verdict: Verdict) -> dict[str, object]:
    fields = ("base_match", "robust_match")
    found: dict[str, object] = {name: verdict.details.get(name) for name in fields}
    found["extracted_sql"] = verdict.answer
    sometimes = ("witness", "allow", "translated_from")
    return found | {
        name: verdict.details[name] for name in sometimes if verdict.details.get(name) is not None
    }


def _tools(verdict: Verdict) -> dict[str, object]:
    return {"calls": verdict.details.get("calls")}


def _classification(verdict: Verdict) -> dict[str, object]:
    return {"label": verdict.answer}


def _summary(verdict: Verdict) -> dict[str, object]:
    return {**dict(verdict.details), "components": dict(verdict.metrics)}


def _refusal(verdict: Verdict) -> dict[str, object]:
    return {"reaction": verdict.answer}


def _conversation(verdict: Verdict) -> dict[str, object]:
    return {**_coherence(verdict), "turns": verdict.details.get("turns")}


_FIELDS: dict[str, Callable[[Verdict], dict[str, object]]] = {
    "qa": _qa,
    "choice": _choice,
    "coherence": _coherence,
    "tools": _tools,
    "refusal": _refusal,
    "classification": _classification,
    "summary": _summary,
    "conversation": _conversation,
    "sql": _sql,
}
