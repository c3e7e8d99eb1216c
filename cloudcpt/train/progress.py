"""What a run says about itself: `metrics.jsonl`, TensorBoard events and the lines of the job's log.

Only rank 0 writes. `metrics.jsonl` is the record; the report reads nothing else. Each line is flushed when it is
written, so that a killed run keeps what it said. The loop measures a step's seconds itself, because only it knows
what belongs to a step; evaluations and the export therefore do not distort the numbers.

    {"kind": "run", schema_version, plan_hash, job_name, world_size, device, started_at}
    {"kind": "step", step, perplexity, and the fields of `cloudcpt.wire.Progress` but for `total_steps` and `eta_s`}
    {"kind": "eval", set, step, loss, perplexity, bits_per_byte, change_nats, tokens}
    {"kind": "sample", step, prompt, text}
    {"kind": "source", channel, documents, tokens, rows, cut_documents, cut_tokens, padding_share, passes, origin}
    {"kind": "mix", step, tokens: {channel: tokens trained}}
    {"kind": "event", step, name, message, and for a `cloudcpt.wire.Finding` its numbers}
    {"kind": "end", step, outcome, seconds}

In a step, `tokens` counts from the start of the run; rates and shares are of the steps since the last line. In an
evaluation, `tokens` are the labels that `loss` is the mean of, and `change_nats` is the loss minus the one before the
first step: of the general set that is the forgetting. `seconds` of the end are those of the whole run. A number that
is not finite or was not measured is null: JSON has no other word for either.

Findings: a `spike` has loss, usual_loss, grad_norm, usual_grad_norm and places; a `skipped-step` loss, grad_norm, lr
and places; the others have level, floor and peak of the loss. Places are the first dataset lines of the step's batch.
"""

import json
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal, Self

from torch.utils.tensorboard import SummaryWriter

from cloudcpt.plan.plan import Plan
from cloudcpt.train.evaluate import HeldOut
from cloudcpt.train.gauges import Gauges
from cloudcpt.train.source_counts import SourceCounts
from cloudcpt.train.window import Standing, StepNumbers, Window
from cloudcpt.train.work import Work
from cloudcpt.wire import SCHEMA_VERSION, MlFolder, Progress, evaluation_line

Outcome = Literal["completed", "stopped", "failed"]


class _Files:
    """The open files of an enabled log."""

    def __init__(self, ml: MlFolder) -> None:
        ml.metrics.parent.mkdir(parents=True, exist_ok=True)
        self._ml = ml
        self._settled = 0
        self._record = ml.metrics.open("w", encoding="utf-8")
        self.board = SummaryWriter(log_dir=str(ml.tensorboard))

    def record(self, kind: str, **values: object) -> None:
        row = {"kind": kind} | {name: _json_value(value) for name, value in values.items()}
        self._record.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
        self._record.flush()

    def scalars(self, step: int, values: Mapping[str, object]) -> None:
        for name, value in values.items():
            if isinstance(value, int | float):
                self.board.add_scalar(name, value, step)
        self.board.flush()

    def settle(self) -> None:
        self._settled = self._record.tell()

    def settled(self) -> bytes:
        return self._ml.metrics.read_bytes()[: self._settled]

    def take_up(self, record: bytes, step: int) -> None:
        self.close()
        self._ml.metrics.write_bytes(record)
        self._record = self._ml.metrics.open("a", encoding="utf-8")
        self._settled = len(record)
        # TensorBoard then leaves out what was written of the steps after this one.
        self.board = SummaryWriter(log_dir=str(self._ml.tensorboard), purge_step=step + 1)

    def close(self) -> None:
        self._record.close()
        self.board.close()


