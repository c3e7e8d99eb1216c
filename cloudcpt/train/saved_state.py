"""A recovery state on disk: what its `state.json` says, and whether its files are those that it names."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from blake3 import blake3

from cloudcpt.train.evaluate import HeldOut
from cloudcpt.train.rows import Rows
from cloudcpt.wire import COMPLETE_FILE, SCHEMA_VERSION, STATE_FILE, commit_text, flush, sha256_of


@dataclass(frozen=True, kw_only=True)
class Position:
    """How far a run is: what the loop itself carries from step to step.

    Args:
        steps: Optimizer steps completed.
        tokens: Tokens trained.
        seconds: That all attempts together took up to here; what an attempt did after its last state is not in it.
        skipped_steps: Steps left out because they were not finite.
        watched: What the monitor remembers of them.
        before: The held-out sets by name, as they were measured before the first step.
    """

    steps: int
    tokens: int
    seconds: float
    skipped_steps: int
    watched: Mapping[str, Any]
    before: Mapping[str, HeldOut]


@dataclass(frozen=True, kw_only=True)
class StateFile:
    """One file of a state, and the rank that wrote it and reads it."""

    rank: int
    name: str
    size_bytes: int
    blake3: str


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Whose state it is: only the same job on the same data goes on from it.

    Args:
        plan_hash: Of the plan.
        world_size: Processes in all; each has its own part of every tensor.
        rows: By channel, the hash of the rows that the job has read: with the seed, the order of the data. A source of
            many windows has one for each, `train/0`, `train/1`, as far as they were read.
    """

    plan_hash: str
    world_size: int
    rows: Mapping[str, str]

    def difference(self, other: "Owner") -> str | None:
        """Say what keeps the state of this owner from being the other's; None when nothing does."""
        if self.world_size != other.world_size:
            return f"it is that of {self.world_size} processes, and these are {other.world_size}"
        if self.plan_hash != other.plan_hash:
            return f"it is that of plan `{self.plan_hash[:16]}...`, and this one is `{other.plan_hash[:16]}...`"
        if changed := [name for name in other.rows if self.rows.get(name) != other.rows[name]]:
            names = ", ".join(f"`{name}`" for name in changed)
            return f"the rows of {names} are not those that the job was trained on"
        return None


@dataclass(frozen=True, kw_only=True)
class SavedState:
    """What `state.json` says.

    Args:
        owner: Whose it is.
        made_on: The software and the device that computed it: with others, rounding differs.
        position: How far the run is.
        files: Everything else in the folder.
    """

    owner: Owner
    made_on: str
    position: Position
    files: tuple[StateFile, ...]

    def of_rank(self, rank: int) -> list[StateFile]:
        """Pick the files of one rank."""
        return [file for file in self.files if file.rank == rank]

    def seal(self, folder: Path) -> None:
        """Write `state.json` and `COMPLETE`: from here on the folder is a state."""
        text = json.dumps({"schema_version": SCHEMA_VERSION, **asdict(self)}, indent=2) + "\n"
        commit_text(folder / STATE_FILE, text)
        commit_text(folder / COMPLETE_FILE, sha256_of(folder / STATE_FILE) + "\n")


def read_state(folder: Path) -> SavedState:
    """Read `state.json`.

    Raises:
        OSError: it is not there.
        ValueError: it is not what was sealed, or another version wrote it.
    """
    if (folder / COMPLETE_FILE).read_text("utf-8").strip() != sha256_of(folder / STATE_FILE):
        raise ValueError(f"it is not the one that `{COMPLETE_FILE}` sealed")
    row: dict[str, Any] = json.loads((folder / STATE_FILE).read_text("utf-8"))
    if row["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"schema version `{row['schema_version']}`")
    before = {name: HeldOut(**measured) for name, measured in row["position"].pop("before").items()}
    return SavedState(
        owner=Owner(**row["owner"]),
        made_on=row["made_on"],
        position=Position(**row["position"], before=before),
        files=tuple(StateFile(**file) for file in row["files"]),
    )


def sealed_file(folder: Path, name: str, rank: int) -> StateFile:
    """Describe a file of a state, once the disk holds it."""
    path = folder / name
    flush(path)
    return StateFile(rank=rank, name=name, size_bytes=path.stat().st_size, blake3=_hash(path))


def fault_of(folder: Path, file: StateFile) -> str | None:
    """Say what is wrong with a file of a state; None when it is what was written."""
    path = folder / file.name
    if not path.is_file():
        return f"`{file.name}` is missing"
    if (size := path.stat().st_size) != file.size_bytes:
        return f"`{file.name}` has {size} bytes instead of {file.size_bytes}"
    return None if _hash(path) == file.blake3 else f"`{file.name}` has other content"


def identity_of(rows: Rows) -> str:
    """Hash everything that the rows of a source are, but not where they come from.

    A job makes its rows from text; when it goes on, it finds them kept.
    """
    header = replace(rows.header, origin="tokenised")
    hashed = blake3(header.to_json().encode(), max_threads=blake3.AUTO)
    for array in (rows.tokens, rows.pieces, rows.row_starts, rows.documents):
        hashed.update(f"{array.dtype}{array.shape}".encode())
        hashed.update(array.data.cast("B"))
    return hashed.hexdigest()


def _hash(path: Path) -> str:
    return blake3(max_threads=blake3.AUTO).update_mmap(path).hexdigest()
