"""The result of a run, built from the comparisons of all its candidates."""

from collections.abc import Mapping, Sequence

from harness.analysis.beside import compare_forms
from harness.analysis.several_candidates import run_verdict
from harness.analysis.shipping import choose
from harness.records import (
    AnswerTime,
    Arm,
    ArmScore,
    Comparison,
    Finding,
    Gate,
    GateVerdict,
    ItemKey,
    Origin,
    RecipeComparison,
    Result,
    Suite,
    TrainingData,
)
from harness.versions import versions

EXIT_CODES: dict[GateVerdict, int] = {"pass": 0, "fail": 1, "invalid": 3, "inconclusive": 4}
"""What a command that gives a decision exits with; 2 is a usage error."""


def result_of(  # noqa: PLR0913 - one keyword per part of a result
    comparisons: Sequence[Comparison],
    *,
    study: str,
    base_model: str,
    arms: Sequence[Arm],
    suites: Sequence[Suite],
    gate: Gate,
    seed: int = 0,
    scores: Sequence[ArmScore] = (),
    findings: Sequence[Finding] = (),
    notes: Sequence[str] = (),
    data: Sequence[TrainingData] = (),
    recipes: Sequence[RecipeComparison] = (),
    times: Sequence[AnswerTime] = (),
    origin: Origin | None = None,
    made_with: Mapping[str, str] | None = None,
    groups: Mapping[ItemKey, tuple[str, ...]] | None = None,
) -> Result:
    """Build the result of a run; `run_verdict` decides it from its candidates' settled comparisons.

    ``made_with`` are the versions that the answers were made with; by default those in use now.

    >>> result_of((), study="s", base_model="b", arms=(), suites=(), gate=Gate()).exit_code
    3
    """
    verdict, reason = run_verdict(comparisons)
    choice = choose(comparisons, gate)
    return Result(
        study=study,
        base_model=base_model,
        verdict=verdict,
        exit_code=EXIT_CODES[verdict],
        arms=tuple(arms),
        suites=tuple(suites),
        scores=tuple(scores),
        comparisons=tuple(comparisons),
        findings=tuple(findings),
        versions=made_with or versions(),
        seed=seed,
        notes=tuple(notes),
        data=tuple(data),
        recipes=tuple(recipes),
        reason=reason,
        recommendation=choice.sentence,
        recommended=choice.candidate,
        rivals=choice.rivals,
        forms=compare_forms(arms, comparisons, gate),
        to_confirm=choice.to_confirm,
        times=tuple(times),
        origin=origin or Origin(),
        groups=groups or {},
    )
