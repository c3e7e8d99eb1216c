"""The numbers of a report as one JSON document: every picture of the page, to compute with."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cloudcpt.plan.plan import Source
from cloudcpt.report.collect import RunReport, step_seconds
from cloudcpt.report.course import course_words, is_diverging, skipped_steps, spikes
from cloudcpt.report.speed import speed_of
from cloudcpt.report.verdict import Change, change, give_verdict
from cloudcpt.wire import SCHEMA_VERSION


def report_numbers(report: RunReport) -> dict[str, Any]:
    """Write a report as plain JSON values; a number that is not finite or not known is None."""
    plan = report.plan
    domain, general = change(report, "domain"), change(report, "general")
    document = {
        "schema_version": SCHEMA_VERSION,
        "job_name": plan.job_name,
        "plan_hash": plan.hash,
        "outcome": report.outcome,
        "failure": asdict(report.failure) if report.failure else None,
        "verdict": asdict(give_verdict(report)),
        "domain": _change(domain),
        "general": _change(general),
        "forgetting_nats": general.nats if general else None,
        "started_at": report.started_at,
        "seconds": report.seconds,
        "steps_done": report.steps_done,
        "steps_planned": plan.geometry.steps,
        "tokens_per_s": mean_tokens_per_s(report),
        "memory_bytes": peak_memory_bytes(report),
        "speed": asdict(speed_of(report)),
        "course": {
            "words": list(course_words(report)),
            "is_diverging": is_diverging(report),
            "spikes": spikes(report),
            "skipped_steps": skipped_steps(report),
        },
        "usd": cost_usd(report),
        "estimate": asdict(plan.estimate),
        "geometry": asdict(plan.geometry),
        "schedule": asdict(plan.schedule),
        "mix": [_share(report, source, share) for source, share in realised_mix(report)],
        "sources": {channel: asdict(counted) for channel, counted in report.sources.items()},
        "steps": [asdict(point) for point in report.steps],
        "evaluations": [asdict(point) for point in report.evaluations],
        "samples": [asdict(sample) for sample in report.samples],
        "events": [asdict(event) for event in report.events],
        "model": {"files": [asdict(file) for file in report.model_files], "faults": list(report.model_faults)},
        "remarks": list(report.remarks),
    }
    plain = _plain(document)
    assert isinstance(plain, dict)
    return plain


def mean_tokens_per_s(report: RunReport) -> float:
    """Divide the trained tokens by the time of the steps alone, evaluation and export left out; NaN before a step."""
    seconds = step_seconds(report.steps)
    return report.steps[-1].tokens / seconds if seconds > 0 else math.nan


def peak_memory_bytes(report: RunReport) -> float:
    """Give the highest memory that rank 0 reported; NaN when it reported none."""
    return max((point.memory_bytes for point in report.steps if point.memory_bytes > 0), default=math.nan)


def cost_usd(report: RunReport) -> float:
    """Price the run's own seconds on all nodes; start-up and upload of a cloud job are not in them."""
    return report.seconds / 3600 * report.plan.estimate.usd_per_instance_hour * report.plan.world.nodes


def realised_mix(report: RunReport) -> tuple[tuple[Source, float], ...]:
    """Pair each training source with its share of the trained tokens; NaN when the run did not say."""
    total = sum(report.trained_tokens.values())
    return tuple(
        (source, report.trained_tokens.get(source.channel, 0) / total if total else math.nan)
        for source in report.plan.sources_of("train", "replay")
    )


def _share(report: RunReport, source: Source, realised: float) -> dict[str, object]:
    trained, whole = report.trained_tokens.get(source.channel), report.sources[source.channel].tokens
    return {
        "name": source.name,
        "role": source.role,
        "documents": source.documents,
        "tokens": source.tokens,
        "rows": source.rows,
        "requested_share": source.weight,
        "realised_share": realised,
        "passes": trained / whole if trained is not None and whole else math.nan,
    }


def _change(found: Change | None) -> dict[str, object] | None:
    if found is None:
        return None
    return {
        "perplexity_before": found.before.perplexity,
        "perplexity_after": found.after.perplexity,
        "loss_before": found.before.loss,
        "loss_after": found.after.loss,
        "step_after": found.after.step,
        "change_nats": found.nats,
        "change_percent": found.percent,
        "bits_per_byte_before": found.before.bits_per_byte,
        "bits_per_byte_after": found.after.bits_per_byte,
    }


def _plain(value: object) -> object:
    """Replace what JSON cannot write: NaN and infinity by None, tuples by lists."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
