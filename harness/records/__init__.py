"""The vocabulary: what flows from a study to a decision.

Everything here is frozen data that imports nothing of ours; everything may import it. An *arm* is
what answers: ``base`` or a candidate. Two that are compared are ``base`` and ``tuned``.
"""

from harness.records.comparison import PREFERENCE, Comparison, Decision, Finding, GateVerdict, Label
from harness.records.items import Item, ItemKey, Kind, Request, Response, Suite, Tails
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
    "Arm",
    "ArmScore",
    "Comparison",
    "Copy",
    "Decision",
    "Example",
    "Finding",
    "GateVerdict",
    "Item",
    "ItemKey",
    "Kind",
    "Label",
    "LossPoint",
    "Message",
    "Outcome",
    "Pair",
    "Request",
    "Response",
    "Result",
    "Sample",
    "Suite",
    "SuitePoint",
    "Tails",
    "TrainingData",
    "Transition",
    "Trial",
    "Verdict",
]
