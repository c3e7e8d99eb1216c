"""What the loop's instruments need to know about the model and the device, found once, before the first step."""

import resource
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from cloudcpt.plan.instances import chip_tflops
from cloudcpt.plan.plan import Plan
from cloudcpt.train.flops import ModelFlops, count_flops
from cloudcpt.train.utilisation import GpuReader, GpuReading, open_reader


@dataclass(frozen=True, kw_only=True)
class Gauges:
    """The instruments of one process.

    Args:
        flops: What the model costs.
        peak_flops_per_s: Of one device in the dtype that computes; None when it is not known, and never a guess.
        device: Whose memory is read.
        gpu: Looks at the device; None where nothing can.
        remarks: What is not measured and why, one phrase each.
    """

    flops: ModelFlops
    peak_flops_per_s: float | None
    device: torch.device
    gpu: GpuReader | None
    remarks: tuple[str, ...] = ()

    def read_gpu(self) -> GpuReading | None:
        """Look at the GPU; None where nothing can."""
        return self.gpu.read() if self.gpu else None

    def memory_bytes(self) -> int:
        """Say the peak so far of the device: allocated by torch on a GPU, the process in main memory otherwise."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return host_memory_bytes()


def find_gauges(model: PreTrainedModel, plan: Plan, device: torch.device) -> Gauges:
    """Find the instruments for a model on a device, and say what cannot be measured.

    Args:
        model: With its adapters.
        plan: Says in which dtype it computes.
        device: Of this process.
    """
    peak, no_peak = _peak(plan, device)
    reader, no_reader = open_reader(device)
    remarks = [f"no MFU, because {no_peak}"] if no_peak else []
    remarks += [f"no GPU utilisation, because {no_reader}"] if no_reader else []
    return Gauges(flops=count_flops(model), peak_flops_per_s=peak, device=device, gpu=reader, remarks=tuple(remarks))


def host_memory_bytes() -> int:
    """Say the peak so far of this process in main memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB


def _peak(plan: Plan, device: torch.device) -> tuple[float | None, str]:
    """Look up the dense peak of one device in FLOP/s, or say why there is none to divide by."""
    if device.type != "cuda":
        return None, "the peak of a CPU is not in the table"
    return peak_of_chip(plan, torch.cuda.get_device_name(device))


def peak_of_chip(plan: Plan, name: str) -> tuple[float | None, str]:
    """Look up the peak of a GPU that computes what a plan says, in FLOP/s, or say why there is none to divide by.

    Args:
        plan: The table's peak is that of bfloat16; nothing else may be divided by it.
        name: As the driver reports it.
    """
    if plan.world.compute_dtype != "bfloat16":
        return None, f"the table has the peak of bfloat16 and the job computes in {plan.world.compute_dtype}"
    if plan.compute.float8 != "none":
        return None, "the job computes partly in float8"
    tflops = chip_tflops(name)
    return (tflops * 1e12, "") if tflops else (None, f"the peak of `{name}` is not in the table")
