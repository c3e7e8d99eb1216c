"""What CreateTrainingJob refuses although every single value is within its limits: members that need or exclude others.

A rule looks at a whole request and says what it breaks, beginning with the path of a member. `[api]` is the text of the
service's model (botocore 1.44.5, sagemaker 2017-07-24); `[guide]` the Amazon SageMaker developer guide; both were read
on 2026-11-20.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cloudcpt.recipe.launch import has_local_disks

Request = Mapping[str, Any]  # members of a request are as various as the service's model; their types were checked


DEFAULT_MAX_RUNTIME_S = 24 * 3600
"""Source: [api] StoppingCondition.MaxRuntimeInSeconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Broken:
    """A rule that a request breaks, with the code of its kind."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One rule over several members.

    Args:
        source: Who says so.
        faults: Lists what a request breaks of it.
    """

    source: str
    faults: Callable[[Request], Iterator[Broken]]


def _excluded(message: str) -> Broken:
    return Broken(code="CPT428", message=message)


def _twice(where: str, names: Iterable[str]) -> Iterator[Broken]:
    for name, times in Counter(names).items():
        if times > 1:
            yield Broken(code="CPT429", message=f"`{where}` has `{name}` {times} times, once is allowed")


def _image_or_algorithm(request: Request) -> Iterator[Broken]:
    named = [name for name in ("TrainingImage", "AlgorithmName") if name in request["AlgorithmSpecification"]]
    if len(named) != 1:
        found = "both" if named else "neither"
        yield _excluded(f"`AlgorithmSpecification` has {found} of `TrainingImage` and `AlgorithmName`, it needs one")


def _one_kind_of_machines(request: Request) -> Iterator[Broken]:
    kinds = ("InstanceType", "InstanceGroups", "InstancePreferences")
    named = [name for name in kinds if name in request["ResourceConfig"]]
    if len(named) != 1:
        found = " and ".join(f"`{name}`" for name in named) or "none"
        yield _excluded(f"`ResourceConfig` needs one of {', '.join(f'`{name}`' for name in kinds)}, it has {found}")


def _one_place_for_the_count(request: Request) -> Iterator[Broken]:
    resources = request["ResourceConfig"]
    preferences = resources.get("InstancePreferences", [])
    counted = sum("InstanceCount" in one for one in preferences)
    if "InstanceGroups" in resources and "InstanceCount" in resources:
        yield _excluded("`ResourceConfig.InstanceCount` excludes `InstanceGroups`, which count their own machines")
    elif "InstanceType" in resources and "InstanceCount" not in resources:
        yield _excluded("`ResourceConfig.InstanceCount` is missing, it goes with `InstanceType`")
    elif preferences and (counted, "InstanceCount" in resources) not in ((0, True), (len(preferences), False)):
        yield _excluded(
            "`ResourceConfig.InstanceCount` is set once for all `InstancePreferences`, or in each of them, not in "
            f"{counted} of {len(preferences)}"
        )


def _preferences(request: Request) -> Iterator[Broken]:
    resources = request["ResourceConfig"]
    preferences = resources.get("InstancePreferences", [])
    yield from _twice("ResourceConfig.InstancePreferences", (one["InstanceType"] for one in preferences))
    if preferences and request.get("EnableManagedSpotTraining"):
        yield _excluded("`ResourceConfig.InstancePreferences` excludes `EnableManagedSpotTraining`")
    if "TrainingPlanArn" in resources and any("TrainingPlanArns" in one for one in preferences):
        yield _excluded("`ResourceConfig.TrainingPlanArn` excludes `TrainingPlanArns` of an instance preference")


def _spot(request: Request) -> Iterator[Broken]:
    wait = request.get("StoppingCondition", {}).get("MaxWaitTimeInSeconds")
    runtime = request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME_S)
    if request.get("EnableManagedSpotTraining") and wait is None:
        yield _excluded("`StoppingCondition.MaxWaitTimeInSeconds` is missing, `EnableManagedSpotTraining` needs it")
    elif wait is not None and not request.get("EnableManagedSpotTraining"):
        yield _excluded("`StoppingCondition.MaxWaitTimeInSeconds` needs `EnableManagedSpotTraining`")
    elif wait is not None and wait < runtime:
        yield _excluded(
            f"`StoppingCondition.MaxWaitTimeInSeconds` is {wait}, less than `MaxRuntimeInSeconds`, which is {runtime}; "
            "it counts waiting and training together"
        )


def _capacity(request: Request) -> Iterator[Broken]:
    resources, is_spot = request["ResourceConfig"], request.get("EnableManagedSpotTraining")
    if resources.get("KeepAlivePeriodInSeconds") and is_spot:
        yield _excluded("`ResourceConfig.KeepAlivePeriodInSeconds` excludes `EnableManagedSpotTraining`")
    if resources.get("KeepAlivePeriodInSeconds") and "InstanceGroups" in resources:
        yield _excluded("`ResourceConfig.KeepAlivePeriodInSeconds` excludes `InstanceGroups`")
    if "TrainingPlanArn" in resources and is_spot:
        yield _excluded("`ResourceConfig.TrainingPlanArn` excludes `EnableManagedSpotTraining`")


