"""What CreateTrainingJob refuses about instances and time although every single value is within its limits.

`[api]` is the text of the service's model (botocore, sagemaker 2017-07-24); `[guide]` the SageMaker developer guide.
"""

from cloudcpt.fake.job_request import (
    DEFAULT_MAX_RUNTIME_S,
    JobRequest,
    Rule,
    has_local_storage,
    instance_types,
    is_spot,
    repeated,
    resources,
    stopping,
)

MAX_RUNTIME_S = 28 * 24 * 3600
"""Source: botocore, sagemaker 2017-07-24, StoppingCondition.MaxRuntimeInSeconds."""


def _one_kind_of_instances(request: JobRequest) -> str | None:
    kinds = [kind for kind in ("InstanceType", "InstanceGroups", "InstancePreferences") if resources(request).get(kind)]
    if len(kinds) == 1:
        return None
    return f"Exactly one of InstanceType, InstanceGroups and InstancePreferences must be specified, got {kinds}."


def _instance_count(request: JobRequest) -> str | None:
    own = resources(request)
    if own.get("InstancePreferences"):
        return None
    counts = [group["InstanceCount"] for group in own.get("InstanceGroups", ())]
    if not counts:
        counts = [own.get("InstanceCount", 0)]
    return "InstanceCount must be greater than or equal to 1." if min(counts) < 1 else None


def _preferences_exclude(request: JobRequest) -> str | None:
    if not resources(request).get("InstancePreferences"):
        return None
    if "InstancePlacementConfig" in resources(request):
        return "InstancePreferences cannot be used with InstancePlacementConfig."
    return "InstancePreferences cannot be used with EnableManagedSpotTraining." if is_spot(request) else None


def _preferences_distinct(request: JobRequest) -> str | None:
    again = repeated([one["InstanceType"] for one in resources(request).get("InstancePreferences", ())])
    return f"InstancePreferences contains {again} more than once." if again else None


def _preference_counts(request: JobRequest) -> str | None:
    own = resources(request)
    preferences = own.get("InstancePreferences", ())
    if not preferences:
        return None
    counted = [one for one in preferences if "InstanceCount" in one]
    if (len(counted), "InstanceCount" in own) in ((len(preferences), False), (0, True)):
        return None
    return "InstanceCount must be set either on every preference or in ResourceConfig."


def _preference_plans(request: JobRequest) -> str | None:
    own = resources(request)
    plans = [one for one in own.get("InstancePreferences", ()) if "TrainingPlanArns" in one]
    if plans and "TrainingPlanArn" in own:
        return "TrainingPlanArns of a preference cannot be used with TrainingPlanArn of ResourceConfig."
    return None


def _selected_is_read_only(request: JobRequest) -> str | None:
    given = [name for name in ("SelectedInstanceType", "SelectedInstanceCount") if name in resources(request)]
    return f"{given[0]} is read-only." if given else None


def _spot_needs_wait(request: JobRequest) -> str | None:
    if is_spot(request) and "MaxWaitTimeInSeconds" not in stopping(request):
        return "MaxWaitTimeInSeconds must be specified when EnableManagedSpotTraining is true."
    if not is_spot(request) and "MaxWaitTimeInSeconds" in stopping(request):
        return "MaxWaitTimeInSeconds can only be specified when EnableManagedSpotTraining is true."
    return None


def _wait_covers_runtime(request: JobRequest) -> str | None:
    wait = stopping(request).get("MaxWaitTimeInSeconds")
    runtime = stopping(request).get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME_S)
    if wait is None or wait >= runtime:
        return None
    return "Invalid MaxWaitTimeInSeconds. It must be equal to or greater than MaxRuntimeInSeconds"


def _runtime_within_28_days(request: JobRequest) -> str | None:
    runtime = stopping(request).get("MaxRuntimeInSeconds", 0)
    return f"MaxRuntimeInSeconds must be at most {MAX_RUNTIME_S}." if runtime > MAX_RUNTIME_S else None


def _warm_pool(request: JobRequest) -> str | None:
    if not resources(request).get("KeepAlivePeriodInSeconds"):
        return None
    if is_spot(request):
        return "KeepAlivePeriodInSeconds cannot be used with EnableManagedSpotTraining."
    if resources(request).get("InstanceGroups"):
        return "KeepAlivePeriodInSeconds cannot be used with InstanceGroups."
    return None


def _plan_without_spot(request: JobRequest) -> str | None:
    if "TrainingPlanArn" in resources(request) and is_spot(request):
        return "TrainingPlanArn cannot be used with EnableManagedSpotTraining."
    return None


def _volume_key(request: JobRequest) -> str | None:
    if not resources(request).get("VolumeKmsKeyId"):
        return None
    local = [one for one in instance_types(request) if has_local_storage(one)]
    return f"VolumeKmsKeyId is not supported for instance type {local[0]}." if local else None


def _volume_size(request: JobRequest) -> str | None:
    plain = [one for one in instance_types(request) if not has_local_storage(one)]
    if plain and resources(request).get("VolumeSizeInGB", 0) < 1:
        return f"VolumeSizeInGB must be at least 1 for instance type {plain[0]}."
    return None


RESOURCE_RULES: tuple[Rule, ...] = (
    Rule(name="kind-of-instances", source="[api] ResourceConfig.InstancePreferences", fault=_one_kind_of_instances),
    Rule(name="instance-count", source="[guide] distributed training; the model's minimum is 0", fault=_instance_count),
    Rule(name="preferences-exclude", source="[api] ResourceConfig.InstancePreferences", fault=_preferences_exclude),
    Rule(name="preferences-distinct", source="[api] InstancePreference.InstanceType", fault=_preferences_distinct),
    Rule(name="preference-counts", source="[api] InstancePreference.InstanceCount", fault=_preference_counts),
    Rule(name="preference-plans", source="[api] InstancePreference.TrainingPlanArns", fault=_preference_plans),
    Rule(name="selected", source="[api] ResourceConfig.SelectedInstanceType", fault=_selected_is_read_only),
    Rule(name="spot-needs-wait", source="[api] CreateTrainingJob.StoppingCondition", fault=_spot_needs_wait),
    Rule(name="wait-covers-runtime", source="[api] StoppingCondition.MaxWaitTimeInSeconds", fault=_wait_covers_runtime),
    Rule(name="runtime", source="[api] StoppingCondition.MaxRuntimeInSeconds", fault=_runtime_within_28_days),
    Rule(name="warm-pool", source="[guide] train using SageMaker managed warm pools", fault=_warm_pool),
    Rule(name="plan-without-spot", source="[guide] reserve training plans", fault=_plan_without_spot),
    Rule(name="volume-key", source="[api] ResourceConfig.VolumeKmsKeyId", fault=_volume_key),
    Rule(name="volume-size", source="[api] ResourceConfig.VolumeSizeInGB", fault=_volume_size),
)
