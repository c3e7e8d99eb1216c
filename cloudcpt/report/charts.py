"""Which curves a page shows, and against what."""

import math
from collections.abc import Callable, Sequence

from cloudcpt.report.collect import RunReport
from cloudcpt.report.markup import Html, join, tag
from cloudcpt.report.svg import Series, legend, line_chart
from cloudcpt.report.words import compact, percent
from cloudcpt.wire import EVALUATION_SETS, Finding

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
    spikes = Series(
        name="spikes",
        colour="c5",
        points=[(event.step, event.numbers.get("loss", math.nan)) for event in report.findings(Finding.SPIKE)],
        is_marked=True,
        is_joined=False,
    )
    lines = [trained, *held_out, *([spikes] if spikes.points else [])]
    rate = Series(name="learning rate", colour="c4", points=[(point.step, point.lr) for point in report.steps])
    norm = Series(name="gradient norm", colour="c4", points=[(point.step, point.grad_norm) for point in report.steps])
    return join(
        legend(lines),
        line_chart(lines, label="loss, nats per token", steps=steps, height=280, has_step_axis=False),
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
    """Draw tokens per second, what the devices made of it, and the time that went into waiting for data."""
    steps = _steps(report)
    speed = Series(name="tokens per second", colour="c3", points=[(p.step, p.tokens_per_s) for p in report.steps])
    wait = Series(name="data wait", colour="c4", points=[(p.step, p.data_wait_share) for p in report.steps])
    return join(
        line_chart(
            [speed], label="tokens per second, all processes", steps=steps, height=150, floor=0, has_step_axis=False
        ),
        _utilisation(report),
        line_chart([wait], label="share of time waiting for data", steps=steps, height=112, floor=0, write=_percent),
    )


def _utilisation(report: RunReport) -> Html:
    """Draw MFU, or model FLOP/s where there is no peak to divide by, and the GPU as its driver saw it."""
    mfu = [
        Series(name="MFU, full", colour="c1", points=[(p.step, p.mfu_full) for p in report.steps]),
        Series(name="MFU, document", colour="c2", points=[(p.step, p.mfu_document) for p in report.steps]),
    ]
    gpu = [
        Series(name="GPU busy", colour="c1", points=[(p.step, p.gpu_utilisation) for p in report.steps]),
        Series(name="GPU memory taken", colour="c4", points=[(p.step, p.gpu_memory_utilisation) for p in report.steps]),
    ]
    made_of_it = _layer(report, mfu, "model FLOPs utilisation", _percent) if _has_numbers(mfu) else _model_flops(report)
    return join(made_of_it, _layer(report, gpu, "GPU of the first process", _percent))


def _model_flops(report: RunReport) -> Html:
    top = max((p.flops_per_s_full for p in report.steps if math.isfinite(p.flops_per_s_full)), default=0.0)
    scale, unit = (1e12, "TFLOP/s") if top >= 1e12 else (1e9, "GFLOP/s")
    full = [(p.step, p.flops_per_s_full / scale) for p in report.steps]
    document = [(p.step, p.flops_per_s_document / scale) for p in report.steps]
    lines = [Series(name="full", colour="c1", points=full), Series(name="document", colour="c2", points=document)]
    return _layer(report, lines, f"model {unit}, all processes", compact)


def _layer(report: RunReport, lines: Sequence[Series], label: str, write: Callable[[float], str]) -> Html:
    """Draw one chart of a stack with its legend; nothing where nothing was measured."""
    if not _has_numbers(lines):
        return Html("")
    chart = line_chart(lines, label=label, steps=_steps(report), height=130, floor=0, has_step_axis=False, write=write)
    return join(legend(lines), chart)


def _has_numbers(lines: Sequence[Series]) -> bool:
    return any(math.isfinite(value) for line in lines for _, value in line.points)


def _percent(share: float) -> str:
    return percent(share) if 0 < share < 0.1 else f"{compact(share * 100)}%"


def _steps(report: RunReport) -> tuple[float, float]:
    return 0, max(report.steps_done, 1)