def _disks(request: Request) -> Iterator[Broken]:
    resources = request["ResourceConfig"]
    named = [*resources.get("InstanceGroups", []), *resources.get("InstancePreferences", []), resources]
    types = [one["InstanceType"] for one in named if "InstanceType" in one]
    local = [name for name in types if has_local_disks(name)]
    if "VolumeKmsKeyId" in resources and local:
        yield _excluded(f"`ResourceConfig.VolumeKmsKeyId` excludes `{local[0]}`, whose local disks have their own key")
    if "VolumeSizeInGB" not in resources and len(local) < len(types):
        plain = next(name for name in types if name not in local)
        yield _excluded(f"`ResourceConfig.VolumeSizeInGB` is missing, `{plain}` has no disks of its own")


def _channels(request: Request) -> Iterator[Broken]:
    named = request.get("InputDataConfig", [])
    yield from _twice("InputDataConfig", (channel["ChannelName"] for channel in named))
    default = request["AlgorithmSpecification"]["TrainingInputMode"]
    for at, channel in enumerate(named):
        if len(channel["DataSource"]) != 1:
            yield _excluded(
                f"`InputDataConfig[{at}].DataSource` has {len(channel['DataSource'])} sources, it needs one"
            )
        streamed = _needs_a_stream(channel)
        if streamed and channel.get("InputMode", default) != "Pipe":
            yield _excluded(f"`InputDataConfig[{at}].{streamed}` needs input mode `Pipe`")


def _needs_a_stream(channel: Request) -> str | None:
    if channel["DataSource"].get("S3DataSource", {}).get("S3DataType") == "AugmentedManifestFile":
        return "DataSource.S3DataSource.S3DataType"
    if channel.get("CompressionType") == "Gzip":
        return "CompressionType"
    return "RecordWrapperType" if channel.get("RecordWrapperType") == "RecordIO" else None


def _network(request: Request) -> Iterator[Broken]:
    if "VpcConfig" in request:
        return
    for at, channel in enumerate(request.get("InputDataConfig", [])):
        if "FileSystemDataSource" in channel["DataSource"]:
            yield _excluded(f"`InputDataConfig[{at}].DataSource.FileSystemDataSource` needs `VpcConfig`")
    registry = request["AlgorithmSpecification"].get("TrainingImageConfig", {})
    if registry.get("TrainingRepositoryAccessMode") == "Vpc":
        yield _excluded("`AlgorithmSpecification.TrainingImageConfig` with access mode `Vpc` needs `VpcConfig`")


def _tags(request: Request) -> Iterator[Broken]:
    keys = [tag["Key"] for tag in request.get("Tags", [])]
    yield from _twice("Tags", keys)
    for at, key in enumerate(keys):
        if key.lower().startswith("aws:"):
            yield Broken(
                code="CPT429", message=f"`Tags[{at}].Key` is `{key}`, names with `aws:` in front belong to AWS"
            )


def _metrics(request: Request) -> Iterator[Broken]:
    definitions = request["AlgorithmSpecification"].get("MetricDefinitions", [])
    where = "AlgorithmSpecification.MetricDefinitions"
    yield from _twice(where, (one["Name"] for one in definitions))
    for at, one in enumerate(definitions):
        try:
            groups = re.compile(one["Regex"]).groups
        except re.error as exc:
            yield Broken(code="CPT423", message=f"`{where}[{at}].Regex` is no regular expression: {exc}")
        else:
            if groups != 1:
                message = f"`{where}[{at}].Regex` has {groups} capture groups, the metric is the one group"
                yield Broken(code="CPT423", message=message)


RULES: tuple[Rule, ...] = (
    Rule(source="[api] AlgorithmSpecification.AlgorithmName", faults=_image_or_algorithm),
    Rule(source="[api] ResourceConfig.InstancePreferences", faults=_one_kind_of_machines),
    Rule(
        source="[api] InstancePreference.InstanceCount; [guide] distributed training", faults=_one_place_for_the_count
    ),
    Rule(source="[api] ResourceConfig.InstancePreferences, InstancePreference", faults=_preferences),
    Rule(source="[api] StoppingCondition.MaxWaitTimeInSeconds; [guide] managed spot training", faults=_spot),
    Rule(source="[guide] managed warm pools, training plans", faults=_capacity),
    Rule(source="[api] ResourceConfig.VolumeKmsKeyId, VolumeSizeInGB", faults=_disks),
    Rule(source="[api] Channel, DataSource, S3DataSource.S3DataType", faults=_channels),
    Rule(source="[api] FileSystemDataSource, TrainingImageConfig", faults=_network),
    Rule(source="[api] Tag; AWS reserves `aws:`", faults=_tags),
    Rule(source="[guide] define training metrics: one capture group", faults=_metrics),
)
