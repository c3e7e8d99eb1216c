"""The hidden state from which an interrupted job goes on: found at the start, written now and then, gone at the end.

    checkpoints/.recovery/step-00000120/
      rank-00000.safetensors      what rank 0 has to know (`cloudcpt.train.state`), in files of at most 5 GB
      rank-00001.safetensors
      metrics.jsonl               the record of the run up to this step
      state.json                  whose state it is, how far the run is, size and BLAKE3 of every file
      COMPLETE                    SHA-256 of state.json; written last, so a state without it was never finished

The new state is complete before the old one goes. Nothing in it is a pickle: it may have been in a bucket meanwhile,
and opening it must not run code. It fits one plan, one number of processes and one set of rows; any other refuses it.

Every rank writes its files into the folder of its own node. Where a service copies that folder away, it brings the
files of all nodes to each of them.
"""

import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn

from cloudcpt.errors import Blame
from cloudcpt.plan.plan import Plan
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.mix import make_mix
from cloudcpt.train.progress import MetricsLog
from cloudcpt.train.rows import SourceRows
from cloudcpt.train.saved_state import (
    Owner,
    Position,
    SavedState,
    StateFile,
    fault_of,
    identity_of,
    read_state,
    sealed_file,
)
from cloudcpt.train.state import put_back, state_tensors
from cloudcpt.train.tensor_files import TensorFiles
from cloudcpt.train.world import World
from cloudcpt.wire import (
    METRICS_FILE,
    RECOVERY_DIR,
    STATE_FILE,
    Failure,
    MlFolder,
    recovery_folder,
    recovery_steps,
    step_of,
)

_HINT = "start over with `cloudcpt submit --force`"


