"""One run as far as it has come: what its job folder says, read back without trusting any of it.

The trainer flushes each line of `metrics.jsonl`, so a run that was killed has told everything up to its last line,
and that line may be half written. A report is made from whatever is there; `outcome` says how far that is. What did
not fit is counted in `remarks`, never dropped in silence.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from cloudcpt.jobs.ports import JobStatus
from cloudcpt.plan.plan import Plan, read_plan
from cloudcpt.report.log_lines import records_of_lines
from cloudcpt.report.records import last_of, measured, number, read_records
from cloudcpt.report.sources import CountedSource, counted_sources
from cloudcpt.wire import (
    EVALUATION_SETS,
    MANIFEST_FILE,
    METRICS_FILE,
    Course,
    Evaluation,
    Failure,
    Finding,
    ManifestFile,
    MlFolder,
    failure_in,
    model_faults,
    seal_faults,
)

RunOutcome = Literal["completed", "stopped", "failed", "running", "unfinished"]
"""`unfinished`: the run has not written its end, and nobody told us whether it still goes on."""

_ENDS: Mapping[str, RunOutcome] = {"completed": "completed", "stopped": "stopped", "failed": "failed"}


@dataclass(frozen=True, kw_only=True, slots=True)
class StepPoint:
    """One logged optimizer step, as in `metrics.jsonl`, where `cloudcpt.wire.Progress` says what each number is.

    A number that was not finite, or not measured, is NaN.
    """

    step: int
    course: Course
    loss: float
    lr: float
    grad_norm: float
    tokens: float
    tokens_per_s: float
    seconds: float
    data_wait_share: float
    memory_bytes: float
    bits_per_byte: float
    tokens_per_s_per_process: float
    flops_per_s_full: float
    flops_per_s_document: float
    mfu_full: float
    mfu_document: float
    host_memory_bytes: float
    gpu_utilisation: float
    gpu_memory_utilisation: float
    spikes: float
    skipped: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Continuation:
    """How the model went on from one prompt before and after; None where it was not asked."""

    prompt: str
    before: str | None
    after: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEvent:
    """Something that happened once.

    Args:
        step: Optimizer steps completed.
        name: What; those of `cloudcpt.wire.Finding` are the monitor's.
        message: In words.
        numbers: What the record says besides, by its names there.
        places: Dataset lines that it is about, as `channel/file:line`.
    """

    step: int
    name: str
    message: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    places: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RunReport:
    """Everything that a report shows.

    Args:
        plan: What the run executed.
        outcome: How it ended, as far as it said.
        failure: Why it failed or was stopped; None when it gave no reason.
        started_at: ISO 8601, UTC; empty when the run never got that far.
        seconds: Of the whole run; of the logged steps when it has not ended.
        steps: Logged steps in order.
        evaluations: In order of steps, both sets.
        samples: One per prompt, in the order of the plan.
        sources: What each source of the plan turned into, by channel.
        trained_tokens: By channel of the training sources, padding not counted; empty when the run did not say.
        events: In the order in which they happened.
        model_files: What the manifest lists; empty when there is no whole model.
        model_faults: What keeps the model folder from being a model; empty also when there is none to expect.
        remarks: What was wrong with the job folder itself, one sentence each.
    """

    plan: Plan
    outcome: RunOutcome
    failure: Failure | None
    started_at: str
    seconds: float
    steps: tuple[StepPoint, ...]
    evaluations: tuple[Evaluation, ...]
    samples: tuple[Continuation, ...]
    sources: Mapping[str, CountedSource]
    trained_tokens: Mapping[str, int]
    events: tuple[RunEvent, ...]
    model_files: tuple[ManifestFile, ...]
    model_faults: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def steps_done(self) -> int:
        """Give the last step that was logged."""
        return self.steps[-1].step if self.steps else 0

    def findings(self, *kinds: Finding) -> tuple[RunEvent, ...]:
        """Pick what the monitor found, of some kinds."""
        return tuple(event for event in self.events if event.name in kinds)

    def curve(self, set_name: str) -> tuple[Evaluation, ...]:
        """Pick the evaluations of one held-out set."""
        return tuple(point for point in self.evaluations if point.set_name == set_name)

    def before(self, set_name: str) -> Evaluation | None:
        """Pick the evaluation before the first step."""
        return next((point for point in self.curve(set_name) if point.step == 0), None)

    def after(self, set_name: str) -> Evaluation | None:
        """Pick the last evaluation after at least one step."""
        return next((point for point in reversed(self.curve(set_name)) if point.step > 0), None)


def step_seconds(steps: Sequence[StepPoint]) -> float:
    """Add up the time of the steps alone: a line stands for every step since the line before."""
    before = [0, *(point.step for point in steps)]
    return sum(point.seconds * (point.step - last) for point, last in zip(steps, before, strict=False))


def collect(
    ml: MlFolder,
    status: JobStatus | None = None,
    *,
    lines: Iterable[str] = (),
    has_weights: bool = True,
) -> RunReport:
    """Read a job folder.

    Args:
        ml: Laid out like /opt/ml; only the plan has to be there.
        status: What the place where it runs knows; it outlives a trainer that was killed before it could say why.
        lines: Of the job's log, which stand in for `metrics.jsonl` as long as that has not come back.
        has_weights: The model folder is all of the model. Otherwise it is its manifest, and `fetch` verifies the rest.

    Raises:
        PlanError: the plan is missing or not one that this version wrote.
    """
    plan = read_plan(ml.plan)
    records, remarks = read_records(ml) if ml.metrics.is_file() else (records_of_lines(lines), [])
    run = last_of(records, "run")
    if run.get("plan_hash", plan.hash) != plan.hash:
        remarks.append(f"`{METRICS_FILE}` was written by a run of another plan, `{str(run['plan_hash'])[:10]}`")
    steps = tuple(sorted((_step(row) for row in records if row["kind"] == "step"), key=lambda point: point.step))
    end = last_of(records, "end")
    failure = failure_in(ml.failure) or (status.failure if status else None)
    outcome = _outcome(end, failure, status)
    faults = tuple((model_faults if has_weights else seal_faults)(ml.model)) if outcome == "completed" else ()
    return RunReport(
        plan=plan,
        outcome=outcome,
        failure=failure,
        started_at=str(run.get("started_at", "")),
        seconds=number(end.get("seconds")) if end else step_seconds(steps),
        steps=steps,
        evaluations=_evaluations(records),
        samples=_continuations(plan, records),
        sources=counted_sources(plan, records),
        trained_tokens={str(name): int(count) for name, count in last_of(records, "mix").get("tokens", {}).items()},
        events=tuple(_event(row) for row in records if row["kind"] == "event"),
        model_files=_manifest_files(ml) if outcome == "completed" and not faults else (),
        model_faults=faults,
        remarks=tuple(remarks),
    )


def _outcome(end: Mapping[str, Any], failure: Failure | None, status: JobStatus | None) -> RunOutcome:
    """Believe the place where it runs about an end, then the run's own last words, then the failure file."""
    if status is not None:
        return _ENDS.get(status.state, "running")
    return _ENDS.get(str(end.get("outcome")), "failed" if failure else "unfinished")


