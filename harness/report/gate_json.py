"""``gate.json``: the decision for programs, with the field names of the contract."""

import math

from harness.records import Comparison, RecipeComparison, Result, Suite
from harness.report.wording import prompts_told
from harness.stats import SequentialDecision


def gate_json(result: Result) -> dict[str, object]:
    """Return what ``gate.json`` holds.

    Numbers are in score units (0.05 is five points). ``n`` counts the items of the suite,
    ``used`` those that the decision rests on. Numbers that do not exist are null.

    Args:
        result: A finished run.

    Returns:
        ``verdict``, ``exit_code``, ``checks`` (one per candidate and suite), ``versions``, which
        study it was, ``recipes`` (one per recipe and suite) where arms are seeds of one, and
        ``reason`` where the run's verdict is not the gravest of its candidates', and ``prompts``
        where candidates have a base of their own: their checks say ``prompts_differ``.
    """
    gate: dict[str, object] = {
        "study": result.study,
        "base_model": result.base_model,
        "verdict": result.verdict,
        "exit_code": result.exit_code,
        "checks": [_check(comparison) for comparison in result.comparisons],
        "notes": list(result.notes),
        "seed": result.seed,
        "versions": dict(sorted(result.versions.items())),
    }
    if told := prompts_told(result):
        gate["prompts"] = told
    if result.reason:
        gate["reason"] = result.reason
    if result.recipes:
        gate["recipes"] = [_recipe(found) for found in result.recipes]
    return gate


def _recipe(found: RecipeComparison) -> dict[str, object]:
    decision = found.decision
    return {
        "recipe": found.recipe,
        "suite": found.suite.name,
        "metric": found.suite.metric,
        "candidates": list(found.candidates),
        "n": decision.n if decision else 0,
        "deltas": [_number(delta) for delta in found.deltas],
        "spread": _number(found.spread),
        "delta": _number(decision.delta if decision else None),
        "ci_low": _number(decision.ci_low if decision else None),
        "ci_high": _number(decision.ci_high if decision else None),
        "margin": found.suite.margin,
        "label": decision.label if decision else None,
        "verdict": decision.verdict if decision else None,
        "reason": found.reason,
        **_reading(found.suite),
    }


def _check(comparison: Comparison) -> dict[str, object]:
    decision = comparison.decision
    used = decision.n if decision else 0
    n = max(comparison.items, used + comparison.unscored)
    if isinstance(decision, SequentialDecision):
        n = decision.planned
    return {
        "candidate": comparison.candidate,
        "suite": comparison.suite.name,
        "metric": comparison.suite.metric,
        "n": n,
        "used": used,
        "unscored": comparison.unscored,
        "base": _number(comparison.base),
        "tuned": _number(comparison.tuned),
        "delta": _number(decision.delta if decision else None),
        "ci_low": _number(decision.ci_low if decision else None),
        "ci_high": _number(decision.ci_high if decision else None),
        "margin": decision.margin if decision else comparison.suite.margin,
        "p_adjusted": _number(comparison.p_adjusted),
        "items_needed": decision.items_needed if decision else None,
        "label": decision.label if decision else None,
        "verdict": comparison.verdict,
        "reason": comparison.reason,
        **({"prompts_differ": True} if comparison.prompts_differ else {}),
        **_reading(comparison.suite),
    }


def _reading(suite: Suite) -> dict[str, object]:
    """Return how a metric is read, where it is not "more is better, between 0 and 1"."""
    lower = {} if suite.higher_is_better else {"higher_is_better": False}
    scale = {} if suite.scale == (0.0, 1.0) else {"scale": list(suite.scale)}
    goal = {} if suite.at_least is None else {"at_least": suite.at_least}
    return {**lower, **scale, **goal}


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
