"""Small charts as inline SVG: no library, no script, the same bytes every time.

Positions are percentages, so a chart takes whatever width it is given without distorting its
text. Colours come from the style sheet through classes, so dark mode and print work. Every chart
says its content in words through ``aria-label``.
"""

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from harness.display_text import clip, visible
from harness.records import LossPoint


class Axis(NamedTuple):
    """A horizontal scale from ``low`` to ``high``, in the units of the data."""

    low: float
    high: float

    def at(self, value: float) -> str:
        """Return where a value stands, as a percentage of the width, clipped to the chart."""
        share = (value - self.low) / (self.high - self.low)
        return f"{100 * min(max(share, 0.0), 1.0):.2f}%"


class Part(NamedTuple):
    """A part of a stacked bar: how many, which class colours it, what it is called."""

    items: int
    css: str
    name: str


def span(values: Sequence[float], *, least: float = 0.05) -> Axis:
    """Choose an axis that holds zero and every value, with a little air at both ends."""
    low, high = min([0.0, *values]), max([0.0, *values])
    room = max(high - low, least)
    return Axis(low - 0.06 * room, high + 0.06 * room)


def ticks(axis: Axis) -> tuple[float, ...]:
    """Choose three to seven round values on an axis, zero among them."""
    width = axis.high - axis.low
    steps = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0)
    step = next((step for step in steps if width / step <= 6), 2.0)
    first, last = int(-(-axis.low // step)), int(axis.high // step)
    return tuple(round(index * step, 4) for index in range(first, last + 1))


def interval(
    axis: Axis,
    delta: float,
    ends: tuple[float, float],
    *,
    css: str,
    margin: float | None,
    words: str,
) -> Markup:
    """Draw one row of a forest plot: a point, its interval, zero, and the margin line.

    ``margin`` is the change at which a loss is too large: below zero, above it where lower is
    better.
    """
    low, high = ends
    parts = [Markup('<line class="zero" x1="{0}" x2="{0}" y1="0" y2="100%"/>').format(axis.at(0))]
    if margin is not None:
        beyond = (axis.at(margin), "100%") if margin > 0 else ("0%", axis.at(margin))
        parts.insert(0, _rect("beyond", *beyond))
        line = '<line class="margin" x1="{0}" x2="{0}" y1="0" y2="100%"/>'
        parts.append(Markup(line).format(axis.at(margin)))
    bar = '<line class="ci {}" x1="{}" x2="{}" y1="50%" y2="50%"/>'
    parts.append(Markup(bar).format(css, axis.at(low), axis.at(high)))
    cap = '<line class="ci {0}" x1="{1}" x2="{1}" y1="35%" y2="65%"/>'
    parts.extend(Markup(cap).format(css, axis.at(end)) for end in ends)
    point = '<circle class="point {}" cx="{}" cy="50%" r="5.5"/>'
    parts.append(Markup(point).format(css, axis.at(delta)))
    return _svg("row", parts, words)


def scale(axis: Axis) -> Markup:
    """Draw the ticks under a forest plot, in points of a hundred."""
    parts = [
        Markup('<text class="tick" x="{}" y="14" text-anchor="middle">{}</text>').format(
            axis.at(value), f"{value * 100:+g}".replace("-", "−") if value else "0"
        )
        for value in ticks(axis)
    ]
    return Markup('<svg class="scale" aria-hidden="true">{}</svg>').format(Markup("").join(parts))


def stacked(parts: Sequence[Part], words: str) -> Markup:
    """Draw counts as one bar of parts."""
    total = sum(part.items for part in parts) or 1
    drawn, start = [], 0
    for part in parts:
        if part.items:
            x, width = 100 * start / total, 100 * part.items / total
            rect = '<rect class="{}" x="{:.3f}%" width="{:.3f}%" height="100%">{}</rect>'
            title = Markup("<title>{}</title>").format(f"{part.name}: {part.items}")
            drawn.append(Markup(rect).format(part.css, x, width, title))
            start += part.items
    return _svg("stack", drawn, words)


def bar(count: int, most: int, words: str) -> Markup:
    """Draw one count as a bar of its share of the largest."""
    rect = '<rect class="tuned-bar" y="3" height="9" x="0" width="{:.2f}%"/>'
    return _svg("stack", [Markup(rect).format(100 * count / max(most, 1))], words)


def twin(base: int, tuned: int, most: int, words: str) -> Markup:
    """Draw two counts as bars above each other, base on top."""
    parts = [
        Markup('<rect class="{}" y="{}" height="7" x="0" width="{:.2f}%"/>').format(
            css, y, 100 * count / max(most, 1)
        )
        for css, y, count in (("base-bar", "2", base), ("tuned-bar", "11", tuned))
    ]
    return _svg("twin", parts, words)


MOST_NAMED = 4
"""Points up to which each has its name in a scatter plot; beyond, only the good ones."""


class Cross(NamedTuple):
    """A named point with an interval on each axis, in score units; ``css`` colours it."""

    name: str
    x: float
    y: float
    across: tuple[float, float]
    up: tuple[float, float]
    css: str


def scatter(points: Sequence[Cross], words: str) -> Markup:
    """Draw gain (upwards) against forgetting (to the right), a named cross per candidate.

    Args:
        points: What to draw.
        words: What the chart shows, for those who cannot see it.
    """
    across = Axis(-0.04, max([0.1, *(p.across[1] for p in points)]) * 1.15)
    lowest = min([-0.04, *(p.up[0] * 1.1 for p in points)])
    up = Axis(lowest, max([0.1, *(p.up[1] for p in points)]) * 1.15)
    drawn = [_grid(across, value, horizontal=True) for value in ticks(across)]
    drawn += [_grid(up, value, horizontal=False) for value in ticks(up)]
    named = [p for p in points if len(points) <= MOST_NAMED or p.css == "good"]
    places = _label_places([(across.at(p.x), _flip(up.at(p.y))) for p in named])
    labels = dict(zip((p.name for p in named), places, strict=True))
    for p in points:
        cx, cy = across.at(p.x), _flip(up.at(p.y))
        bar = '<line class="ci thin {}" x1="{}" x2="{}" y1="{}" y2="{}"/>'
        ends = [across.at(max(end, across.low)) for end in p.across]
        drawn.append(Markup(bar).format(p.css, *ends, cy, cy))
        drawn.append(Markup(bar).format(p.css, cx, cx, *(_flip(up.at(end)) for end in p.up)))
        dot = '<circle class="point {}" cx="{}" cy="{}" r="6"><title>{}</title></circle>'
        drawn.append(Markup(dot).format(p.css, cx, cy, p.name))
        if p.name in labels:
            label = '<text class="name" x="{}" y="{}" dx="{}" dy="-6" text-anchor="{}">{}</text>'
            side = (-10, "end") if _number(cx) > 60 else (10, "start")
            drawn.append(Markup(label).format(cx, labels[p.name], *side, p.name))
    return _svg("scatter", drawn, words)


def _label_places(places: Sequence[tuple[str, str]]) -> list[str]:
    """Move labels down so that none covers the one of a near point; a line is 6 % high."""
    found: dict[int, tuple[float, float]] = {}
    for index in sorted(range(len(places)), key=lambda index: _number(places[index][1])):
        x, y = map(_number, places[index])
        for other_x, other_y in found.values():
            if abs(other_x - x) < 30 and y < other_y + 6:
                y = other_y + 6
        found[index] = (x, y)
    return [f"{found[index][1]:.2f}%" for index in range(len(places))]


def curve(points: Sequence[LossPoint], words: str) -> Markup:
    """Draw training loss over steps, with validation loss where there is one."""
    held_out = [(p.step, p.eval_loss) for p in points if p.eval_loss is not None]
    losses = [point.loss for point in points] + [loss for _, loss in held_out]
    steps = [point.step for point in points]
    x, y = Axis(min(steps), max(*steps, min(steps) + 1)), Axis(0, max([*losses, 0.1]) * 1.08)
    drawn = [
        Markup(
            '<line class="grid" x1="0" x2="100%" y1="{0}" y2="{0}"/>'
            '<text class="tick" x="100%" y="{0}" dx="-2" dy="-3" text-anchor="end">{1:g}</text>'
        ).format(_flip(y.at(value)), value)
        for value in _even(y.high)
    ]
    drawn.append(_path([(p.step, p.loss) for p in points], x, y, "loss"))
    drawn.append(_path(held_out, x, y, "eval-loss"))
    return _svg("curve", drawn, words)


def scores(points: Sequence[tuple[int, float]], words: str) -> Markup:
    """Draw a score between 0 and 1 over steps, with the first one as a line to compare with."""
    steps = [step for step, _ in points]
    x, y = Axis(min(steps), max(*steps, min(steps) + 1)), Axis(0, 1.08)
    drawn = [
        Markup(
            '<line class="grid" x1="0" x2="100%" y1="{0}" y2="{0}"/>'
            '<text class="tick" x="100%" y="{0}" dx="-2" dy="-3" text-anchor="end">{1:.0%}</text>'
        ).format(_flip(y.at(value)), value)
        for value in (0.25, 0.5, 0.75, 1.0)
    ]
    start = _flip(y.at(points[0][1]))
    drawn.append(Markup('<line class="zero" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(start))
    drawn.append(_path(points, x, y, "loss"))
    return _svg("curve", drawn, words)


MOST_MARKS = 5
"""Names under a trend; where there are more marks, some are named."""


def trend(means: Sequence[float | None], marks: Sequence[tuple[int, str]], words: str) -> Markup:
    """Draw a score in [0, 1] over runs, with a named dot at some of them.

    Args:
        means: By run; None where it has no score.
        marks: Runs that have a dot, by their place, with names.
        words: What the chart shows, for those who cannot see it.
    """
    known = [(float(place), mean) for place, mean in enumerate(means) if mean is not None]
    values = [mean for _, mean in known] or [0.0]
    room = max(max(values) - min(values), 0.1)
    width = max(len(means) - 1.0, 1.0)
    x = Axis(-0.08 * width, width)  # numbers stand at its left
    y = Axis(min(values) - 0.25 * room, max(values) + 0.25 * room)
    drawn = [_grid(y, value, horizontal=False) for value in ticks(y)]
    drawn.append(_path(known, x, y, "loss"))
    dots = [(place, name, mean) for place, name in marks if (mean := means[place]) is not None]
    named = {dots[round(i * (len(dots) - 1) / (MOST_MARKS - 1))][0] for i in range(MOST_MARKS)} if (
        len(dots) > MOST_MARKS
    ) else {place for place, *_ in dots}  # fmt: skip
    for place, name, mean in dots:
        left = x.at(place)
        dot = '<circle class="point" cx="{}" cy="{}" r="4"><title>{}: {:.1%}</title></circle>'
        drawn.append(Markup(dot).format(left, _flip(y.at(mean)), visible(name), mean))
        if place in named:
            side = "start" if _number(left) < 10 else "end" if _number(left) > 90 else "middle"
            label = '<text class="tick" x="{}" y="100%" dy="15" text-anchor="{}">{}</text>'
            drawn.append(Markup(label).format(left, side, clip(visible(name), 12)))
    return _svg("curve trend", drawn, words)


def reliability(
    base: Sequence[tuple[float, float]], tuned: Sequence[tuple[float, float]], words: str
) -> Markup:
    """Draw shares of right choices over confidence, both in [0, 1], for two arms."""
    unit = Axis(0.0, 1.0)
    drawn = [_grid(unit, value, horizontal=False) for value in (0.25, 0.5, 0.75)]
    drawn.append(_path([(0.0, 0.0), (1.0, 1.0)], unit, unit, "ideal"))
    for points, css in ((base, "base-line"), (tuned, "tuned-line")):
        drawn.append(_path(points, unit, unit, css))
        dot = '<circle class="{}" cx="{}" cy="{}" r="3"/>'
        drawn += [Markup(dot).format(css, unit.at(a), _flip(unit.at(b))) for a, b in points]
    return _svg("curve reliability", drawn, words)


def _path(points: Sequence[tuple[float, float]], x: Axis, y: Axis, css: str) -> Markup:
    """Draw a line that scales with the chart while its stroke width stays."""
    places = " ".join(f"{x.at(a)[:-1]},{_flip(y.at(b))[:-1]}" for a, b in points)
    frame = (
        '<svg viewBox="0 0 100 100" preserveAspectRatio="none" width="100%" height="100%">'
        '<polyline class="{}" vector-effect="non-scaling-stroke" points="{}"/></svg>'
    )
    return Markup(frame).format(css, places) if points else Markup("")


def _even(high: float) -> list[float]:
    step = next((s for s in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0) if high / s <= 5), high / 4)
    return [step * index for index in range(1, int(high / step) + 1)]


def _grid(axis: Axis, value: float, *, horizontal: bool) -> Markup:
    text = f"{value * 100:g}"
    if horizontal:
        place = axis.at(value)
        side = (-3, "end") if _number(place) > 90 else (3, "start")
        return Markup(
            '<line class="grid" x1="{0}" x2="{0}" y1="0" y2="100%"/>'
            '<text class="tick" x="{0}" y="100%" dy="-4" dx="{2}" text-anchor="{3}">{1}</text>'
        ).format(place, text, *side)
    return Markup(
        '<line class="grid" x1="0" x2="100%" y1="{0}" y2="{0}"/>'
        '<text class="tick" x="0" y="{0}" dy="-4" dx="3">{1}</text>'
    ).format(_flip(axis.at(value)), text if value else "")


def _number(position: str) -> float:
    return float(position[:-1])


def _flip(position: str) -> str:
    return f"{100 - _number(position):.2f}%"


def _rect(css: str, start: str, end: str) -> Markup:
    width = _number(end) - _number(start)
    return Markup('<rect class="{}" x="{}" width="{:.2f}%" height="100%"/>').format(
        css, start, width
    )


def _svg(css: str, parts: Sequence[Markup], words: str) -> Markup:
    inner = Markup("").join(parts)
    frame = Markup('<svg class="{}" role="img" aria-label="{}">{}</svg>')
    return frame.format(css, escape(visible(words)), inner)
