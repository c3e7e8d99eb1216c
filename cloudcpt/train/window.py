"""What the loop measures in a step, and the steps since the last line of the log as the rates that the line shows."""

import math
from dataclasses import dataclass, field
from statistics import fmean

from cloudcpt.plan.plan import Plan
from cloudcpt.train.gauges import Gauges, host_memory_bytes
from cloudcpt.train.utilisation import GpuReading
from cloudcpt.train.work import Work, bits_per_byte
from cloudcpt.wire import Course, Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class StepNumbers:
    """What came out of one step, the same on every rank.

    Args:
        loss: Mean negative log-likelihood per labelled token of the global batch, in nats.
        grad_norm: Global norm before clipping.
        lr: Learning rate of the step.
    """

    loss: float
    grad_norm: float
    lr: float

    @property
    def are_finite(self) -> bool:
        """Tell whether the optimizer may move."""
        return math.isfinite(self.loss) and math.isfinite(self.grad_norm)


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How the run stands, as its monitor says.

    Args:
        course: How the loss goes.
        spikes: Sudden rises so far.
        skipped: Steps left out so far.
    """

    course: Course
    spikes: int
    skipped: int


@dataclass(slots=True)
class Window:
    """The steps since the last line, added up; a new window begins after every line."""

    steps: int = 0
    tokens: float = 0.0
    flops_full: float = 0.0
    flops_document: float = 0.0
    seconds: float = 0.0
    data_wait_s: float = 0.0
    readings: list[GpuReading] = field(default_factory=list)

    def add(self, work: Work, reading: GpuReading | None, *, seconds: float, data_wait_s: float) -> None:
        """Take the next step.

        Args:
            work: Of all ranks.
            reading: Of the GPU, right after the step.
            seconds: Wall-clock seconds of the step.
            data_wait_s: Those of them spent waiting for batches.
        """
        self.steps += 1
        self.tokens += work.tokens
        self.flops_full += work.flops_full
        self.flops_document += work.flops_document
        self.seconds += seconds
        self.data_wait_s += data_wait_s
        self.readings += [reading] if reading else []

    def progress(
        self,
        step: int,
        numbers: StepNumbers,
        work: Work,
        plan: Plan,
        gauges: Gauges,
        standing: Standing,
        *,
        tokens: int,
    ) -> Progress:
        """Say what the steps amount to.

        Args:
            step: Number of the last of them.
            numbers: Of that step.
            work: Of that step.
            plan: Gives the length of the job and the number of devices.
            gauges: Instruments of this process.
            standing: What the monitor says.
            tokens: Trained since the start of the job.
        """
        elapsed_s = max(self.seconds, 1e-9)  # a clock too coarse for a tiny step must not divide by zero
        devices = plan.world.size
        full, document = self.flops_full / elapsed_s, self.flops_document / elapsed_s
        peak = gauges.peak_flops_per_s
        return Progress(
            step=step,
            loss=numbers.loss,
            tokens_per_s=self.tokens / elapsed_s,
            total_steps=plan.geometry.steps,
            lr=numbers.lr,
            grad_norm=numbers.grad_norm,
            tokens=tokens,
            eta_s=(plan.geometry.steps - step) * self.seconds / self.steps,
            seconds=self.seconds / self.steps,
            bits_per_byte=bits_per_byte(numbers.loss, tokens=work.tokens, text_bytes=work.text_bytes),
            tokens_per_s_per_process=self.tokens / elapsed_s / devices,
            flops_per_s_full=full,
            flops_per_s_document=document,
            mfu_full=full / (devices * peak) if peak else None,
            mfu_document=document / (devices * peak) if peak else None,
            data_wait_share=self.data_wait_s / elapsed_s,
            memory_bytes=gauges.memory_bytes(),
            host_memory_bytes=host_memory_bytes(),
            gpu_utilisation=fmean(one.utilisation for one in self.readings) if self.readings else None,
            gpu_memory_utilisation=fmean(one.memory_utilisation for one in self.readings) if self.readings else None,
            course=standing.course,
            spikes=standing.spikes,
            skipped=standing.skipped,
        )
