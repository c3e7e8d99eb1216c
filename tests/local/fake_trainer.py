"""A trainer for tests: `fake_trainer.py BEHAVIOUR --root DIR` does to a job folder what a real one would, quickly."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from cloudcpt.errors import Blame
from cloudcpt.wire import (
    COMPLETE_FILE,
    RECOVERY_DIR,
    Failure,
    MlFolder,
    Progress,
    checkpoint_folder,
    complete_model,
    evaluation_line,
    recovery_folder,
    recovery_steps,
)

LINES = [
    "reading the plan",
    evaluation_line("domain", 0, 3.0, 20.0855),
    evaluation_line("general", 0, 2.0, 7.3891),
    *(
        Progress(
            step=step, loss=3 / step, tokens_per_s=10, total_steps=3, lr=1e-4, grad_norm=1, tokens=32 * step, eta_s=1
        ).line()
        for step in (1, 2, 3)
    ),
    evaluation_line("domain", 3, 1.0, 2.7183),
    evaluation_line("general", 3, 2.1, 8.1662),
    "saved",
]
"""What a job that completes prints."""


def say(line: str) -> None:
    """Write one line of the log."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def complete(ml: MlFolder) -> None:
    """Print everything and leave a model."""
    for line in LINES[:-3]:
        say(line)
    save(ml, ml.model, steps=3)
    for line in LINES[-3:]:
        say(line)


def save(ml: MlFolder, folder: Path, steps: int) -> None:
    """Write a model of two files and seal it."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath("config.json").write_text("{}\n")
    folder.joinpath("model.safetensors").write_bytes(bytes(range(256)) * 8)
    plan_hash = json.loads(ml.config.joinpath("hyperparameters.json").read_text())["plan_hash"]
    complete_model(folder, plan_hash=plan_hash, job_name=ml.root.parent.name, steps=steps, tokens=32 * steps)


def fail(ml: MlFolder) -> None:
    """Leave a reason, as the real trainer does."""
    say("about to fail")
    failure = Failure(code="CPT604", blame=Blame.USER, message="loss is not finite at step 2", hint="lower the `lr`")
    ml.failure.write_text(failure.text())
    sys.exit(1)


def wait(ml: MlFolder) -> None:
    """Train one step, then wait: for the file `go`, which lets it complete, or for SIGTERM, which ends it."""

    def end(_number: int, _frame: object) -> None:
        say("told to stop")
        sys.exit(1)

    signal.signal(signal.SIGTERM, end)
    say(LINES[3])
    for _ in range(3000):
        if (ml.root / "go").exists():
            return complete(ml)
        time.sleep(0.02)
    return None


def interrupted(ml: MlFolder) -> None:
    """Leave a checkpoint and a recovery state and fail; with a state in the folder, go on from it and complete."""
    if steps := recovery_steps(ml):
        say(f"resumed: going on from step {steps[-1]}")
        shutil.rmtree(ml.checkpoints / RECOVERY_DIR)
        return complete(ml)
    say(LINES[3])
    say(LINES[4])
    save(ml, checkpoint_folder(ml, 1), steps=1)
    state = recovery_folder(ml, 2)
    state.mkdir(parents=True)
    (state / COMPLETE_FILE).touch()
    return fail(ml)


def resist(ml: MlFolder) -> None:
    """Ignore SIGTERM, with a child in a session of its own that does too, like a worker of torchrun that hangs."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    (ml.root / "pids").write_text(f"{os.getpid()} {child.pid}")
    say(LINES[3])
    time.sleep(60)


def main() -> None:
    """Read the command line and behave."""
    behaviour, option, root = sys.argv[1:]
    assert option == "--root", sys.argv
    ml = MlFolder(Path(root))
    if behaviour == "complete":
        complete(ml)
    elif behaviour == "fail":
        fail(ml)
    elif behaviour == "wait":
        wait(ml)
    elif behaviour == "resist":
        resist(ml)
    elif behaviour == "interrupted":
        interrupted(ml)
    elif behaviour == "leave-nothing":
        sys.exit(0)
    elif behaviour == "run-out-of-memory":
        os.kill(os.getpid(), signal.SIGKILL)
    else:
        sys.exit(int(behaviour))


if __name__ == "__main__":
    main()