def _json_value(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


class MetricsLog:
    """The voice of one run; a context manager that also says when the run ended in an exception.

    Args:
        plan: What runs.
        ml: Where it runs.
        enabled: True on rank 0; a disabled log takes every call and does nothing.
    """

    def __init__(self, plan: Plan, ml: MlFolder, enabled: bool) -> None:
        self._plan = plan
        self._files = _Files(ml) if enabled else None
        self._window = Window()
        self._last_step = 0
        self._tokens = 0
        self._started = time.monotonic()
        self._earlier_s = 0.0
        if self._files is not None:
            self._files.record(
                "run",
                schema_version=SCHEMA_VERSION,
                plan_hash=plan.hash,
                job_name=plan.job_name,
                world_size=plan.world.size,
                device=plan.world.device,
                started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.end(self._last_step, "failed")

    def step(
        self,
        step: int,
        numbers: StepNumbers,
        work: Work,
        gauges: Gauges,
        standing: Standing,
        *,
        seconds: float,
        data_wait_s: float,
    ) -> None:
        """Take the numbers of every step; write a line when one is due: first, last, every `log_every_steps`.

        Args:
            step: Optimizer steps completed, from 1.
            numbers: What came out of it.
            work: What it went through, on all ranks.
            gauges: Instruments of this process.
            standing: What the monitor says after it.
            seconds: Wall-clock seconds of the step.
            data_wait_s: Those of them spent waiting for batches.
        """
        self._last_step = step
        self._tokens += int(work.tokens)
        if self._files is None:
            return
        self._window.add(work, gauges.read_gpu(), seconds=seconds, data_wait_s=data_wait_s)
        if step in (1, self._plan.geometry.steps) or step % self._plan.log_every_steps == 0:
            window, self._window = self._window, Window()
            progress = window.progress(step, numbers, work, self._plan, gauges, standing, tokens=self._tokens)
            self._write_step(self._files, progress)

    def _write_step(self, files: _Files, progress: Progress) -> None:
        row = {"perplexity": progress.perplexity, **asdict(progress)}
        for unrecorded in ("step", "total_steps", "eta_s"):
            del row[unrecorded]
        files.record("step", step=progress.step, **row)
        files.scalars(progress.step, {f"train/{name}": value for name, value in row.items()})
        _say(progress.line())

    def evaluation(self, set_name: str, step: int, measured: HeldOut, before: HeldOut | None) -> None:
        """Write one evaluation of a held-out set.

        Args:
            set_name: `domain` or `general`.
            step: Optimizer steps completed.
            measured: Its numbers.
            before: Those before the first step; None when these are they.
        """
        if self._files is None:
            return
        shown = {
            "loss": measured.loss,
            "perplexity": measured.perplexity,
            "bits_per_byte": measured.bits_per_byte,
            "change_nats": measured.loss - (before or measured).loss,
        }
        self._files.record("eval", set=set_name, step=step, **shown, tokens=measured.tokens)
        self._files.scalars(step, {f"eval/{set_name}_{name}": value for name, value in shown.items()})
        _say(evaluation_line(set_name, step, **shown))

    def source(self, counts: SourceCounts) -> None:
        """Write what a source of the plan turned into."""
        if self._files is not None:
            self._files.record("source", **asdict(counts))

    def mix(self, step: int, tokens: dict[str, int]) -> None:
        """Write how many tokens of each source, by its channel, have been trained on."""
        if self._files is not None:
            self._files.record("mix", step=step, tokens=tokens)

    def sample(self, step: int, prompt: str, text: str) -> None:
        """Write how the model continues a prompt."""
        if self._files is not None:
            self._files.record("sample", step=step, prompt=prompt, text=text)
            self._files.board.add_text("sample", f"{prompt} **{text}**", step)

    def event(self, step: int, name: str, message: str, **numbers: object) -> None:
        """Write something that happened once, such as the start of the export, with its numbers."""
        if self._files is not None:
            self._files.record("event", step=step, name=name, message=message, **numbers)
            _say(f"{name}: {message}")

    def settle(self) -> None:
        """Note that everything written so far belongs to steps that are complete."""
        if self._files is not None:
            self._files.settle()

    def settled(self) -> bytes:
        """Give the record as it was when it was settled last; empty where it is not written."""
        return self._files.settled() if self._files is not None else b""

    def take_up(self, record: bytes, *, step: int, tokens: int, seconds: float) -> None:
        """Go on with the record of an attempt that was interrupted, in place of what this one has written.

        Args:
            record: As `settled` gave it.
            step: Optimizer steps completed by then.
            tokens: Tokens trained by then.
            seconds: That the attempts before this one took.
        """
        self._last_step, self._tokens, self._earlier_s = step, tokens, seconds
        if self._files is not None:
            self._files.take_up(record, step)

    @property
    def seconds(self) -> float:
        """Seconds of the run so far, those of earlier attempts included."""
        return self._earlier_s + time.monotonic() - self._started

    def end(self, step: int, outcome: Outcome) -> None:
        """Write how the run ended, and close the files; a second end is not written."""
        if self._files is not None:
            self._files.record("end", step=step, outcome=outcome, seconds=self.seconds)
            self._files.close()
            self._files = None


def last_step(ml: MlFolder) -> int | None:
    """Read after which step the run in a folder ended; None where this node does not have its metrics."""
    try:
        lines = ml.metrics.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return None
    ends = [row["step"] for row in map(json.loads, lines) if row["kind"] == "end"]
    return int(ends[-1]) if ends else None


def _say(line: str) -> None:
    """Write one line of the job's log at once: whoever follows the job is waiting for it."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
