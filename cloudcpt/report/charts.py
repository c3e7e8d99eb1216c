"""Which curves a page shows, and against what."""

import math

from cloudcpt.report.collect import RunReport
from cloudcpt.report.markup import Html, join, tag
from cloudcpt.report.svg import Series, legend, line_chart
from cloudcpt.report.words import compact, percent
from cloudcpt.wire import EVALUATION_SETS

_COLOURS = {"domain": "c1", "general": "c2"}


def training_charts(report: RunReport) -> Html:
    """Draw loss, learning rate and gradient norm one above another, over the same steps."""
    steps = _steps(report)
    trained = Series(name="training", colour="c3", points=[(point.step, point.loss) for point in report.steps])
    held_out = [
        Series(
            name=f"held-out {name}",
            colour=_COLOURS[name],
            points=[(point.step, point.loss) for point in report.curve(name)],
            is_marked=True,
        )
        for name in EVALUATION_SETS
        if report.curve(name)
    ]
    rate = Series(name="learning rate", colour="c4", points=[(point.step, point.lr) for point in report.steps])
    norm = Series(name="gradient norm", colour="c4", points=[(point.step, point.grad_norm) for point in report.steps])
    return join(
        legend([trained, *held_out]),
        line_chart([trained, *held_out], label="loss, nats per token", steps=steps, height=280, has_step_axis=False),
        line_chart([rate], label="learning rate", steps=steps, height=112, floor=0, has_step_axis=False),
        line_chart([norm], label="gradient norm before clipping", steps=steps, height=138, floor=0),
    )


def evaluation_chart(report: RunReport) -> Html:
    """Draw how far each held-out set has moved from where it was at step 0: below the line is better."""
    series = []
    for name in EVALUATION_SETS:
        before = report.before(name)
        if before is not None and math.isfinite(before.loss):
            moved = [(point.step, point.loss - before.loss) for point in report.curve(name)]
            series.append(Series(name=name, colour=_COLOURS[name], points=moved, is_marked=True))
    if not series:
        return tag("p", "No held-out set was measured before the first step", class_="none")
    chart = line_chart(
        series, label="change of loss since step 0, nats per token", steps=_steps(report), height=220, floor=0
    )
    return join(legend(series), chart)


def throughput_charts(report: RunReport) -> Html:
    """Draw tokens per second, and the share of the time that went into waiting for data."""
    steps = _steps(report)
    speed = Series(name="tokens per second", colour="c3", points=[(p.step, p.tokens_per_s) for p in report.steps])
    wait = Series(name="data wait", colour="c4", points=[(p.step, p.data_wait_share) for p in report.steps])
    return join(
        line_chart(
            [speed], label="tokens per second, all processes", steps=steps, height=150, floor=0, has_step_axis=False
        ),
        line_chart([wait], label="share of time waiting for data", steps=steps, height=112, floor=0, write=_percent),
    )


def _percent(share: float) -> str:
    return percent(share) if 0 < share < 0.1 else f"{compact(share * 100)}%"


def _steps(report: RunReport) -> tuple[float, float]:
    return 0, max(report.steps_done, 1)