# --- records of metrics.jsonl -----------------------------------------------------------------------------------


def _step(row: Mapping[str, Any]) -> StepPoint:
    names = [one.name for one in fields(StepPoint) if one.name not in ("step", "course")]
    course = Course.STEADY if row.get("course") not in set(Course) else Course(row["course"])
    return StepPoint(step=row["step"], course=course, **{name: number(row.get(name)) for name in names})


def _evaluations(records: list[dict[str, Any]]) -> tuple[Evaluation, ...]:
    points = [
        Evaluation(
            set_name=row["set"],
            step=row["step"],
            loss=number(row.get("loss")),
            perplexity=number(row.get("perplexity")),
            bits_per_byte=measured(row.get("bits_per_byte")),
            change_nats=measured(row.get("change_nats")),
        )
        for row in records
        if row["kind"] == "eval" and row["set"] in EVALUATION_SETS
    ]
    return tuple(sorted(points, key=lambda point: point.step))


def _continuations(plan: Plan, records: list[dict[str, Any]]) -> tuple[Continuation, ...]:
    said: dict[str, dict[int, str]] = {prompt: {} for prompt in plan.evaluation.prompts}
    for row in records:
        if row["kind"] == "sample":
            said.setdefault(row["prompt"], {})[row["step"]] = row["text"]
    return tuple(
        Continuation(prompt=prompt, before=texts.get(0), after=texts[last] if (last := max(texts, default=0)) else None)
        for prompt, texts in said.items()
    )


def _event(row: Mapping[str, Any]) -> RunEvent:
    places = row.get("places")
    return RunEvent(
        step=row["step"],
        name=row["name"],
        message=row["message"],
        numbers={
            name: number(value)
            for name, value in row.items()
            if name != "step" and isinstance(value, int | float | None)
        },
        places=tuple(str(place) for place in places) if isinstance(places, list) else (),
    )


# --- other files of the job -------------------------------------------------------------------------------------


def _manifest_files(ml: MlFolder) -> tuple[ManifestFile, ...]:
    document = json.loads((ml.model / MANIFEST_FILE).read_text("utf-8"))
    return tuple(ManifestFile(**row) for row in document["files"])
