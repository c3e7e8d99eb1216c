"""The machines a job can run on: the SageMaker types of `instances.toml`, and the machine at hand.

The table is dated and says where each price is from; nothing here asks a service.
"""

import os
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from importlib import resources
from itertools import takewhile

from cloudcpt.errors import Place, PlanError, error

LOCAL = "local"
"""`World.instance_type` of a job that runs on the machine at hand."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Instance:
    """One instance type.

    Args:
        name: SageMaker's, such as `ml.p5.48xlarge`.
        vcpus: Virtual CPUs.
        gpu: Chip, such as `H100`; empty without one.
        gpus: Per instance.
        gpu_memory_bytes: Of one GPU.
        bf16_tflops: Dense peak of one GPU in TFLOP/s.
        efa_gbps: Network of the instance for collectives; 0 when it has none.
        price_usd_per_hour: Of one instance, on demand; 0 when there is no public price.
        price_derived: The price is computed from another price instead of listed.
        price_source: Where the price is from, in words with its date.
    """

    name: str
    vcpus: int
    gpu: str
    gpus: int
    gpu_memory_bytes: int
    bf16_tflops: float
    efa_gbps: int
    price_usd_per_hour: float
    price_derived: bool
    price_source: str


@cache
def instances() -> Mapping[str, Instance]:
    """Read every instance type that a job can name, in the order of the table."""
    table = tomllib.loads(resources.files("cloudcpt.plan").joinpath("instances.toml").read_text("utf-8"))
    sources = table.pop("sources")
    return {
        name: Instance(
            name=name,
            vcpus=row["vcpus"],
            gpu=row["gpu"],
            gpus=row["gpus"],
            gpu_memory_bytes=row["memory_gb"] * 10**9,
            bf16_tflops=row["bf16_tflops"],
            efa_gbps=row["efa_gbps"],
            price_usd_per_hour=row["price_usd_per_hour"],
            price_derived=row["price_source"] in ("derived", "proportion"),
            price_source=f"{sources[row['price_source']]}, {row['price_date']}",
        )
        for name, row in table.items()
    }


def find_instance(name: str, place: Place | None = None) -> Instance:
    """Look an instance type up.

    Raises:
        PlanError: the table does not have it; the nearest types are named.
    """
    table = instances()
    if name in table:
        return table[name]
    near = get_close_matches(name, table, n=1, cutoff=0.6)
    raise PlanError(
        error(
            "CPT511",
            f"`{name}` is not an instance type that cloudcpt plans for; it knows "
            + ", ".join(f"`{known}`" for known in table),
            place=place,
            hint=f"did you mean `{near[0]}`?" if near else "choose one with NVIDIA GPUs of at least 40 GB",
        )
    )


def weakest(choices: Sequence[Instance]) -> Instance:
    """Make a machine that no choice falls short of: the name of the first, the least of everything, the highest price.

    Args:
        choices: At least one. The price is unknown when one of theirs is.
    """
    dearest = max(choices, key=lambda one: one.price_usd_per_hour)
    unpriced = next((one for one in choices if not one.price_usd_per_hour), None)
    priced = unpriced or dearest
    return replace(
        choices[0],
        vcpus=min(one.vcpus for one in choices),
        gpu_memory_bytes=min(one.gpu_memory_bytes for one in choices),
        bf16_tflops=min(one.bf16_tflops for one in choices),
        efa_gbps=min(one.efa_gbps for one in choices),
        price_usd_per_hour=priced.price_usd_per_hour,
        price_derived=priced.price_derived,
        price_source=priced.price_source if len(choices) == 1 else f"{priced.name}: {priced.price_source}",
    )


def chip_tflops(gpu_name: str) -> float:
    """Give the bf16 peak of a chip by the name its driver reports, in TFLOP/s; 0 when the table does not have it.

    `NVIDIA GH200 480GB`, `NVIDIA H100 PCIe` and a part of a GPU (MIG) are other chips than the H200 and H100 of the
    table, with other peaks.
    """
    words = set(gpu_name.replace("-", " ").split())
    if words & {"PCIe", "NVL", "MIG"}:
        return 0.0
    return next((row.bf16_tflops for row in instances().values() if row.gpu in words), 0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What target `local` runs on.

    Args:
        gpus: NVIDIA GPUs that the driver shows.
        gpu_memory_bytes: Of the smallest of them; 0 without one.
        cpus: That this process may use.
        gpu_name: As the driver reports it; empty without one.
    """

    gpus: int
    gpu_memory_bytes: int
    cpus: int
    gpu_name: str = ""


def this_machine() -> Machine:
    """Look at the machine at hand through `nvidia-smi`, without importing torch; no driver means no GPU."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        answer = ""
    return read_nvidia_smi(answer, cpus=cpus, visible=os.environ.get("CUDA_VISIBLE_DEVICES"))


def read_nvidia_smi(answer: str, *, cpus: int, visible: str | None) -> Machine:
    """Turn the answer of `nvidia-smi`, one `name, MiB` line per GPU, into a machine.

    Args:
        answer: Of the driver, which shows every GPU; empty without a driver.
        cpus: That this process may use.
        visible: `CUDA_VISIBLE_DEVICES`: a list that ends at the first negative number; None for all GPUs.
    """
    cards = [line.rpartition(",") for line in answer.splitlines() if line.rpartition(",")[2].strip().isdigit()]
    if visible is not None:
        named = takewhile(lambda device: device.strip() and not device.strip().startswith("-"), visible.split(","))
        cards = cards[: sum(1 for _ in named)]
    if not cards:
        return Machine(gpus=0, gpu_memory_bytes=0, cpus=cpus)
    smallest = min(int(mebibytes) for _, _, mebibytes in cards)
    return Machine(gpus=len(cards), gpu_memory_bytes=smallest * 2**20, cpus=cpus, gpu_name=cards[0][0].strip())
