"""What is known about an account before anything is spent in it: one line per check, three outcomes.

A check that could not be made is no failure: whoever lacks a permission to look may well have the permission to work.
What stops a job is listed here, in `BLOCKING`, and is certain: the job cannot run, or costs more than it may.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from cloudcpt.errors import (
    CloudcptError,
    Diagnostic,
    ExitCode,
    PlanError,
    ServiceRefused,
    SetupError,
    error,
    note,
    warning,
)

NOT_CHECKED = "CPT700"
"""Code of a check that could not be made."""


class CheckOutcome(StrEnum):
    """How a check ended."""

    OK = "ok"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Block:
    """Why a failed check stops a job, and the error that says so."""

    raises: type[CloudcptError]
    why: str


BLOCKING: dict[str, Block] = {
    "CPT400": Block(SetupError, "without credentials nothing can be done"),
    "CPT401": Block(SetupError, "with expired credentials nothing can be done"),
    "CPT402": Block(SetupError, "with rejected credentials nothing can be done"),
    "CPT404": Block(SetupError, "AWS refuses every request of a wrong clock"),
    "CPT405": Block(SetupError, "what is sent to a bucket that is not there is refused"),
    "CPT406": Block(SetupError, "a job reads and writes buckets of its own region only"),
    "CPT410": Block(SetupError, "what is encrypted with an unusable key can be neither written nor read"),
    "CPT419": Block(ServiceRefused, "CreateTrainingJob refuses more instances than the quota"),
    "CPT457": Block(ServiceRefused, "the name of a job stays taken, also when the job has ended"),
    "CPT550": Block(PlanError, "the user said what the job may cost"),
    "CPT701": Block(SetupError, "the user said which account to work in"),
    "CPT702": Block(SetupError, "data never goes to a stranger's bucket"),
    "CPT705": Block(SetupError, "a job cannot start without its role"),
    "CPT706": Block(SetupError, "a role that SageMaker may not assume fails the job minutes after its start"),
    "CPT708": Block(SetupError, "an image that cannot be pulled fails the job minutes after its start"),
    "CPT709": Block(ServiceRefused, "capacity that is not there, or not for this job, starts nothing"),
    "CPT711": Block(SetupError, "an input that is gone, or another than the one that was read, fails the job"),
}
"""By the code of the finding. Everything else that fails is a warning: it may be meant so, or not matter."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """What an instance costs, and who says so.

    Args:
        usd_per_instance_hour: On demand.
        source: In words, with a date.
    """

    usd_per_instance_hour: float
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that was looked at.

    Args:
        name: What, such as ``bucket `my-bucket` ``.
        outcome: How it ended.
        words: What was found, or why nothing could be.
        diagnostic: The finding; None when all is well and nothing needs to be said.
        price: What the check of the price found; None for every other check.
    """

    name: str
    outcome: CheckOutcome
    words: str
    diagnostic: Diagnostic | None = None
    price: Price | None = None

    @property
    def blocks(self) -> bool:
        """Tell whether a job must not be started."""
        return self.outcome is CheckOutcome.FAILED and self.diagnostic is not None and self.diagnostic.code in BLOCKING


def passed(name: str, words: str) -> Check:
    """Say that all is well."""
    return Check(name=name, outcome=CheckOutcome.OK, words=words)


def failed(name: str, code: str, message: str, *, hint: str | None = None) -> Check:
    """Say what is wrong: an error when its code blocks, else a warning."""
    found = error(code, message, hint=hint) if code in BLOCKING else warning(code, message, hint=hint)
    return Check(name=name, outcome=CheckOutcome.FAILED, words=message, diagnostic=found)


def not_checked(name: str, why: str, *, hint: str | None = None) -> Check:
    """Say why something could not be looked at."""
    finding = note(NOT_CHECKED, f"{name}: not checked, {why}", hint=hint)
    return Check(name=name, outcome=CheckOutcome.NOT_CHECKED, words=why, diagnostic=finding)


def attempted(name: str, check: Callable[[], Check]) -> Check:
    """Make a check; an error on the way, such as a missing permission, leaves it unmade and nothing else."""
    try:
        return check()
    except CloudcptError as exc:
        first = exc.diagnostics[0]
        return not_checked(name, first.message, hint=first.hint)


def refuse_failed(checks: Iterable[Check]) -> None:
    """Stop when a job cannot run, or may not.

    Raises:
        CloudcptError: of the first check that blocks, with the findings of all that do.
    """
    if findings := _blocking(checks):
        raise BLOCKING[findings[0].code].raises(*findings)


def exit_code_of(checks: Iterable[Check]) -> ExitCode:
    """Give the exit code of what `refuse_failed` would raise; success when it would not."""
    findings = _blocking(checks)
    return BLOCKING[findings[0].code].raises.exit_code if findings else ExitCode.OK


def _blocking(checks: Iterable[Check]) -> list[Diagnostic]:
    return [check.diagnostic for check in checks if check.blocks and check.diagnostic is not None]
