"""What CreateTrainingJob refuses although every single value is within its limits: a table of rules with sources.

A rule looks at the whole request and names what it breaks, or nothing. `[api]` is the text of the service's model
(botocore, sagemaker 2017-07-24) or the Amazon SageMaker API reference; `[guide]` the developer guide.
"""

import re

from cloudcpt.fake.front import Refusal
from cloudcpt.fake.job_request import JobRequest, Rule, channels, repeated
from cloudcpt.fake.resource_rules import RESOURCE_RULES

_IMAGE = re.compile(
    r"\d{12}\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/[^:@]+(:[^@]+)?(@sha256:[0-9a-f]{64})?"
)


def check_rules(request: JobRequest, *, region: str, account_id: str) -> None:
    """Refuse a request that breaks a rule.

    Raises:
        Refusal: `ValidationException` with the first rule broken; the service reports one of these at a time.
    """
    for rule in RULES:
        if message := rule.fault(request):
            raise Refusal(status=400, code="ValidationException", message=message)
    _check_place(request, region, account_id)


def _check_place(request: JobRequest, region: str, account_id: str) -> None:
    """Refuse a role of another account and an image of another region.

    Raises:
        Refusal: `AccessDeniedException` or `ValidationException`.
    """
    if request["RoleArn"].split(":")[4] != account_id:
        raise Refusal(status=400, code="AccessDeniedException", message="Cross-account pass role is not allowed.")
    specification = request["AlgorithmSpecification"]
    image = specification.get("TrainingImage")
    if image is None or specification.get("TrainingImageConfig"):
        return
    match = _IMAGE.fullmatch(image)
    if match is None or match["region"] != region:
        message = f"Invalid image URI {image}. Please provide a valid Amazon Elastic Container Registry path of the "
        raise Refusal(status=400, code="ValidationException", message=f"{message}training image in {region}.")


def _serverless(request: JobRequest) -> str | None:
    return "Serverless jobs are not played by this fake" if "ServerlessJobConfig" in request else None


def _resources_missing(request: JobRequest) -> str | None:
    missing = [name for name in ("AlgorithmSpecification", "ResourceConfig") if name not in request]
    return f"{missing[0]} is required." if missing else None


def _image_or_algorithm(request: JobRequest) -> str | None:
    named = [name for name in ("TrainingImage", "AlgorithmName") if name in request["AlgorithmSpecification"]]
    if len(named) == 1:
        return None
    return "You must specify exactly one of TrainingImage and AlgorithmName in AlgorithmSpecification."


def _channel_names(request: JobRequest) -> str | None:
    again = repeated([channel["ChannelName"] for channel in channels(request)])
    return f"Duplicate channel name {again} in InputDataConfig." if again else None


def _one_source(request: JobRequest) -> str | None:
    for channel in channels(request):
        if len(channel["DataSource"]) != 1:
            return f"Exactly one data source must be specified for channel {channel['ChannelName']}."
    return None


def _pipe_only(request: JobRequest) -> str | None:
    """AugmentedManifestFile, compression and record wrapping work on a stream only."""
    default = request["AlgorithmSpecification"]["TrainingInputMode"]
    for channel in channels(request):
        source = channel["DataSource"].get("S3DataSource", {})
        needs = [
            name
            for name, is_there in (
                ("AugmentedManifestFile", source.get("S3DataType") == "AugmentedManifestFile"),
                ("CompressionType Gzip", channel.get("CompressionType") == "Gzip"),
                ("RecordWrapperType RecordIO", channel.get("RecordWrapperType") == "RecordIO"),
            )
            if is_there
        ]
        if needs and channel.get("InputMode", default) != "Pipe":
            return f"{needs[0]} of channel {channel['ChannelName']} requires input mode Pipe."
    return None


def _network_needed(request: JobRequest) -> str | None:
    if "VpcConfig" in request:
        return None
    if any("FileSystemDataSource" in channel["DataSource"] for channel in channels(request)):
        return "VpcConfig must be specified for a FileSystemDataSource."
    private = request["AlgorithmSpecification"].get("TrainingImageConfig", {})
    if private.get("TrainingRepositoryAccessMode") == "Vpc":
        return "VpcConfig must be specified when TrainingRepositoryAccessMode is Vpc."
    return None


def _tags(request: JobRequest) -> str | None:
    keys = [tag["Key"] for tag in request.get("Tags", ())]
    if reserved := [key for key in keys if key.lower().startswith("aws:")]:
        return f"Tag key {reserved[0]} begins with the reserved prefix aws:"
    again = repeated(keys)
    return f"Duplicate tag key {again}." if again else None


RULES: tuple[Rule, ...] = (
    Rule(name="serverless", source="a limit of this fake", fault=_serverless),
    Rule(name="resources", source="[api] required except for serverless jobs", fault=_resources_missing),
    Rule(name="image-or-algorithm", source="[api] AlgorithmSpecification.AlgorithmName", fault=_image_or_algorithm),
    *RESOURCE_RULES,
    Rule(name="channel-names", source="[guide] a channel is a folder under /opt/ml/input/data", fault=_channel_names),
    Rule(name="one-source", source="[api] DataSource", fault=_one_source),
    Rule(name="pipe-only", source="[api] Channel, S3DataSource.S3DataType", fault=_pipe_only),
    Rule(name="network-needed", source="[api] FileSystemDataSource, TrainingImageConfig", fault=_network_needed),
    Rule(name="tags", source="[api] Tag; AWS reserves the prefix aws:", fault=_tags),
)
