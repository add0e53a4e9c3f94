"""Rows of texts with labels, and of documents with summaries: found, learnt and asked."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.ingest.file_formats import SourceRow
from harness.ingest.flags import is_there
from harness.ingest.turns import EmptyFieldError, Fields, text
from harness.suites.dataset import in_order


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRow:
    """One row: as it is learnt, as it is asked (None where it cannot be), and its question."""

    learn: Mapping[str, object]
    ask: Mapping[str, object] | None
    asked: str
    fields: Fields


def said_row(question: str, answer: str) -> dict[str, object]:
    """Return a question and its answer as a row to learn, which a chat template lays out."""
    return {
        "prompt": [{"role": "user", "content": question}],
        "completion": [{"role": "assistant", "content": answer}],
    }


TEXTS = (
    "text", "sentence", "utterance", "message", "review", "comment", "tweet", "email", "ticket",
    "description", "content", "body",
)  # fmt: skip
LABELS = (
    "label_text", "label_name", "label", "category", "class", "intent", "sentiment", "topic", "tag",
)  # fmt: skip
DOCUMENTS = ("document", "article", "dialogue", "transcript", "text", "source", "body")
SUMMARIES = ("summary", "highlights", "abstract", "tldr")
_WORDS, _OF_ONE = 200, 3
"""Words of a text that is classified, on average at most, and rows of a label at least: a long text
with a column ``topic`` is a corpus with a note."""


def label_columns(rows: Sequence[Fields]) -> tuple[str, str] | None:
    """Return the columns of text and label, if a few labels stand for many short texts."""
    first = rows[0]
    textual = next((name for name in TEXTS if name in first), "")
    named = next((name for name in LABELS if name in first), "")
    if not textual or not named or "choices" in first or "completion" in first:
        return None
    given = [row[named] for row in rows if is_there(row.get(named))]
    if not all(isinstance(value, str | int | float) for value in given):
        return None
    counts = Counter(map(_label, given))
    words = sum(len(str(row.get(textual) or "").split()) for row in rows)
    if len(counts) < 2 or len(counts) * _OF_ONE > len(given) or words > _WORDS * len(rows):
        return None
    return textual, named


def labels_in(rows: Sequence[SourceRow], column: str) -> list[str]:
    """Return the closed set of labels, in the order in which a prompt shows them."""
    found = {_label(row.fields[column]) for row in rows if is_there(row.fields.get(column))}
    return sorted(found, key=in_order)


def _label(value: object) -> str:
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if isinstance(value, float) and whole else value).strip()


def labelled_row(
    fields: Fields, where: str, *, columns: tuple[str, str], labels: Sequence[str]
) -> OwnRow:
    """Read a text and its label; the prompt is that of the suite ``classification``."""
    said = text(fields, columns[0], where)
    if not is_there(fields.get(columns[1])):
        raise EmptyFieldError(f"{columns[1]!r} must not be empty: {where}; leave the row out")
    label = _label(fields[columns[1]])
    shown = "".join(f"- {one}\n" for one in labels)
    prompt = (
        "Which label fits the text? Answer with one of these labels, and nothing else:\n"
        f"{shown}\nText: {said}\nLabel:"
    )
    return OwnRow(
        learn=said_row(prompt, label),
        ask={"text": said, "label": label, "labels": list(labels)},
        asked=said,
        fields=fields,
    )


def summary_columns(fields: Fields) -> tuple[str, str] | None:
    """Return the columns of document and summary, if there are both."""
    document = next((name for name in DOCUMENTS if name in fields), "")
    summary = next((name for name in SUMMARIES if name in fields and name != document), "")
    return (document, summary) if document and summary else None


def summed_row(fields: Fields, where: str, *, columns: tuple[str, str]) -> OwnRow:
    """Read a document and its summary; the prompt is that of the suite ``summary``."""
    document, summary = (text(fields, name, where) for name in columns)
    prompt = f"Summarise the text in a few sentences.\n\nText: {document}\n\nSummary:"
    return OwnRow(
        learn=said_row(prompt, summary.strip()),
        ask={"document": document, "summary": summary},
        asked=document,
        fields=fields,
    )
