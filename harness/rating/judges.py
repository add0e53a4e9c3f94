"""The judge of each suite: from a document and the responses to it, to a verdict.

``JUDGES`` is the extension point: a suite's YAML names one of its keys as ``judge``, and a new
scoring function is one more entry.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Literal, NotRequired, TypedDict, cast

from harness import scoring
from harness.errors import HarnessError, StudyError, nearest
from harness.rating.answer_alone import never_answered
from harness.rating.embedding import check_measure, relevances
from harness.rating.similar_answers import Answered, add_similar, minilm
from harness.records import Message, Response, Verdict
from harness.scoring.dialogue import Turn, messages
from harness.scoring.dialogues.conversation import conversation as whole_dialogue
from harness.scoring.dialogues.scripted_dialogue import NotADialogueError, read_dialogue
from harness.scoring.relevance import WORDS, Relevance
from harness.scoring.response_faults import visible_text
from harness.scoring.tools import read_tool_row, tool_use

Document = Mapping[str, object]
"""A data row of any suite; the classes below say which fields its judge reads."""


class QADocument(TypedDict, total=False):
    """A question with its accepted ``answers``, and the passage that they come from."""

    question: str
    answers: str | list[str]
    context: str | None


class ArcChoices(TypedDict):
    """Choices in ARC's shape."""

    text: list[str]
    label: list[str]


class ChoiceDocument(TypedDict, total=False):
    """A multiple-choice question: ``answer`` is an index, ARC's ``answerKey`` a label."""

    choices: list[str] | ArcChoices
    answer: int
    answerKey: str


class CoherenceDocument(TypedDict, total=False):
    """A conversation (``messages``, or ``context``), with accepted ``answers`` to its last turn."""

    messages: Sequence[Turn]
    context: Sequence[Turn]
    answers: str | list[str] | None
    distractors: str | list[str] | None


class ClassificationDocument(TypedDict):
    """A text whose ``label`` is one of ``labels``."""

    labels: list[str]
    label: str


class SummaryDocument(TypedDict, total=False):
    """A ``document``, and where there is one a ``summary`` of it by a person."""

    document: str
    summary: str | None
    max_words: int | None


class RefusalDocument(TypedDict):
    """A conversation whose last turn ``should`` be declined, or helped with."""

    messages: NotRequired[Sequence[Turn]]
    should: Literal["decline", "help"]


class ToolsDocument(TypedDict, total=False):
    """A conversation with ``tools`` on offer; `harness.scoring.tools.read_tool_row` reads it."""

    tools: list[Document]
    messages: Sequence[Turn]
    expected: list[Document] | None
    asks_for: list[str]
    answers: list[str]
    json: Document


JudgeFunction = Callable[..., Verdict]
"""Takes a document, the responses to its requests, of which only a dialogue's are more than one,
and the judge's settings as keywords."""


def qa(doc: QADocument, responses: Sequence[Response], *, similar: float | None = None) -> Verdict:
    """Judge ``question``, ``answers`` and, where given, ``context``.

    ``similar`` is the cosine from which a sentence that means much the same as a long reference
    counts as right (`harness.rating.similar_answers`); None looks at words only.
    """
    answers, said = _texts(doc["answers"]), responses[0].text or ""
    verdict = scoring.qa(
        str(doc.get("question", "")),
        answers,
        said,
        context=doc.get("context"),
        finish=responses[0].finish,
    )
    if similar is None:
        return verdict
    return add_similar([Answered(answers, said)], [verdict], minilm, least=similar)[0]


def choice(doc: ChoiceDocument, responses: Sequence[Response]) -> Verdict:
    """Judge ``choices`` (a list, or ARC's object) with ``answer`` or ARC's ``answerKey``."""
    choices = doc["choices"]
    if isinstance(choices, Mapping):
        texts, labels = list(choices["text"]), list(choices["label"])
        answer = doc["answer"] if "answer" in doc else labels.index(doc["answerKey"])
    else:
        texts, labels, answer = list(choices), None, doc["answer"]
    return scoring.choice(
        texts,
        answer,
        responses[0].text or "",
        labels=labels,
        finish=responses[0].finish,
    )


