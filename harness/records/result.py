"""Arms, their scores, and the result of a finished run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.records.comparison import Comparison, Finding, GateVerdict, RecipeComparison
from harness.records.costs import AnswerLength, AnswerTime, Origin, ThoughtLength, TrainingCost
from harness.records.items import Document, ItemKey, Suite
from harness.records.ratings import Review
from harness.records.training import LossPoint, SuitePoint, TrainingData, Trial

BASE = "base"
"""The name of the arm that every candidate is compared with."""


FORM_WORDS = {"merged": "merged", "4bit": "merged 4-bit", "8bit": "merged 8-bit"}
"""What an adapter is made into here before it is served, and what people call such a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmBase:
    """A base of a candidate's own: what a report calls it, where it lies, and its weights' hash.

    Without ``weights_sha256`` it is a hub model, which has its revision.
    """

    title: str
    path: str
    weights_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One thing that answers, and how it was trained.

    ``path`` is the adapter folder (None for the base), ``seconds`` the wall time of its training
    (None when it was trained elsewhere), ``cost`` all that it took, ``data_sha256`` a hash of what
    its rows say, ``trainable`` its number of trained parameters, ``watched`` its scores while it
    was trained, ``kept_step`` the step whose weights it has where the suites ``kept_by`` chose
    among its checkpoints. Arms that share a ``recipe`` were trained alike with other seeds.
    ``identical`` says that its weights prove its logits to be the base's. ``base`` is a model of
    another family that it starts from, None where that is the study's: its prompts are its own.

    ``form_of`` names the arm that it is another form of, as it is served: it gets the base's
    prompts, and is compared with that arm as well. ``form`` is one of `FORM_WORDS` where it was
    made here of that arm's weights, which lie at ``path``; empty where it was made elsewhere.
    """

    name: str
    method: str = ""
    note: str = ""
    path: str | None = None
    weights_sha256: str = ""
    settings: Document = field(default_factory=dict)
    loss: tuple[LossPoint, ...] = ()
    seconds: float | None = None
    trainable: int | None = None
    trials: tuple[Trial, ...] = ()
    watched: tuple[SuitePoint, ...] = ()
    kept_step: int | None = None
    kept_by: tuple[str, ...] = ()
    recipe: str = ""
    identical: bool = False
    cost: TrainingCost | None = None
    data_sha256: str = ""
    base: ArmBase | None = None
    form: str = ""
    form_of: str = ""


def has_own_prompts(arm: Arm, arms: Sequence[Arm]) -> bool:
    """Tell whether an arm reads the items by another tokenizer and template than the base.

    A form reads them as the arm does that it is a form of.
    """
    origin = next((one for one in arms if one.name == arm.form_of), arm)
    return origin.base is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmScore:
    """How one arm did on one suite: primary metric with interval, and the other columns.

    ``length`` is how long its answers are; None where an arm only chooses. ``thought`` is how much
    it thinks before them, None where neither it nor the base does.
    """

    arm: str
    suite: str
    metric: str
    n: int
    unscored: int
    mean: float | None
    ci_low: float | None
    ci_high: float | None
    metrics: Mapping[str, float] = field(default_factory=dict)
    length: AnswerLength | None = None
    thought: ThoughtLength | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A finished run: everything that the gate files and the report are made from.

    ``reason`` says why ``verdict`` is not the gravest of the candidates' (else it is empty),
    ``recommendation`` what to ship, what that gains and costs, or why nothing can be recommended.
    ``rivals`` compare the ``recommended`` candidate with the others that pass, item by item;
    ``to_confirm`` says that fresh items have to confirm it before it ships.
    ``forms`` compare each form that a candidate is served in with that candidate, item by item.
    ``reviews`` are the draws of which ratings were collected; they change no verdict.
    ``times`` say how long answering took, ``origin`` how to run it again.
    ``groups`` are the names of the groups that each item can be found by.
    """

    study: str
    base_model: str
    verdict: GateVerdict
    exit_code: int
    arms: tuple[Arm, ...]
    suites: tuple[Suite, ...]
    scores: tuple[ArmScore, ...]
    comparisons: tuple[Comparison, ...]
    findings: tuple[Finding, ...]
    versions: Mapping[str, str]
    seed: int
    notes: tuple[str, ...] = ()
    data: tuple[TrainingData, ...] = ()
    recipes: tuple[RecipeComparison, ...] = ()
    reason: str = ""
    recommendation: str = ""
    recommended: str | None = None
    to_confirm: bool = False
    rivals: tuple[Comparison, ...] = ()
    forms: tuple[Comparison, ...] = ()
    times: tuple[AnswerTime, ...] = ()
    origin: Origin = field(default_factory=Origin)
    groups: Mapping[ItemKey, tuple[str, ...]] = field(default_factory=dict)
    reviews: tuple[Review, ...] = ()
