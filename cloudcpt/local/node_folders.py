"""One /opt/ml per node of a dry run, as SageMaker gives one to every machine: own outputs, the same inputs.

    <job>/ml           of algo-1, which ends with the model
    <job>/ml-algo-2    of algo-2, ...

Inputs in a job folder are links to where the user has them, which lead nowhere inside a container. Here they become
hard links, which cost nothing, or copies where the file system, or who may read a file, does not allow that.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Final

from cloudcpt.errors import PlanError, error
from cloudcpt.plan.plan import World
from cloudcpt.wire import MlFolder, commit_text

INTERFACE: Final = "eth0"
"""What docker and podman call the only network interface of a container."""

_READABLE_BY_ALL: Final = 0o444


def host_name(node: int) -> str:
    """Name a node as the service does, from `algo-1`."""
    return f"algo-{node + 1}"


def make_node_folders(ml: MlFolder, world: World) -> tuple[MlFolder, ...]:
    """Make the folder of every node from the job's, and the inputs in it into files of its own.

    Args:
        ml: Laid out for one machine; becomes the first node's.
        world: Of the plan.

    Returns:
        By node.

    Raises:
        PlanError: a file of the plan is gone.
    """
    _make_real(ml.root / "input")
    folders = [ml]
    for node in range(1, world.nodes):
        folder = MlFolder(ml.root.with_name(f"{ml.root.name}-{host_name(node)}"))
        _forget_earlier_attempt(folder)
        for written in (folder.model, folder.output, folder.checkpoints, folder.scratch):
            written.mkdir(parents=True, exist_ok=True)
        shutil.copytree(ml.root / "input", folder.root / "input", copy_function=_link_or_copy)
        folders.append(folder)
    for node, folder in enumerate(folders):
        _name_host(folder, node, world)
    return tuple(folders)


def _forget_earlier_attempt(ml: MlFolder) -> None:
    """Empty a folder but for its checkpoints: a job that goes on needs what each node has kept there."""
    for path in ml.root.iterdir() if ml.root.is_dir() else ():
        if path != ml.checkpoints:
            shutil.rmtree(path)


def _make_real(folder: Path) -> None:
    for link in [path for path in folder.rglob("*") if path.is_symlink()]:
        source = link.resolve()
        if not source.is_file():
            raise PlanError(error("CPT460", f"`{source}` was there when the plan was made and is not any more"))
        real = link.with_name(f".{link.name}.real")
        real.unlink(missing_ok=True)
        _link_or_copy(str(source), str(real))
        real.replace(link)


def _link_or_copy(source: str, target: str) -> None:
    """Give a file another name; a copy where it cannot have one, or where only its owner may read it."""
    if Path(source).stat().st_mode & _READABLE_BY_ALL == _READABLE_BY_ALL:
        try:
            os.link(source, target)
        except OSError:  # another file system, or one without links
            pass
        else:
            return
    shutil.copyfile(source, target)
    Path(target).chmod(0o644)


def _name_host(ml: MlFolder, node: int, world: World) -> None:
    """Write which host this folder belongs to; replaced as a whole, since nodes share what was linked."""
    path = ml.config / "resourceconfig.json"
    config = json.loads(path.read_text("utf-8"))
    hosts = [host_name(number) for number in range(world.nodes)]
    config |= {"current_host": hosts[node], "hosts": hosts, "network_interface_name": INTERFACE}
    config["instance_groups"][0]["hosts"] = hosts
    commit_text(path, json.dumps(config, indent=2) + "\n")
