"""The models that a run kept on the way, each with what was measured at its step; the final one is the last row."""

from collections.abc import Iterator

from cloudcpt.report.collect import RunReport
from cloudcpt.report.markup import Html
from cloudcpt.report.tables import table
from cloudcpt.report.words import count, perplexity
from cloudcpt.wire import CHECKPOINT_EVENT, EVALUATION_SETS


def kept_steps(report: RunReport) -> tuple[int, ...]:
    """List the steps of the checkpoints that are left, first to last, without the final model."""
    written = sorted({event.step for event in report.events if event.name == CHECKPOINT_EVENT})
    keep_last = report.plan.checkpoints.keep_last
    return tuple(written[-keep_last:] if keep_last else written)


def checkpoint_table(report: RunReport) -> Html:
    """Show what each kept model was measured to be; nothing when none was kept."""
    steps = kept_steps(report)
    if not steps:
        return Html("")
    if report.outcome == "completed":
        steps = (*steps, report.plan.geometry.steps)
    best = _best_step(report, steps)
    rows = [
        [_named(report, step), *_cells(report, step), "lowest on the domain" if step == best else ""] for step in steps
    ]
    return table(["model after step", *(f"{name} perplexity" for name in EVALUATION_SETS), ""], rows)


def _named(report: RunReport, step: int) -> str:
    return f"{count(step)}, the final one" if step == report.plan.geometry.steps else count(step)


def _cells(report: RunReport, step: int) -> Iterator[str]:
    for name in EVALUATION_SETS:
        at_step = [one for one in report.evaluations if (one.set_name, one.step) == (name, step)]
        yield perplexity(at_step[-1].perplexity) if at_step else "not measured at this step"


def _best_step(report: RunReport, steps: tuple[int, ...]) -> int | None:
    """Find the step with the lowest domain loss among several that were measured."""
    losses = {one.step: one.loss for one in report.evaluations if one.set_name == "domain" and one.step in steps}
    return min(losses, key=lambda step: losses[step]) if len(losses) > 1 else None
