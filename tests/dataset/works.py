"""Work for worker processes to do in tests, in a module of its own, which is quick to import there."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cloudcpt.dataset.blocks import Block
from cloudcpt.errors import DatasetError, error


def count_lines() -> Callable[[Block], int]:
    return lambda block: block.content.count(b"\n")


def pid_of_worker() -> Callable[[Block], int]:
    return lambda _: os.getpid()


class Stubborn(Exception):
    """Cannot be pickled: it is made with two things and remembers one."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(f"{what} at {line}")


@dataclass(frozen=True)
class Work:
    """Gives the first line of a block. The parent, which is a worker too, begins when another one has started."""

    folder: Path
    parent: int

    def __call__(self) -> Callable[[Block], bytes]:
        if os.getpid() != self.parent:
            self.start()
            (self.folder / "started").touch()
        return self.work

    def work(self, block: Block) -> bytes:
        if os.getpid() != self.parent:
            self.work_there(block)
        else:
            self.wait_for("started")
            self.work_here(block)
        return block.content.removesuffix(b"\n")

    def start(self) -> None: ...

    def work_there(self, block: Block) -> None: ...

    def work_here(self, block: Block) -> None: ...

    def wait_for(self, flag: str) -> None:
        while not (self.folder / flag).exists():
            os.sched_yield()


@dataclass(frozen=True)
class Late(Work):
    """Takes long over the first block that the other process is given; `order` says which line was done when."""

    def work_there(self, block: Block) -> None:
        if not (self.folder / "late").exists():
            (self.folder / "late").touch()
            sum(range(3_000_000))
        self.work_here(block)

    def work_here(self, block: Block) -> None:
        with (self.folder / "order").open("a") as order:
            order.write(f"{block.line}\n")


@dataclass(frozen=True)
class Failing(Work):
    """Fails at a block that says `bad`, or at the start."""

    how: str

    def start(self) -> None:
        if self.how == "start":
            (self.folder / f"pid {os.getpid()}").touch()
            (self.folder / "started").touch()
            raise ModuleNotFoundError("no module named `thing`")

    def work_here(self, block: Block) -> None:
        if self.how == "start":  # not before a worker has said that it cannot, and ended
            pid = int(next(self.folder.glob("pid *")).name.removeprefix("pid "))
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        elif self.how == "stubborn" and block.content.startswith(b"bad"):
            raise RuntimeError(f"Stubborn: something at {block.line}")  # as it reads when it comes from a worker
        elif self.how in ("ours", "other"):
            self.work_there(block)

    def work_there(self, block: Block) -> None:
        if not block.content.startswith(b"bad"):
            return
        match self.how:
            case "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "exits":
                os._exit(3)
            case "ours":
                raise DatasetError(error("CPT341", "a finding"))
            case "stubborn":
                raise Stubborn("something", block.line)
        raise ValueError(f"line {block.line}")
