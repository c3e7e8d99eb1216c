"""What the training jobs of a plan are called: the first one as the plan says, those after a failure `-r2`, `-r3`, ...

SageMaker keeps the name of a job that has ended. DeleteTrainingJob would free it, and is not used: the new job would
write among the results and into the log of the old one, and the client would need a permission to destroy.
"""

import re

MAX_NAME = 63
"""Source: SageMaker API reference, CreateTrainingJob, TrainingJobName."""

_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_SUFFIX = re.compile(r"-r([1-9][0-9]*)")


def is_job_name(name: str) -> bool:
    """Tell whether the service would take a name at all; what it would not is never asked for, nor made a path."""
    return _NAME.fullmatch(name) is not None


def attempt_name(job_name: str, attempt: int) -> str:
    """Name an attempt at the job of a plan.

    Args:
        job_name: Of the plan; ends in ten digits of its hash, which are never cut.
        attempt: From 1.
    """
    if attempt == 1:
        return job_name
    slug, _, digits = job_name.rpartition("-")
    ending = f"-{digits}-r{attempt}"
    return slug[: MAX_NAME - len(ending)].rstrip("-") + ending


def attempt_of(job_name: str, name: str) -> int | None:
    """Tell which attempt at the job of a plan has this name; None when the name was not made here."""
    found = _SUFFIX.fullmatch(name[name.rfind("-r") :]) if name != job_name else None
    attempt = int(found[1]) if found else 1
    return attempt if attempt_name(job_name, attempt) == name else None
