"""``gate.json``: the decision for programs, with the field names of the contract."""

import math

from harness.analysis.confusion import confusion
from harness.records import Comparison, RecipeComparison, Result, Suite
from harness.report.forms_view import forms_told
from harness.report.wording import prompts_told
from harness.stats import SequentialDecision

GATE_FIELDS = {
    "study": "the study's name",
    "base_model": "the base model, as the study names it",
    "verdict": "the run's verdict: `pass`, `fail`, `inconclusive` or `invalid`",
    "exit_code": "what the command ended with",
    "checks": "one for each candidate and suite, with the fields below",
    "notes": "what a person should know of the run",
    "seed": "the seed of the order of items and of whatever is drawn",
    "versions": "versions of the packages that the answers were made with",
    "prompts": "where a candidate has a base of its own: that prompts differ, and whose",
    "reason": "where the run's verdict is not the gravest of its candidates': why",
    "recipes": "where candidates are seeds of one recipe: what holds whatever the seed",
    "forms": "where candidates were scored as they are served: each form (`candidate`, `as`) "
    "against its candidate (`form_of`), with the scores of both (`form`, `adapter`)",
    "forms_told": "the same in a sentence for each form",
}
"""What each field of ``gate.json`` says; those from ``prompts`` on are there only where they say
something."""

CHECK_FIELDS = {
    "candidate": "its name",
    "suite": "the suite's name",
    "metric": "the primary metric, which decides",
    "n": "items of the suite",
    "used": "items that the decision rests on",
    "unscored": "items without a score, left out for both arms",
    "base": "the base's mean score",
    "tuned": "the candidate's mean score",
    "delta": "tuned minus base",
    "ci_low": "lower end of the change's interval, of level 1 - 2 alpha (90 % by default)",
    "ci_high": "its upper end",
    "margin": "the largest drop that would not matter",
    "p_adjusted": "p-value against 'no drop', after Holm over the candidate's suites",
    "items_needed": "where nothing is decided: about how many items would decide",
    "label": "what the change is called (`regressed_within_margin`: worse, within margin); null "
    "where nothing may be compared",
    "verdict": "`pass`, `fail`, `inconclusive` or `invalid`",
    "reason": "why it is invalid, or decided otherwise than its label says",
    "prompts_differ": "there, and true, where each side has prompts of its own",
    "higher_is_better": "there, and false, where a rise is a loss",
    "scale": "there where the metric does not lie between 0 and 1: its two ends",
    "at_least": "there where the suite declares a goal: the score to reach",
    "macro_f1": "there where items are classified: macro-F1 (`base`, `tuned`, `delta`, `ci_low`, "
    "`ci_high`, `label`) over `n` items; it decides nothing",
}
"""What each field of a check says. Numbers are in score units (0.05 is five points), or null."""


def gate_json(result: Result) -> dict[str, object]:
    """Return what ``gate.json`` holds.

    Numbers are in score units (0.05 is five points). ``n`` counts the items of the suite,
    ``used`` those that the decision rests on. Numbers that do not exist are null.

    Args:
        result: A finished run.

    Returns:
        ``verdict``, ``exit_code``, ``checks`` (one per candidate and suite), ``versions``, which
        study it was, ``recipes`` (one per recipe and suite) where arms are seeds of one, and
        ``reason`` where the run's verdict is not the gravest of its candidates', ``prompts``
        where candidates have a base of their own: their checks say ``prompts_differ``, and
        ``forms`` (one per form and suite) where a candidate was scored as it is served, too:
        each against its candidate, ``adapter`` and ``form`` are their scores.
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
    if result.forms:
        served = {arm.name: arm.form or "made elsewhere" for arm in result.arms}
        gate["forms"] = [_form(found, served[found.candidate]) for found in result.forms]
        gate["forms_told"] = list(forms_told(result))
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


def _form(found: Comparison, served_as: str) -> dict[str, object]:
    decision = found.decision
    return {
        "candidate": found.candidate,
        "form_of": found.reference,
        "as": served_as,
        "suite": found.suite.name,
        "metric": found.suite.metric,
        "n": decision.n if decision else 0,
        "adapter": _number(found.base),
        "form": _number(found.tuned),
        "delta": _number(decision.delta if decision else None),
        "ci_low": _number(decision.ci_low if decision else None),
        "ci_high": _number(decision.ci_high if decision else None),
        "margin": found.suite.margin,
        "p_adjusted": _number(found.p_adjusted),
        "label": decision.label if decision else None,
        "verdict": found.verdict,
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
        **_macro_f1(comparison),
    }


def _macro_f1(comparison: Comparison) -> dict[str, object]:
    """Return macro-F1 beside the score that decides, where items are classified."""
    found = confusion(comparison)
    if found is None:
        return {}
    base, tuned = found.macro
    decision = found.decision
    return {
        "macro_f1": {
            "n": found.total,
            "base": base,
            "tuned": tuned,
            "delta": tuned - base,
            "ci_low": _number(decision.ci_low if decision else None),
            "ci_high": _number(decision.ci_high if decision else None),
            "label": decision.label if decision else None,
        }
    }


def _reading(suite: Suite) -> dict[str, object]:
    """Return how a metric is read, where it is not "more is better, between 0 and 1"."""
    lower = {} if suite.higher_is_better else {"higher_is_better": False}
    scale = {} if suite.scale == (0.0, 1.0) else {"scale": list(suite.scale)}
    goal = {} if suite.at_least is None else {"at_least": suite.at_least}
    return {**lower, **scale, **goal}


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
