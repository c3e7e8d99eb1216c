"""The libraries that only some work on a corpus needs: whether they are there, and how to get them."""

from importlib.util import find_spec

from cloudcpt.errors import SetupError, error


def require(*libraries: str) -> None:
    """Make sure that libraries of the extra `[data]` can be imported.

    Raises:
        SetupError: some cannot; all are named at once.
    """
    missing = [library for library in libraries if find_spec(library) is None]
    if missing:
        names = " and ".join(f"`{library}`" for library in missing)
        hint = "install what is missing with `pip install 'cloudcpt[data]'`"
        raise SetupError(error("CPT756", f"this needs {names}, not installed here", hint=hint))
