#!/usr/bin/env python3
"""A container engine for tests: takes docker's words, and runs containers as plain processes over the mounted folder.

    fake_docker.py BEHAVIOUR,BEHAVIOUR,...     what the container of each node does: see tests/local/fake_trainer.py
                                               `killed` is killed by the kernel, `echo` only notices its peer

State lies in $FAKE_DOCKER: a folder with one file per container, `calls` with every command line, `password` of the
last login, and what a test puts there:

    named         what `--version` prints, and so of which family it is
    info          what `info` prints
    image.json    what an image says of itself, where it differs
    here          the images that are here, one per line; without it, all but `absent`
    inside.json   what a program prints that is run in an image, by its name; one that is not there is not in the image
    refuses.json  what a command complains about before it ends with 1, by its name
    planless      how a job without a plan ends: `succeeds`, or `says nothing`
    build-waits   a build goes on until it is told to stop, and then writes `build-ended`
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

INSIDE = {
    "python3": "3.11 /usr/bin/python3\n",
    "/bin/sh": "",
    "/opt/cloudcpt/bin/python": '{"torch": "2.13.0+cpu", "cuda": null, "has_plugin": false, "has_compiler": false}',
    "/bin/cat": '{"bomFormat": "CycloneDX", "components": [{}, {}]}',
}
PUSHED = "sha256:" + "ef" * 32


def option(words, name):
    return words[words.index(name) + 1] if name in words else ""


def known(file, otherwise):
    return json.loads((STATE / file).read_text()) if (STATE / file).exists() else otherwise


def run_inside(program):
    said = known("inside.json", INSIDE).get(program)
    if said is None:
        sys.stderr.write(f"exec: {program}: not found\n")
        return 127
    sys.stdout.write(said)
    return 0


def run_without_plan(root):
    behaviour = (STATE / "planless").read_text() if (STATE / "planless").exists() else ""
    if behaviour == "succeeds":
        return 0
    if behaviour != "says nothing":
        (root / "output").mkdir()
        (root / "output" / "failure").write_text("CPT665 [user] there is no plan\n")
    return 1


def build(words):
    if (STATE / "build-waits").exists():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit((STATE / "build-ended").write_text("")))
        sys.stdout.write("STEP 1: waiting\n")
        sys.stdout.flush()
        signal.pause()
    sys.stdout.write("STEP 1: FROM base\n")
    Path(option(words, "--iidfile")).write_text(IMAGE_ID)
    return 0


def push(words):
    if noted := option(words, "--digestfile"):
        Path(noted).write_text(PUSHED)
    return 0


def inspect(image, *, as_buildah):
    here = (STATE / "here").read_text().split() if (STATE / "here").exists() else None
    if image == "absent" if here is None else image not in here:
        sys.stderr.write(f"No such image: {image}\n")
        return 1
    said = IMAGE | known("image.json", {})
    if as_buildah:
        config = {"os": said["Os"], "architecture": said["Architecture"], "config": said["Config"]}
        digest = said["RepoDigests"][0].partition("@")[2]
        said = {"FromImageID": said["Id"][7:], "FromImage": image, "FromImageDigest": digest, "OCIv1": config}
    sys.stdout.write(json.dumps(said if as_buildah else [said]))
    return 0


def run(words):
    if "--entrypoint" in words:
        return run_inside(option(words, "--entrypoint"))
    name = option(words, "--name")
    root = next(word.partition(":")[0] for word in words if word.endswith(":/opt/ml"))
    if not name:
        return run_without_plan(Path(root))
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
    if complaint := known("refuses.json", {}).get(words[0]):
        sys.stderr.write(f"{complaint}\n")
        return 1
    match words:
        case ["--version"]:
            sys.stdout.write((STATE / "named").read_text() if (STATE / "named").exists() else "Docker version 99.0\n")
        case ["info", *_]:
            if (STATE / "no-engine").exists():
                sys.stderr.write("Cannot connect to the Docker daemon\n")
                return 1
            sys.stdout.write((STATE / "info").read_text() if (STATE / "info").exists() else "{}")
        case ["image", "inspect", image] | ["inspect", "--type", "image", image]:
            return inspect(image, as_buildah=words[0] == "inspect")
        case ["pull", *_, image]:
            with (STATE / "here").open("a") as here:
                here.write(f"{image}\n")
        case ["login", *_]:
            (STATE / "password").write_text(sys.stdin.read())
        case ["build", *_]:
            return build(words)
        case ["push", *_]:
            return push(words)
        case ["from", *_]:
            sys.stdout.write("working-container\n")
        case ["run", "--network", "none", "working-container", "--", program, *_]:
            return run_inside(program)
        case ["run", *_]:
            return run(words)
        case ["kill", *_]:
            return kill(words)
        case ["inspect", *_, name]:
            sys.stdout.write((STATE / name).read_text() if (STATE / name).exists() else "{}")
    return 0


sys.exit(main(sys.argv[1:]))
