"""Which CUDA driver the training processes load: the host's, or the newer one that a GPU image brings along.

The CUDA of an image may be newer than the driver of the machine that it lands on; its package cuda-compat then bridges
the two. AWS's images choose in their own entry point, which ours takes the place of. Chosen wrongly, a job ends before
its first step: with an older driver torch finds no GPU, and on a newer host the image's own driver is refused (803).

Source: NVIDIA, CUDA Compatibility, "Forward Compatibility"; aws/deep-learning-containers, start_cuda_compat.sh.
"""

import re
from pathlib import Path
from typing import Final

COMPAT: Final = Path("/usr/local/cuda/compat")
"""Where cuda-compat lies in NVIDIA's images and all that stand on them."""

HOST_DRIVER: Final = Path("/proc/driver/nvidia/version")
"""What the kernel says of its driver, also in a container."""

_LIBRARY: Final = "libcuda.so.1"


def newer_driver(compat: Path = COMPAT, host_driver: Path = HOST_DRIVER) -> Path | None:
    """Find the folder of the image's driver, if it is newer than the host's.

    Args:
        compat: May hold `libcuda.so.1`, a link to a file whose name ends in the version, `libcuda.so.610.43.02`.
        host_driver: The kernel's text; absent where there is no GPU.

    Returns:
        What comes first in the path of libraries; None for the host's own driver.
    """
    brought = re.search(r"\.so\.([\d.]+)$", (compat / _LIBRARY).resolve().name)
    try:
        running = re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)\s", host_driver.read_text("utf-8", "replace"))
    except OSError:
        return None
    if brought is None or running is None:
        return None
    return compat if _numbers(brought[1]) > _numbers(running[1]) else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part)
