"""The limits of CreateTrainingJob, member by member: lengths, patterns, choices, ranges and counts.

botocore checks required members, types and minima before it sends; everything else it leaves to the service, which
finds it at the end of an upload of hours. This table is what the service's model says, and a test compares the two, so
that it cannot drift. A row that is stricter than the model says who is.

A path names a member: `Tags[].Key` is in each item of a list, `Environment{}` stands for each value of a map and
`Environment{key}` for each name. Patterns are the model's own, which are Java's.

Source: botocore 1.44.5, sagemaker 2017-07-24 service model, read on 2026-11-20.
"""

from collections.abc import Mapping
from dataclasses import dataclass

MODEL = "botocore 1.44.5, sagemaker 2017-07-24"
_GUIDE = "Amazon SageMaker developer guide, read on 2026-11-20"


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """A string.

    Args:
        least: Characters.
        most: Characters; None where the model has no limit.
        pattern: That all of it matches; empty for any text.
        choices: The only values; empty where there are no choices.
        source: Who says so.
    """

    least: int = 0
    most: int | None = None
    pattern: str = ""
    choices: tuple[str, ...] = ()
    source: str = MODEL


@dataclass(frozen=True, kw_only=True, slots=True)
class Whole:
    """A whole number from `least` to `most`; None where there is no limit."""

    least: int | None = None
    most: int | None = None
    source: str = MODEL


@dataclass(frozen=True, kw_only=True, slots=True)
class Flag:
    """True or false."""

    source: str = MODEL


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """A list or a map of `least` to `most` entries."""

    least: int = 0
    most: int
    is_map: bool = False
    source: str = MODEL


@dataclass(frozen=True, kw_only=True, slots=True)
class Members:
    """A structure, and which of its members must be there; which it may have is what the table has rows for."""

    required: tuple[str, ...] = ()
    source: str = MODEL


Limit = Text | Whole | Flag | Count | Members

_ANY = ".*"
_S3_URI = Text(
    most=1024,
    pattern=r"s3://[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9](/.*)?",
    source=f"{_GUIDE}: channels and output are s3:// URIs; Amazon S3 user guide, bucket naming rules",
)
_PATH = Text(most=4096, pattern=_ANY)
_KMS_KEY = Text(most=2048, pattern=r"[a-zA-Z0-9:/_-]*")
_INSTANCE_TYPE = Text(
    pattern=r"ml\.[a-z0-9\-]+\.[a-z0-9]+",
    source="the form of the model's 225 choices, which grow every month; which of them exist is the plan's to know",
)
_INSTANCE_COUNT = Whole(least=1, source=f"{_GUIDE}: a job has at least one machine; the model's least is 0")
_TRAINING_PLAN = Text(least=50, most=2048, pattern=r"arn:aws[a-z\-]*:sagemaker:[a-z0-9\-]*:[0-9]{12}:training-plan/.*")
_INPUT_MODE = Text(choices=("Pipe", "File", "FastFile"))
_ARGUMENTS = Count(least=1, most=100)
_ARGUMENT = Text(most=256, pattern=_ANY)
_TAG_CHARACTERS = r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)"
_VPC_ID = Text(most=32, pattern=r"[-0-9a-zA-Z]+")