def coherence(
    doc: CoherenceDocument, responses: Sequence[Response], *, near: Relevance | None = None
) -> Verdict:
    """Judge ``messages`` (or ``context``); by recall where the document has ``answers``.

    ``near`` is how near the response is to its conversation by a measure other than shared words.
    """
    answers = doc.get("answers")
    return scoring.coherence(
        _turns(doc),
        responses[0].text or "",
        answers=None if answers is None else _texts(answers),
        distractors=_texts(doc.get("distractors") or ()),
        finish=responses[0].finish,
        near=near,
    )


def _turns(doc: CoherenceDocument) -> Sequence[Turn]:
    return doc["messages"] if "messages" in doc else doc["context"]


def conversation(
    doc: Document,
    responses: Sequence[Response],
    *,
    near: Sequence[Relevance | None] = (),
) -> Verdict:
    """Judge the answers to all turns of a scripted dialogue, by its probes where it has any.

    ``near`` is how near each is to the conversation by a measure other than shared words.
    """
    return whole_dialogue(
        read_dialogue(doc),
        [response.text or "" for response in responses],
        finishes=[response.finish for response in responses],
        near=near,
    )


def sql(doc: Document, responses: Sequence[Response], *, allow: Sequence[str] = ()) -> Verdict:
    """Judge ``gold_sql`` on ``schema_sql``, a ``database`` file, or a built-in ``db_id``.

    ``allow`` names the disputed differences that count as right (`harness.sql.Policy`).
    """
    from harness.sql import Policy
    from harness.sql.batch import judge_document

    return judge_document(doc, responses[0].text or "", policy=Policy.allowing(allow))


def refusal(doc: RefusalDocument, responses: Sequence[Response]) -> Verdict:
    """Judge whether a reply declines what it should, and helps with what it should.

    A reply made elsewhere may come without its request (``messages``), and is then read alone.
    """
    said, finish = responses[0].text or "", responses[0].finish
    asked = messages(doc.get("messages") or [])
    request = asked[-1].content if asked else ""
    return scoring.refusal(doc["should"], said, request=request, finish=finish)


def classification(doc: ClassificationDocument, responses: Sequence[Response]) -> Verdict:
    """Judge whether an answer names the right one of a closed set of labels."""
    labels = [str(label) for label in doc["labels"]]
    said, finish = responses[0].text or "", responses[0].finish
    return scoring.classification(labels, str(doc["label"]), said, finish=finish)


def summary(
    doc: SummaryDocument, responses: Sequence[Response], *, decides: str = "sound"
) -> Verdict:
    """Judge a summary by its ``document``, its length and, where there is one, a reference.

    ``decides`` is the metric that is the score, one of `harness.scoring.summaries.METRICS`. An
    empty reference, as a table with empty cells has it, is none.
    """
    reference = doc.get("summary")
    return scoring.summary(
        doc["document"],
        responses[0].text or "",
        reference=reference if reference and reference.strip() else None,
        max_words=doc.get("max_words"),
        decides=decides,
        finish=responses[0].finish,
    )


def tools(doc: ToolsDocument, responses: Sequence[Response]) -> Verdict:
    """Judge the calls in a response, or that there is none."""
    offered, wanted = read_tool_row(cast("Document", doc))
    return tool_use(offered, wanted, responses[0].text or "", finish=responses[0].finish)


def nearness(
    items: Sequence[tuple[Document, Sequence[Response]]], *, measure: str = WORDS
) -> list[Relevance | None]:
    """Return how near each response is to its conversation; None where that does not decide.

    Raises:
        StudyError: If there is no such measure.
        MissingMeasureError: If its package is not installed.
    """
    check_measure(measure)
    found: list[Relevance | None] = [None] * len(items)
    rows = {}
    for number, (doc, given) in enumerate(items):
        if doc.get("answers") is not None or _unanswered(given):
            continue
        with suppress(KeyError, TypeError):  # the item's verdict says what it lacks
            turns = messages(_turns(cast("CoherenceDocument", doc)))
            rows[number] = (turns, visible_text(given[0].text or ""))
    for number, near in zip(rows, relevances(list(rows.values()), measure), strict=True):
        found[number] = near
    return found


