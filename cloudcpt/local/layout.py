"""How a plan becomes a folder laid out like /opt/ml: channels of links, and the service's three config files.

The files stay where the user has them; a channel holds links under the names that the plan gives. The trainer hashes
what it opens against the plan, so a file that changes after this moment is refused there.

Source: Amazon SageMaker developer guide, "How Amazon SageMaker provides training information"; every value in
`hyperparameters.json` is a string.
"""

import json
from pathlib import Path, PurePosixPath

from cloudcpt.errors import Diagnostic, PlanError, error
from cloudcpt.plan.plan import DataFile, Plan
from cloudcpt.wire import MODEL_CHANNEL, PLAN_CHANNEL, MlFolder, commit_text

HOST = "localhost"
"""The one machine of a local job; the service calls its first one `algo-1`, a name that only its network knows."""


def channels(plan: Plan) -> dict[str, tuple[DataFile, ...]]:
    """Name the files of every input channel but the plan's own."""
    named = {source.channel: source.files for source in plan.sources}
    return {**named, MODEL_CHANNEL: plan.model.files} if plan.model.files else named


def refuse_unreachable(plan: Plan) -> None:
    """Refuse a plan whose files are not on this machine.

    Raises:
        PlanError: one diagnostic per file.
    """
    found = [_fault(file) for files in channels(plan).values() for file in files]
    if faults := [fault for fault in found if fault is not None]:
        raise PlanError(*faults)


def _fault(file: DataFile) -> Diagnostic | None:
    if file.uri.startswith("s3://"):
        hint = "copy it here and name the copy in the recipe"
        return error("CPT461", f"`{file.uri}` is not on this machine, where target `local` runs", hint=hint)
    if not Path(file.uri).is_file():
        return error("CPT460", f"`{file.uri}` was there when the plan was made and is not any more")
    return None


def lay_out(ml: MlFolder, plan: Plan) -> None:
    """Make everything that a trainer finds under /opt/ml when it starts."""
    for folder in (ml.config, ml.channel(PLAN_CHANNEL), ml.model, ml.output, ml.checkpoints):
        folder.mkdir(parents=True)
    commit_text(ml.plan, plan.to_json())
    for channel, files in channels(plan).items():
        for file in files:
            _link(ml.channel(channel), file)
    for name, document in _config(plan).items():
        commit_text(ml.config / f"{name}.json", json.dumps(document, indent=2) + "\n")


def _link(channel: Path, file: DataFile) -> None:
    inside = PurePosixPath(file.placed)
    is_inside = not inside.is_absolute() and ".." not in inside.parts
    assert is_inside, f"`{file.placed}` of a plan must stay in its channel"
    link = channel / inside
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(file.uri)


def _config(plan: Plan) -> dict[str, object]:
    channel = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}
    group = {"instance_group_name": "homogeneousCluster", "instance_type": plan.world.instance_type, "hosts": [HOST]}
    return {
        "hyperparameters": {"plan_hash": plan.hash},
        "inputdataconfig": dict.fromkeys((PLAN_CHANNEL, *channels(plan)), channel),
        "resourceconfig": {
            "current_host": HOST,
            "hosts": [HOST],
            "network_interface_name": "lo",
            "current_instance_type": plan.world.instance_type,
            "current_group_name": "homogeneousCluster",
            "instance_groups": [group],
        },
    }
