"""The `Verdict` for each outcome: labels, an explanation in words, and its evidence."""

from dataclasses import dataclass, replace

from harness.records import Verdict
from harness.sql.compare.shown import side_by_side
from harness.sql.compare.tables import Match
from harness.sql.execute.sandbox import QueryResult
from harness.sql.explain.diagnosis import Diagnosis
from harness.sql.explain.failures import EXTRACTION, REFUSED
from harness.sql.neighbours.challenge import Witness
from harness.sql.parse.dialects import ENGINES
from harness.sql.parse.extract import Extraction
from harness.sql.question import Question

REASONS = {
    "row_order": "the right rows in the wrong order",
    "duplicates": "the right rows, but repeated a different number of times",
    "empty_result": "no rows where the gold has {gold}",
    "not_empty": "{pred} rows where the gold has none",
    "too_many_rows": "{pred} rows where the gold has {gold}",
    "too_few_rows": "{pred} rows where the gold has {gold}",
    "values": "as many rows as the gold, with other values",
    "extra_column": "{pred_width} columns where the gold has {gold_width}",
    "extra_column_only": "the gold's columns and {extra} more",
    "missing_column": "{pred_width} columns where the gold has {gold_width}",
    "nondeterministic": "a random result that is not always the gold's",
}
"""What each difference between two results means."""


METRICS = ("execution_accuracy", "robust_execution_accuracy", "strict_execution_accuracy")
"""On the database itself; on what a database like it may hold; on whatever the schema allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragility:
    """A soft witness, and in words what of the data's regularities it breaks."""

    witness: Witness
    breaks: str


def _details(sql: str | None, **more: object) -> dict[str, object]:
    return {"base_match": None, "robust_match": None, "extracted_sql": sql, "witness": None} | more


def _metrics(*, base: bool, robust: bool, strict: bool) -> dict[str, float]:
    return dict(zip(METRICS, map(float, (base, robust, strict)), strict=True))


def unscored(label: str, reason: str) -> Verdict:
    """An item that no answer can be judged on."""
    return Verdict(
        outcome="unscored", score=None, labels=(label,), explanation=reason, details=_details(None)
    )


def not_run(label: str, text: str, sql: str | None, *, refused: bool = False) -> Verdict:
    """An answer that gave no result: none found, refused, or failed."""
    return Verdict(
        outcome="refused" if refused else "incorrect",
        score=0.0,
        labels=(label,),
        answer=sql,
        explanation=text,
        metrics=_metrics(base=False, robust=False, strict=False),
        details=_details(sql, base_match=False, robust_match=False),
    )


def not_translated(sql: str, question: Question, problem: str) -> Verdict:
    """An answer that cannot run on the engine: its own fault only if it is not in its dialect."""
    if problem == "unparsable":
        text = f"the statement cannot be parsed as {question.dialect}"
        return not_run("syntax_error", text, sql)
    engine = ENGINES[question.engine]
    return unscored(
        "untranslated",
        f"the answer is {question.dialect} and has no equivalent in {engine}, which runs it",
    )


def not_extracted(found: Extraction) -> Verdict:
    """An answer in which no runnable statement was found."""
    problem = found.problem or "no_sql"
    return not_run(problem, EXTRACTION[problem], found.sql, refused=problem in REFUSED)


def different(
    sql: str,
    match: Match,
    diagnosis: Diagnosis,
    *,
    gold: QueryResult,
    pred: QueryResult,
    suspect: str = "",
) -> Verdict:
    """An answer with another result than the gold's."""
    text = REASONS[match.reason].format(
        gold=len(gold.rows),
        pred=len(pred.rows),
        gold_width=len(gold.columns),
        pred_width=len(pred.columns),
        extra=len(pred.columns) - len(gold.columns),
    )
    own = ("extra_column_only", "nondeterministic")
    labels = diagnosis.labels + (
        (match.reason,) if match.reason in own or not diagnosis.labels else ()
    )
    verdict = _wrong(sql, labels, text, diagnosis, suspect=suspect, base_match=False)
    return replace(verdict, details={**verdict.details, "results": side_by_side(gold, pred)})


