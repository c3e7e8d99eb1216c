"""How fast a run was and how well it used its devices: one number for the whole run, from the lines of its log.

Rates are medians of the lines after the first, which holds the start: compiling, warming up, reading from disk.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from cloudcpt.report.collect import RunReport, StepPoint


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """What is typical for a run; NaN is not measured.

    Args:
        tokens_per_s: Over all processes.
        tokens_per_s_per_process: Of one GPU, where there are GPUs.
        flops_per_s_full: Model FLOP/s over all processes, 6 N + 12 L H Q T per token.
        flops_per_s_document: Model FLOP/s, causal and within documents.
        mfu_full: The first as a share of the devices' peak.
        mfu_document: The second as a share of the devices' peak.
        data_wait_share: Of the time.
        gpu_utilisation: Share of the time in which the GPU of the first process computed.
        gpu_memory_utilisation: Share of its memory that was taken, the highest.
        memory_bytes: Highest of the device of the first process.
        host_memory_bytes: Highest of the first process in main memory.
    """

    tokens_per_s: float
    tokens_per_s_per_process: float
    flops_per_s_full: float
    flops_per_s_document: float
    mfu_full: float
    mfu_document: float
    data_wait_share: float
    gpu_utilisation: float
    gpu_memory_utilisation: float
    memory_bytes: float
    host_memory_bytes: float


def speed_of(report: RunReport) -> Speed:
    """Take the typical and the highest numbers of a run."""
    return Speed(
        tokens_per_s=_typical(report, lambda point: point.tokens_per_s),
        tokens_per_s_per_process=_typical(report, lambda point: point.tokens_per_s_per_process),
        flops_per_s_full=_typical(report, lambda point: point.flops_per_s_full),
        flops_per_s_document=_typical(report, lambda point: point.flops_per_s_document),
        mfu_full=_typical(report, lambda point: point.mfu_full),
        mfu_document=_typical(report, lambda point: point.mfu_document),
        data_wait_share=_typical(report, lambda point: point.data_wait_share),
        gpu_utilisation=_typical(report, lambda point: point.gpu_utilisation),
        gpu_memory_utilisation=_highest(report, lambda point: point.gpu_memory_utilisation),
        memory_bytes=_highest(report, lambda point: point.memory_bytes),
        host_memory_bytes=_highest(report, lambda point: point.host_memory_bytes),
    )


def scaling_efficiency(one: RunReport, other: RunReport) -> float:
    """Compare the tokens per second of one process between two runs: 1 is linear; NaN where either is not known."""
    base = speed_of(one).tokens_per_s_per_process
    return speed_of(other).tokens_per_s_per_process / base if base > 0 else math.nan


def _typical(report: RunReport, number: Callable[[StepPoint], float]) -> float:
    found = _finite([number(point) for point in report.steps[1:] or report.steps])
    return median(found) if found else math.nan


def _highest(report: RunReport, number: Callable[[StepPoint], float]) -> float:
    return max(_finite([number(point) for point in report.steps]), default=math.nan)


def _finite(numbers: list[float]) -> list[float]:
    return [number for number in numbers if math.isfinite(number)]
