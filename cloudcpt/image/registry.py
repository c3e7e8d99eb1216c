"""Getting into the registry of an image: AWS's own takes a password that AWS gives to whoever has credentials."""

from cloudcpt.errors import SetupError, error
from cloudcpt.jobs.access import private_image
from cloudcpt.local import answers
from cloudcpt.local.containers import Engine


def registry_of(image: str) -> str:
    """Name the registry of an image: what stands before the first slash."""
    return image.partition("/")[0]


def sign_in(engine: Engine, image: str) -> None:
    """Log the engine in where the image is in a private registry of AWS; elsewhere that is the user's own business.

    The password is asked for each time: one lasts twelve hours, and nobody can tell how old the engine's is.

    Raises:
        SetupError: there are no AWS credentials, they do not allow it, or the registry does not accept the password.
    """
    private = private_image(image)
    if private is None:
        return
    from cloudcpt.aws.registry import registry_login

    registry = registry_of(image)  # the answer names the registry of one's own account, the image may be in another
    login = registry_login(private.region, registry)
    command = (engine.program, "login", "--username", login.user, "--password-stdin", registry)
    answer = answers.ask(command, None, given=login.password)
    if answer.status != 0:
        raise SetupError(error("CPT798", f"`{registry}` does not let us in: {answer.reason}"))
