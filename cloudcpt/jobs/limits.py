"""Everything that CreateTrainingJob would refuse about a request, found here and all at once.

Two passes: every value against its row of `limit_table`, then the members against each other by `limit_rules`. The
second pass is silent about what the first one found to be of a wrong type.
"""

import functools
import re
from collections.abc import Iterator, Mapping

from cloudcpt.errors import Diagnostic, error
from cloudcpt.jobs.limit_rules import RULES
from cloudcpt.jobs.limit_table import LIMITS, Count, Flag, Limit, Members, Text, Whole

_SHOWN = 80
"""Characters of a value that a message quotes."""

_JAVA_ONLY = (
    (r"[\p{L}\p{Z}\p{N}_", r"[\w \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"),
    (r".*", r"[^\n\r\u0085\u2028\u2029]*"),
    (r".+", r"[^\n\r\u0085\u2028\u2029]+"),
)
"""What Java's patterns say in a way that Python's do not know or take otherwise."""

_RECIPE_KEYS = {
    "TrainingJobName": "run.name",
    "RoleArn": "launch.role",
    "AlgorithmSpecification.TrainingImage": "launch.image",
    "InputDataConfig": "run.data_s3_path` and the other datasets, or `launch.input_s3_path",
    "OutputDataConfig.S3OutputPath": "run.output_s3_path",
    "OutputDataConfig.KmsKeyId": "launch.output_kms_key",
    "CheckpointConfig": "run.output_s3_path",
    "ResourceConfig.InstanceType": "launch.instance_type",
    "ResourceConfig.InstanceCount": "run.replicas",
    "ResourceConfig.InstancePreferences": "launch.instance_preferences",
    "ResourceConfig.VolumeSizeInGB": "launch.volume_gb",
    "ResourceConfig.VolumeKmsKeyId": "launch.volume_kms_key",
    "ResourceConfig.KeepAlivePeriodInSeconds": "launch.keep_alive_minutes",
    "ResourceConfig.TrainingPlanArn": "launch.training_plan",
    "VpcConfig.SecurityGroupIds": "launch.security_groups",
    "VpcConfig.Subnets": "launch.subnets",
    "StoppingCondition.MaxRuntimeInSeconds": "launch.max_runtime_hours",
    "StoppingCondition.MaxWaitTimeInSeconds": "launch.max_wait_hours",
    "StoppingCondition.MaxPendingTimeInSeconds": "launch.max_pending_hours",
    "RetryStrategy": "launch.retry_attempts",
    "Tags": "launch.tags` and four of cloudcpt's own, or `run.name",
    "MlflowConfig.MlflowResourceArn": "run.mlflow_tracking_uri",
    "MlflowConfig.MlflowExperimentName": "run.mlflow_experiment_name",
    "MlflowConfig.MlflowRunName": "run.mlflow_run_name",
    "ModelPackageConfig.ModelPackageGroupArn": "run.model_package_group",
    "ModelPackageConfig.SourceModelPackageArn": "run.model_name_or_path",
}
"""Where in a recipe a member comes from."""


def request_faults(request: Mapping[str, object]) -> tuple[Diagnostic, ...]:
    """List everything about a request that is outside the limits of CreateTrainingJob; empty when nothing is.

    Each message begins with the path of the member. What only the account knows, such as quotas and whether a role
    exists, is not looked at.
    """
    values = tuple(_faults("", "", request))
    if any(found.code == "CPT427" for found in values):
        return values  # a rule may stumble over what is missing or of a wrong type
    return (*values, *(error(broken.code, broken.message) for rule in RULES for broken in rule.faults(request)))


