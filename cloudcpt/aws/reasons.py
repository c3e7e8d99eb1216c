"""Why a training job did not complete: the service's FailureReason and secondary status as our `Failure`.

    AlgorithmError: CPT604 [user] loss is not finite at step 12; hint: ..., exit code: 6     our own failure file
    ClientError: Cannot pull algorithm container. ...                                        the table below
    CapacityError: Unable to provision requested ML compute capacity. ...

The reason begins with its kind, then has up to 1,024 characters for people. Only what the table knows is given a code
of its own; anything else keeps the service's words.
"""

import re
from dataclasses import dataclass

from cloudcpt.aws.training_jobs import Description
from cloudcpt.errors import Blame, ExitCode
from cloudcpt.jobs.ports import JobState, Phase
from cloudcpt.wire import Failure, parse_failure

_KINDS = re.compile(r"\s*(?P<kind>\w+(?:Error|Exception)):\s*(?P<text>.*)", re.DOTALL)
_EXIT_CODE = re.compile(r"[\s,;]*\bexit code:\s*(?P<code>\d+)\s*$", re.IGNORECASE)
_KILLED = 128 + 9
_LONGEST = 300
"""Characters of the service's words in one sentence of ours; the rest goes into the detail."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A reason that the service is known to give.

    Args:
        pattern: In the reason, kind included, whatever the case.
        code: Ours.
        blame: Whose it is.
        message: What happened; the service's words follow it.
        hint: What to do.
    """

    pattern: str
    code: str
    blame: Blame
    message: str
    hint: str


_TABLE = (
    _Known(
        r"^CapacityError|InsufficientInstanceCapacity|Unable to provision requested ML compute capacity",
        "CPT482",
        Blame.PLATFORM,
        "AWS had no capacity",
        "submit again later with `--force`, list other types in `launch.instance_preferences`, or reserve capacity",
    ),
    _Known(
        r"^InternalServerError|internal error",
        "CPT483",
        Blame.PLATFORM,
        "the service broke",
        "submit again with `--force`; `launch.retry_attempts` lets the service do that by itself",
    ),
    _Known(
        r"assume the role|sts:AssumeRole|trust relationship",
        "CPT484",
        Blame.USER,
        "SageMaker may not act as the execution role",
        "the role must exist and trust `sagemaker.amazonaws.com`; `cloudcpt iam print` shows the trust policy",
    ),
    _Known(
        r"pull algorithm container|pull (?:the )?image|requested image|\becr:|repository of your image|"
        r"image .*does not exist|executable file not found",
        "CPT485",
        Blame.USER,
        "the training image could not be started",
        "`launch.image` must exist in this region, and the execution role must be allowed to pull it",
    ),
    _Known(
        r"subnet|security group|\bVPC\b|network interface|\bENI\b",
        "CPT486",
        Blame.USER,
        "the job could not join the network",
        "check `launch.subnets` and `launch.security_groups`, and that the subnets have free addresses",
    ),
    _Known(
        r"\bKMS\b|kms:",
        "CPT487",
        Blame.USER,
        "a KMS key could not be used",
        "the execution role needs `kms:Decrypt` on input keys and `kms:GenerateDataKey` on output keys",
    ),
    _Known(
        r"artifact upload|upload (?:the )?(?:artifact|model|output)|failed to upload",
        "CPT488",
        Blame.USER,
        "the results could not be written",
        "the execution role needs `s3:PutObject` below the output path; what the job computed is lost",
    ),
    _Known(
        r"data download failed|download (?:the )?data|No S3 objects found|failed to download",
        "CPT489",
        Blame.USER,
        "the inputs could not be read",
        "the execution role needs `s3:GetObject` on the inputs and `s3:ListBucket` on their bucket",
    ),
)
"""First match counts. Source: what users report, as there is no list: aws/sagemaker-python-sdk#35 (role), #57 and #1968
(image), aws/amazon-sagemaker-examples#739 (entry point), DIAGNijmegen/rse-grand-challenge#2631 (capacity),
aws-samples/generative-ai-on-amazon-sagemaker#242 (download); 2026-11. The service may change its words at any time."""


def end_of(described: Description) -> JobState:
    """Tell how a job ended that has ended. A trainer that stops itself at its time limit did not fail."""
    status = described["TrainingJobStatus"]
    if status == "Completed":
        return JobState.COMPLETED
    if status == "Failed" and _exit_code(described.get("FailureReason", "")) != ExitCode.JOB_STOPPED:
        return JobState.FAILED
    return JobState.STOPPED


