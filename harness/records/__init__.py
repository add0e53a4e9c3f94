"""The vocabulary: what flows from a study to a decision.

Everything here is frozen data that imports nothing of ours; everything may import it. An *arm* is
what answers: ``base`` or a candidate. Two that are compared are ``base`` and ``tuned``.
"""

from harness.records.answerer import Answerer
from harness.records.comparison import (
    PREFERENCE,
    SMALLEST,
    Comparison,
    Decision,
    Finding,
    Gate,
    GateVerdict,
    Label,
    RecipeComparison,
)
from harness.records.costs import AnswerLength, AnswerTime, Origin, TrainingCost
from harness.records.items import (
    AnswerBatch,
    Answers,
    ArmAnswerBatch,
    Document,
    Drafts,
    Item,
    ItemKey,
    Kind,
    Request,
    RequestKey,
    Response,
    Suite,
    Tails,
)
from harness.records.ratings import (
    Judged,
    JudgedPair,
    KappaKind,
    RatedSet,
    RaterSummary,
    Rating,
    Review,
    SetSummary,
)
from harness.records.result import BASE, Arm, ArmScore, Result
from harness.records.scored import Outcome, Pair, Sample, Transition, Verdict
from harness.records.training import (
    Copy,
    Example,
    LossPoint,
    Message,
    SuitePoint,
    TrainingData,
    Trial,
)

__all__ = [
    "BASE",
    "PREFERENCE",
    "SMALLEST",
    "AnswerBatch",
    "AnswerLength",
    "AnswerTime",
    "Answerer",
    "Answers",
    "Arm",
    "ArmAnswerBatch",
    "ArmScore",
    "Comparison",
    "Copy",
    "Decision",
    "Document",
    "Drafts",
    "Example",
    "Finding",
    "Gate",
    "GateVerdict",
    "Item",
    "ItemKey",
    "Judged",
    "JudgedPair",
    "KappaKind",
    "Kind",
    "Label",
    "LossPoint",
    "Message",
    "Origin",
    "Outcome",
    "Pair",
    "RatedSet",
    "RaterSummary",
    "Rating",
    "RecipeComparison",
    "Request",
    "RequestKey",
    "Response",
    "Result",
    "Review",
    "Sample",
    "SetSummary",
    "Suite",
    "SuitePoint",
    "Tails",
    "TrainingCost",
    "TrainingData",
    "Transition",
    "Trial",
    "Verdict",
]
