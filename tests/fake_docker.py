#!/usr/bin/env python3
"""A container engine for tests: takes docker's words, and runs containers as plain processes over the mounted folder.

    fake_docker.py BEHAVIOUR,BEHAVIOUR,...     what the container of each node does: see tests/local/fake_trainer.py
                                               `killed` is killed by the kernel, `echo` only notices its peer

State lies in $FAKE_DOCKER: a folder with one file per container, and `calls`, every command line.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

STATE = Path(os.environ["FAKE_DOCKER"])
IMAGE_ID = "sha256:" + "ab" * 32
IMAGE = {
    "Id": IMAGE_ID,
    "Os": "linux",
    "Architecture": "amd64",
    "RepoDigests": ["registry.example/cloudcpt@sha256:" + "cd" * 32],
    "Config": {"Entrypoint": ["/opt/cloudcpt/bin/python", "-m", "cloudcpt.train"], "Labels": {}},
}


def option(words, name):
    return words[words.index(name) + 1] if name in words else ""


def run(words):
    name = option(words, "--name")
    root = next(word.partition(":")[0] for word in words if word.endswith(":/opt/ml"))
    behaviours = (STATE / "behaviours").read_text().split(",")
    node = int(name.rpartition("-")[2]) - 1
    behaviour = behaviours[min(node, len(behaviours) - 1)]
    if behaviour == "killed":
        (STATE / name).write_text(json.dumps({"OOMKilled": True, "ExitCode": 137}))
        return 137
    if behaviour == "echo":
        Path(root, "output", "failure").write_text(
            "CPT658 [platform] this process lost its connection to another one\n"
        )
        return 1
    trainer = [sys.executable, "-m", "tests.local.fake_trainer", behaviour, "--root", root]
    child = subprocess.Popen(trainer, start_new_session=True)
    (STATE / name).write_text(json.dumps({"Pid": child.pid}))
    status = child.wait()
    return status if status >= 0 else 128 - status


def kill(words):
    number = getattr(signal, f"SIG{option(words, '--signal')}")
    for name in words[3:]:
        os.kill(json.loads((STATE / name).read_text())["Pid"], number)
    return 0


def main(words):
    with (STATE / "calls").open("a") as calls:
        calls.write(json.dumps(words) + "\n")
    match words[0]:
        case "version":
            sys.stdout.write("99.0\n")
        case "info":
            if (STATE / "no-engine").exists():
                sys.stderr.write("Cannot connect to the Docker daemon\n")
                return 1
            sys.stdout.write((STATE / "info").read_text() if (STATE / "info").exists() else "{}")
        case "image":
            if words[2] == "absent":
                sys.stderr.write("No such image: absent\n")
                return 1
            sys.stdout.write(json.dumps([IMAGE]))
        case "run":
            return run(words)
        case "kill":
            return kill(words)
        case "inspect":
            sys.stdout.write((STATE / words[-1]).read_text() if (STATE / words[-1]).exists() else "{}")
    return 0


sys.exit(main(sys.argv[1:]))
