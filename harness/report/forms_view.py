"""What merging, quantizing and serving cost: each form against the candidate that it is made of."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.records import FORM_WORDS, Arm, Comparison, Decision, Result
from harness.report.headline import tone
from harness.report.wording import (
    LABEL_SYMBOLS,
    LABEL_WORDS,
    VERDICT_WORDS,
    percent,
    precise,
    title_of,
)

MEANING = (
    "Each form answered the same prompts as its adapter, item by item: what differs is what "
    "merging, rounding and serving cost."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FormRow:
    """One form on one suite, against its candidate."""

    suite: str
    adapter: str
    form: str
    change: str
    extent: str
    items: str
    symbol: str
    words: str
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FormView:
    """One form: its name, whose it is, a sentence, and a row for each suite."""

    name: str
    of: str
    sentence: str
    rows: tuple[FormRow, ...]
    comparisons: tuple[Comparison, ...]


def forms(result: Result) -> tuple[FormView, ...]:
    """Put every form that was compared with its candidate into words and rows."""
    return tuple(
        FormView(
            name=arm.name,
            of=arm.form_of,
            sentence=_sentence(arm, found),
            rows=tuple(map(_row, found)),
            comparisons=tuple(found),
        )
        for arm in result.arms
        if (found := [c for c in result.forms if c.candidate == arm.name])
    )


def forms_told(result: Result, name: str = "") -> tuple[str, ...]:
    """Return the sentences on all forms, or on one: what each loses against its candidate."""
    return tuple(f"{view.sentence}." for view in forms(result) if name in ("", view.name))


def _sentence(arm: Arm, found: Sequence[Comparison]) -> str:
    """Say where a form lost or gained against its candidate, and where no loss shows."""
    moved, open_on, held, void = list[str](), list[str](), list[str](), list[str]()
    for comparison in found:
        decision, title = comparison.decision, title_of(comparison)
        if decision is None or comparison.verdict == "invalid":
            void.append(title)
            continue
        extent = f"interval {_extent(decision)}"
        if comparison.verdict == "inconclusive":
            open_on.append(f"{title} ({precise(decision.delta)}, {extent})")
        elif decision.label in ("regressed", "regressed_within_margin", "improved"):
            verb = "gains" if comparison.suite.gain(decision.delta) > 0 else "loses"
            points = precise(abs(decision.delta)).lstrip("+")
            moved.append(f"{verb} {points} points on {title} ({extent})")
        else:
            held.append(title)
    said = [
        *moved,
        *([f"is undecided on {', '.join(open_on)}"] if open_on else []),
        *([f"cannot be judged on {', '.join(void)}"] if void else []),
        *([f"shows no loss on {', '.join(held)}"] if held else []),
    ]
    what = f"the {FORM_WORDS[arm.form]} model" if arm.form else "made elsewhere"
    return f"{arm.name}, {what}, against its adapter {arm.form_of}: {'; '.join(said)}"


def _extent(decision: Decision) -> str:
    return f"{precise(decision.ci_low)} to {precise(decision.ci_high)}"


def _row(comparison: Comparison) -> FormRow:
    decision = comparison.decision
    label = decision.label if decision and comparison.verdict != "invalid" else None
    return FormRow(
        suite=title_of(comparison),
        adapter=percent(comparison.base),
        form=percent(comparison.tuned),
        change=precise(decision.delta) if decision else "–",
        extent=_extent(decision) if decision else "–",
        items=f"{decision.n:,}" if decision else "0",
        symbol=LABEL_SYMBOLS[label] if label else "!",
        words=LABEL_WORDS[label] if label else VERDICT_WORDS["invalid"],
        tone=tone(comparison),
    )
