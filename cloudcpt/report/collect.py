"""One run as far as it has come: what its job folder says, read back without trusting any of it.

The trainer flushes each line of `metrics.jsonl`, so a run that was killed has told everything up to its last line,
and that line may be half written. A report is made from whatever is there; `outcome` says how far that is. What did
not fit is counted in `remarks`, never dropped in silence.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from cloudcpt.jobs.ports import JobStatus
from cloudcpt.plan.plan import Plan, read_plan
from cloudcpt.report.log_lines import records_of_lines
from cloudcpt.wire import (
    EVALUATION_SETS,
    MANIFEST_FILE,
    METRICS_FILE,
    Evaluation,
    Failure,
    ManifestFile,
    MlFolder,
    model_faults,
    parse_failure,
    seal_faults,
)

RunOutcome = Literal["completed", "stopped", "failed", "running", "unfinished"]
"""`unfinished`: the run has not written its end, and nobody told us whether it still goes on."""

_ENDS: Mapping[str, RunOutcome] = {"completed": "completed", "stopped": "stopped", "failed": "failed"}


@dataclass(frozen=True, kw_only=True, slots=True)
class StepPoint:
    """One logged optimizer step, as in `metrics.jsonl`; a number that was not finite is NaN.

    Args:
        step: Optimizer steps completed, from 1.
        loss: Nats per labelled token of the global batch.
        lr: Learning rate that the step used.
        grad_norm: Before clipping.
        tokens: Trained since the start of the run, over all ranks.
        tokens_per_s: Over all ranks, since the last line.
        seconds: Per step, mean since the last line.
        data_wait_share: Of those seconds, 0 to 1.
        memory_bytes: Peak so far of rank 0's device.
    """

    step: int
    loss: float
    lr: float
    grad_norm: float
    tokens: float
    tokens_per_s: float
    seconds: float
    data_wait_share: float
    memory_bytes: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Continuation:
    """How the model went on from one prompt before and after; None where it was not asked."""

    prompt: str
    before: str | None
    after: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEvent:
    """Something that happened once."""

    step: int
    name: str
    message: str


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
    trained_tokens: Mapping[str, int]
    events: tuple[RunEvent, ...]
    model_files: tuple[ManifestFile, ...]
    model_faults: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def steps_done(self) -> int:
        """Give the last step that was logged."""
        return self.steps[-1].step if self.steps else 0

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
    records, remarks = _read_records(ml) if ml.metrics.is_file() else (records_of_lines(lines), [])
    run = _last(records, "run")
    if run.get("plan_hash", plan.hash) != plan.hash:
        remarks.append(f"`{METRICS_FILE}` was written by a run of another plan, `{str(run['plan_hash'])[:10]}`")
    steps = tuple(sorted((_step(row) for row in records if row["kind"] == "step"), key=lambda point: point.step))
    end = _last(records, "end")
    failure = _read_failure(ml) or (status.failure if status else None)
    outcome = _outcome(end, failure, status)
    faults = tuple((model_faults if has_weights else seal_faults)(ml.model)) if outcome == "completed" else ()
    return RunReport(
        plan=plan,
        outcome=outcome,
        failure=failure,
        started_at=str(run.get("started_at", "")),
        seconds=_number(end.get("seconds")) if end else step_seconds(steps),
        steps=steps,
        evaluations=_evaluations(records),
        samples=_continuations(plan, records),
        trained_tokens={str(name): int(count) for name, count in _last(records, "mix").get("tokens", {}).items()},
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


# --- metrics.jsonl ----------------------------------------------------------------------------------------------


def _read_records(ml: MlFolder) -> tuple[list[dict[str, Any]], list[str]]:
    """Read the records that can be read, and say how many could not."""
    records, unreadable = [], 0
    for line in ml.metrics.read_text("utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if isinstance(row, dict) and _is_whole(row):
            records.append(row)
        else:
            unreadable += 1
    if not unreadable:
        return records, []
    lines = "1 line" if unreadable == 1 else f"{unreadable} lines"
    return records, [f"{lines} of `{METRICS_FILE}` cannot be read"]


_REQUIRED: Mapping[str, Mapping[str, type]] = {
    "run": {},
    "step": {"step": int},
    "eval": {"set": str, "step": int},
    "sample": {"step": int, "prompt": str, "text": str},
    "event": {"step": int, "name": str, "message": str},
    "mix": {"tokens": dict},
    "end": {"outcome": str},
}
"""What a record of each kind must hold to be used; measured numbers that are missing become NaN."""


def _is_whole(row: Mapping[str, Any]) -> bool:
    required = _REQUIRED.get(str(row.get("kind")))
    return required is not None and all(isinstance(row.get(name), kind) for name, kind in required.items())


def _last(records: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next((row for row in reversed(records) if row["kind"] == kind), {})


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _step(row: Mapping[str, Any]) -> StepPoint:
    numbers = {field.name: _number(row.get(field.name)) for field in fields(StepPoint) if field.name != "step"}
    return StepPoint(step=row["step"], **numbers)


def _evaluations(records: list[dict[str, Any]]) -> tuple[Evaluation, ...]:
    points = [
        Evaluation(
            set_name=row["set"],
            step=row["step"],
            loss=_number(row.get("loss")),
            perplexity=_number(row.get("perplexity")),
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
    return RunEvent(step=row["step"], name=row["name"], message=row["message"])


# --- other files of the job -------------------------------------------------------------------------------------


def _read_failure(ml: MlFolder) -> Failure | None:
    if not ml.failure.is_file():
        return None
    return parse_failure(ml.failure.read_text("utf-8", errors="replace"))


def _manifest_files(ml: MlFolder) -> tuple[ManifestFile, ...]:
    document = json.loads((ml.model / MANIFEST_FILE).read_text("utf-8"))
    return tuple(ManifestFile(**row) for row in document["files"])
