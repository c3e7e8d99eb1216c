"""The tables of a page: held-out sets, what stood out, data, geometry, speed, and the estimate beside what it took."""

import math
from collections.abc import Iterable, Sequence

from cloudcpt.plan.plan import Source
from cloudcpt.report.collect import RunEvent, RunReport
from cloudcpt.report.markup import Html, join, tag
from cloudcpt.report.numbers import cost_usd, peak_memory_bytes, realised_mix
from cloudcpt.report.sources import CountedSource
from cloudcpt.report.speed import speed_of
from cloudcpt.report.verdict import change
from cloudcpt.report.words import compact, count, duration, flops, percent, perplexity, size, usd
from cloudcpt.wire import EVALUATION_SETS, Evaluation, Finding

MOST_STOOD_OUT = 20
"""Spikes and skipped steps that the page shows."""


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, numbers_from: int = 1) -> Html:
    """Write a table.

    Args:
        headers: One per column.
        rows: One cell per header.
        numbers_from: First column that holds numbers, which are aligned to the right.
    """

    def cells(kind: str, row: Sequence[str]) -> list[Html]:
        return [tag(kind, cell, class_="number" if at >= numbers_from else None) for at, cell in enumerate(row)]

    head = tag("thead", tag("tr", *cells("th", headers)))
    body = tag("tbody", *(tag("tr", *cells("td", row)) for row in rows))
    return tag("div", tag("table", head, body), class_="scroll")


def pairs(rows: Iterable[tuple[str, str]]) -> Html:
    """Write names and values in two columns."""
    return tag("dl", *(join(tag("dt", name), tag("dd", value)) for name, value in rows))


def held_out_table(report: RunReport) -> Html:
    """Show both held-out sets before and after, in loss and perplexity."""
    rows = []
    for name in EVALUATION_SETS:
        if found := change(report, name):
            before, after = found.before, found.after
            rows.append(
                (
                    name,
                    perplexity(before.perplexity),
                    perplexity(after.perplexity),
                    f"{found.percent:+.1f}%",
                    f"{before.loss:.4f}",
                    f"{after.loss:.4f}",
                    f"{found.nats:+.4f}",
                    _bits(before),
                    _bits(after),
                    count(after.step),
                )
            )
    if not rows:
        return Html("")
    headers = ("held-out set", "perplexity before", "after", "change", "loss before", "after", "change")
    return table((*headers, "bits per byte before", "after", "at step"), rows)


def _bits(point: Evaluation) -> str:
    return "" if point.bits_per_byte is None else f"{point.bits_per_byte:.4f}"


def stood_out_table(report: RunReport) -> Html:
    """List the spikes and the skipped steps with the dataset lines of their batches."""
    events = report.findings(Finding.SPIKE, Finding.SKIPPED_STEP)
    if not events:
        return Html("")
    rest = len(events) - MOST_STOOD_OUT
    headers = ("step", "what", "its batch begins with", "loss", "usually", "gradient norm", "usually")
    listed = table(headers, [_stood_out(event) for event in events[:MOST_STOOD_OUT]], numbers_from=3)
    return join(listed, tag("p", f"and {rest:,} more in the JSON numbers", class_="none") if rest > 0 else Html(""))


def _stood_out(event: RunEvent) -> tuple[str, ...]:
    names = ("loss", "usual_loss", "grad_norm", "usual_grad_norm")
    numbers = [event.numbers.get(name, math.nan) for name in names]
    if event.name == Finding.SPIKE:
        return (count(event.step), "spike", ", ".join(event.places), *map(compact, numbers))
    shown = [compact(numbers[0]), "", compact(numbers[2]), ""]
    return (count(event.step), "left out", ", ".join(event.places), *shown)


def mix_bars(report: RunReport) -> Html:
    """Draw the share of the training tokens that each source should have, and had as far as the run said."""
    rows = []
    for number, (source, realised) in enumerate(realised_mix(report)):
        colour = f"c{number % 4 + 1}"
        bars = [_bar("requested", source.weight, colour)]
        if math.isfinite(realised):
            bars.append(_bar("realised", realised, colour))
        rows += [tag("span", source.name), tag("div", *bars)]
    return tag("div", *rows, class_="mix")


def _bar(name: str, share: float, colour: str) -> Html:
    filled = tag("i", class_=colour, style=f"width:{min(max(share, 0), 1) * 60:.2f}%")
    return tag("div", filled, tag("span", f"{name} {percent(share)}"), class_="bar")


def data_table(report: RunReport) -> Html:
    """Show every source: what it holds, what packing costs, and how often it was gone over as far as the run said."""
    headers = ["source", "role", "files", "size", "documents", "tokens", "rows"]
    headers += ["documents cut", "tokens in them", "padding"]
    rows = [_source_cells(source, report.sources[source.channel]) for source in report.plan.sources]
    if report.trained_tokens:
        headers.append("passes")
        rows = [[*row, _passes(report, source)] for row, source in zip(rows, report.plan.sources, strict=True)]
    return table(headers, rows, numbers_from=2)


