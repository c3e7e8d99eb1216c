"""`cloudcpt report [NAME]`: what a run learned and forgot, as one HTML page or as JSON."""

from pathlib import Path

import click

from cloudcpt.cli import render
from cloudcpt.cli.history import collect_run
from cloudcpt.cli.places import Places
from cloudcpt.cli.save import save
from cloudcpt.report.collect import RunReport
from cloudcpt.report.compare import comparison_numbers, render_comparison
from cloudcpt.report.curve import braille_curve
from cloudcpt.report.html import render_html
from cloudcpt.report.numbers import report_numbers
from cloudcpt.report.verdict import give_verdict

CURVE_WIDTH, CURVE_HEIGHT = 60, 4


@click.command()
@click.argument("name", required=False)
@click.option("--against", metavar="NAME", help="Show a second job beside the first.")
@click.option("--to", type=click.Path(path_type=Path), metavar="FILE", help="Write the page here, not beside the job.")
@render.output_formats("html", "json")
@click.make_pass_decorator(Places, ensure=True)
def command(places: Places, name: str | None, against: str | None, to: Path | None, output: str) -> None:
    """Write the report of the job NAME and print where it is; without NAME, of the newest job.

    The page needs nothing but itself: curves, perplexities before and after, samples, data and mix, provenance. A job
    that is still going, failed or was stopped gets a report of what there is. `--output json` prints the same numbers.
    Of a job in the cloud its metrics and the manifest of its model are read, not its weights.
    """
    if to is not None and output == "json":
        raise click.UsageError("`--to` is for the page; JSON goes to stdout")
    names = [places.find(name), *([places.find(against)] if against else [])]
    runs = [collect_run(places, found) for found in names]
    if output == "json":
        render.print_json(comparison_numbers(*runs) if against else report_numbers(runs[0]))
        return
    beside = places.folder(names[0]) / (f"report-against-{names[1]}.html" if against else "report.html")
    for run in runs:
        _summarise(run)
    save(to or beside, render_comparison(*runs) if against else render_html(runs[0]))
    render.out().print(str(to or beside))


def _summarise(run: RunReport) -> None:
    """Say the verdict and draw the loss on stderr; stdout is for the path."""
    verdict = give_verdict(run)
    console = render.err()
    console.print(f"{run.plan.job_name}: {verdict.headline}", style="title")
    for sentence in verdict.sentences:
        console.print(f"  {sentence}")
    if run.steps and console.encoding.lower().replace("-", "") == "utf8":
        first, last = run.steps[0], run.steps[-1]
        console.print(f"  Training loss from {first.loss:.3f} to {last.loss:.3f}, step {first.step} to {last.step}")
        for line in braille_curve([point.loss for point in run.steps], width=CURVE_WIDTH, height=CURVE_HEIGHT):
            console.print(f"    {line}")
    console.print()
