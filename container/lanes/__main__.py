"""`python -m container.lanes [--engine podman|docker|none]`: look at the machine, then run every lane that it allows.

    L0 process    nothing                    the contract of /opt/ml
    image         a builder                  the Dockerfile, and two builds that are the same
    aws base      a builder                  the Dockerfile on a base of AWS's shape
    L1 content    root, CAP_SYS_ADMIN        what is in the image, in bubblewrap
    L2 engine     podman, docker or dockerd  the client's own rehearsals, their limits and their faults

Ends with 1 when a lane failed. A lane that could not run says why, in the table at the end.
"""

import argparse
import signal
import sys
import time
from contextlib import ExitStack
from functools import partial
from types import FrameType

from container.lanes.aws_shape import build_on_aws_shape
from container.lanes.content import check_content
from container.lanes.engines import choose
from container.lanes.image import build_twice
from container.lanes.ledger import Ledger
from container.lanes.machine import Machine, look_around
from container.lanes.packages import PODMAN, install
from container.lanes.process import rehearse_in_processes
from container.lanes.rehearsal import rehearse
from container.lanes.steps import say


def main() -> int:
    """Run the lanes; see the module."""
    parser = argparse.ArgumentParser(prog="container/lane", description="Prove of the image what can be proved here.")
    parser.add_argument("--engine", choices=["podman", "docker", "none"], default="", help="insist on this one")
    wanted: str = parser.parse_args().engine
    signal.signal(signal.SIGTERM, _leave)  # so that an engine that was started here does not outlive us
    started = time.monotonic()
    machine = look_around()
    for line in machine.lines():
        say(f"machine: {line}")
    ledger = Ledger(tell=say)
    ledger.run("L0 process", "the contract of /opt/ml, in processes", rehearse_in_processes)
    with ExitStack() as left:
        _run_lanes_of_the_image(ledger, machine, wanted, left)
    say(f"\n{ledger.table()}\nin all {time.monotonic() - started:.0f} s")
    return ledger.exit_status


def _run_lanes_of_the_image(ledger: Ledger, machine: Machine, wanted: str, left: ExitStack) -> None:
    started = time.monotonic()
    missing = install(machine, PODMAN)
    choice = choose(wanted, machine, missing, left)
    seconds = time.monotonic() - started
    say(f"engine: {choice.runner or 'none'}; builder: {choice.builder or 'none'} (ready after {seconds:.0f} s)")
    no_builder = "" if choice.builder else choice.reason
    build, on_aws_shape = partial(build_twice, choice.builder), partial(build_on_aws_shape, choice.builder)
    is_built = ledger.run("image", "the Dockerfile, and two builds alike", build, lacking=no_builder)
    ledger.run("aws base", "the Dockerfile on a base of AWS's shape", on_aws_shape, lacking=no_builder)
    no_image = no_builder or ("" if is_built else "there is no image")
    check = partial(check_content, choice.builder, machine, missing)
    ledger.run("L1 content", "what is in the image, without an engine", check, lacking=no_image)
    no_runner = no_image or ("" if choice.runner else choice.reason)
    ledger.run("L2 engine", "rehearsals, limits and faults", partial(rehearse, choice.runner), lacking=no_runner)


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
