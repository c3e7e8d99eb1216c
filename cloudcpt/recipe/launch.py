"""What the keys of `launch` ask of each other: what the service would refuse at the moment of the start, or later.

As in `conditions.py`, each condition stands beside the schema fragment with the same verdict; `max_wait_hours`, which
is compared with another number, is in `rules.py`. Source: CreateTrainingJob, in botocore, sagemaker 2017-07-24.
"""

import re
from collections.abc import Iterator

from cloudcpt.recipe.faults import Fault, KeyPath, shown
from cloudcpt.recipe.fields import TAG_PATTERN
from cloudcpt.recipe.fragments import Schema, at
from cloudcpt.recipe.values import Values

LAUNCH: KeyPath = ("launch",)
LOCAL_DISKS_PATTERN = r"^ml\.(?:p4d|p4de|p5[a-z]*|p6[a-z0-9-]*)\."
"""Machines whose disks are NVMe of their own. Source: ResourceConfig, VolumeSizeInGB and VolumeKmsKeyId."""

DEFAULT_INSTANCE = "ml.p5.48xlarge"
"""Where a job runs whose recipe names no machine: the one of the published Nova recipes."""

_LEAST_PENDING_HOURS = 0.5
_LEAST_OF_CONTAINER = {"memory_gb": 0.1, "pids": 32}
"""Below it nothing starts; an engine would say so in words of its own, or Python in a traceback."""

_TAG_NAME_LENGTH = 128
_RESERVED = r"^[Aa][Ww][Ss]:"
_VARIABLE = "^[A-Za-z_][A-Za-z0-9_]*$"
_LAUNCHER_S_OWN = "^((LOCAL_|GROUP_)?RANK|(LOCAL_)?WORLD_SIZE|MASTER_(ADDR|PORT))$"
_PRIVATE = "(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|ACCESS_KEY|API_KEY)(_|$)"
_NOT_WITH_SPOT = {
    "keep_alive_minutes": "spare machines cannot be kept",
    "instance_preferences": "spare capacity is asked for one `instance_type`",
    "training_plan": "a training plan is capacity that is reserved already",
}


def launch_faults(values: Values) -> Iterator[Fault]:
    """Check the section `launch`."""
    yield from _spot(values)
    yield from _machines(values)
    yield from _network(values)
    yield from _volume(values)
    yield from _pending(values)
    yield from _tags(values)
    yield from _environment(values)
    yield from _container(values)


def has_local_disks(instance_type: str) -> bool:
    """Tell whether a machine has NVMe disks of its own, which take neither a size nor a key."""
    return re.match(LOCAL_DISKS_PATTERN, instance_type) is not None


def machines_with_local_disks(values: Values) -> tuple[tuple[KeyPath, str], ...]:
    """List the machines with local disks that the job may run on, with their places."""
    named = named_machines(values) or (((*LAUNCH, "instance_type"), DEFAULT_INSTANCE),)
    return tuple((loc, name) for loc, name in named if has_local_disks(name))


def named_machines(values: Values) -> tuple[tuple[KeyPath, str], ...]:
    """List the machines that a recipe names, with their places."""
    one = (*LAUNCH, "instance_type")
    preferences = (*LAUNCH, "instance_preferences")
    listed = ((*preferences, index) for index in range(values.length(*preferences)))
    return tuple((loc, text) for loc in (one, *listed) if (text := values.text(*loc)))


def _is_set(values: Values, key: str) -> bool:
    loc = (*LAUNCH, key)
    return bool(values.text(*loc) or values.length(*loc) or values.number(*loc) or values.flag(*loc))


def _spot(values: Values) -> Iterator[Fault]:
    place = (((*LAUNCH, "spot"), "`spot` set here"),)
    for key, reason in _NOT_WITH_SPOT.items():
        if values.flag(*LAUNCH, "spot") and _is_set(values, key):
            message = f"`{key}` does not go with `spot`, {reason}"
            yield Fault(code="CPT219", message=message, loc=(*LAUNCH, key), on="key", related=place)
    if _is_set(values, "max_wait_hours") and not values.flag(*LAUNCH, "spot"):
        message = "`max_wait_hours` is for `spot: true`"
        hint = "`max_pending_hours` limits the wait for other capacity"
        yield Fault(code="CPT220", message=message, loc=(*LAUNCH, "max_wait_hours"), on="key", hint=hint)


def _machines(values: Values) -> Iterator[Fault]:
    preferences = (*LAUNCH, "instance_preferences")
    if _is_set(values, "instance_type") and values.length(*preferences):
        yield Fault(
            code="CPT221",
            message="`launch` has both `instance_type` and `instance_preferences`, it takes one of them",
            loc=preferences,
            on="key",
            related=(((*LAUNCH, "instance_type"), "`instance_type` set here"),),
        )
    first: dict[str, KeyPath] = {}
    for loc, name in named_machines(values):
        if loc[:2] == preferences and name in first:
            message = f"{shown(name)} is preferred twice"
            yield Fault(code="CPT221", message=message, loc=loc, related=((first[name], "the first one"),))
        elif loc[:2] == preferences:
            first[name] = loc


def _network(values: Values) -> Iterator[Fault]:
    for key, other in (("subnets", "security_groups"), ("security_groups", "subnets")):
        if values.length(*LAUNCH, key) and not values.length(*LAUNCH, other):
            message = f"`{key}` needs `{other}` beside it, a VPC is named by both"
            yield Fault(code="CPT222", message=message, loc=(*LAUNCH, key), on="key")