def _source_cells(source: Source, counted: CountedSource) -> list[str]:
    about = "" if counted.exact else "about "
    return [
        source.name,
        source.role.replace("_", " "),
        count(len(source.files)),
        size(sum(file.size_bytes for file in source.files)),
        count(counted.documents),
        f"{about}{count(counted.tokens)}",
        f"{about}{count(counted.rows)}",
        f"{about}{count(counted.cut_documents)}",
        f"{about}{percent(counted.cut_tokens / counted.tokens)}" if counted.tokens else "",
        f"{about}{percent(counted.padding_share)}",
    ]


def _passes(report: RunReport, source: Source) -> str:
    trained, whole = report.trained_tokens.get(source.channel), report.sources[source.channel].tokens
    return f"{trained / whole:.2f}" if trained is not None and whole else ""


def geometry_table(report: RunReport) -> Html:
    """Show rows, batches, steps and the schedule."""
    geometry, schedule, optimizer = report.plan.geometry, report.plan.schedule, report.plan.optimizer
    lora = report.plan.lora
    method = f"LoRA, rank {lora.rank}, alpha {lora.alpha:g}" if lora else "all weights"
    return pairs(
        [
            ("steps", f"{count(geometry.steps)}, set by {geometry.bound}"),
            ("row", f"{count(geometry.seq_len_tokens)} tokens, packed {geometry.packing.replace('_', ' ')}"),
            (
                "global batch",
                f"{count(geometry.global_batch_rows)} rows: {report.plan.world.size} x {geometry.micro_batch_rows} "
                f"x {geometry.accumulation} (processes, rows at a time, accumulated)",
            ),
            ("trained", f"{count(geometry.train_rows)} rows, {count(geometry.train_tokens)} tokens"),
            ("passes over the domain", f"{geometry.epochs:.2f}"),
            (
                "learning rate",
                f"{schedule.name}: {compact(schedule.lr)} after {schedule.warmup_steps} warm-up steps, "
                f"down to {compact(schedule.min_lr)}"
                + (f", {schedule.constant_steps} constant steps" if schedule.constant_steps else ""),
            ),
            (
                "optimizer",
                f"{'AdamW' if optimizer.adam_w_mode else 'Adam with L2'}, betas {optimizer.beta1:g} and "
                f"{optimizer.beta2:g}, weight decay {optimizer.weight_decay:g}, clip {optimizer.max_grad_norm:g}",
            ),
            ("trained weights", method),
            ("compute", f"{report.plan.world.compute_dtype} on {report.plan.world.device}"),
        ]
    )


def speed_table(report: RunReport) -> Html:
    """Show how fast the run was and how well it used its devices; what was not measured is left out."""
    speed = speed_of(report)
    rows = (
        ("tokens per second, all processes", speed.tokens_per_s, count),
        ("tokens per second, one process", speed.tokens_per_s_per_process, count),
        ("model FLOP/s, full: 6 N + 12 L H Q T a token", speed.flops_per_s_full, flops),
        ("model FLOP/s, document: causal, within documents", speed.flops_per_s_document, flops),
        ("MFU, full", speed.mfu_full, percent),
        ("MFU, document", speed.mfu_document, percent),
        ("waiting for data", speed.data_wait_share, percent),
        ("GPU utilisation, first process", speed.gpu_utilisation, percent),
        ("GPU memory taken, first process, at most", speed.gpu_memory_utilisation, percent),
        ("main memory, first process, at most", speed.host_memory_bytes, size),
    )
    shown = [(name, write(number)) for name, number, write in rows if math.isfinite(number)]
    remarks = [event.message for event in report.events if event.name == "gauges"]
    if not shown:
        return Html("")
    note = "Medians of the lines after the first, which holds the start"
    return join(pairs(shown), *(tag("p", words, class_="source") for words in (note, *remarks[:1])))


def cost_table(report: RunReport) -> Html:
    """Set what the plan expected beside what it took."""
    estimate, memory, world = report.plan.estimate, report.plan.memory, report.plan.world
    hours = f"{duration(estimate.hours_low * 3600)} to {duration(estimate.hours_high * 3600)}"
    rows = [("time", duration(estimate.hours * 3600), hours, duration(report.seconds))]
    if estimate.usd_per_instance_hour:
        dollars = f"{usd(estimate.usd_low)} to {usd(estimate.usd_high)}"
        rows.append(("cost", usd(estimate.usd), dollars, usd(cost_usd(report))))
    capacity = f"of {size(memory.capacity_bytes)}" if memory.capacity_bytes else ""
    expected = size(memory.total_bytes) if memory.total_bytes else "not estimated"
    rows.append((f"memory of one process ({world.device})", expected, capacity, size(peak_memory_bytes(report))))
    notes = [f"Time: {estimate.time_source}", f"Price: {estimate.price_source}"]
    terms = [(term.name, size(term.size_bytes)) for term in memory.terms]
    return join(
        table(("", "estimate", "interval", "real"), rows),
        *(tag("p", note, class_="source") for note in notes),
        table(("memory estimate by term", "size"), terms) if terms else Html(""),
    )
