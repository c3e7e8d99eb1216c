"""Whatever speaks docker's command line: which one there is, what it can do, and how it is asked.

docker, podman, nerdctl and finch take the same words for what a dry run needs. They differ in who owns the files that a
container leaves behind: an engine that runs as root hands the numbers of users through, one that runs as the user maps
the container's root to that user.
"""

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloudcpt.errors import SetupError, TransientError, error

PROGRAMS: Final = ("docker", "podman", "nerdctl", "finch")
"""In the order in which they are tried; docker's own client may be there without an engine, and is then passed over."""

_PATIENCE_S: Final = 60.0
"""For an answer about an engine or an image; running and building take as long as they take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a command printed and how it ended."""

    status: int
    out: str
    err: str

    @property
    def reason(self) -> str:
        """Give the last line of what it complained about."""
        lines = self.err.strip().splitlines() or self.out.strip().splitlines()
        return lines[-1] if lines else f"exit status {self.status}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """A container engine that answers.

    Args:
        program: Its command line.
        version: As it says.
        is_rootless: Runs as the user: root inside a container is the user outside.
    """

    program: str
    version: str
    is_rootless: bool

    def ask(self, *words: str, patience_s: float | None = _PATIENCE_S) -> Answer:
        """Run one command to its end."""
        return _run((self.program, *words), patience_s)

    def ask_inside(self, image: str, *command: str) -> Answer:
        """Run one command of an image in place of its entry point, without a network, for as long as it takes."""
        entry, *words = command
        return self.ask("run", "--rm", "--network", "none", "--entrypoint", entry, image, *words, patience_s=None)

    def image_id(self, name: str) -> str:
        """Find an image on this machine: `sha256:` and its digest.

        Raises:
            SetupError: there is none of that name.
        """
        return str(self.inspect(name)["Id"]).removeprefix("sha256:")

    def inspect(self, image: str) -> dict[str, Any]:
        """Read what an image says of itself.

        Raises:
            SetupError: there is no such image on this machine.
        """
        answer = self.ask("image", "inspect", image)
        if answer.status != 0:
            hint = f"build it with `cloudcpt image build`, or fetch it with `{self.program} pull {image}`"
            raise SetupError(error("CPT790", f"there is no image `{image}` on this machine", hint=hint))
        found: dict[str, Any] = json.loads(answer.out)[0]
        return found


def _run(command: Sequence[str], patience_s: float | None) -> Answer:
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=patience_s, check=False
        )
    except FileNotFoundError:
        return Answer(status=127, out="", err=f"`{command[0]}` is not installed")
    except subprocess.TimeoutExpired:
        return Answer(status=124, out="", err=f"`{command[0]}` did not answer within {patience_s:g} s")
    return Answer(status=ended.returncode, out=ended.stdout, err=ended.stderr)


def find_engine(wanted: str = "", *, which: Callable[[str], str | None] = shutil.which) -> Engine:
    """Find a container engine that answers.

    Args:
        wanted: Name or path of its command line; the first that answers when empty.
        which: Finds a program; `shutil.which`.

    Raises:
        SetupError: none is installed, or none of them answers; the message says what each one said.
    """
    programs = (wanted,) if wanted else tuple(filter(which, PROGRAMS))
    silent: list[str] = []
    for program in programs:
        version = _run((program, "version", "--format", "{{.Client.Version}}"), _PATIENCE_S)
        answer = _run((program, "info", "--format", "json"), _PATIENCE_S)
        facts = _facts(answer)
        if answer.status == 0 and facts is not None:
            return Engine(program=program, version=version.out.strip(), is_rootless=_is_rootless(facts))
        silent.append(f"`{program}`: {answer.reason}")
    raise SetupError(_no_engine(silent))


def _no_engine(silent: Sequence[str]) -> Any:
    hint = "install podman (`apt-get install podman`) or docker; or run without a container: `--engine process`"
    if not silent:
        return error("CPT791", "there is no container engine on this machine: no docker, no podman", hint=hint)
    return error("CPT791", f"no container engine answers: {'; '.join(silent)}", hint=hint)


def _facts(answer: Answer) -> dict[str, Any] | None:
    try:
        facts = json.loads(answer.out)
    except ValueError:
        return None
    # A docker client without an engine answers with its own half, and with an error in the other.
    is_served = isinstance(facts, dict) and not facts.get("ServerErrors")
    return facts if is_served else None


def _is_rootless(facts: dict[str, Any]) -> bool:
    podman = facts.get("host", {}).get("security", {}).get("rootless")
    return bool(podman) or any("rootless" in option for option in facts.get("SecurityOptions") or ())


def require(answer: Answer, doing: str) -> None:
    """Pass on what an engine complained about.

    Raises:
        TransientError: the command did not succeed.
    """
    if answer.status != 0:
        raise TransientError(error("CPT792", f"the container engine could not {doing}: {answer.reason}"))
