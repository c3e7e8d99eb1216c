"""A GPU is read through NVML, or the run says why it is not: against a fake of the library."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from cloudcpt.plan.plan import read_plan
from cloudcpt.train.gauges import find_gauges, peak_of_chip
from cloudcpt.train.utilisation import GpuReading, NvmlReader, open_nvml, open_reader

pytestmark = pytest.mark.train

PLAN = read_plan(Path(__file__).with_name("data_plan.json"))
ON_GPU = replace(PLAN, world=replace(PLAN.world, device="cuda", compute_dtype="bfloat16"))


class FakeNvml:
    """The part of `pynvml` that is used: one GPU, `GPU-7`; what `fails` raises as the library does."""

    class NVMLError(Exception):
        pass

    def __init__(self, fails: str = "") -> None:
        self.fails = fails

    def _called(self, name: str) -> None:
        if name == self.fails:
            raise self.NVMLError("Not Supported")

    def nvmlInit(self) -> None:  # noqa: N802
        self._called("nvmlInit")

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        if uuid != "GPU-7":
            raise self.NVMLError("Not Found")
        return "handle"

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> SimpleNamespace:  # noqa: N802
        self._called("nvmlDeviceGetUtilizationRates")
        assert handle == "handle"
        return SimpleNamespace(gpu=97, memory=40)

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> SimpleNamespace:  # noqa: N802
        self._called("nvmlDeviceGetMemoryInfo")
        assert handle == "handle"
        return SimpleNamespace(total=80 * 2**30, used=60 * 2**30, free=20 * 2**30)


def test_a_gpu_is_read_in_shares_of_one():
    assert NvmlReader(FakeNvml(), "GPU-7").read() == GpuReading(utilisation=0.97, memory_utilisation=0.75)


@pytest.mark.parametrize("call", ["nvmlDeviceGetUtilizationRates", "nvmlDeviceGetMemoryInfo"])
def test_a_driver_that_does_not_say_gives_no_reading(call):
    assert NvmlReader(FakeNvml(fails=call), "GPU-7").read() is None


@pytest.mark.parametrize(("nvml", "uuid"), [(FakeNvml(fails="nvmlInit"), "GPU-7"), (FakeNvml(), "GPU-8")])
def test_a_gpu_that_cannot_be_opened_is_a_reason_and_no_crash(nvml, uuid):
    reader, reason = open_nvml(nvml, uuid)
    assert reader is None
    assert reason.startswith("NVML says: Not ")


def test_a_gpu_that_can_be_opened_needs_no_reason():
    reader, reason = open_nvml(FakeNvml(), "GPU-7")
    assert isinstance(reader, NvmlReader)
    assert reason == ""


def test_the_fake_has_only_what_the_library_has():
    nvml = pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
    assert [name for name in vars(FakeNvml) if name.startswith("nvml") and not hasattr(nvml, name)] == []
    assert issubclass(nvml.NVMLError, Exception)


def test_a_cpu_has_neither_a_peak_nor_a_gpu_and_the_run_says_so(tiny_model):
    assert open_reader(torch.device("cpu")) == (None, "there is no GPU")
    gauges = find_gauges(tiny_model(), PLAN, torch.device("cpu"))
    assert (gauges.peak_flops_per_s, gauges.gpu, gauges.read_gpu()) == (None, None, None)
    assert gauges.remarks == (
        "no MFU, because the peak of a CPU is not in the table",
        "no GPU utilisation, because there is no GPU",
    )
    assert gauges.memory_bytes() > 2**20


def test_the_peak_is_that_of_the_chip_in_the_dtype_that_computes():
    assert peak_of_chip(ON_GPU, "NVIDIA H200") == (989.4e12, "")


@pytest.mark.parametrize(
    ("plan", "chip", "reason"),
    [
        (ON_GPU, "NVIDIA H100 PCIe", "the peak of `NVIDIA H100 PCIe` is not in the table"),
        (replace(ON_GPU, world=replace(ON_GPU.world, compute_dtype="float32")), "NVIDIA H200", "in float32"),
        (replace(ON_GPU, compute=replace(ON_GPU.compute, float8="rowwise")), "NVIDIA H200", "partly in float8"),
    ],
)
def test_a_peak_that_is_not_known_is_never_guessed(plan, chip, reason):
    peak, why = peak_of_chip(plan, chip)
    assert peak is None
    assert reason in why
