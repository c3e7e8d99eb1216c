"""An image on its way to a registry, and the digest under which a job asks for it."""

import json
import subprocess
import tempfile
from pathlib import Path

from cloudcpt.errors import SetupError, TransientError, error
from cloudcpt.local.containers import Engine, require


def log_in(engine: Engine, registry: str, user: str, password: str) -> None:
    """Log the engine in; the password goes through a pipe.

    Raises:
        SetupError: the registry does not accept it.
    """
    command = [engine.program, "login", "--username", user, "--password-stdin", registry]
    ended = subprocess.run(command, input=password, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        lines = ended.stderr.strip().splitlines() or ["it does not say why"]
        raise SetupError(error("CPT798", f"`{registry}` does not let us in: {lines[-1]}"))


def push(engine: Engine, image: str, target: str, *, is_plain: bool = False) -> str:
    """Push an image and give `repository@sha256:...`.

    Args:
        engine: That has the image.
        image: On this machine.
        target: Repository and tag.
        is_plain: The registry speaks HTTP, as one on this machine does.

    Raises:
        SetupError: there is no such image.
        TransientError: the registry did not take it.
    """
    engine.image_id(image)
    require(engine.ask("tag", image, target), f"tag `{image}`")
    words = ["push"]
    is_podman = "podman" in Path(engine.program).name
    with tempfile.NamedTemporaryFile(prefix="cloudcpt-digest-") as file:
        if is_podman:
            words += ["--digestfile", file.name, *(["--tls-verify=false"] if is_plain else [])]
        require(engine.ask(*words, target, patience_s=None), f"push `{target}`")
        digest = Path(file.name).read_text("utf-8").strip() if is_podman else _pushed_digest(engine, target)
    return f"{_repository(target)}@{digest}"


def _pushed_digest(engine: Engine, target: str) -> str:
    """Docker notes the digest of a registry beside the image."""
    digests: list[str] = json.loads(engine.ask("image", "inspect", target).out)[0].get("RepoDigests") or []
    found = next((one.partition("@")[2] for one in digests if one.startswith(f"{_repository(target)}@")), "")
    if not found:
        raise TransientError(error("CPT792", f"the engine does not say under which digest it pushed `{target}`"))
    return found


def _repository(target: str) -> str:
    name, _, last = target.rpartition("/")
    return f"{name}/{last.partition(':')[0]}"