LIMITS: Mapping[str, Limit] = {
    "": Members(
        required=("TrainingJobName", "AlgorithmSpecification", "RoleArn", "OutputDataConfig", "ResourceConfig"),
        source="the API reference: all but serverless jobs have an image and machines",
    ),
    "TrainingJobName": Text(least=1, most=63, pattern=r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"),
    "RoleArn": Text(least=20, most=2048, pattern=r"arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"),
    "HyperParameters": Count(most=100, is_map=True),
    "HyperParameters{key}": Text(most=256, pattern=_ANY),
    "HyperParameters{}": Text(most=2500, pattern=_ANY),
    "Environment": Count(most=100, is_map=True),
    "Environment{key}": Text(most=512, pattern=r"[a-zA-Z_][a-zA-Z0-9_]*"),
    "Environment{}": Text(most=512, pattern=r"[\S\s]*"),
    "AlgorithmSpecification": Members(required=("TrainingInputMode",)),
    "AlgorithmSpecification.TrainingImage": Text(most=255, pattern=_ANY),
    "AlgorithmSpecification.AlgorithmName": Text(
        least=1,
        most=170,
        pattern=r"(arn:aws[a-z\-]*:sagemaker:[a-z0-9\-]*:[0-9]{12}:[a-z\-]*\/)?([a-zA-Z0-9]([a-zA-Z0-9-]){0,62})(?<!-)",
    ),
    "AlgorithmSpecification.TrainingInputMode": _INPUT_MODE,
    "AlgorithmSpecification.MetricDefinitions": Count(most=40),
    "AlgorithmSpecification.MetricDefinitions[]": Members(required=("Name", "Regex")),
    "AlgorithmSpecification.MetricDefinitions[].Name": Text(least=1, most=255, pattern=r".+"),
    "AlgorithmSpecification.MetricDefinitions[].Regex": Text(least=1, most=500, pattern=r".+"),
    "AlgorithmSpecification.EnableSageMakerMetricsTimeSeries": Flag(),
    "AlgorithmSpecification.ContainerEntrypoint": _ARGUMENTS,
    "AlgorithmSpecification.ContainerEntrypoint[]": _ARGUMENT,
    "AlgorithmSpecification.ContainerArguments": _ARGUMENTS,
    "AlgorithmSpecification.ContainerArguments[]": _ARGUMENT,
    "AlgorithmSpecification.TrainingImageConfig": Members(required=("TrainingRepositoryAccessMode",)),
    "AlgorithmSpecification.TrainingImageConfig.TrainingRepositoryAccessMode": Text(choices=("Platform", "Vpc")),
    "InputDataConfig": Count(least=1, most=20),
    "InputDataConfig[]": Members(required=("ChannelName", "DataSource")),
    "InputDataConfig[].ChannelName": Text(least=1, most=64, pattern=r"[A-Za-z0-9\.\-_]+"),
    "InputDataConfig[].ContentType": Text(most=256, pattern=_ANY),
    "InputDataConfig[].CompressionType": Text(choices=("None", "Gzip")),
    "InputDataConfig[].RecordWrapperType": Text(choices=("None", "RecordIO")),
    "InputDataConfig[].InputMode": _INPUT_MODE,
    "InputDataConfig[].ShuffleConfig": Members(required=("Seed",)),
    "InputDataConfig[].ShuffleConfig.Seed": Whole(),
    "InputDataConfig[].DataSource": Members(),
    "InputDataConfig[].DataSource.S3DataSource": Members(required=("S3DataType", "S3Uri")),
    "InputDataConfig[].DataSource.S3DataSource.S3DataType": Text(
        choices=("ManifestFile", "S3Prefix", "AugmentedManifestFile", "Converse")
    ),
    "InputDataConfig[].DataSource.S3DataSource.S3Uri": _S3_URI,
    "InputDataConfig[].DataSource.S3DataSource.S3DataDistributionType": Text(
        choices=("FullyReplicated", "ShardedByS3Key")
    ),
    "InputDataConfig[].DataSource.S3DataSource.InstanceGroupNames": Count(most=5),
    "InputDataConfig[].DataSource.S3DataSource.InstanceGroupNames[]": Text(least=1, most=64, pattern=r".+"),
    "InputDataConfig[].DataSource.FileSystemDataSource": Members(
        required=("FileSystemId", "FileSystemAccessMode", "FileSystemType", "DirectoryPath")
    ),
    "InputDataConfig[].DataSource.FileSystemDataSource.FileSystemId": Text(
        least=11, most=21, pattern=r"(fs-[0-9a-f]{8,})"
    ),
    "InputDataConfig[].DataSource.FileSystemDataSource.FileSystemAccessMode": Text(choices=("rw", "ro")),
    "InputDataConfig[].DataSource.FileSystemDataSource.FileSystemType": Text(choices=("EFS", "FSxLustre")),
    "InputDataConfig[].DataSource.FileSystemDataSource.DirectoryPath": _PATH,
    "OutputDataConfig": Members(required=("S3OutputPath",)),
    "OutputDataConfig.S3OutputPath": _S3_URI,
    "OutputDataConfig.KmsKeyId": _KMS_KEY,
    "OutputDataConfig.CompressionType": Text(choices=("GZIP", "NONE")),
    "ResourceConfig": Members(),
    "ResourceConfig.InstanceType": _INSTANCE_TYPE,
    "ResourceConfig.InstanceCount": _INSTANCE_COUNT,
    "ResourceConfig.VolumeSizeInGB": Whole(
        least=1, source=f"{_GUIDE}: a volume of nothing holds nothing; the model's least is 0"
    ),
    "ResourceConfig.VolumeKmsKeyId": _KMS_KEY,
    "ResourceConfig.KeepAlivePeriodInSeconds": Whole(least=0, most=21600),
    "ResourceConfig.TrainingPlanArn": _TRAINING_PLAN,
    "ResourceConfig.InstanceGroups": Count(most=5),
    "ResourceConfig.InstanceGroups[]": Members(required=("InstanceType", "InstanceCount", "InstanceGroupName")),
    "ResourceConfig.InstanceGroups[].InstanceType": _INSTANCE_TYPE,
    "ResourceConfig.InstanceGroups[].InstanceCount": _INSTANCE_COUNT,
    "ResourceConfig.InstanceGroups[].InstanceGroupName": Text(least=1, most=64, pattern=r".+"),
    "ResourceConfig.InstancePreferences": Count(least=1, most=5),
    "ResourceConfig.InstancePreferences[]": Members(required=("InstanceType",)),
    "ResourceConfig.InstancePreferences[].InstanceType": _INSTANCE_TYPE,
    "ResourceConfig.InstancePreferences[].InstanceCount": _INSTANCE_COUNT,
    "ResourceConfig.InstancePreferences[].TrainingPlanArns": Count(least=1, most=1),
    "ResourceConfig.InstancePreferences[].TrainingPlanArns[]": _TRAINING_PLAN,
    "VpcConfig": Members(required=("SecurityGroupIds", "Subnets")),
    "VpcConfig.SecurityGroupIds": Count(least=1, most=5),
    "VpcConfig.SecurityGroupIds[]": _VPC_ID,
    "VpcConfig.Subnets": Count(least=1, most=16),
    "VpcConfig.Subnets[]": _VPC_ID,
    "StoppingCondition": Members(),
    "StoppingCondition.MaxRuntimeInSeconds": Whole(
        least=1, most=28 * 24 * 3600, source=f"{MODEL}: at most 28 days, in the text of the member"
    ),
    "StoppingCondition.MaxWaitTimeInSeconds": Whole(least=1),
    "StoppingCondition.MaxPendingTimeInSeconds": Whole(least=1800, most=2419200),
    "Tags": Count(most=50),
    "Tags[]": Members(required=("Key", "Value")),
    "Tags[].Key": Text(least=1, most=128, pattern=_TAG_CHARACTERS),
    "Tags[].Value": Text(most=256, pattern=_TAG_CHARACTERS),
    "EnableNetworkIsolation": Flag(),
    "EnableInterContainerTrafficEncryption": Flag(),
    "EnableManagedSpotTraining": Flag(),
    "CheckpointConfig": Members(required=("S3Uri",)),
    "CheckpointConfig.S3Uri": _S3_URI,
    "CheckpointConfig.LocalPath": _PATH,
    "TensorBoardOutputConfig": Members(required=("S3OutputPath",)),
    "TensorBoardOutputConfig.S3OutputPath": _S3_URI,
    "TensorBoardOutputConfig.LocalPath": _PATH,
    "RetryStrategy": Members(required=("MaximumRetryAttempts",)),
    "RetryStrategy.MaximumRetryAttempts": Whole(least=1, most=30),
    "RemoteDebugConfig": Members(),
    "RemoteDebugConfig.EnableRemoteDebug": Flag(),
    "InfraCheckConfig": Members(),
    "InfraCheckConfig.EnableInfraCheck": Flag(),
    "SessionChainingConfig": Members(),
    "SessionChainingConfig.EnableSessionTagChaining": Flag(),
    "MlflowConfig": Members(required=("MlflowResourceArn",)),
    "MlflowConfig.MlflowResourceArn": Text(
        most=2048, pattern=r"arn:aws[a-z\-]*:sagemaker:[a-z0-9\-]*:[0-9]{12}:mlflow-[a-zA-Z-]*/.*"
    ),
    "MlflowConfig.MlflowExperimentName": Text(least=1, most=256, pattern=_ANY),
    "MlflowConfig.MlflowRunName": Text(least=1, most=256, pattern=_ANY),
    "ModelPackageConfig": Members(required=("ModelPackageGroupArn",)),
    "ModelPackageConfig.ModelPackageGroupArn": Text(
        least=1,
        most=2048,
        pattern=r"arn:aws[a-z\-]*:sagemaker:[a-z0-9\-]{9,16}:[0-9]{12}:model-package-group/[\S]{1,2048}",
    ),
    "ModelPackageConfig.SourceModelPackageArn": Text(
        least=1, most=2048, pattern=r"arn:aws[a-z\-]*:sagemaker:[a-z0-9\-]{9,16}:[0-9]{12}:model-package/[\S]{1,2048}"
    ),
}
"""Every member that a job with machines of its own has a use for; serverless jobs, profiler, debugger and experiments
are left out, so a request with them is refused here."""