class Recovery:
    """The recovery state of one run; does nothing for a plan that does not ask for it.

    Args:
        plan: The plan.
        ml: Whose checkpoint folder.
        world: All ranks; each makes the same calls.
        module: Sharded.
        optimizer: Of its trainable parameters, new.
        rows: By channel.
        log: Whose record goes into the state.
    """

    def __init__(
        self,
        plan: Plan,
        ml: MlFolder,
        world: World,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        rows: Mapping[str, SourceRows],
        log: MetricsLog,
    ) -> None:
        self._every = plan.checkpoints.recovery_every_steps
        self._plan, self._rows = plan, rows
        self._identities: dict[str, str] = {}
        self._ml, self._world, self._log = ml, world, log
        self._module, self._optimizer = module, optimizer
        self._is_copied_away = plan.launch is not None
        self._reached: Position | None = None
        self._saved_step = 0

    def resume(self) -> Position | None:
        """Go on from the newest whole state, if there is one: weights, moments, random generators and metrics.

        Returns:
            How far the run was; None for one that begins.

        Raises:
            TrainingFailure: the state is that of another job, or there is none that is whole any more.
        """
        if not self._every:
            return None
        damage = []
        for step in reversed(self._world.gathered(recovery_steps(self._ml))[0]):
            folder = recovery_folder(self._ml, step)
            state = self._opened(folder)
            if isinstance(state, SavedState):
                return self._taken_up(folder, state)
            damage.append(f"`{folder}`: {state}")
        if damage:
            raise _failure("CPT666", f"the recovery state in {damage[0]}")
        return None

    def step_done(self, position: Position) -> None:
        """Note that a step is complete, and write the state where the plan wants one.

        A wish to stop may come in the middle of an evaluation; what belongs to the step is settled here.
        """
        self._reached = position
        self._log.settle()
        if self._every and position.steps % self._every == 0:
            self.save()

    def save(self) -> None:
        """Write the state after the last complete step, unless it is there already, or there is none."""
        if not self._every or self._reached is None or self._reached.steps == self._saved_step:
            return
        position, before = self._reached, self._saved_step
        folder = recovery_folder(self._ml, position.steps)
        if self._world.is_node_main:
            shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was killed while it wrote
            folder.mkdir(parents=True)
        self._world.barrier()
        written = self._world.gathered(self._written(folder))
        if self._world.is_main:
            files = tuple(file for of_rank in written for file in of_rank)
            SavedState(
                owner=self._owner(position.steps), made_on=_made_on(self._world), position=position, files=files
            ).seal(folder)
        self._world.barrier()
        self._saved_step = position.steps
        # A service that copies the folder away does so in its own time, deletions too: the state before stays until the
        # next one, or an interruption could find half of the new one in the bucket and nothing else.
        self._forget_all_but({position.steps, before} if self._is_copied_away else {position.steps})

    def forget(self) -> None:
        """Remove every state: the job is complete."""
        if self._every:
            self._world.barrier()
            self._forget_all_but(set())

    def _opened(self, folder: Path) -> SavedState | str:
        """Read the state of a folder, the same on every rank; or say what is wrong with it.

        Raises:
            TrainingFailure: it is whole, and that of another job.
        """
        state = self._world.gathered(_read(folder) if self._world.is_main else "")[0]
        if not isinstance(state, SavedState):
            return state
        # The rows of the steps so far may have to be made first, and the main process waits for them.
        mine = self._owner(state.position.steps) if self._world.is_main else state.owner
        if different := self._world.gathered(state.owner.difference(mine))[0]:
            raise _failure("CPT665", f"the recovery state in `{folder}` is not that of this job: {different}")
        faults = filter(None, (fault_of(folder, file) for file in state.of_rank(self._world.rank)))
        found = [fault for fault in self._world.gathered(next(faults, None)) if fault]
        return found[0] if found else state

    def _taken_up(self, folder: Path, state: SavedState) -> Position:
        own = [folder / file.name for file in state.of_rank(self._world.rank) if file.name != METRICS_FILE]
        with ExitStack() as stack:
            put_back(_Stored(own, stack), self._module, self._optimizer, self._world.device)
        position = state.position
        self._reached, self._saved_step = position, position.steps
        if self._world.is_main:
            record = (folder / METRICS_FILE).read_bytes()
            self._log.take_up(record, step=position.steps, tokens=position.tokens, seconds=position.seconds)
        self._log.event(position.steps, "resumed", _words(state, _made_on(self._world)))
        self._log.settle()
        return position

    def _owner(self, steps: int) -> Owner:
        """Say whose state it is after so many steps: with the rows that led there, and none that may still change."""
        used = make_mix(self._plan, self._rows).windows_used(steps * self._plan.geometry.global_batch_rows)
        windows = [(name, number) for name in self._rows for number in range(max(1, used.get(name, 1)))]
        identities = dict(self._identity(name, number) for name, number in windows)
        return Owner(plan_hash=self._plan.hash, world_size=self._world.size, rows=identities)

    def _identity(self, name: str, number: int) -> tuple[str, str]:
        rows = self._rows[name]
        window = name if rows.num_windows == 1 else f"{name}/{number}"
        if window not in self._identities:
            self._identities[window] = identity_of(rows.window(number))
        return window, self._identities[window]

    def _written(self, folder: Path) -> list[StateFile]:
        """Write this rank's files."""
        rank = self._world.rank
        tensors = state_tensors(self._module, self._optimizer, self._world.device)
        layout = {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors.items()}
        files = TensorFiles(folder, layout, stem=f"rank-{rank:05d}")
        for name, tensor in tensors.items():
            files.add(name, tensor.cpu())
        names = [*files.names]
        if self._world.is_main:
            (folder / METRICS_FILE).write_bytes(self._log.settled())
            names.append(METRICS_FILE)
        return [sealed_file(folder, name, rank) for name in names]

    def _forget_all_but(self, steps: set[int]) -> None:
        above = self._ml.checkpoints / RECOVERY_DIR
        if self._world.is_node_main and above.is_dir():
            for path in above.iterdir():
                if step_of(path.name) not in steps:
                    shutil.rmtree(path, ignore_errors=True)
            if not steps:
                shutil.rmtree(above, ignore_errors=True)


class _Stored(Mapping[str, torch.Tensor]):
    """The tensors of some safetensors files, each read when it is asked for."""

    def __init__(self, paths: list[Path], stack: ExitStack) -> None:
        opened = [stack.enter_context(safe_open(path, "pt")) for path in paths]
        self._files = {name: file for file in opened for name in file.keys()}  # noqa: SIM118 - not a dict

    def __getitem__(self, name: str) -> torch.Tensor:
        tensor: torch.Tensor = self._files[name].get_tensor(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _read(folder: Path) -> SavedState | str:
    try:
        return read_state(folder)
    except (TypeError, KeyError):
        return f"`{STATE_FILE}` was written by another version of cloudcpt"
    except (OSError, ValueError) as exc:
        return f"`{STATE_FILE}` cannot be read: {exc}"


def _made_on(world: World) -> str:
    """Name what decides the last digit of a result, besides the plan."""
    is_gpu = world.device.type == "cuda"
    device = torch.cuda.get_device_name(world.device) if is_gpu else f"{platform.machine()} CPU"
    return f"torch {torch.__version__}, {device}"


def _words(state: SavedState, now: str) -> str:
    words = f"going on from step {state.position.steps}"
    return words if state.made_on == now else f"{words}; {state.made_on} came so far, this is {now}: last digits differ"


def _failure(code: str, message: str) -> TrainingFailure:
    return TrainingFailure(Failure(code=code, blame=Blame.USER, message=message, hint=_HINT))
