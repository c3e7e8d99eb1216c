"""Line charts as inline SVG: no script, no image, colours from the page's style sheet so that they follow its theme.

+--------------------------------------+
| y label                              |   The plot is WIDTH x height units, scaled to the page by the browser.
| 4 |---------- grid ------------------|   A line is broken where a number is not finite. Long curves are thinned
| 2 |_________  ________________       |   to the extremes of each stretch, so that a spike is never averaged away.
|   0    50   100   150   200          |
+--------------------------------------+
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cloudcpt.report.markup import Html, join, tag
from cloudcpt.report.words import compact

WIDTH = 880
LEFT, RIGHT, TOP, BOTTOM = 66, 14, 22, 26
MOST_POINTS = 400

Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One line of a chart.

    Args:
        name: For the legend and the tooltips.
        colour: Class of the style sheet, `c1` to `c5`; each line has its own dash too, for eyes that see fewer colours.
        points: (step, value) in order of steps.
        is_marked: Draw each point; for the few of an evaluation.
        is_joined: Draw the line between the points.
    """

    name: str
    colour: str
    points: Sequence[Point]
    is_marked: bool = False
    is_joined: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """Where values are on the paper.

    Args:
        first: Leftmost step.
        last: Rightmost step.
        low: Value at the bottom.
        high: Value at the top.
        height: Of the whole drawing.
        bottom: Room below the plot.
    """

    first: float
    last: float
    low: float
    high: float
    height: float
    bottom: float

    def x(self, step: float) -> float:
        """Place a step."""
        return LEFT + (step - self.first) / (self.last - self.first) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Place a value."""
        return TOP + (self.high - value) / (self.high - self.low) * (self.height - TOP - self.bottom)


def line_chart(
    series: Sequence[Series],
    *,
    label: str,
    steps: tuple[float, float],
    height: float,
    floor: float | None = None,
    has_step_axis: bool = True,
    write: Callable[[float], str] = compact,
) -> Html:
    """Draw lines over a common step axis.

    Args:
        series: At least one; those without a finite point are left out.
        label: What the values are, with their unit.
        steps: Ends of the axis, so that charts one above another line up.
        height: In units of which the width is `WIDTH`.
        floor: A value that must be on the paper, such as 0.
        has_step_axis: Write the steps below; a chart in a stack leaves that to the lowest.
        write: How to write a value.
    """
    values = [y for line in series for _, y in line.points if math.isfinite(y)]
    if not values:
        return tag("p", f"{label}: no numbers", class_="none")
    low, high = _range(values, floor)
    first, last = steps if steps[0] < steps[1] else (steps[0], steps[0] + 1)
    frame = Frame(
        first=first, last=last, low=low, high=high, height=height, bottom=BOTTOM if has_step_axis else TOP / 2
    )
    return tag(
        "svg",
        _value_axis(frame, label, write, floor),
        _step_axis(frame) if has_step_axis else Html(""),
        *(_line(frame, line, write) for line in series),
        viewBox=f"0 0 {WIDTH} {height:g}",
        role="img",
        aria_label=f"{label}: {', '.join(line.name for line in series)}",
    )


def legend(series: Sequence[Series]) -> Html:
    """Name the lines of a chart, each beside a piece of it."""
    return tag(
        "p",
        *(
            tag(
                "span",
                tag("svg", _sample(line), viewBox="0 0 26 10"),
                line.name,
            )
            for line in series
        ),
        class_="legend",
    )


def _sample(line: Series) -> Html:
    """Draw a piece of a line, or one of its points."""
    if not line.is_joined:
        return tag("circle", cx=13, cy=5, r=4, class_=f"dot {line.colour}")
    return tag("line", x1=0, y1=5, x2=26, y2=5, class_=f"curve {line.colour}")


def ticks(low: float, high: float, most: int) -> list[float]:
    """Pick round numbers between two values: multiples of 1, 2 or 5 times a power of ten.

    Args:
        low: Smallest.
        high: Largest, above `low`.
        most: How many at most, 2 or more.
    """
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10, 20) if factor * power >= rough)
    return [number * step for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """Keep the lowest and the highest point of each stretch, and the ends."""
    if len(points) <= most:
        return list(points)
    stretches = most // 2
    kept = {0, len(points) - 1}
    for number in range(stretches):
        stretch = range(number * len(points) // stretches, (number + 1) * len(points) // stretches)
        finite = [at for at in stretch if math.isfinite(points[at][1])]
        if len(finite) < len(stretch):
            kept.add(next(at for at in stretch if at not in set(finite)))  # the gap stays visible
        if finite:
            kept |= {min(finite, key=lambda at: points[at][1]), max(finite, key=lambda at: points[at][1])}
    return [points[at] for at in sorted(kept)]


def _range(values: Sequence[float], floor: float | None) -> tuple[float, float]:
    """Choose the ends of the value axis: all values, the floor, and a little air."""
    low, high = min(values), max(values)
    if floor is not None:
        low, high = min(low, floor), max(high, floor)
    largest = max(abs(low), abs(high))
    is_flat = high - low <= 1e-9 * largest or largest < 1e-200  # too close for digits on an axis
    room = (largest * 0.1 if largest >= 1e-200 else 1.0) if is_flat else (high - low) * 0.06
    return (low if low == floor else low - room), (high if high == floor and low < high else high + room)


def _value_axis(frame: Frame, label: str, write: Callable[[float], str], floor: float | None) -> Html:
    most = max(3, int(frame.height // 45))
    parts = [tag("text", label, x=0, y=12, class_="label")]
    for value in ticks(frame.low, frame.high, most):
        y = f"{frame.y(value):.1f}"
        is_base = value == floor
        parts.append(tag("line", x1=LEFT, y1=y, x2=WIDTH - RIGHT, y2=y, class_="base" if is_base else "grid"))
        parts.append(tag("text", write(value), x=LEFT - 8, y=y, dy="0.32em", text_anchor="end"))
    return join(*parts)


def _step_axis(frame: Frame) -> Html:
    y = frame.height - 6
    marks = [step for step in ticks(frame.first, frame.last, 8) if step == int(step)]
    texts = [tag("text", compact(step), x=f"{frame.x(step):.1f}", y=y, text_anchor="middle") for step in marks]
    return join(*texts, tag("text", "step", x=0, y=y, class_="label"))


def _line(frame: Frame, line: Series, write: Callable[[float], str]) -> Html:
    points = thinned(line.points)
    finite = [(frame.x(step), frame.y(value), step, value) for step, value in points if math.isfinite(value)]
    if not finite:
        return Html("")
    dots = [
        tag(
            "circle",
            tag("title", f"{line.name}, step {compact(step)}: {write(value)}"),
            cx=f"{x:.1f}",
            cy=f"{y:.1f}",
            r=4 if line.is_marked or len(finite) == 1 else 5,
            class_=f"{'dot' if line.is_marked or len(finite) == 1 else 'hover'} {line.colour}",
        )
        for x, y, step, value in finite
    ]
    path = tag("path", d=_path(frame, points), class_=f"curve {line.colour}") if line.is_joined else Html("")
    return join(path, *dots)


def _path(frame: Frame, points: Sequence[Point]) -> str:
    """Write the line's path; the pen is lifted where a number is not finite."""
    drawn, is_down = [], False
    for step, value in points:
        if math.isfinite(value):
            drawn.append(f"{'L' if is_down else 'M'}{frame.x(step):.1f} {frame.y(value):.1f}")
        is_down = math.isfinite(value)
    return "".join(drawn)