def refuted(sql: str, witness: Witness, diagnosis: Diagnosis, suspect: str = "") -> Verdict:
    """A match on the database itself that another database tells from the gold."""
    labels = (*diagnosis.labels, "coincidental_match")
    text = "the gold's result on this database, but not on a neighbouring one"
    return _wrong(sql, labels, text, diagnosis, suspect=suspect, base_match=True, witness=witness)


def untried(sql: str, gold: QueryResult, *, nothing: bool) -> Verdict:
    """A match that no instance could challenge; ``nothing`` if the gold's result says nothing.

    Rows that agree are evidence, on one database; two results without a value are none.
    """
    if not nothing:
        note = "no neighbouring database could tell more, so this rests on the given one alone"
        return right(sql, gold, robust=None, labels=("untried",), note=note)
    what = "both results are empty" if not gold.rows else "both results are but NULL or 0"
    text = f"{what}, and no database was found on which the gold has more to say"
    return _wrong(sql, ("vacuous_match",), text, Diagnosis(), base_match=True, robust_match=None)


def _wrong(
    sql: str,
    labels: tuple[str, ...],
    text: str,
    diagnosis: Diagnosis,
    *,
    suspect: str = "",
    base_match: bool,
    robust_match: bool | None = False,
    witness: Witness | None = None,
) -> Verdict:
    more = diagnosis.sentence
    return Verdict(
        outcome="incorrect",
        score=0.0,
        labels=labels + (("gold_suspect",) if suspect else ()),
        answer=sql,
        explanation=". ".join(part for part in (text, more, suspect) if part),
        metrics=_metrics(base=base_match, robust=False, strict=False),
        details=_details(
            sql,
            base_match=base_match,
            robust_match=robust_match,
            witness=witness,
            repaired_by=list(diagnosis.repaired_by),
            differences=[
                {"label": d.label, "clause": d.clause, "gold": d.gold, "pred": d.pred}
                for d in diagnosis.found
            ],
            gold_suspect=suspect or None,
        ),
    )


def right(
    sql: str,
    gold: QueryResult,
    *,
    robust: bool | None = None,
    labels: tuple[str, ...] = (),
    allowed: tuple[str, ...] = (),
    note: str = "",
    fragile: Fragility | None = None,
) -> Verdict:
    """A match; ``robust`` is None where no neighbour instance had anything to say.

    ``allowed`` names the disputed differences without which it would be none.
    """
    count = len(gold.rows)
    text = f"the same {count} row{'s' if count != 1 else ''} as the gold"
    if allowed:
        text += f", but for what this judge was told to allow: {', '.join(allowed)}"
    if fragile is not None:
        breaks = fragile.breaks or "something that it does not show"
        note = f"fragile: on a database with {breaks}, unlike this one, the results differ"
    return Verdict(
        outcome="correct",
        score=1.0,
        labels=(*labels, "fragile") if fragile else labels,
        answer=sql,
        explanation=". ".join(part for part in (text, note) if part),
        metrics=_metrics(base=True, robust=True, strict=fragile is None),
        details=_details(
            sql,
            base_match=True,
            robust_match=robust,
            witness=fragile.witness if fragile else None,
        ),
    )


def with_judging_options(verdict: Verdict, question: Question) -> Verdict:
    """Add ``translated_from`` and ``allow`` to a verdict where they are not the default."""
    added: dict[str, object] = {}
    notes: list[str] = []
    if question.policy.allowed:
        added["allow"] = list(question.policy.allowed)
    if question.dialect != question.database.engine:
        added["translated_from"] = question.dialect
        notes.append(_translation(verdict.answer, question))
    if not added:
        return verdict
    return replace(
        verdict,
        explanation="; ".join(filter(None, [verdict.explanation, *notes])),
        details={**verdict.details, **added},
    )


def _translation(answer: str | None, question: Question) -> str:
    """Say which of the two statements ran in translation."""
    sides = [("the gold", question.gold_sql)] + ([("the answer", answer)] if answer else [])
    done = " and ".join(name for name, sql in sides if not question.problem(sql))
    way = f"from {question.dialect} to {ENGINES[question.engine]}"
    return f"{done} ran in translation {way}" if done else ""
