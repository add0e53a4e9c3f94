"""``report.md``: the report for a pull-request comment or a job summary.

Forges cut comments at 64 kB, and a model may answer with mentions, images, HTML comments or
workflow commands, so the text keeps to a byte budget and shows foreign text only in code spans
that it cannot leave and never at the start of a line.
"""

import re
from collections.abc import Sequence

from harness.analysis.confusion import confusion
from harness.display_text import clip, visible
from harness.records import Comparison, Decision, Result
from harness.report.costs_view import answering, cost_lines, costs
from harness.report.data_card_view import DataView, training_data
from harness.report.decision_view import MANY, MatrixCell, matrix
from harness.report.details import transition_counts
from harness.report.forms_view import forms
from harness.report.headline import Card, Check, cards
from harness.report.label_view import macro_words
from harness.report.lost_items import LONGEST, ShortLoss, losses, lost_item
from harness.report.overview import warnings
from harness.report.people_view import people, people_lines
from harness.report.recipe_table import MEANING, recipe_table
from harness.report.wording import (
    LABEL_TERMS,
    agreements,
    level,
    percent,
    precise,
    prompts_told,
    title_of,
)
from harness.stats import SequentialDecision

BUDGET = 60_000
"""Bytes of ``report.md`` at most; comments on common forges end at 65,536 characters."""

_ALERTS = {"pass": "TIP", "fail": "CAUTION", "inconclusive": "WARNING", "invalid": "WARNING"}
_LISTED = 10
NAMED = 2
"""Candidates and suites that the heading names."""


def markdown(result: Result, *, budget: int = BUDGET) -> str:
    """Write the report as GitHub-flavoured Markdown of at most ``budget`` bytes.

    What to ship, what broke, the candidates by suites and three different losses come first; what
    follows does so as far as it fits, and a last line says what was left out. The first line marks
    whose report it is, so that a comment can be replaced.
    """
    found = cards(result)
    blocks = [f"<!-- finetune-harness {_marker(result.study)} -->\n# {_heading(result, found)}"]
    if told := prompts_told(result):
        blocks.append(f"> {escape(told)}.")
    blocks += _recommendation(result)
    blocks += _alerts(result, found) if len(found) <= MANY else []
    if result.reason:
        blocks.append(f"The run is {result.verdict}: {escape(result.reason)}.")
    if found:
        blocks.append(_matrix(result))
    blocks += [*_forms(result), *_failures(result), *_people(result)]
    blocks += [f"> {escape(note)}" for note in result.notes]
    blocks += [*_warnings(result), *_again(result), *_costs(result)]
    blocks += [*_checks(result, found), *_recipes(result)]
    for comparison in _worst_first(result.comparisons):
        blocks += _lost(comparison)
    blocks += [*_training_data(result), _provenance(result)]
    return _fit(blocks, budget)


def _marker(study: str) -> str:
    """Return a name that finds the comment of an earlier run of this study again."""
    return re.sub(r"[^\w.]+", "_", study, flags=re.ASCII)


def _heading(result: Result, found: Sequence[Card]) -> str:
    """Name what to ship and what broke."""
    broken = {
        card.name: [check.title for check in checks]
        for card in found
        for group, checks in card.groups
        if group == "Broke"
    }
    ship: str = result.verdict
    if result.recommended:
        verb = "confirm" if result.to_confirm else "ship"
        ship = f"{verb} {result.recommended}"
    if gainless := next((c.gainless for c in found if c.name == result.recommended), ""):
        ship = f"{result.recommended} {gainless}"
        if len(found) == 1 and all(title == "Held" for title, _ in found[0].groups):
            ship = "nothing broke, nothing gained"
    said = [f"{result.study}: {ship}"]
    if len(broken) > NAMED:
        titles = list(dict.fromkeys(title for named in broken.values() for title in named))
        said.append(f"{len(broken)} of {len(found)} broke {_some(titles)}")
    else:
        said += [f"{name} broke {_some(titles)}" for name, titles in broken.items()]
    return escape("; ".join(said))


