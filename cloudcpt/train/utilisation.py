"""How busy a GPU is, as its driver sees it, through NVML (`nvidia-ml-py`, imported as `pynvml`).

The driver averages over its last sampling period, between a sixth of a second and a second, so a reading after each
step is a sample of that step. Only CPU runs and a fake of the library have been seen by these lines: where the library
or the driver is missing, or refuses, there is no reading, and the run says why.

Source: NVML API reference, `nvmlDeviceGetUtilizationRates` and `nvmlDeviceGetMemoryInfo`.
"""

import importlib
from dataclasses import dataclass
from typing import Any, Protocol

import torch


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuReading:
    """One look at a GPU.

    Args:
        utilisation: Share of the time in which a kernel ran, 0 to 1.
        memory_utilisation: Share of the memory that is taken, by whatever process, 0 to 1.
    """

    utilisation: float
    memory_utilisation: float


class GpuReader(Protocol):
    """Looks at one GPU."""

    def read(self) -> GpuReading | None:
        """Look now; None when the driver does not say."""
        ...


class NvmlReader:
    """Looks at one GPU through NVML.

    Args:
        nvml: The module `pynvml`.
        uuid: Of the GPU, as NVML writes it: `CUDA_VISIBLE_DEVICES` renumbers GPUs, but not these.

    Raises:
        pynvml.NVMLError: there is no driver, or no such GPU.
    """

    def __init__(self, nvml: Any, uuid: str) -> None:  # Any: the library has no types
        self._nvml = nvml
        nvml.nvmlInit()
        self._handle = nvml.nvmlDeviceGetHandleByUUID(uuid)

    def read(self) -> GpuReading | None:
        """Look now; None when the driver does not say."""
        try:
            rates = self._nvml.nvmlDeviceGetUtilizationRates(self._handle)
            memory = self._nvml.nvmlDeviceGetMemoryInfo(self._handle)
        except self._nvml.NVMLError:
            return None
        return GpuReading(utilisation=rates.gpu / 100, memory_utilisation=memory.used / memory.total)


def open_reader(device: torch.device) -> tuple[GpuReader | None, str]:
    """Find the way to look at a device.

    Returns:
        The reader and nothing to say, or None and the reason.
    """
    if device.type != "cuda":
        return None, "there is no GPU"
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return None, "the package `nvidia-ml-py` is not installed"
    return open_nvml(nvml, f"GPU-{torch.cuda.get_device_properties(device).uuid}")


def open_nvml(nvml: Any, uuid: str) -> tuple[GpuReader | None, str]:
    """Open one GPU through NVML; as `open_reader`.

    Args:
        nvml: The module `pynvml`.
        uuid: Of the GPU.
    """
    try:
        return NvmlReader(nvml, uuid), ""
    except nvml.NVMLError as exc:
        return None, f"NVML says: {exc}"
