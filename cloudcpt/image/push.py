"""An image on its way to a registry, and the digest under which a job asks for it."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from cloudcpt.errors import SetupError, TransientError, error
from cloudcpt.image.refusals import refusal
from cloudcpt.image.registry import registry_of, sign_in
from cloudcpt.jobs.access import private_image
from cloudcpt.local.containers import Engine, repository_of, require


def push_privately(engine: Engine, image: str, target: str, tell: Callable[[str], None]) -> str:
    """Push an image into a private registry of AWS: make the repository, log in, send what is not there yet.

    Args:
        engine: That has the image.
        image: On this machine.
        target: Repository and tag.
        tell: Gets what happens, line by line.

    Returns:
        `repository@sha256:...`.

    Raises:
        SetupError: there is no such image, there are no credentials, they do not allow it, or the tag is taken.
        TransientError: the registry cannot be reached.
    """
    image_id = engine.image_id(image)
    if digest := _digest_there(image_id, target):
        tell(f"`{target}` is this image already")
        return f"{repository_of(target)}@{digest}"
    sign_in(engine, target)
    return push(engine, image, target, tell)


def _digest_there(image_id: str, target: str) -> str:
    """Give the digest that the image has in the registry already; empty when it has to be pushed.

    A tag that is taken is found out before gigabytes are sent: the registry itself looks at it last.
    """
    from cloudcpt.aws.registry import ensure_repository, find_tagged

    private = private_image(target)
    assert private is not None, f"`{target}` is in no private registry of AWS"
    ensure_repository(private)
    found = find_tagged(private)
    if found is None:
        return ""
    if f"sha256:{image_id}" in (found.config, found.digest):  # docker's newer image store takes the manifest's for ID
        return found.digest
    hint = f"name another tag: `--to {repository_of(target)}:TAG`"
    raise SetupError(error("CPT798", f"another image has the tag `{private.tag}` in `{private.repository}`", hint=hint))


def push(engine: Engine, image: str, target: str, tell: Callable[[str], None], *, is_plain: bool = False) -> str:
    """Push an image and give `repository@sha256:...`.

    Args:
        engine: That has the image, and may write to the registry.
        image: On this machine.
        target: Repository and tag.
        tell: Gets what the engine prints, line by line.
        is_plain: The registry speaks HTTP, as one on this machine does.

    Raises:
        SetupError: there is no such image, or the registry refuses it.
        TransientError: the registry cannot be reached.
    """
    engine.image_id(image)
    require(engine.ask("tag", image, target), f"tag `{image}`")
    options = ["--tls-verify=false"] if is_plain and engine.kind != "docker" else []  # docker trusts this machine
    with tempfile.TemporaryDirectory(prefix="cloudcpt-push-") as folder:
        noted = Path(folder, "digest")
        if engine.kind != "docker":
            # In docker's format, which every service takes; podman's own is OCI's. The image keeps its ID.
            options += ["--format", "v2s2", "--digestfile", str(noted)]
        answer = engine.follow("push", *options, target, tell=tell)
        if answer.status != 0:
            message = f"`{target}` could not be pushed"
            raise refusal(answer, message, code="CPT798", program=engine.program, registry=registry_of(target))
        digest = noted.read_text("utf-8").strip() if noted.exists() else _digest_at(engine, target)
    return f"{repository_of(target)}@{digest}"


def _digest_at(engine: Engine, target: str) -> str:
    """Docker notes beside an image which digest a registry gave it."""
    digests: list[str] = engine.inspect(target).get("RepoDigests") or []
    found = next((one.partition("@")[2] for one in digests if repository_of(one) == repository_of(target)), "")
    if not found:
        raise TransientError(error("CPT792", f"the engine does not say under which digest it pushed `{target}`"))
    return found