def _some(titles: Sequence[str]) -> str:
    """Join titles; beyond a few, say how many more there are."""
    if len(titles) <= NAMED:
        return " and ".join(titles)
    return f"{', '.join(titles[:NAMED])} and {len(titles) - NAMED} more"


def _recommendation(result: Result) -> list[str]:
    if not result.recommendation:
        return []
    alert = "TIP" if result.recommended else _ALERTS[result.verdict]
    said = [f"**{escape(result.recommendation)}.**"]
    if result.recommended:
        said += [f"{escape(line)}." for line in cost_lines(result, result.recommended)]
    return [f"> [!{alert}]\n> {'<br>'.join(said)}"]


def _alerts(result: Result, found: Sequence[Card]) -> list[str]:
    """Say of every candidate but the one to ship what became of it."""
    return [
        f"> [!{_ALERTS[card.verdict]}]\n> {escape(card.sentence)}"
        for card in found
        if card.name != result.recommended
    ]


def _matrix(result: Result) -> str:
    """Tabulate candidates by suites, a line each, and say how it is read."""
    shown = matrix(result)
    titles = [
        escape(c.title) + "".join(f" ({tag})" for tag in ("target" * c.is_target, c.goal) if tag)
        for c in shown.columns
    ]
    lines = [f"| | candidate | {' | '.join(titles)} |", f"|:-:|---|{'---|' * len(titles)}"]
    lines.append(f"| | base | {' | '.join(column.base for column in shown.columns)} |")
    for row in shown.rows:
        cells = [_cell(cell) if cell else "–" for cell in row.cells]
        name = f"**{escape(row.name)}**" if row.is_best else escape(row.name)
        lines.append(f"| {row.symbol} | {name}: {row.words} | {' | '.join(cells)} |")
    table = "\n".join(lines)
    return (
        f"{table}\n\n<sub>Score and change in points, base → candidate on the same items, with its "
        f"{level(result.comparisons)} interval. `report.html` has every item.</sub>"
    )


def _cell(cell: MatrixCell) -> str:
    if not cell.check.extent:
        return f"{cell.check.symbol} not judged"
    retention = f", {cell.retention}" if cell.retention else ""
    return (
        f"{cell.score} {cell.check.symbol} **{cell.check.change}** ({cell.check.extent}){retention}"
    )


def _forms(result: Result) -> list[str]:
    """Say what each form that is served lost against its adapter, with a table by suite."""
    found = forms(result)
    if not found:
        return []
    lines = [
        "| | form | of | suite | adapter → form | change | interval | items | |",
        f"|:-:|{'---|' * 8}",
    ]
    lines += [
        f"| {row.symbol} | {escape(view.name)} | {escape(view.of)} | {escape(row.suite)} | "
        f"{row.adapter} → {row.form} | **{row.change}** | {row.extent} | {row.items} | "
        f"{row.words} |"
        for view in found
        for row in view.rows
    ]
    said = "\n".join(f"- {escape(view.sentence)}." for view in found)
    return ["## What ships, beside its adapter", said, "\n".join(lines)]


def _failures(result: Result) -> list[str]:
    """Show a few different losses of the gravest comparison, and the group that lost most."""
    found = losses(result)
    if found is None:
        return []
    blocks = [f"## {escape(found.heading)}"]
    if found.items:
        blocks.append("\n".join(_lost_line(item, found.candidate) for item in found.items))
    if found.group:
        blocks.append(f"Worst group: {code(found.group.title)}, {found.group_words}.")
    return blocks


def _lost_line(item: ShortLoss, candidate: str) -> str:
    because = f": {code(item.because, LONGEST)}" if item.because else ""
    right = f"base {code(item.base)}"
    if item.wanted:
        same = item.wanted == item.base
        right = f"wanted and {right}" if same else f"wanted {code(item.wanted)}, {right}"
    tuned = f"{escape(candidate)} {code(item.tuned)}"
    return f"- {code(item.question, LONGEST)} {right}, {tuned}{because}"


