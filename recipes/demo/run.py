"""The whole line on real text, on this machine: `make demo`.

    text -> untrained base -> pretrain it on general text -> fetch
         -> validate, plan, submit the demo with replay, and once more without -> report -> fetch -> load and sample

Each command is printed as one would type it, then run; the first that fails ends the demo. In the end the numbers of
these very runs have to show what the demo claims, or it fails as well. Everything is below `build/demo`, job folders
included; what is there already is found by its content and not done again.
"""

import json
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path("build/demo")
BASE, WITH_REPLAY, WITHOUT_REPLAY = "recipes/demo-base.yaml", "recipes/demo.yaml", "recipes/demo-no-replay.yaml"
PROMPT = 'The "try" statement'

LEARNED = 0.75
"""Domain perplexity has to fall to this share of what it was, or lower."""

KEPT_NATS = 0.10
"""With replay, general loss may rise by so much at most: a tenth of the perplexity."""

REPLAY_WORTH_NATS = 0.20
"""Without replay, general loss has to rise by so much more than with it."""


@dataclass
class Demo:
    """The commands of one demo and how long each took.

    Args:
        seconds: By the command as it was typed.
    """

    seconds: dict[str, float] = field(default_factory=dict)

    def python(self, script: str, *arguments: str) -> None:
        """Run one of the demo's scripts."""
        self._run("python", [sys.executable], f"recipes/demo/{script}", *arguments)

    def cloudcpt(self, *arguments: str) -> None:
        """Run cloudcpt."""
        self._run("cloudcpt", [sys.executable, "-m", "cloudcpt"], *arguments)

    def _run(self, name: str, command: list[str], *arguments: str) -> None:
        typed = shlex.join([name, *arguments])
        print(f"\n$ {typed}", flush=True)
        started = time.monotonic()
        code = subprocess.run([*command, *arguments], check=False).returncode
        self.seconds[typed] = time.monotonic() - started
        if code:
            sys.exit(f"demo: `{typed}` ended with exit code {code}")

    def train(self, recipe: str) -> str:
        """Submit a recipe, follow its job to the end and return its name; a job that once failed is started over."""
        found = answer("submit", recipe, "--target", "local", "--dry-run")
        again = ["--force"] if found["state"] in ("failed", "stopped") else []
        if found["state"] == "completed":
            print(f"\n(`{found['job_name']}` is there from an earlier demo: same plan, same job)", flush=True)
        self.cloudcpt("submit", recipe, "--target", "local", "--follow", *again)
        return str(found["job_name"])

    def fetch(self, job: str, folder: Path) -> None:
        """Copy a job's model to a folder, unless it is the one that is there."""
        if is_model_of(job, folder):
            print(f"\n(the model of `{job}` is in {folder} already)", flush=True)
            return
        self.cloudcpt("fetch", job, str(folder), "--force")


def answer(*arguments: str) -> dict[str, Any]:
    """Ask cloudcpt for JSON, without showing it."""
    command = [sys.executable, "-m", "cloudcpt", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{done.stderr}demo: `cloudcpt {shlex.join(arguments)}` ended with exit code {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def is_model_of(job: str, folder: Path) -> bool:
    """Tell whether a folder holds the whole model of a job."""
    from cloudcpt.wire import MANIFEST_FILE, model_faults

    if not folder.is_dir() or model_faults(folder):
        return False
    name: str = json.loads((folder / MANIFEST_FILE).read_text("utf-8"))["job_name"]
    return name == job


def failures(replayed: dict[str, Any], plain: dict[str, Any]) -> list[str]:
    """List which of the demo's claims its own numbers do not show.

    Args:
        replayed: Numbers of the report of the run with replay.
        plain: Those of the run without.
    """
    ratio = replayed["domain"]["perplexity_after"] / replayed["domain"]["perplexity_before"]
    kept, lost = replayed["forgetting_nats"], plain["forgetting_nats"]
    claims = {
        f"domain perplexity fell to {ratio:.2f} of what it was, not to {LEARNED} or lower": ratio <= LEARNED,
        f"general loss rose by {kept:+.3f} nats with replay, more than {KEPT_NATS}": kept <= KEPT_NATS,
        f"replay is worth {lost - kept:+.3f} nats, less than {REPLAY_WORTH_NATS}": lost - kept >= REPLAY_WORTH_NATS,
    }
    return [sentence for sentence, is_shown in claims.items() if not is_shown]


def show_numbers(replayed: dict[str, Any], plain: dict[str, Any]) -> None:
    """Print what the two runs measured, side by side."""
    print(f"\n{'':24}{'with replay':>22}{'without replay':>22}")
    for name in ("domain", "general"):
        cells = [
            f"{run[name]['perplexity_before']:.1f} -> {run[name]['perplexity_after']:.1f}" for run in (replayed, plain)
        ]
        print(f"{name + ' perplexity':24}{cells[0]:>22}{cells[1]:>22}")
    rows = {
        "forgetting, nats/token": [f"{run['forgetting_nats']:+.3f}" for run in (replayed, plain)],
        "optimizer steps": [f"{run['steps_done']}" for run in (replayed, plain)],
        "tokens per second": [f"{run['tokens_per_s']:,.0f}" for run in (replayed, plain)],
        "training took": [f"{run['seconds']:.0f} s" for run in (replayed, plain)],
    }
    for name, values in rows.items():
        print(f"{name:24}{values[0]:>22}{values[1]:>22}")


def show_times(demo: Demo) -> None:
    """Print how long each command took."""
    print()
    for typed, seconds in demo.seconds.items():
        print(f"{seconds:8.1f} s  {typed}")
    print(f"{sum(demo.seconds.values()):8.1f} s  in all")


def main() -> None:
    """Run the demo from the repository's root."""
    os.environ["CLOUDCPT_STATE_DIR"] = str((FOLDER / "state").absolute())
    print(f"$ export CLOUDCPT_STATE_DIR=$PWD/{FOLDER}/state")
    demo = Demo()
    demo.python("corpora.py", str(FOLDER))
    demo.python("base_model.py", str(FOLDER / "general-train.jsonl"), str(FOLDER / "base-untrained"))
    demo.fetch(demo.train(BASE), FOLDER / "base")

    demo.cloudcpt("validate", WITH_REPLAY)
    demo.cloudcpt("plan", WITH_REPLAY)
    replayed, plain = demo.train(WITH_REPLAY), demo.train(WITHOUT_REPLAY)
    demo.cloudcpt("report", replayed, "--to", str(FOLDER / "report.html"))
    demo.cloudcpt("report", replayed, "--against", plain, "--to", str(FOLDER / "replay-or-not.html"))
    demo.fetch(replayed, FOLDER / "model")
    demo.python("continue_text.py", str(FOLDER / "base"), str(FOLDER / "model"), PROMPT)

    numbers = [answer("report", job, "--output", "json") for job in (replayed, plain)]
    show_numbers(*numbers)
    show_times(demo)
    print(f"\nopen {FOLDER}/report.html and {FOLDER}/replay-or-not.html")
    if missed := failures(*numbers):
        sys.exit("".join(f"demo: {sentence}\n" for sentence in missed).rstrip())


if __name__ == "__main__":
    main()
