"""A few different lost items that a person can read, and the group of items that lost most."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from harness.analysis import answer_text, asked_and_said, choices, plain, target_text
from harness.analysis.diverse import diverse_losses
from harness.display_text import clip, visible
from harness.records import Comparison, Finding, GateVerdict, Item, Pair, Result
from harness.report.groups_view import group_link
from harness.report.item_browser import item_id, question
from harness.report.item_links import items_link
from harness.report.without_texts import LEFT_OUT
from harness.report.wording import between, precise, title_of

SHOWN = 3
"""Lost items that stand at the top."""
LONGEST = 240
"""Characters of a question or an answer that are shown there."""

P_GOLD = "p_gold"
"""The metric of a choice that says how probable the right option was among all."""

_GRAVEST: tuple[GateVerdict, ...] = ("fail", "inconclusive", "pass", "invalid")

_TEMPLATE_TOKENS = re.compile(
    r"<\|[^|<>\n]{1,40}\|>|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>(?:user|model)?"
    r"|<(?:bos|eos|pad)>"
)
"""What common chat templates put between turns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortLoss:
    """One item that was right before and is wrong now, in words; ``tuned`` is the candidate's."""

    id: str
    question: str
    wanted: str
    base: str
    tuned: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """What the gravest comparison lost: how many, a few of them, and the worst group.

    ``link`` opens all of them.
    """

    candidate: str
    title: str
    count: int
    link: str
    items: tuple[ShortLoss, ...]
    group: Finding | None

    @property
    def heading(self) -> str:
        """How many of how many are shown, of whom, on what."""
        shown, whose = len(self.items), f"that {self.candidate} lost on {self.title}"
        if self.count == 1:
            return f"The one item {whose}"
        if shown in (0, self.count):
            return f"The {self.count:,} items {whose}"
        return f"{shown} of {self.count:,} items {whose}"

    @property
    def group_link(self) -> str:
        """The address of the worst group's items; empty where none lost."""
        return group_link(self.group) if self.group else ""

    @property
    def group_words(self) -> str:
        """The change of the worst group; empty where none lost."""
        if (found := self.group) is None:
            return ""
        extent = between(found.ci_low or 0.0, found.ci_high or 0.0)
        return f"{precise(found.delta or 0.0)} points ({extent}) on {found.total:,} items"


def losses(result: Result) -> Losses | None:
    """Show what the gravest comparison lost; None where nothing was."""
    lost = [(c.counts["lost"], c) for c in result.comparisons if c.counts.get("lost")]
    if not lost:
        return None
    best = result.recommended
    count, first = min(
        lost, key=lambda f: (_GRAVEST.index(f[1].verdict), f[1].candidate != best, -f[0])
    )
    return Losses(
        candidate=first.candidate,
        title=title_of(first),
        count=count,
        link=items_link(first.candidate, first.suite.name, show="lost"),
        items=tuple(
            lost_item(pair)
            for pair in diverse_losses(first, SHOWN)
            if pair.base.item.prompt != LEFT_OUT
        ),
        group=_worst_group(first, result.findings),
    )


def lost_item(pair: Pair) -> ShortLoss:
    """Put one lost item into words."""
    turn = asked_and_said((pair.base, pair.tuned))
    question, base, tuned = turn or ("", answer_text(pair.base), answer_text(pair.tuned))
    return ShortLoss(
        id=item_id(pair.base.item.key),
        question=_short(question) if turn else asked(pair.base.item),
        wanted=_short(target_text(pair.base.item)),
        base=_short(base),
        tuned=_short(tuned),
        because=because(pair),
    )


def asked(item: Item) -> str:
    """Return what an item asks, on one line and without a template's tokens, and its options."""
    text = " ".join(_TEMPLATE_TOKENS.sub(" ", question(item)).split())
    options = ", ".join(" ".join(visible(option).split()) for option in choices(item))
    return f"{clip(text, LONGEST)} ({clip(options, LONGEST)})" if options else clip(text, LONGEST)


def because(pair: Pair) -> str:
    """Say why the tuned answer is wrong: its judge's causes and sentence, or how it chose."""
    verdict = pair.tuned.verdict
    before, now = (sample.verdict.metrics.get(P_GOLD) for sample in (pair.base, pair.tuned))
    said = [", ".join(plain(label) for label in verdict.labels), verdict.explanation]
    if before is not None and now is not None:
        said[1] = f"probability of the right one {before:.0%} → {now:.0%}"
    return clip(" ".join(visible(": ".join(filter(None, said))).split()), LONGEST)


def _short(text: str) -> str:
    return clip(" ".join(visible(text).split()), LONGEST)


def _worst_group(comparison: Comparison, findings: Iterable[Finding]) -> Finding | None:
    """Return the group that lost most; None where none lost more than all items together."""
    gain = comparison.suite.gain
    overall = gain(comparison.decision.delta) if comparison.decision else 0.0
    groups = [
        finding
        for finding in findings
        if finding.kind == "slice"
        and finding.delta is not None
        and finding.ci_high is not None
        and (finding.candidate, finding.suite) == (comparison.candidate, comparison.suite.name)
    ]
    worst = min(groups, key=lambda found: gain(found.delta or 0.0), default=None)
    return worst if worst and gain(worst.delta or 0.0) < min(overall, 0.0) - 1e-9 else None
