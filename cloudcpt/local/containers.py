"""Whatever speaks docker's command line: which one there is, what it can do, and how it is asked.

docker, podman, nerdctl and finch take the same words for what a dry run needs, and buildah for building. They differ in
who owns the files that a container leaves behind: an engine that runs as root hands the numbers of users through, one
that runs as the user maps the container's root to that user.

    docker     docker, nerdctl, finch: digests come from registries, times in layers from the Dockerfile
    podman     also where it is called docker
    buildah    builds, pulls and pushes as podman does, and runs no containers but to build
"""

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from cloudcpt.errors import SetupError, TransientError, error
from cloudcpt.local import answers
from cloudcpt.local.answers import Answer

PROGRAMS: Final = ("docker", "podman", "nerdctl", "finch", "buildah")
"""In the order in which they are tried; docker's own client may be there without an engine, and is then passed over."""

Kind = Literal["docker", "podman", "buildah"]

_PATIENCE_S: Final = 60.0
"""For an answer about an engine or an image; running and building take as long as they take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """A container engine that answers.

    Args:
        program: Its command line.
        kind: Which of the three families it is of; its name may say otherwise.
        version: As it says.
        is_rootless: Runs as the user: root inside a container is the user outside.
    """

    program: str
    kind: Kind
    version: str
    is_rootless: bool

    def ask(self, *words: str, patience_s: float | None = _PATIENCE_S) -> Answer:
        """Run one command to its end."""
        return answers.ask((self.program, *words), patience_s)

    def follow(self, *words: str, tell: Callable[[str], None], settings: Mapping[str, str] | None = None) -> Answer:
        """Run one command for as long as it takes, and pass on every line while it comes.

        Args:
            words: Of the command.
            tell: Gets each line, without its end.
            settings: The environment; that of this process when None.

        Returns:
            How it ended, with its last lines as what it complained about.
        """
        return answers.follow((self.program, *words), tell, settings)

    def ask_inside(self, image: str, *command: str) -> Answer:
        """Run one command of an image in place of its entry point, without a network, for as long as it takes."""
        if self.kind == "buildah":
            return self._ask_while_building(image, *command)
        entry, *words = command
        return self.ask("run", "--rm", "--network", "none", "--entrypoint", entry, image, *words, patience_s=None)

    def _ask_while_building(self, image: str, *command: str) -> Answer:
        begun = self.ask("from", "--pull-never", image)
        if begun.status != 0:
            return begun
        container = begun.out.strip()
        try:
            return self.ask("run", "--network", "none", container, "--", *command, patience_s=None)
        finally:
            self.ask("rm", container)

    def has(self, image: str) -> bool:
        """Tell whether an image is on this machine."""
        return self._look_at(image).status == 0

    def image_id(self, name: str) -> str:
        """Find an image on this machine: `sha256:` and its digest.

        Raises:
            SetupError: there is none of that name.
        """
        return str(self.inspect(name)["Id"]).removeprefix("sha256:")

    def inspect(self, image: str) -> dict[str, Any]:
        """Read what an image says of itself, under docker's names.

        Raises:
            SetupError: there is no such image on this machine.
        """
        answer = self._look_at(image)
        if answer.status != 0:
            hint = "build it with `cloudcpt image build`"
            hint += "" if image.startswith("localhost/") else f", or fetch it with `{self.program} pull {image}`"
            raise SetupError(error("CPT790", f"there is no image `{image}` on this machine", hint=hint))
        said = json.loads(answer.out)
        found: dict[str, Any] = _in_dockers_words(said) if self.kind == "buildah" else said[0]
        return found

    def _look_at(self, image: str) -> Answer:
        if self.kind == "buildah":
            return self.ask("inspect", "--type", "image", image)
        return self.ask("image", "inspect", image)


def _in_dockers_words(said: Mapping[str, Any]) -> dict[str, Any]:
    """Translate what buildah says of an image."""
    config, digest = said["OCIv1"], said["FromImageDigest"]
    return {
        "Id": said["FromImageID"],
        "Digest": digest,
        "RepoDigests": [f"{repository_of(said['FromImage'])}@{digest}"] if said["FromImage"] else [],
        "Os": config["os"],
        "Architecture": config["architecture"],
        "Config": config["config"],
    }


def repository_of(image: str) -> str:
    """Leave the tag and the digest out of the name of an image; a registry's port stays."""
    place, slash, last = image.partition("@")[0].rpartition("/")
    return f"{place}{slash}{last.partition(':')[0]}"


