#!/usr/bin/env python3
"""A container engine without one: takes docker's words, and runs one image in bubblewrap.

Its root file system is what $CLOUDCPT_LANE_ROOT names, always read-only; what it says of itself is in the file that
$CLOUDCPT_LANE_IMAGE names. It has one image, no network and no names, and passes no signal on: enough for
`cloudcpt image check`, which so looks at the content of an image where no engine works. Standard library only, because
any Python may start it.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

_ALONE: Final = ("--rm", "--read-only")
"""Options of `run` without a value; the others of a dry run all have one."""

_NAMESPACES: Final = ("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try")
"""All but that of users: in one with a single user nobody can become another, which is what the job does first."""


def bubblewrap(words: Sequence[str], root: str, config: dict[str, Any]) -> list[str]:
    """Translate the words after `run` into a command of bubblewrap.

    Args:
        words: Options, image, and what to run in it.
        root: Folder of the image's files.
        config: Of the image: `Entrypoint`, `Cmd`, `Env`, `WorkingDir`.
    """
    options, image = _options(words)
    after = list(words[image + 1 :])
    entry = [value for name, value in options if name == "--entrypoint"]
    command = [*entry, *after] if entry else [*config["Entrypoint"], *(after or config.get("Cmd") or [])]
    environment = [*(config.get("Env") or []), *(value for name, value in options if name == "--env")]
    return [
        *("bwrap", "--die-with-parent", "--new-session", "--as-pid-1", *_NAMESPACES),
        *("--ro-bind", root, "/", "--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/tmp"),  # noqa: S108
        *(word for option in options for word in _mapped(*option)),
        "--clearenv",
        *(word for setting in environment for word in ("--setenv", *setting.split("=", 1))),
        *("--chdir", config.get("WorkingDir") or "/", "--", *command),
    ]


def _options(words: Sequence[str]) -> tuple[list[tuple[str, str]], int]:
    """Give the options, each with its value, and the place of the image behind them."""
    options, place = [], 0
    while words[place].startswith("--"):
        name = words[place]
        value = "" if name in _ALONE else words[place + 1]
        options.append((name, value))
        place += 1 if name in _ALONE else 2
    return options, place


def _mapped(name: str, value: str) -> tuple[str, ...]:
    if name == "--volume":
        source, target, *mode = value.split(":")
        return ("--ro-bind" if mode == ["ro"] else "--bind", source, target)
    if name == "--hostname":
        return ("--hostname", value)
    if name == "--cap-drop":
        return ("--cap-drop", "ALL")
    if name == "--cap-add":
        return ("--cap-add", f"CAP_{value}")
    return ()


def main(words: Sequence[str]) -> int:
    """Answer as docker would, and to what it cannot do with a status that says so."""
    said = Path(os.environ["CLOUDCPT_LANE_IMAGE"]).read_text("utf-8")
    if words[0] == "--version":
        sys.stdout.write("no engine but bubblewrap 1\n")
    elif words[0] == "info":
        sys.stdout.write("{}\n")
    elif words[0] == "image":
        sys.stdout.write(said)
    elif words[0] == "run":
        sys.stdout.flush()
        command = bubblewrap(words[1:], os.environ["CLOUDCPT_LANE_ROOT"], json.loads(said)[0]["Config"])
        os.execvp(command[0], command)  # noqa: S606  # its caller watches this process
    return int(words[0] == "kill")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