def _volume(values: Values) -> Iterator[Fault]:
    local = machines_with_local_disks(values)
    if _is_set(values, "volume_kms_key") and local:
        loc, name = local[0]
        yield Fault(
            code="CPT223",
            message=f"`volume_kms_key` is not possible on {shown(name)}, whose local disks take no key",
            loc=(*LAUNCH, "volume_kms_key"),
            on="key",
            related=((loc, "the machine"),) if values.has(*loc) else (),
            hint="leave it out; local disks are encrypted by the machine itself",
        )


def _pending(values: Values) -> Iterator[Fault]:
    hours = values.number(*LAUNCH, "max_pending_hours")
    if hours is not None and 0 < hours < _LEAST_PENDING_HOURS:
        message = f"`max_pending_hours` must be 0, or a number from {_LEAST_PENDING_HOURS} to 672, not {shown(hours)}"
        yield Fault(code="CPT102", message=message, loc=(*LAUNCH, "max_pending_hours"))


def _tags(values: Values) -> Iterator[Fault]:
    for name in values.keys(*LAUNCH, "tags"):
        fault = None
        if re.search(_RESERVED, name):
            fault = "begins with `aws:`, which belongs to AWS"
        elif not 0 < len(name) <= _TAG_NAME_LENGTH:
            fault = f"has {len(name)} characters, 1 to {_TAG_NAME_LENGTH} are allowed"
        elif not re.search(TAG_PATTERN, name):
            fault = "has a character that is not allowed; letters, digits, spaces and `_.:/=+-@` are"
        if fault:
            message = f"the name {shown(name)} of a tag {fault}"
            yield Fault(code="CPT224", message=message, loc=(*LAUNCH, "tags", name), on="key")


def _environment(values: Values) -> Iterator[Fault]:
    for name in values.keys(*LAUNCH, "environment"):
        fault = None
        if not re.search(_VARIABLE, name):
            fault = "is none: letters, digits and `_`, not a digit first"
        elif re.search(_LAUNCHER_S_OWN, name):
            fault = "is set by the launcher, for each process"
        elif re.search(_PRIVATE, name):
            fault = "looks like a secret, and everybody who sees the plan would see it"
        if fault:
            message = f"the environment variable {shown(name)} {fault}"
            yield Fault(code="CPT226", message=message, loc=(*LAUNCH, "environment", name), on="key")


def _container(values: Values) -> Iterator[Fault]:
    for key, least in _LEAST_OF_CONTAINER.items():
        given = values.number(*LAUNCH, "container", key)
        if given is not None and 0 < given < least:
            message = f"`{key}` must be 0, or a number from {shown(least)}, not {shown(given)}"
            yield Fault(code="CPT102", message=message, loc=(*LAUNCH, "container", key))


# --- the same, for the schema -------------------------------------------------------------------------------------


def _where(key: str, value: Schema) -> Schema:
    return {"required": [key], "properties": {key: value}}


_SOME_TEXT: Schema = {"minLength": 1}
_SOME_ITEMS: Schema = {"minItems": 1}
_ON: Schema = {"const": True}
_OTHER_DISKS: Schema = {"not": {"pattern": LOCAL_DISKS_PATTERN}}
_EMPTY = {"keep_alive_minutes": {"const": 0}, "instance_preferences": {"maxItems": 0}, "training_plan": {"const": ""}}

_FRAGMENTS: tuple[Schema, ...] = (
    {"if": _where("spot", _ON), "then": {"properties": _EMPTY}},
    {"if": _where("max_wait_hours", {"exclusiveMinimum": 0}), "then": _where("spot", _ON)},
    {
        "if": _where("instance_type", _SOME_TEXT),
        "then": {"properties": {"instance_preferences": {"maxItems": 0}}},
        "else": {"properties": {"instance_preferences": {"uniqueItems": True}}},
    },
    {"if": _where("subnets", _SOME_ITEMS), "then": _where("security_groups", _SOME_ITEMS)},
    {"if": _where("security_groups", _SOME_ITEMS), "then": _where("subnets", _SOME_ITEMS)},
    {
        "if": _where("volume_kms_key", _SOME_TEXT),
        "then": {
            "anyOf": [
                _where("instance_type", {**_SOME_TEXT, **_OTHER_DISKS}),
                _where("instance_preferences", {**_SOME_ITEMS, "items": _OTHER_DISKS}),
            ],
            "properties": {"instance_type": _OTHER_DISKS},
        },
    },
    {"properties": {"max_pending_hours": {"anyOf": [{"const": 0}, {"minimum": _LEAST_PENDING_HOURS}]}}},
    {
        "properties": {
            "container": {
                "properties": {
                    key: {"anyOf": [{"const": 0}, {"minimum": least}]} for key, least in _LEAST_OF_CONTAINER.items()
                }
            },
            "tags": {
                "propertyNames": {
                    "minLength": 1,
                    "maxLength": _TAG_NAME_LENGTH,
                    "pattern": TAG_PATTERN,
                    "not": {"pattern": _RESERVED},
                }
            },
            "environment": {
                "propertyNames": {
                    "pattern": _VARIABLE,
                    "not": {"anyOf": [{"pattern": _LAUNCHER_S_OWN}, {"pattern": _PRIVATE}]},
                }
            },
        }
    },
)
LAUNCH_SCHEMA = tuple(at(LAUNCH, fragment) for fragment in _FRAGMENTS)
"""What `launch_faults` finds, as fragments of the published schema."""