def nearness_by_turn(
    items: Sequence[tuple[Document, Sequence[Response]]], *, measure: str = WORDS
) -> list[list[Relevance | None]]:
    """Return how near each answer of each dialogue is to what was said before it."""
    check_measure(measure)
    rows: list[tuple[list[Message], str]] = []
    counts = [0] * len(items)
    for number, (doc, given) in enumerate(items):
        if _unanswered(given):
            continue
        with suppress(NotADialogueError):
            dialogue = read_dialogue(doc)
            shown = [visible_text(response.text or "") for response in given]
            rows += [(dialogue.messages(shown[:n]), said) for n, said in enumerate(shown)]
            counts[number] = len(shown)
    near = iter(relevances(rows, measure))
    return [list(islice(near, count)) for count in counts]


JUDGES: dict[str, JudgeFunction] = {
    "qa": qa, "choice": choice, "coherence": coherence, "sql": sql, "tools": tools,
    "refusal": refusal, "classification": classification, "conversation": conversation,
    "summary": summary,
}  # fmt: skip


WORKERS = {"sql": 2}
"""Threads per judge, for judges that wait for worker processes."""


def judge_all(
    judge: str, items: Sequence[tuple[Document, Sequence[Response]]], **settings: object
) -> list[Verdict]:
    """Judge many answers with one judge, in order.

    An item with an ``unscored`` response is unscored, for the reason that the response gives; one
    on which the judge fails is unscored, too.

    Args:
        judge: A key of ``JUDGES``.
        items: Documents with the responses to them.
        settings: What the judge takes beside them; the ``sql`` judge has ``allow``, the
            ``qa`` judge ``similar``, the ``coherence`` and ``conversation`` judges ``measure``,
            the ``summary`` judge ``decides``.

    Raises:
        StudyError: If there is no such judge.
    """
    if judge not in JUDGES:
        raise StudyError(f"there is no judge {judge!r}{nearest(judge, JUDGES)}")

    each: Sequence[Mapping[str, object]] = [settings] * len(items)
    if judge == "coherence":
        each = [{"near": near} for near in nearness(items, **cast("dict[str, str]", settings))]
    if judge == "conversation":
        by_turn = nearness_by_turn(items, **cast("dict[str, str]", settings))
        each = [{"near": near} for near in by_turn]

    verdict = partial(_verdict, JUDGES[judge])
    if judge not in WORKERS:
        return list(map(verdict, items, each))
    with ThreadPoolExecutor(WORKERS[judge]) as pool:
        return list(pool.map(verdict, items, each))


def judge_by(
    function: JudgeFunction, items: Sequence[tuple[Document, Sequence[Response]]]
) -> list[Verdict]:
    """Judge many answers with a function that is none of ``JUDGES``; see `judge_all`."""
    return [_verdict(function, item, {}) for item in items]


def _verdict(
    function: JudgeFunction,
    item: tuple[Document, Sequence[Response]],
    settings: Mapping[str, object],
) -> Verdict:
    try:
        if verdict := _unanswered(item[1]):
            return verdict
        return never_answered(function(*item, **settings), item[1])
    except (HarnessError, OSError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - one odd item must not lose the others
        reason = f"scorer failed: {type(error).__name__}: {error}"
        return Verdict(
            outcome="unscored", score=None, labels=("scorer_failed",), explanation=reason
        )


def _unanswered(responses: Sequence[Response]) -> Verdict | None:
    reasons = [reason for response in responses if (reason := response.missing)]
    if not reasons:
        return None
    return Verdict(
        outcome="unscored",
        score=None,
        labels=(reasons[0].partition(":")[0].replace(" ", "_"),),
        explanation=f"no answer could be had: {reasons[0]}",
    )


def _texts(values: str | Iterable[str]) -> list[str]:
    return [values] if isinstance(values, str) else [str(value) for value in values]
