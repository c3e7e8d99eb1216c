"""What a run says about itself: `metrics.jsonl`, TensorBoard events and the lines of the job's log.

Only rank 0 writes. `metrics.jsonl` is the record; the report reads nothing else. Each line is flushed when it is
written, so that a killed run keeps what it said. The loop measures a step's seconds itself, because only it knows
what belongs to a step; evaluations and the export therefore do not distort the numbers.

    {"kind": "run", schema_version, plan_hash, job_name, world_size, device, started_at}
    {"kind": "step", step, loss, lr, grad_norm, tokens, tokens_per_s, tokens_per_s_per_process, seconds,
                     data_wait_share, memory_bytes}
    {"kind": "eval", set, step, loss, perplexity, tokens}
    {"kind": "sample", step, prompt, text}
    {"kind": "event", step, name, message}
    {"kind": "end", step, outcome, seconds}

In a step, `tokens` counts from the start of the run, `seconds` is the mean of the steps since the last line. In an
evaluation, `tokens` are the labels that `loss` is the mean of. `seconds` of the end are those of the whole run.
A number that is not finite is null: JSON has no other word for it.
"""

import json
import math
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal, Self

from torch.utils.tensorboard import SummaryWriter

from cloudcpt.plan.plan import Plan
from cloudcpt.wire import SCHEMA_VERSION, MlFolder, Progress, evaluation_line

Outcome = Literal["completed", "stopped", "failed"]


@dataclass(slots=True)
class _Window:
    """What was trained since the last line."""

    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    data_wait_s: float = 0.0


class _Files:
    """The open files of an enabled log."""

    def __init__(self, ml: MlFolder) -> None:
        ml.metrics.parent.mkdir(parents=True, exist_ok=True)
        self._record = ml.metrics.open("w", encoding="utf-8")
        self.board = SummaryWriter(log_dir=str(ml.tensorboard))

    def record(self, kind: str, **values: object) -> None:
        row = {"kind": kind} | {name: _json_value(value) for name, value in values.items()}
        self._record.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
        self._record.flush()

    def scalars(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.board.add_scalar(name, value, step)
        self.board.flush()

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
        self._window = _Window()
        self._last_step = 0
        self._tokens = 0
        self._started = time.monotonic()
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
        *,
        loss: float,
        lr: float,
        grad_norm: float,
        tokens: int,
        seconds: float,
        data_wait_s: float,
        memory_bytes: int,
    ) -> None:
        """Take the numbers of every step; write a line when one is due: first, last, every `log_every_steps`.

        Args:
            step: Optimizer steps completed, from 1.
            loss: Mean negative log-likelihood per labelled token of the global batch, in nats.
            lr: Learning rate that the step used.
            grad_norm: Global norm before clipping.
            tokens: Tokens of this step over all ranks, padding not counted.
            seconds: Wall-clock seconds of the step.
            data_wait_s: Those of them spent making batches.
            memory_bytes: Peak memory so far of this rank's device.
        """
        self._last_step = step
        self._tokens += tokens
        window = self._window
        window.steps += 1
        window.tokens += tokens
        window.seconds += seconds
        window.data_wait_s += data_wait_s
        if self._files is None or not self._is_due(step):
            return
        self._window = _Window()
        elapsed_s = max(window.seconds, 1e-9)  # a clock too coarse for a tiny step must not divide by zero
        progress = Progress(
            step=step,
            loss=loss,
            tokens_per_s=window.tokens / elapsed_s,
            total_steps=self._plan.geometry.steps,
            lr=lr,
            grad_norm=grad_norm,
            tokens=self._tokens,
            eta_s=(self._plan.geometry.steps - step) * window.seconds / window.steps,
        )
        self._write_step(self._files, progress, window, memory_bytes)

    def _is_due(self, step: int) -> bool:
        return step in (1, self._plan.geometry.steps) or step % self._plan.log_every_steps == 0

    def _write_step(self, files: _Files, progress: Progress, window: _Window, memory_bytes: int) -> None:
        measured = {
            "loss": progress.loss,
            "lr": progress.lr,
            "grad_norm": progress.grad_norm,
            "tokens": progress.tokens,
            "tokens_per_s": progress.tokens_per_s,
            "tokens_per_s_per_process": progress.tokens_per_s / self._plan.world.size,
            "seconds": window.seconds / window.steps,
            "data_wait_share": window.data_wait_s / max(window.seconds, 1e-9),
            "memory_bytes": memory_bytes,
        }
        files.record("step", step=progress.step, **measured)
        files.scalars(progress.step, {f"train/{name}": value for name, value in measured.items()})
        _say(progress.line())

    def evaluation(self, set_name: str, step: int, loss: float, perplexity: float, tokens: int) -> None:
        """Write one evaluation of a held-out set, `domain` or `general`; `tokens` are the labels it averages over."""
        if self._files is not None:
            self._files.record("eval", set=set_name, step=step, loss=loss, perplexity=perplexity, tokens=tokens)
            self._files.scalars(step, {f"eval/{set_name}_loss": loss, f"eval/{set_name}_perplexity": perplexity})
            _say(evaluation_line(set_name, step, loss, perplexity))

    def mix(self, step: int, tokens: dict[str, int]) -> None:
        """Write how many tokens of each source, by its channel, have been trained on."""
        if self._files is not None:
            self._files.record("mix", step=step, tokens=tokens)

    def sample(self, step: int, prompt: str, text: str) -> None:
        """Write how the model continues a prompt."""
        if self._files is not None:
            self._files.record("sample", step=step, prompt=prompt, text=text)
            self._files.board.add_text("sample", f"{prompt} **{text}**", step)

    def event(self, step: int, name: str, message: str) -> None:
        """Write something that happened once, such as the start of the export."""
        if self._files is not None:
            self._files.record("event", step=step, name=name, message=message)
            _say(f"{name}: {message}")

    def end(self, step: int, outcome: Outcome) -> None:
        """Write how the run ended, and close the files; a second end is not written."""
        if self._files is not None:
            seconds = time.monotonic() - self._started
            self._files.record("end", step=step, outcome=outcome, seconds=seconds)
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