def _again(result: Result) -> list[str]:
    """Say how to make the run again, and with what it was made."""
    origin = result.origin
    lines = [f"- run again: {code(origin.command)}, seed {result.seed}"] if origin.command else []
    if origin.study_sha256:
        lines.append(f"- study as run: `sha256 {origin.study_sha256}`")
    for what, hashes in (("rows", origin.rows), ("items", origin.items)):
        if hashes:
            said = ", ".join(f"{escape(name)} `{digest[:12]}`" for name, digest in hashes.items())
            lines.append(f"- {what}: {said}")
    if spent := answering(result) or origin.machine:
        lines.append(f"- answered: {escape(spent)}")
    return ["## Run it again", "\n".join(lines)] if lines else []


def _costs(result: Result) -> list[str]:
    found = costs(result)
    if found is None:
        return []
    titles = "".join(f" {escape(title)} |" for title in found.suites)
    lines = [f"| | training |{titles}", f"|---|---|{'---|' * len(found.suites)}"]
    lines += [
        f"| {' | '.join(map(escape, (row.name, row.training, *row.cells)))} |" for row in found.rows
    ]
    return ["## What it costs", "\n".join(lines), f"<sub>{escape(found.caption)}</sub>"]


def escape(text: str) -> str:
    r"""Make a foreign text plain inside Markdown prose or a table cell.

    >>> escape("a|b @you #12 <b>")
    'a\\|b @\u200byou #\u200b12 &lt;b&gt;'
    """
    text = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*_{}\[\]|~$!]|(?<=\])\()", r"\\\1", text)
    text = re.sub("([@#:])(?=[\\w:\\[/])", "\\1\u200b", text)
    return " ".join(text.split())


def code(text: str, size: int = 200) -> str:
    """Show a foreign text as a code span on one line, whatever backticks it has.

    >>> code("a `b`")
    '`` a `b` ``'
    """
    text = clip(visible(text).replace("\n", " ⏎ ").replace("\t", " "), size) or "(empty)"
    text = text.replace("##[", "##\u200b[").replace("::", ":\u200b:").replace("<!", "<\u200b!")
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    return f"{fence} {text} {fence}" if "`" in text else f"`{text}`"


def _checks(result: Result, found: Sequence[Card]) -> list[str]:
    if not found:
        return []
    lines = [
        "| | candidate | suite | scores | change | interval | margin | items | label | gate |",
        f"|:-:|{'---|' * 9}",
    ]
    lines += [
        _row(card.name, check) for card in found for _, checks in card.groups for check in checks
    ]
    blocks = ["## Every check", "\n".join(lines)]
    for comparison in result.comparisons:
        if (named := confusion(comparison)) is not None:
            who = f"{escape(comparison.candidate)} on {escape(title_of(comparison))}"
            blocks.append(f"{who}: {escape(macro_words(named, comparison))}")
    if said := agreements(result.suites):
        blocks.append(
            "How far such figures agreed with people elsewhere: "
            + "; ".join(f"**{escape(title)}**: {escape(text)}" for title, text in said)
        )
    return blocks


def _row(candidate: str, check: Check) -> str:
    comparison = check.comparison
    decision = comparison.decision
    cells = [
        check.symbol,
        escape(candidate),
        escape(check.title),
        check.scores or "–",
        f"**{precise(decision.delta)}**" if decision else "–",
        check.extent,
        precise(comparison.suite.gain(-decision.margin)) if decision else "–",
        _items(decision),
        LABEL_TERMS[decision.label] if decision else comparison.verdict,
        comparison.verdict,
    ]
    return f"| {' | '.join(cells)} |"


