"""What can go wrong, as data: one diagnostic type, one exception tree, one table of exit codes.

    CloudcptError                 carries one or more diagnostics
      +-- InputError        1     findings in what the user wrote
      |     +-- RecipeError       in a recipe
      |     +-- DatasetError      in a dataset
      |     +-- PlanError         in what recipe, data and machine add up to
      +-- UsageProblem      2     the command line does not make sense
      +-- SetupError        3     environment, credentials or permission
      +-- ServiceRefused    4     quota, capacity, a limit of the service
      +-- TransientError    5     retrying is safe
      +-- JobFailed         6     the job ran and failed
      +-- JobStopped        7     the job was stopped
    anything else          70     our bug, shown with its traceback

A diagnostic has a stable code (`CPT204`), one sentence, a place and a hint; `codes.toml` explains every code.
Ranges: 0xx syntax and shape of a recipe, 1xx values, 2xx fields that contradict each other, 3xx data,
4xx where the job runs, 5xx plan: fit, time and cost, 6xx training, 7xx the account, 9xx ours.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What a shell sees. Frozen: scripts depend on these numbers."""

    OK = 0
    FINDINGS = 1
    USAGE = 2
    SETUP = 3
    REFUSED = 4
    TRANSIENT = 5
    JOB_FAILED = 6
    JOB_STOPPED = 7
    BUG = 70
    INTERRUPTED = 130


class Severity(StrEnum):
    """How much a finding matters: an error stops, a warning asks, a note informs."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Blame(StrEnum):
    """Whose a failure is; it survives the trip out of the container."""

    USER = "user"
    PLATFORM = "platform"
    BUG = "bug"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where in a file a diagnostic points.

    Args:
        path: As the user named it, so that an editor can open it.
        line: 1-based; None when the finding is about the whole file.
        column: 1-based, counted in characters.
        length: How many characters to underline, at least 1.
        byte: 0-based offset from the start of the file, for data too large for an editor.
    """

    path: str
    line: int | None = None
    column: int | None = None
    length: int = 1
    byte: int | None = None

    def __str__(self) -> str:
        parts = [self.path, *(str(number) for number in (self.line, self.column) if number is not None)]
        return ":".join(parts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Related:
    """A second place that explains the first, such as where the other value was set."""

    place: Place
    label: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnostic:
    """One finding: what, where, how bad, and what to do about it.

    Args:
        code: `CPT` and three digits; explained in `codes.toml`.
        message: One sentence with the offending value and the allowed ones, literals in backticks, no full stop.
        severity: Errors make a command end with a non-zero exit code.
        place: None when there is no file to point into.
        related: Other places that matter.
        hint: What to do, when we know.
        count: How many findings like this one there are in all, when only the first few are kept.
    """

    code: str
    message: str
    severity: Severity = Severity.ERROR
    place: Place | None = None
    related: tuple[Related, ...] = ()
    hint: str | None = None
    count: int = 1


def error(
    code: str, message: str, *, place: Place | None = None, hint: str | None = None, related: tuple[Related, ...] = ()
) -> Diagnostic:
    """Make a diagnostic that stops the command."""
    return Diagnostic(code=code, message=message, place=place, hint=hint, related=related)


def warning(
    code: str, message: str, *, place: Place | None = None, hint: str | None = None, related: tuple[Related, ...] = ()
) -> Diagnostic:
    """Make a diagnostic that the user should read but that stops nothing."""
    return Diagnostic(code=code, message=message, severity=Severity.WARNING, place=place, hint=hint, related=related)


def note(code: str, message: str, *, place: Place | None = None, hint: str | None = None) -> Diagnostic:
    """Make a diagnostic that only informs."""
    return Diagnostic(code=code, message=message, severity=Severity.NOTE, place=place, hint=hint)


class CloudcptError(Exception):
    """Something the user, the platform or the job did that we foresaw.

    Args:
        diagnostics: At least one; all problems of a step are raised together.
    """

    exit_code: ClassVar[ExitCode]
    blame: ClassVar[Blame] = Blame.USER

    def __init__(self, *diagnostics: Diagnostic) -> None:
        assert diagnostics, "an error needs at least one diagnostic to say what happened"
        super().__init__(*diagnostics)
        self.diagnostics = diagnostics

    def __str__(self) -> str:
        return "; ".join(f"{found.code}: {found.message}" for found in self.diagnostics)


class InputError(CloudcptError):
    """Findings in what the user wrote."""

    exit_code = ExitCode.FINDINGS


class RecipeError(InputError):
    """Findings in a recipe."""


class DatasetError(InputError):
    """Findings in a dataset."""


class PlanError(InputError):
    """Recipe, data and machine do not add up to a job that can run."""


class UsageProblem(CloudcptError):
    """The command line does not make sense."""

    exit_code = ExitCode.USAGE


class SetupError(CloudcptError):
    """The environment, credentials or permissions do not allow the command."""

    exit_code = ExitCode.SETUP


class ServiceRefused(CloudcptError):
    """The service said no: quota, capacity or a limit."""

    exit_code = ExitCode.REFUSED
    blame = Blame.PLATFORM


class TransientError(CloudcptError):
    """The step failed in a way that may pass; retrying is safe."""

    exit_code = ExitCode.TRANSIENT
    blame = Blame.PLATFORM


class JobFailed(CloudcptError):
    """The job ran and failed."""

    exit_code = ExitCode.JOB_FAILED


class JobStopped(CloudcptError):
    """The job was stopped before it finished."""

    exit_code = ExitCode.JOB_STOPPED


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """What `cloudcpt explain CODE` shows: a title, why the rule exists, and how to satisfy it."""

    code: str
    title: str
    text: str


def explanations() -> dict[str, Explanation]:
    """Read every documented code from `codes.toml`, in order."""
    import tomllib
    from importlib import resources

    table = tomllib.loads(resources.files("cloudcpt").joinpath("codes.toml").read_text("utf-8"))
    return {code: Explanation(code=code, title=row["title"], text=row["text"].strip()) for code, row in table.items()}
