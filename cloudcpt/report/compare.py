"""Two runs side by side on one page: what each learned and forgot, their curves on common axes, and how they differ."""

import difflib
import math
from typing import Any

from cloudcpt.report.collect import RunReport
from cloudcpt.report.course import skipped_steps, spikes
from cloudcpt.report.html import header, page, section
from cloudcpt.report.markup import Html, join, tag
from cloudcpt.report.numbers import mean_tokens_per_s, report_numbers
from cloudcpt.report.speed import scaling_efficiency, speed_of
from cloudcpt.report.svg import Series, legend, line_chart
from cloudcpt.report.tables import table
from cloudcpt.report.verdict import Change, change
from cloudcpt.report.words import count, duration, percent, perplexity
from cloudcpt.wire import EVALUATION_SETS, SCHEMA_VERSION

_COLOURS = ("c1", "c2")


def render_comparison(first: RunReport, second: RunReport) -> str:
    """Write the page of two runs.

    Args:
        first: On the left, and the blue line.
        second: On the right, and the dashed orange line.
    """
    runs = (first, second)
    body = join(
        tag("div", *(header(run) for run in runs), class_="runs"),
        section("Held-out text", *(_moved(runs, name) for name in EVALUATION_SETS)),
        section("Training loss", _training(runs)),
        section("Side by side", table(("", *(run.plan.name for run in runs)), _rows(runs))),
        section("What differs in the recipe", _recipe_difference(first, second)),
    )
    return page(f"{first.plan.name} against {second.plan.name}", body, class_="wide")


def comparison_numbers(first: RunReport, second: RunReport) -> dict[str, Any]:
    """Write the numbers of both runs as one JSON document."""
    return {"schema_version": SCHEMA_VERSION, "runs": [report_numbers(first), report_numbers(second)]}


def _moved(runs: tuple[RunReport, RunReport], set_name: str) -> Html:
    """Draw how far one held-out set moved from step 0 in both runs."""
    lines = []
    for run, colour in zip(runs, _COLOURS, strict=True):
        before = run.before(set_name)
        start = before.loss if before else math.nan
        points = [(point.step, point.loss - start) for point in run.curve(set_name)]
        lines.append(Series(name=run.plan.name, colour=colour, points=points, is_marked=True))
    label = f"held-out {set_name}: change of loss since step 0, nats per token"
    return join(legend(lines), line_chart(lines, label=label, steps=_steps(runs), height=220, floor=0))


def _training(runs: tuple[RunReport, RunReport]) -> Html:
    lines = [
        Series(name=run.plan.name, colour=colour, points=[(point.step, point.loss) for point in run.steps])
        for run, colour in zip(runs, _COLOURS, strict=True)
    ]
    return join(legend(lines), line_chart(lines, label="loss, nats per token", steps=_steps(runs), height=240))


def _steps(runs: tuple[RunReport, RunReport]) -> tuple[float, float]:
    return 0, max(1, *(run.steps_done for run in runs))


def _rows(runs: tuple[RunReport, RunReport]) -> list[tuple[str, str, str]]:
    rows = []
    for name in EVALUATION_SETS:
        found = [change(run, name) for run in runs]
        if any(found):
            moved = [
                f"{perplexity(one.before.perplexity)} → {perplexity(one.after.perplexity)} ({one.nats:+.3f} nats)"
                if one
                else "not measured"
                for one in found
            ]
            rows.append((f"{name} perplexity", moved[0], moved[1]))
            bits = [_bits(one) for one in found]
            if any(bits):
                rows.append((f"{name} bits per byte", bits[0], bits[1]))
    facts = {
        "steps": [f"{count(run.steps_done)} of {count(run.plan.geometry.steps)}" for run in runs],
        "tokens trained": [count(run.steps[-1].tokens if run.steps else 0) for run in runs],
        "passes over the domain": [f"{run.plan.geometry.epochs:.2f}" for run in runs],
        "replay share": [percent(sum(s.weight for s in run.plan.sources_of("replay"))) for run in runs],
        "spikes": [count(spikes(run)) for run in runs],
        "steps left out": [count(skipped_steps(run)) for run in runs],
        "tokens per second": [count(mean_tokens_per_s(run)) for run in runs],
        "tokens per second, one process": [count(speed_of(run).tokens_per_s_per_process) for run in runs],
        "MFU, full": [percent(speed_of(run).mfu_full) for run in runs],
        "time": [duration(run.seconds) for run in runs],
    }
    rows += [(name, values[0], values[1]) for name, values in facts.items()]
    processes = [run.plan.world.size for run in runs]
    devices = {(run.plan.world.device, run.plan.model.parameters) for run in runs}
    if processes[0] != processes[1] and len(devices) == 1:
        worded = f"{percent(scaling_efficiency(*runs))} of linear, from {processes[0]} to {processes[1]} processes"
        rows.append(("scaling", "", worded))
    return rows


def _bits(found: Change | None) -> str:
    if found is None or found.before.bits_per_byte is None or found.after.bits_per_byte is None:
        return ""
    return f"{found.before.bits_per_byte:.4f} → {found.after.bits_per_byte:.4f}"


def _recipe_difference(first: RunReport, second: RunReport) -> Html:
    lines = difflib.unified_diff(
        first.plan.recipe_text.splitlines(),
        second.plan.recipe_text.splitlines(),
        first.plan.recipe_path,
        second.plan.recipe_path,
        n=2,
        lineterm="",
    )
    text = "\n".join(lines)
    return tag("pre", text) if text else tag("p", "Nothing", class_="none")