def _items(decision: Decision | None) -> str:
    """Format how many items a decision rests on, and of how many where it came early."""
    if isinstance(decision, SequentialDecision) and decision.used < decision.planned:
        return f"{decision.n:,} of {decision.planned:,}"
    return f"{decision.n:,}" if decision else "0"


def _people(result: Result) -> list[str]:
    section = people(result)
    if section is None:
        return []
    lines = [
        f"- **{escape(title)}**, {escape(candidate)}: {escape(preferred)} ({escape(rate)})"
        for title, candidate, preferred, rate in people_lines(section)
    ]
    notes = [f"> {escape(note)}" for note in section.notes]
    judges = [f"**{escape(title)}.** {escape(words)}" for title, words in section.judges]
    said = [f"{escape(section.words)} Percentages are how often the candidate wins."]
    return ["## What people say", *said, *notes, *(["\n".join(lines)] if lines else []), *judges]


def _worst_first(comparisons: Sequence[Comparison]) -> list[Comparison]:
    return sorted(comparisons, key=lambda c: c.verdict != "fail")


def _recipes(result: Result) -> list[str]:
    rows = recipe_table(result)
    if not rows:
        return []
    lines = [
        "| | recipe | suite | seeds | mean change | interval | spread | label |",
        f"|:-:|{'---|' * 7}",
    ]
    lines += [
        f"| {row.symbol} | {escape(row.recipe)} | {escape(row.suite)} | {row.seeds} | "
        f"**{row.change}** | {row.extent} | {row.spread} | {escape(row.words)} |"
        for row in rows
    ]
    return ["## Is it the recipe or luck?", MEANING, "\n".join(lines)]


def _warnings(result: Result) -> list[str]:
    lines = []
    for warned in warnings(result):
        places = "; ".join(f"{escape(place.name)} ({place.counts})" for place in warned.places)
        lines.append(f"- **{escape(warned.title)}**: {places}")
    return ["## Look at this", "\n".join(lines)] if lines else []


def _lost(comparison: Comparison) -> list[str]:
    counts = transition_counts(comparison)
    lost = [pair for pair in comparison.shown if pair.transition == "lost"]
    if not counts["lost"]:
        return []
    title = (
        f"{escape(comparison.candidate)} on {escape(title_of(comparison))}: "
        f"{counts['lost']} lost, {counts['gained']} gained, "
        f"{percent(counts['both_right'] / comparison.items)} right before and after"
    )
    items = [_lost_line(lost_item(pair), comparison.candidate) for pair in lost[:_LISTED]]
    more = counts["lost"] - len(items)
    if more:
        items.append(f"- and {more:,} more in `report.html`")
    body = "\n".join(items)
    return [f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"]


def _training_data(result: Result) -> list[str]:
    lines = [f"- **{escape(data.name)}**: {training_rows(data)}" for data in training_data(result)]
    return ["## Training data", "\n".join(lines)] if lines else []


def training_rows(data: DataView) -> str:
    """Describe a candidate's training rows in one paragraph."""
    steps: dict[str, list[str]] = {}
    for done, step, rows in data.steps:
        steps.setdefault(done, []).append(f"{escape(step)} {rows:,}")
    said = "; ".join(f"{done} {', '.join(found)}" for done, found in steps.items())
    cleaning = f"Cleaning, in rows: {said}." if said else "Cleaning changed nothing."
    return f"{escape(data.words)}. {cleaning} {data.overlap}"


def _provenance(result: Result) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in sorted(result.versions.items()))
    return f"<sub>base {escape(result.base_model)}, seed {result.seed}; {escape(versions)}</sub>"


def _fit(blocks: Sequence[str], budget: int) -> str:
    notice = "*Left out for size: {} more sections; see `report.html`.*"
    kept, used = [], len(notice) + 20
    for place, block in enumerate(blocks):
        size = len(block.encode()) + 2
        if used + size > budget:
            kept.append(notice.format(len(blocks) - place))
            break
        kept.append(block)
        used += size
    return "\n\n".join(kept) + "\n"