def _faults(row: str, path: str, value: object) -> Iterator[Diagnostic]:
    """Check a value against its row, and what is in it against theirs.

    Args:
        row: Path in the table, `Tags[].Key`.
        path: The same in the request, `Tags[3].Key`.
        value: What the request has there.
    """
    limit = LIMITS[row]
    if not isinstance(value, _python_type(limit)) or (isinstance(limit, Whole) and isinstance(value, bool)):
        yield _fault("CPT427", path, f"is `{_short(value)}`, which is not {_wanted(limit)}")
    elif isinstance(limit, Members):
        assert isinstance(value, Mapping), "its type was checked"
        yield from _member_faults(limit, row, path, value)
    elif isinstance(limit, Count):
        assert isinstance(value, Mapping | list), "its type was checked"
        yield from _amount_faults("CPT426", path, f"has {len(value)} entries", len(value), limit)
        yield from _entry_faults(row, path, value)
    elif isinstance(limit, Whole):
        assert isinstance(value, int), "its type was checked"
        yield from _amount_faults("CPT425", path, f"is {value}", value, limit)
    elif isinstance(limit, Text):
        assert isinstance(value, str), "its type was checked"
        yield from _text_faults(limit, path, value)


def _python_type(limit: Limit) -> type:
    if isinstance(limit, Count):
        return dict if limit.is_map else list
    return {Members: dict, Whole: int, Flag: bool, Text: str}[type(limit)]


def _wanted(limit: Limit) -> str:
    if isinstance(limit, Count):
        return "a map" if limit.is_map else "a list"
    return {Members: "a structure", Whole: "a whole number", Flag: "true or false", Text: "text"}[type(limit)]


def _member_faults(limit: Members, row: str, path: str, value: Mapping[str, object]) -> Iterator[Diagnostic]:
    for name in limit.required:
        if name not in value:
            yield _fault("CPT427", _below(path, name), "is missing")
    for name, member in value.items():
        if _below(row, name) in LIMITS:
            yield from _faults(_below(row, name), _below(path, name), member)
        else:
            yield _fault("CPT427", _below(path, name), "is not a member that cloudcpt knows")


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _entry_faults(row: str, path: str, value: "Mapping[str, object] | list[object]") -> Iterator[Diagnostic]:
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _faults(f"{row}{{key}}", f"{path}{{{_short(key)}}}", key)
            yield from _faults(f"{row}{{}}", f"{path}{{{_short(key)}}}", entry)
    else:
        for at, entry in enumerate(value):
            yield from _faults(f"{row}[]", f"{path}[{at}]", entry)


def _text_faults(limit: Text, path: str, value: str) -> Iterator[Diagnostic]:
    yield from _amount_faults("CPT422", path, f"has {len(value)} characters", len(value), limit)
    if limit.choices and value not in limit.choices:
        allowed = ", ".join(f"`{choice}`" for choice in limit.choices)
        yield _fault("CPT424", path, f"is `{_short(value)}`, allowed are {allowed}")
    if limit.pattern and not compiled(limit.pattern).fullmatch(value):
        yield _fault("CPT423", path, f"is `{_short(value)}`, which does not have the form `{limit.pattern}`")


def _amount_faults(code: str, path: str, has: str, amount: int, limit: Text | Whole | Count) -> Iterator[Diagnostic]:
    too_few = limit.least is not None and amount < limit.least
    if not too_few and (limit.most is None or amount <= limit.most):
        return
    allowed = f"at least {limit.least}" if limit.most is None else f"at most {limit.most}"
    if limit.least and limit.most is not None:
        allowed = f"{limit.least} to {limit.most}"
    yield _fault(code, path, f"{has}, allowed are {allowed}")


@functools.cache
def compiled(java: str) -> re.Pattern[str]:
    """Turn a pattern of the service's model, which is Java's, into Python's."""
    python = java
    for theirs, ours in _JAVA_ONLY:
        python = python.replace(theirs, ours)
    # Java's `\d` and `\S` are about ASCII; only its `\p{...}`, which became `\w`, is about all of Unicode.
    return re.compile(python, 0 if r"\p{" in java else re.ASCII)


def _fault(code: str, path: str, says: str) -> Diagnostic:
    key = next(
        (key for member, key in _RECIPE_KEYS.items() if f"{path}.".startswith((f"{member}.", f"{member}["))), None
    )
    return error(code, f"`{path or 'CreateTrainingJob'}` {says}", hint=f"it comes from `{key}`" if key else None)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
