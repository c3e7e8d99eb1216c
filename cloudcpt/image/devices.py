"""Whether an image has what GPUs need, as far as that can be seen without any: CUDA, NCCL's way to EFA, a compiler."""

import json
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Final

from cloudcpt.jobs.checks import Check, failed, not_checked, passed
from cloudcpt.local.containers import Engine

_LOOK: Final = """
import glob, json, os, shutil, torch
folders = [*filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":")), *glob.glob("/opt/amazon/ofi-nccl/lib*")]
print(json.dumps({
    "torch": torch.__version__,
    "cuda": torch.version.cuda,
    "has_plugin": any(glob.glob(folder + "/libnccl-net*.so*") for folder in folders),
    "has_compiler": any(map(shutil.which, ("cc", "gcc", "clang"))),
}))
"""


def device_checks(engine: Engine, image: str, entry: Sequence[str]) -> Iterator[Check]:
    """Ask the Python of the entry point about the torch that it will train with.

    Args:
        engine: What runs it.
        image: On this machine.
        entry: Its entry point.
    """
    if not entry or not PurePosixPath(entry[0]).name.startswith("python"):
        yield not_checked("GPUs", "the entry point is no Python that could be asked")
        return
    answer = engine.ask_inside(image, entry[0], "-B", "-c", _LOOK)
    if answer.status != 0:
        yield failed("GPUs", "CPT796", f"the Python of the entry point cannot import torch: {answer.reason}")
        return
    said = json.loads(answer.out)
    if said["cuda"] is None:
        yield passed("GPUs", f"torch {said['torch']} is for CPUs: the image is for rehearsals")
        return
    yield passed("GPUs", f"torch {said['torch']}, CUDA {said['cuda']}")
    yield from _around_cuda(has_plugin=said["has_plugin"], has_compiler=said["has_compiler"])


def _around_cuda(*, has_plugin: bool, has_compiler: bool) -> Iterator[Check]:
    hint = "build upon AWS's image, which has it: `cloudcpt image build`"
    if has_plugin:
        yield passed("EFA", "NCCL has a plugin for it")
    else:
        message = "NCCL has no plugin for EFA (`libnccl-net*.so`): several machines would talk over TCP, far slower"
        yield failed("EFA", "CPT796", message, hint=hint)
    if has_compiler:
        yield passed("compiler", "Triton can compile layers")
    else:
        message = "there is no C compiler, so `compile: auto` would fail at the first step"
        yield failed("compiler", "CPT796", message, hint=f"{hint}; or set `trainer.compile: off`")
