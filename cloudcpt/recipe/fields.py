"""The kinds of values that recipe fields are made of.

Scalars are strict: a quoted number is text, `true` is not 1. A whole number may be written `8192.0`, because JSON
Schema takes it as one; the model and the published schema always give the same verdict. Patterns use only what
Python and JavaScript regular expressions share, so that editors can use them.
"""

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict
from pydantic_core import PydanticCustomError

from cloudcpt.recipe.catalog import model_rows

_END = r"$(?!\n)"  # `$` alone would also match before a last line feed
NO_CONTROL = r"^(?![\s\S]*[\x00-\x1f\x7f])"
S3_URI = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/.*)?"
LOCAL_PATH = r"(?![A-Za-z][A-Za-z0-9+.-]*:/)\S(?:.*\S)?"

NAME_PATTERN = rf"^[A-Za-z0-9](?:-*[A-Za-z0-9]){{0,62}}{_END}"
"""Source: CreateTrainingJob, TrainingJobName, in the SageMaker service model."""
PATH_PATTERN = rf"{NO_CONTROL}(?:{S3_URI}|{LOCAL_PATH}){_END}"
OPTIONAL_PATH_PATTERN = rf"{NO_CONTROL}(?:{S3_URI}|{LOCAL_PATH})?{_END}"
S3_PATTERN = rf"{NO_CONTROL}{S3_URI}{_END}"
OPTIONAL_S3_PATTERN = rf"{NO_CONTROL}(?:{S3_URI})?{_END}"
SOURCE_NAME_PATTERN = rf"^[A-Za-z0-9][A-Za-z0-9._-]{{0,55}}{_END}"
MODULE_PATTERN = rf"^[A-Za-z0-9_.]+{_END}"
INSTANCE_PATTERN = rf"^(?:ml\.[a-z0-9-]+\.[a-z0-9]+)?{_END}"
NAMED_INSTANCE_PATTERN = rf"^ml\.[a-z0-9-]+\.[a-z0-9]+{_END}"
REGION_PATTERN = rf"^(?:[a-z]{{2,4}}(?:-[a-z]{{2,16}}){{1,3}}-[0-9]{{1,2}})?{_END}"
ACCOUNT_PATTERN = rf"^(?:[0-9]{{12}})?{_END}"
IMAGE_PATTERN = rf"^(?:[A-Za-z0-9][A-Za-z0-9._:/@-]*)?{_END}"
_PARTITION = "arn:aws[a-z-]*"
ROLE_PATTERN = rf"^(?:{_PARTITION}:iam::[0-9]{{12}}:role/[A-Za-z0-9_+=,.@/-]+)?{_END}"
KEY_PATTERN = (
    rf"^(?:{_PARTITION}:kms:[a-z0-9-]+:[0-9]{{12}}:(?:key/[A-Za-z0-9-]+|alias/[A-Za-z0-9:/_-]+)"
    rf"|alias/[A-Za-z0-9:/_-]+|[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}|mrk-[0-9a-f]{{32}})?{_END}"
)
SUBNET_PATTERN = rf"^subnet-[0-9a-f]{{8}}(?:[0-9a-f]{{9}})?{_END}"
SECURITY_GROUP_PATTERN = rf"^sg-[0-9a-f]{{8}}(?:[0-9a-f]{{9}})?{_END}"
TRAINING_PLAN_PATTERN = (
    rf"^(?:{_PARTITION}:sagemaker:[a-z0-9-]+:[0-9]{{12}}:training-plan/[A-Za-z0-9][A-Za-z0-9/-]*)?{_END}"
)
TAG_PATTERN = rf"^[^\x00-\x1f!\x22-\x24%&'()*,;<>?\[\\\]^`{{|}}~\x7f]*{_END}"
"""Letters and digits of any script, spaces and `_.:/=+-@`. Source: AWS, tag naming limits."""

MODEL_TYPES = tuple(row.model_type for row in model_rows())

T = TypeVar("T")


class Section(BaseModel):
    """A mapping of the recipe: frozen, unknown keys refused, each field described by the docstring under it."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        regex_engine="python-re",  # the default engine has no look-ahead
        protected_namespaces=(),  # `model_type` and `model_name_or_path` are AWS's names
    )


def whole(value: Any) -> Any:  # whatever stood in the file
    """Take `8192.0` as the whole number it is, and leave everything else to the type."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _refuse_null(value: Any) -> Any:  # whatever stood in the file
    if value is None:
        raise PydanticCustomError("null", "must not be empty")
    return value


def _known_model(value: str) -> str:
    if value not in MODEL_TYPES:
        raise PydanticCustomError("unknown_model", "is not in the catalog")
    return value


Whole = Annotated[int, Strict(), BeforeValidator(whole)]
Positive = Annotated[int, Strict(), Field(ge=1), BeforeValidator(whole)]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Share = Annotated[float, Strict(), Field(ge=0, le=1, allow_inf_nan=False)]
Flag = Annotated[bool, Strict()]
Text = Annotated[str, Strict(), Field(max_length=4096)]
ModelType = Annotated[str, Strict(), AfterValidator(_known_model), Field(json_schema_extra={"enum": list(MODEL_TYPES)})]

PathText = Annotated[str, Strict(), Field(pattern=PATH_PATTERN, max_length=1024)]
OptionalPath = Annotated[str, Strict(), Field(pattern=OPTIONAL_PATH_PATTERN, max_length=1024)]
OptionalS3 = Annotated[str, Strict(), Field(pattern=OPTIONAL_S3_PATTERN, max_length=1024)]

Maybe = Annotated[T | None, BeforeValidator(_refuse_null)]
"""A field that may be left out, but not left empty: `optim:` with nothing behind it is a mistake."""