def find_engine(wanted: str = "", *, which: Callable[[str], str | None] = shutil.which) -> Engine:
    """Find a container engine that answers, and runs containers.

    Args:
        wanted: Name or path of its command line; the first that answers when empty.
        which: Finds a program; `shutil.which`.

    Raises:
        SetupError: none is installed, or none of them answers; the message says what each one said.
    """
    return _find(wanted, which, is_to_run=True)


def find_builder(wanted: str = "", *, which: Callable[[str], str | None] = shutil.which) -> Engine:
    """Find a container engine that answers, and builds and pushes images: also buildah.

    Args:
        wanted: Name or path of its command line; the first that answers when empty.
        which: Finds a program; `shutil.which`.

    Raises:
        SetupError: none is installed, or none of them answers; the message says what each one said.
    """
    return _find(wanted, which, is_to_run=False)


def _find(wanted: str, which: Callable[[str], str | None], *, is_to_run: bool) -> Engine:
    programs = (wanted,) if wanted else tuple(filter(which, PROGRAMS))
    refusals: list[str] = []
    for program in programs:
        named = answers.ask((program, "--version"), _PATIENCE_S)
        is_buildah = named.out.startswith("buildah ")
        answer = answers.ask((program, "info", *(() if is_buildah else ("--format", "{{json .}}"))), _PATIENCE_S)
        facts = _facts(answer)
        if answer.status != 0 or facts is None:
            refusals.append(f"`{program}`: {answer.reason}")
        elif is_to_run and is_buildah:
            refusals.append(f"`{program}`: it builds images, and runs no containers")
        else:
            # podman repeats the name that it was called by, which may be docker's; what it knows gives it away.
            kind: Kind = "buildah" if is_buildah else "podman" if "host" in facts else "docker"
            return Engine(program=program, kind=kind, version=_version(named), is_rootless=_is_rootless(facts))
    raise SetupError(_no_engine(refusals))


def _version(named: Answer) -> str:
    found = re.search(r"\d[\w.+~-]*", named.out)
    return found[0] if found else "of an unknown version"


def _no_engine(refusals: Sequence[str]) -> Any:
    hint = (
        "install podman (`apt-get install podman`) or docker; `submit --engine process` rehearses without a container"
    )
    if not refusals:
        return error("CPT791", "there is no container engine on this machine: no docker, no podman", hint=hint)
    return error("CPT791", f"no container engine can be used: {'; '.join(refusals)}", hint=hint)


def _facts(answer: Answer) -> dict[str, Any] | None:
    try:
        facts = json.loads(answer.out)
    except ValueError:
        return None
    # A docker client without an engine answers with its own half, and with an error in the other.
    is_served = isinstance(facts, dict) and not facts.get("ServerErrors")
    return facts if is_served else None


def _is_rootless(facts: Mapping[str, Any]) -> bool:
    host = facts.get("host", {})
    is_podmans = host.get("rootless") or host.get("security", {}).get("rootless")  # buildah says it a level higher
    return bool(is_podmans) or any("rootless" in option for option in facts.get("SecurityOptions") or ())


def require(answer: Answer, doing: str) -> None:
    """Pass on what an engine complained about.

    Raises:
        TransientError: the command did not succeed.
    """
    if answer.status != 0:
        raise TransientError(error("CPT792", f"the container engine could not {doing}: {answer.reason}"))
