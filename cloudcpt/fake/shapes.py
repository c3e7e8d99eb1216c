"""The limits of single values: length, pattern, choice, range and count, as the service's own model states them.

The model is the one that botocore ships (sagemaker 2017-07-24). botocore itself checks only required members, types and
minima before it sends; the service checks all of it, and words it as here, every fault at once. What a model cannot
say, such as two fields that exclude each other, is in `job_rules.py`.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cloudcpt.fake.front import Refusal

_JAVA_CLASSES = {
    r"\p{Alnum}": "a-zA-Z0-9",
    r"\p{L}": r"^\W\d_",
    r"[\p{L}\p{Z}\p{N}_": r"[\w \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",
}
"""Java's character classes that Python lacks; longest first when they are replaced."""

_MAX_REFUSED_CHARACTERS = 200
"""How much of a refused value is quoted."""


@dataclass(frozen=True, kw_only=True)
class ShapeFault:
    """One value outside its limits.

    Args:
        place: Where it is, as the service writes it: `inputDataConfig.1.member.channelName`.
        value: The value, shortened.
        rule: What it should satisfy.
    """

    place: str
    value: str
    rule: str

    def __str__(self) -> str:
        shown = "null" if self.value == "null" else f"'{self.value}'"
        return f"Value {shown} at '{self.place}' failed to satisfy constraint: {self.rule}"


@functools.cache
def service_model(service: str = "sagemaker") -> Mapping[str, Any]:
    """Load a service model that botocore ships."""
    from botocore.loaders import Loader

    model: Mapping[str, Any] = Loader().load_service_model(service, "service-2")
    return model


def members(shape: str) -> frozenset[str]:
    """Name the members of a structure."""
    return frozenset(service_model()["shapes"][shape]["members"])


def training_instance_types() -> tuple[str, ...]:
    """List the instance types that a training job can name."""
    return tuple(service_model()["shapes"]["TrainingInstanceType"]["enum"])


def check_shape(operation: str, parameters: Mapping[str, Any]) -> None:
    """Refuse parameters of a call that are outside the limits of the model.

    Raises:
        Refusal: `ValidationException` with every fault in one text.
    """
    model = service_model()
    shape = model["operations"][operation]["input"]["shape"]
    faults = tuple(_faults(model["shapes"], shape, parameters, ()))
    if faults:
        count = f"{len(faults)} validation error{'s' if len(faults) > 1 else ''} detected: "
        raise Refusal(status=400, code="ValidationException", message=count + "; ".join(map(str, faults)))


def _faults(shapes: Mapping[str, Any], name: str, value: object, place: tuple[str, ...]) -> Iterator[ShapeFault]:
    shape = shapes[name]
    kind = shape["type"]
    if not isinstance(value, _PYTHON_TYPES[kind]) or (kind != "boolean" and isinstance(value, bool)):
        where = ".".join(place)
        message = f"{where} is not a {kind}"
        raise Refusal(status=400, code="SerializationException", message=message)
    if isinstance(value, Mapping) and kind == "structure":
        yield from _structure_faults(shapes, shape, value, place)
    elif isinstance(value, Mapping):
        yield from _size_faults(shape, len(value), value, place)
        for key, entry in value.items():
            yield from _entry_faults(shapes, shape["key"]["shape"], key, place, "Map keys")
            yield from _entry_faults(shapes, shape["value"]["shape"], entry, place, "Map value")
    elif isinstance(value, list):
        yield from _size_faults(shape, len(value), value, place)
        for number, entry in enumerate(value, start=1):
            yield from _faults(shapes, shape["member"]["shape"], entry, (*place, str(number), "member"))
    else:
        yield from (_fault(place, value, rule) for rule in _broken_rules(shape, value))


_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "double": (int, float),
    "float": (int, float),
    "timestamp": (int, float),
}


def _structure_faults(
    shapes: Mapping[str, Any], shape: Mapping[str, Any], value: Mapping[str, Any], place: tuple[str, ...]
) -> Iterator[ShapeFault]:
    for member, described in shape["members"].items():
        where = (*place, member[0].lower() + member[1:])
        if value.get(member) is not None:
            yield from _faults(shapes, described["shape"], value[member], where)
        elif member in shape.get("required", ()):
            yield _fault(where, "null", "Member must not be null")


def _size_faults(shape: Mapping[str, Any], size: int, value: object, place: tuple[str, ...]) -> Iterator[ShapeFault]:
    if "min" in shape and size < shape["min"]:
        yield _fault(place, value, f"Member must have length greater than or equal to {shape['min']}")
    if "max" in shape and size > shape["max"]:
        yield _fault(place, value, f"Member must have length less than or equal to {shape['max']}")


def _entry_faults(
    shapes: Mapping[str, Any], name: str, value: object, place: tuple[str, ...], what: str
) -> Iterator[ShapeFault]:
    """Word the faults of a map's key or value, which have no place of their own."""
    if rules := [fault.rule for fault in _faults(shapes, name, value, place)]:
        yield _fault(place, value, f"{what} must satisfy constraint: [{', '.join(rules)}]")


def _broken_rules(shape: Mapping[str, Any], value: object) -> Iterator[str]:
    if isinstance(value, str):
        if "min" in shape and len(value) < shape["min"]:
            yield f"Member must have length greater than or equal to {shape['min']}"
        if "max" in shape and len(value) > shape["max"]:
            yield f"Member must have length less than or equal to {shape['max']}"
        if "pattern" in shape and not _pattern(shape["pattern"]).fullmatch(value):
            yield f"Member must satisfy regular expression pattern: {shape['pattern']}"
        if "enum" in shape and value not in shape["enum"]:
            yield f"Member must satisfy enum value set: [{', '.join(shape['enum'])}]"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if "min" in shape and value < shape["min"]:
            yield f"Member must have value greater than or equal to {shape['min']}"
        if "max" in shape and value > shape["max"]:
            yield f"Member must have value less than or equal to {shape['max']}"


@functools.cache
def _pattern(java: str) -> re.Pattern[str]:
    """Translate a pattern of the model; it is Java's, where `.` does not match a line break."""
    for theirs in sorted(_JAVA_CLASSES, key=len, reverse=True):
        java = java.replace(theirs, _JAVA_CLASSES[theirs])
    return re.compile(java)


def _fault(place: tuple[str, ...], value: object, rule: str) -> ShapeFault:
    return ShapeFault(place=".".join(place), value=str(value)[:_MAX_REFUSED_CHARACTERS], rule=rule)
