"""`cloudcpt metrics [NAME]`: what a job measured, as curves in the terminal or as numbers."""

import math
from collections.abc import Callable, Sequence

import click

from cloudcpt.cli import render
from cloudcpt.cli.history import collect_run
from cloudcpt.cli.places import Places
from cloudcpt.cli.quantities import count
from cloudcpt.report.collect import RunReport, StepPoint
from cloudcpt.report.course import course_words
from cloudcpt.report.curve import braille_curve
from cloudcpt.wire import EVALUATION_SETS

WIDTH, HEIGHT = 60, 4

CURVES: tuple[tuple[str, Callable[[StepPoint], float], Callable[[float], str]], ...] = (
    ("loss", lambda point: point.loss, lambda value: f"{value:.3f}"),
    ("learning rate", lambda point: point.lr, lambda value: f"{value:.2e}"),
    ("gradient norm", lambda point: point.grad_norm, lambda value: f"{value:.3f}"),
    ("tokens/s", lambda point: point.tokens_per_s, lambda value: count(round(value))),
    ("MFU, full", lambda point: point.mfu_full, "{:.1%}".format),
    ("MFU, document", lambda point: point.mfu_document, "{:.1%}".format),
    ("data wait", lambda point: point.data_wait_share, "{:.1%}".format),
    ("GPU busy", lambda point: point.gpu_utilisation, "{:.0%}".format),
    ("GPU memory", lambda point: point.gpu_memory_utilisation, "{:.0%}".format),
)
"""What is drawn of the steps, if it was measured: a name, the number, and how it is written."""

ALWAYS = ("loss", "learning rate", "gradient norm", "tokens/s")
"""Curves whose absence is worth a word."""


@click.command()
@click.argument("name", required=False)
@render.output_option
@click.make_pass_decorator(Places, ensure=True)
def command(places: Places, name: str | None, output: str) -> None:
    """Show what the job NAME measured so far: loss, learning rate, speed, MFU, perplexities; without NAME, the newest.

    While a job runs in the cloud its numbers are read from its log.
    """
    name = places.find(name)
    run = collect_run(places, name)
    if output == "json":
        render.print_json({"name": name, "outcome": run.outcome, "steps": run.steps, "evaluations": run.evaluations})
    elif not run.steps and not run.evaluations:
        render.err().print(f"{name}: nothing was measured yet", style="faint")
    else:
        _show(name, run)


def _show(name: str, run: RunReport) -> None:
    out = render.out()
    if run.steps:
        first, last = run.steps[0].step, run.steps[-1].step
        out.print(f"{name}: {run.outcome}, step {first:,} to {last:,} of {run.plan.geometry.steps:,}", style="title")
    can_draw = out.encoding.lower().replace("-", "") == "utf8"
    for title, of_point, write in CURVES if run.steps else ():
        numbers = [of_point(point) for point in run.steps]
        if title not in ALWAYS and not any(map(math.isfinite, numbers)):
            continue
        out.print()
        out.print(f"{title:<14} {_words(numbers, write)}")
        for line in braille_curve(numbers, width=WIDTH, height=HEIGHT) if can_draw else ():
            out.print(f"  {line}")
    for set_name in EVALUATION_SETS:
        if curve := run.curve(set_name):
            out.print()
            words = " -> ".join(f"{point.perplexity:.2f}" for point in curve)
            out.print(f"{set_name + ' perplexity':<19} {words}")
            if all(point.bits_per_byte is not None for point in curve):
                out.print(f"{'  bits per byte':<19} {' -> '.join(f'{point.bits_per_byte:.3f}' for point in curve)}")
            out.print(f"{'  after step':<19} {' -> '.join(f'{point.step:,}' for point in curve)}")
    for sentence in course_words(run):
        out.print()
        out.print(sentence)


def _words(numbers: Sequence[float], write: Callable[[float], str]) -> str:
    """Say first, last, lowest and highest of those numbers that are numbers."""
    finite = [number for number in numbers if math.isfinite(number)]
    if not finite:
        return "not a number"
    return f"{write(finite[0])} -> {write(finite[-1])}, lowest {write(min(finite))}, highest {write(max(finite))}"
