"""Are the files in the channels the ones that were planned? Asked before step 0, answered by content.

What was validated is what trains: the plan carries the BLAKE3 of every data and model file, and a byte that changed
on the way ends the job before it spends anything.
"""

from pathlib import Path

from blake3 import blake3

from cloudcpt.errors import Blame
from cloudcpt.plan.plan import DataFile, Plan
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.wire import MODEL_CHANNEL, Failure, MlFolder

_SHOWN = 5
"""Files named in the message; the failure text has room for little more."""


def verify_inputs(plan: Plan, ml: MlFolder) -> None:
    """Hash every data and model file that the plan names.

    One process per node is enough: the files of a node are the same for all of its processes.

    Raises:
        TrainingFailure: a file is missing, has another size or another BLAKE3; the message names the first few.
    """
    expected = [(MODEL_CHANNEL, file) for file in plan.model.files]
    expected += [(source.channel, file) for source in plan.sources for file in source.files]
    faults = [fault for channel, file in expected if (fault := _fault(channel, ml.channel(channel), file))]
    if faults:
        more = f" and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise TrainingFailure(
            Failure(
                code="CPT650",
                blame=Blame.USER,
                message=f"{', '.join(faults[:_SHOWN])}{more}: the inputs are not the ones that were planned",
                hint="make the plan again from the files as they are now, or put the planned files back",
            )
        )


def _fault(channel: str, folder: Path, file: DataFile) -> str | None:
    path = folder / file.placed
    shown = f"`{channel}/{file.name}`"
    if not path.is_file():
        return f"{shown} is missing"
    if (size := path.stat().st_size) != file.size_bytes:
        return f"{shown} has {size} bytes instead of {file.size_bytes}"
    if blake3(max_threads=blake3.AUTO).update_mmap(path).hexdigest() != file.blake3:
        return f"{shown} has other content"
    return None