def failure_of(described: Description, phases: tuple[Phase, ...]) -> Failure | None:
    """Say why a job that has ended did not complete; None when it did.

    Args:
        described: The job.
        phases: As `cloudcpt.aws.timeline.phases_of` lists them.
    """
    status = described["TrainingJobStatus"]
    if status == "Completed":
        return None
    return reason_failure(described.get("FailureReason", "")) if status == "Failed" else _stopped(described, phases)


def reason_failure(reason: str) -> Failure:
    """Translate a FailureReason."""
    exit_code, text = _exit_code(reason), _EXIT_CODE.sub("", reason)
    if own := parse_failure(text):
        return own
    found = _KINDS.match(text)
    kind, words = (found["kind"], found["text"]) if found else ("", text)
    if kind == "AlgorithmError":
        return _unexplained(words, exit_code)
    for known in _TABLE:
        if re.search(known.pattern, text, re.IGNORECASE):
            message = f"{known.message}: {_sentence(words)}" if words.strip() else known.message
            return Failure(code=known.code, blame=known.blame, message=message, hint=known.hint, detail=reason)
    message = f"the job failed: {_sentence(words) or 'the service does not say why'}"
    return Failure(code="CPT490", blame=Blame.PLATFORM, message=message, detail=reason)


def _unexplained(words: str, exit_code: int | None) -> Failure:
    """Say what is known of a trainer that left no failure file of ours."""
    if exit_code == _KILLED:
        message = "the trainer was killed, which is what the system does when memory runs out"
        hint = "lower `training_config.micro_batch_size` or `max_length`, or take machines with more memory"
        return Failure(code="CPT471", blame=Blame.PLATFORM, message=message, hint=hint, detail=words)
    how = "" if exit_code is None else f" with exit code {exit_code}"
    said = f", but printed: {_sentence(words)}" if words.strip() else ""
    message = f"the trainer ended{how} and did not say why{said}"
    return Failure(
        code="CPT472", blame=Blame.BUG, message=message, hint="the end of the log may say more", detail=words
    )


def _stopped(described: Description, phases: tuple[Phase, ...]) -> Failure:
    """Say what stopped a job: somebody, or one of its limits. Neither is a success, whatever was uploaded."""
    limits = described.get("StoppingCondition", {})
    secondary = described["SecondaryStatus"]
    if secondary == "MaxRuntimeExceeded":
        message = f"the job ran for the {limits.get('MaxRuntimeInSeconds')} s that it may, and was stopped"
        return Failure(code="CPT465", blame=Blame.USER, message=message, hint="raise `launch.max_runtime_hours`")
    if secondary == "MaxWaitTimeExceeded":
        wait_s = limits.get("MaxWaitTimeInSeconds")
        message = f"the job waited for spot capacity and trained for {wait_s} s in all, and was stopped"
        hint = "raise `launch.max_wait_hours`, or do without `launch.spot`"
        return Failure(code="CPT491", blame=Blame.PLATFORM, message=message, hint=hint)
    limit_s = limits.get("MaxPendingTimeInSeconds")
    if limit_s and "TrainingStartTime" not in described and _pending_s(phases) >= limit_s:
        message = f"AWS had no capacity for {limit_s} s, and the job was stopped"
        hint = "raise `launch.max_pending_hours`, or list other types in `launch.instance_preferences`"
        return Failure(code="CPT482", blame=Blame.PLATFORM, message=message, hint=hint)
    return Failure(code="CPT464", blame=Blame.USER, message="the job was stopped on request before it was complete")


def _pending_s(phases: tuple[Phase, ...]) -> float:
    """Measure the wait for capacity, with a little slack: the service rounds."""
    since = next((phase.at for phase in phases if phase.detail == "Pending"), phases[0].at)
    until = next((phase.at for phase in phases if phase.at > since and phase.detail != "Pending"), phases[-1].at)
    return until - since + 60.0


def _exit_code(reason: str) -> int | None:
    found = _EXIT_CODE.search(reason)
    return int(found["code"]) if found else None


def _sentence(words: str) -> str:
    """Take the service's first line as part of a sentence of ours."""
    line = next((line.strip() for line in words.splitlines() if line.strip()), "")
    return line[:_LONGEST].rstrip(" .")
