"""Where a model comes from: plan, recipe, every input and output file with its hash."""

from collections.abc import Sequence

from cloudcpt.report.collect import RunReport
from cloudcpt.report.markup import Html, join, tag
from cloudcpt.report.tables import pairs, table
from cloudcpt.report.words import count, size

LONGEST_RECIPE = 64 * 1024
MOST_FILES = 200


def provenance(report: RunReport) -> Html:
    """List what went in and what came out, so that the run can be checked and repeated."""
    plan = report.plan
    inputs = [
        (f"{channel}/{file.name}", size(file.size_bytes), file.blake3)
        for channel, files in [("model", plan.model.files), *((found.channel, found.files) for found in plan.sources)]
        for file in files
    ]
    outputs = [(file.name, size(file.size_bytes), file.sha256) for file in report.model_files]
    events = [(str(event.step), event.name, event.message) for event in report.events]
    return join(
        pairs(
            [
                ("job", plan.job_name),
                ("plan", f"{plan.hash} (BLAKE3)"),
                ("recipe", f"{plan.recipe_path}, {plan.recipe_blake3} (BLAKE3)"),
                ("made by", plan.made_by),
                ("seed", str(plan.seed)),
                ("base model", f"{plan.model.architecture or plan.model.model_type}, {_parameters(report)}"),
                *([("staged from", plan.model.origin.shown)] if plan.model.origin else []),
                ("started", report.started_at or "never"),
            ]
        ),
        _files("Model files, every hash checked for this report", ("file", "size", "SHA-256"), outputs),
        _files("Input files", ("file", "size", "BLAKE3"), inputs),
        _files("Events", ("step", "event", "message"), events),
        folded("Recipe, as it was read", tag("pre", plan.recipe_text[:LONGEST_RECIPE])),
    )


def folded(title: str, content: Html) -> Html:
    """Put something long behind its title."""
    return tag("details", tag("summary", title), content)


def _files(title: str, headers: tuple[str, str, str], rows: Sequence[tuple[str, str, str]]) -> Html:
    if not rows:
        return Html("")
    rest = len(rows) - MOST_FILES
    more = tag("p", f"and {rest:,} more in the plan and the manifest", class_="none") if rest > 0 else Html("")
    return folded(f"{title} ({len(rows):,})", join(table(headers, rows[:MOST_FILES], numbers_from=len(headers)), more))


def _parameters(report: RunReport) -> str:
    model = report.plan.model
    if not model.parameters:
        return "weights stay with the service"
    return f"{count(model.parameters)} parameters, {model.layers} layers, width {model.hidden_size}"
