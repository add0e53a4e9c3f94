"""A history for people: the page of trends, and the words that the terminal shows too."""

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from harness.content import asset, page_policy
from harness.history.drift import StudyTrend, SuiteTrend
from harness.history.entries import HistoryCheck, HistoryRun
from harness.records import BASE
from harness.report import charts
from harness.report.html import page_template
from harness.report.wording import (
    LABEL_SYMBOLS,
    LABEL_WORDS,
    VERDICT_WORDS,
    percent,
    precise,
    signed,
)

_TONES = {"pass": "even", "fail": "bad", "inconclusive": "open", "invalid": "void"}


class DriftFinding(NamedTuple):
    """A finding on a suite: in words, what there is to add, and how it is coloured."""

    words: str
    more: str
    tone: str


def history_page(studies: Sequence[StudyTrend]) -> str:
    """Render the page of trends; the same history gives the same bytes."""
    style, script = asset("report.css"), '"use strict";\n' + asset("page.js")
    return page_template("history.html.j2").render(
        policy=page_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        lede=drift_lede(studies),
        studies=[_study(study) for study in studies],
    )


def drift_lede(studies: Sequence[StudyTrend]) -> str:
    """Say in one sentence what is worse now than it was shipped.

    >>> drift_lede(())
    'No runs yet'
    """
    if not studies:
        return "No runs yet"
    named = len(studies) > 1
    worse = [
        (f"{study.study}: " if named else "") + f"{suite.suite} is worse than {check.reference}"
        for study in studies
        for suite in study.suites
        if (check := fallen(suite))
    ]
    if worse:
        return "; ".join(worse)
    compared = any(suite.last for study in studies for suite in study.suites)
    return "No suite is shown to be worse than at a release" if compared else (
        "No release to compare with yet: name one with 'harness history add RUN --release NAME'"
    )  # fmt: skip


def fallen(suite: SuiteTrend) -> HistoryCheck | None:
    """Return the comparison that shows a suite to be worse than a release, None where none does."""
    return suite.last if suite.last and suite.last.verdict == "fail" else suite.worse


def newest_sentence(study: StudyTrend) -> str:
    """Say what the newest run is, and how many there are.

    A run is named by its release, else by when it was added.
    """
    run = study.runs[-1]
    called = f"release {run.release}" if run.release else f"the run added {_day(run)}"
    releases = sum(bool(found.release) for found in study.runs)
    return (
        f"Newest: {called} ({run.candidate} on {run.base}); {len(study.runs):,} "
        f"{'run' if len(study.runs) == 1 else 'runs'}, {releases:,} of them released"
    )


def findings_on(suite: SuiteTrend) -> list[DriftFinding]:
    """Word what the comparisons with releases show of a suite."""
    said = []
    if suite.last:
        said.append(_against(suite.last))
    elsewhere = suite.last.reference if suite.last and suite.last.label else ""
    for check, word, tone in ((suite.worse, "worse", "bad"), (suite.better, "better", "good")):
        if check and not (check.reference == elsewhere and said[0].tone == tone):
            words = f"{word} than {check.reference}: {_change(check)}"
            more = f"the latest release that it is shown to be {word} than"
            said.append(DriftFinding(words, "; ".join(filter(None, (more, check.reason))), tone))
    return said


def _against(check: HistoryCheck) -> DriftFinding:
    if check.label is None or check.verdict == "invalid":
        return DriftFinding(f"not compared with {check.reference}", check.reason, "void")
    words = f"{LABEL_WORDS[check.label]} against {check.reference}: {_change(check)}"
    tone = "good" if check.label == "improved" else _TONES[check.verdict]
    return DriftFinding(words, check.reason, tone)


def _change(check: HistoryCheck) -> str:
    low, high = check.ci_low or 0.0, check.ci_high or 0.0
    return f"{precise(check.delta or 0.0)} ({precise(low)} to {precise(high)})"


def _study(study: StudyTrend) -> dict[str, object]:
    names = [suite.suite for suite in study.suites]
    marks = [(place, run.release) for place, run in enumerate(study.runs) if run.release]
    return {
        "name": study.study,
        "newest": newest_sentence(study),
        "suites": [_suite(suite, marks) for suite in study.suites],
        "rows": [_row(run, names) for run in reversed(study.runs)],
    }


def _suite(suite: SuiteTrend, marks: Sequence[tuple[int, str]]) -> dict[str, object]:
    last = suite.last
    known = [mean for mean in suite.means if mean is not None]
    words = (
        f"{suite.suite} over {len(suite.means)} runs, from {percent(known[0] if known else None)} "
        f"to {percent(known[-1] if known else None)}"
    )
    lower = "" if suite.higher_is_better else " (lower is better)"
    verdict = "fail" if fallen(suite) else last.verdict if last else "plain"
    symbol = LABEL_SYMBOLS[last.label] if last and last.label else ""
    return {
        "name": suite.suite,
        "now": percent(suite.means[-1]) + lower,
        "verdict": verdict,
        "symbol": "▼" if verdict == "fail" else symbol,
        "chart": charts.trend(suite.means, marks, words),
        "said": findings_on(suite),
    }


def _row(run: HistoryRun, suites: Sequence[str]) -> dict[str, object]:
    steps = {check.suite: check for check in run.checks if check.reference != BASE}
    return {
        "added": _day(run),
        "release": run.release,
        "candidate": run.candidate,
        "verdict": VERDICT_WORDS[run.verdict],
        "cells": [_cell(run, suite, steps.get(suite)) for suite in suites],
    }


def _cell(run: HistoryRun, suite: str, step: HistoryCheck | None) -> dict[str, str]:
    mean = percent(run.means.get(suite))
    if step is None or suite not in run.means:
        return {"mean": mean, "change": "", "tone": "", "words": ""}
    said = _against(step)
    change = "not compared" if step.label is None else (
        f"{LABEL_SYMBOLS[step.label]} {signed(step.delta or 0.0)}"
    )  # fmt: skip
    words = ". ".join(filter(None, (said.words, said.more)))
    return {"mean": mean, "change": change, "tone": said.tone, "words": words}


def _day(run: HistoryRun) -> str:
    return run.added[:16].replace("T", " ")
