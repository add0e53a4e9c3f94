"""``README.md`` of an exported candidate: how it was trained, what it scored, its limits.

The front matter is the hub's metadata (https://huggingface.co/docs/hub/model-cards), so that a
card can be uploaded as it is. Scores stand in the text alone: the hub's ``model-index`` asks for
each data set's id on the hub, and a suite's rows have none.
"""

from collections.abc import Sequence

import yaml

from harness.records import BASE, Arm, Comparison, Document, Finding, Result
from harness.report.data_card_view import training_data
from harness.report.forms_view import forms_told
from harness.report.markdown import code, escape, training_rows
from harness.report.wording import between, counted, level, percent, precise, title_of

_FORM = {
    "adapter": ("peft", "a PEFT adapter: load it on top of its base model"),
    "merged": ("transformers", "a whole model: the adapter is merged into its base"),
    "4bit": (
        "transformers",
        "a whole model in 4 bits (bitsandbytes, nf4): the adapter is merged into its base",
    ),
    "8bit": (
        "transformers",
        "a whole model in 8 bits (bitsandbytes, int8): the adapter is merged into its base",
    ),
    "model": ("transformers", "a whole model: all weights were trained"),
}


def model_card(
    result: Result,
    candidate: str,
    *,
    form: str,
    scored_as: str | None = None,
    base_id: str | None = None,
    licence: str = "unknown",
) -> str:
    """Write the model card of one candidate of a finished run.

    Args:
        result: The run.
        candidate: Which of its arms the card is for.
        form: What is exported: ``adapter``, ``merged``, ``4bit``, ``8bit`` or ``model``.
        scored_as: The arm whose scores are those of this form; None where it was not scored, so
            that only the candidate's own can be shown.
        base_id: The base model's id on the hub, None if it has none.
        licence: The hub's identifier of the licence, ``unknown`` if nobody has said.

    Returns:
        Markdown with YAML front matter.
    """
    arm = next(arm for arm in result.arms if arm.name == candidate)
    shown = scored_as or candidate
    compared = [c for c in result.comparisons if c.candidate == shown]
    found = [f for f in result.findings if f.candidate == shown and f.kind == "warning"]
    library, what = _FORM[form]
    blocks = [
        _front_matter(arm, base_id=base_id, library=library, licence=licence),
        f"# {escape(candidate)}",
        escape(arm.note) if arm.note else "",
        f"This is {what}. Base model: {code(result.base_model)}.",
        "## How it was made",
        _training(arm),
        *(training_rows(data) for data in training_data(result) if data.name == candidate),
        "## What it scored",
        "Base and candidate answered the same items. Changes are in points; intervals at "
        f"{level(compared)}.",
        _whose_scores(result, shown, is_scored=scored_as is not None),
        _scores(compared),
        "## Limits",
        _limits(result, compared, found),
        "## Made with",
        escape(", ".join(f"{name} {version}" for name, version in sorted(result.versions.items()))),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _front_matter(arm: Arm, *, base_id: str | None, library: str, licence: str) -> str:
    data: Document = {
        **({"base_model": base_id} if base_id else {}),
        "library_name": library,
        "license": licence,
        "pipeline_tag": "text-generation",
        "tags": [tag.replace(" ", "-") for tag in ("finetune-harness", arm.method) if tag],
    }
    return f"---\n{yaml.safe_dump(data, sort_keys=False, allow_unicode=True)}---"


def _training(arm: Arm) -> str:
    lines = [f"- method: {escape(arm.method or 'trained elsewhere')}"]
    lines += [f"- {escape(str(name))}: {code(str(value))}" for name, value in arm.settings.items()]
    if arm.trainable:
        lines.append(f"- trained parameters: {arm.trainable:,}")
    if arm.loss:
        last = arm.loss[-1]
        lines.append(f"- {last.step:,} steps, last training loss {last.loss:.3f}")
    if arm.seconds:
        lines.append(f"- training time: {arm.seconds:,.0f} s")
    lines.append(f"- weights, sha256: `{arm.weights_sha256}`")
    return "\n".join(lines)


def _whose_scores(result: Result, shown: str, *, is_scored: bool) -> str:
    """Say what a form lost against its adapter, or that these scores are the adapter's."""
    if is_scored:
        return " ".join(escape(said) for said in forms_told(result, shown))
    return f"This form was not scored: the figures are those of {escape(shown)} as it was trained."


def _scores(compared: Sequence[Comparison]) -> str:
    lines = [
        "| suite | metric | items | base | this | change | interval | verdict |",
        f"|{'---|' * 8}",
    ]
    for comparison in compared:
        decision = comparison.decision
        cells = [
            escape(title_of(comparison)),
            escape(comparison.suite.metric),
            f"{decision.n:,}" if decision else "0",
            percent(comparison.base),
            percent(comparison.tuned),
            precise(decision.delta) if decision else "–",
            between(decision.ci_low, decision.ci_high) if decision else "–",
            decision.label.replace("_", " ") if decision else comparison.verdict,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _limits(result: Result, compared: Sequence[Comparison], found: Sequence[Finding]) -> str:
    lines = [
        "- Nothing is known about abilities that these suites do not ask for.",
        f"- The {BASE} is {escape(result.base_model)}: its own licence, limits and biases remain.",
    ]
    for comparison in compared:
        if comparison.verdict != "pass":
            reason = f" ({escape(comparison.reason)})" if comparison.reason else ""
            lines.append(f"- {escape(title_of(comparison))}: gate {comparison.verdict}{reason}.")
    lines += [f"- {escape(f.title)}: {counted(f)}" for f in found]
    return "\n".join(lines)
