"""Which parts of an AWS account a job touches, and as whom: what pre-flight looks at and policies allow.

<input_uri>/objects/<BLAKE3>/content.*, <input_uri>/plans/<plan hash>/... written by the client, read by the job
data that lies in S3 already                                             read by both
<output_uri>/<job name>/...                                              written by the job, read by the client
"""

import re
from dataclasses import dataclass

from cloudcpt.dataset.places import is_in_s3
from cloudcpt.plan.inputs import recipe_inputs
from cloudcpt.plan.kept import keeps_anything
from cloudcpt.plan.keys import is_object_key
from cloudcpt.plan.launching import input_uri_of, is_isolated
from cloudcpt.plan.plan import DataFile, Plan, job_slug
from cloudcpt.recipe.launch import DEFAULT_INSTANCE
from cloudcpt.recipe.load import LoadedRecipe

_ROLE = re.compile(r"arn:(?P<partition>aws[a-z-]*):iam::(?P<account>\d{12}):role/(?P<path>.*/)?(?P<name>[\w+=,.@-]+)")
_IMAGE = re.compile(
    r"(?P<account>[^./]+)\.dkr\.ecr(?:-fips)?\.(?P<region>[^./]+)\.[a-z0-9.]+/"
    r"(?P<repository>[^@:]+)(?::(?P<tag>[^@]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)

_NEVER_CUT = 63 - len("-0123456789-r99")
"""Characters of a run's name that are in the name of every attempt at its job (`cloudcpt.aws.attempts`)."""

_PARTITIONS = {
    "cn": "aws-cn",
    "us-gov": "aws-us-gov",
    "us-iso": "aws-iso",
    "us-isob": "aws-iso-b",
    "us-isof": "aws-iso-f",
    "eu-isoe": "aws-iso-e",
    "eusc-de": "aws-eusc",
}
"""By how a region's name begins. Source: botocore 1.44.5, partitions.json."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """What a job needs of an account. Empty strings and tuples mean that there is no such thing.

    Args:
        region: Of the job.
        account_id: Twelve digits.
        job_name: Of the job, or a pattern with `*` for all jobs of a recipe.
        input_uri: `s3://bucket/prefix`, where the client writes.
        output_uri: `s3://bucket/prefix`, where the service writes.
        read_uris: `s3://bucket/prefix` of data and models that lie in S3 already.
        role_arn: Execution role.
        image: Training image, in a private registry of AWS or elsewhere.
        input_key: KMS key of what the client writes.
        output_key: KMS key of what the service writes.
        volume_key: KMS key of an EBS volume.
        instance_types: That the job may run on.
        subnets: Of its VPC.
        security_groups: Of its VPC.
        network_isolation: The container can reach nothing.
        encrypt_traffic: Between the machines.
        training_plan_arn: Reserved capacity.
        keeps_checkpoints: The service copies the checkpoint folder to the output while the job runs, and back.
        pins_versions: The client reads data of a version that the recipe names.
    """

    region: str
    account_id: str
    job_name: str
    input_uri: str
    output_uri: str
    read_uris: tuple[str, ...]
    role_arn: str
    image: str
    input_key: str
    output_key: str
    volume_key: str
    instance_types: tuple[str, ...]
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    network_isolation: bool
    encrypt_traffic: bool
    training_plan_arn: str
    keeps_checkpoints: bool
    pins_versions: bool = False

    @property
    def partition(self) -> str:
        """Name the part of AWS that the region is in, the second word of every ARN."""
        return _PARTITIONS.get(self.region.rpartition("-")[0].rpartition("-")[0], "aws")

    @property
    def buckets(self) -> tuple[str, ...]:
        """Name every bucket, those that are written to first."""
        return tuple(dict.fromkeys(split_uri(uri)[0] for uri in self.uris))

    @property
    def uris(self) -> tuple[str, ...]:
        """Give every place in S3."""
        return tuple(filter(None, (self.input_uri, self.output_uri, *self.read_uris)))


def access_of_plan(plan: Plan, *, account_id: str = "") -> Access:
    """Say what a plan's job touches.

    Args:
        plan: For the cloud.
        account_id: Of whoever submits, where the plan names none.
    """
    launch = plan.launch
    assert launch is not None, f"a plan for `{plan.target}` touches no account"
    return Access(
        region=launch.region,
        account_id=launch.account_id or account_id,
        job_name=plan.job_name,
        input_uri=launch.input_uri,
        output_uri=launch.output_uri,
        read_uris=tuple(dict.fromkeys(file.uri.rpartition("/")[0] for file in files_in_place(plan))),
        role_arn=launch.role_arn,
        image=launch.image,
        input_key=launch.input_kms_key,
        output_key=launch.output_kms_key,
        volume_key=launch.volume_kms_key,
        instance_types=tuple(dict.fromkeys((plan.world.instance_type, *launch.instance_preferences))),
        subnets=launch.subnets,
        security_groups=launch.security_groups,
        network_isolation=launch.network_isolation,
        encrypt_traffic=launch.encrypt_traffic,
        training_plan_arn=launch.training_plan_arn,
        keeps_checkpoints=keeps_anything(plan),
    )


def access_of_recipe(loaded: LoadedRecipe) -> Access:
    """Say what the jobs of a recipe will touch, with a placeholder such as `<region>` for what it does not say."""
    recipe, launch = loaded.recipe, loaded.recipe.launch
    role = role_of(launch.role)
    account = launch.account_id or (role.account if role else "<account>")
    output_uri = recipe.run.output_s3_path.rstrip("/") or "s3://<bucket>/<prefix>"
    paths = (recipe.run.model_name_or_path, *(source.path for source in recipe_inputs(loaded)))
    return Access(
        region=launch.region or "<region>",
        account_id=account,
        job_name=_names_of_jobs(recipe.run.name),
        input_uri=input_uri_of(recipe) or f"{output_uri}/cloudcpt",
        output_uri=output_uri,
        read_uris=tuple(dict.fromkeys(_folder(path) for path in paths if path.startswith("s3://"))),
        role_arn=launch.role or f"arn:aws:iam::{account}:role/<role>",
        image=launch.image or f"{account}.dkr.ecr.{launch.region or '<region>'}.amazonaws.com/<repository>",
        input_key=launch.kms_key,
        output_key=launch.output_kms_key,
        volume_key=launch.volume_kms_key,
        instance_types=launch.instance_preferences or (launch.instance_type or DEFAULT_INSTANCE,),
        subnets=launch.subnets,
        security_groups=launch.security_groups,
        network_isolation=is_isolated(recipe),
        encrypt_traffic=launch.encrypt_traffic,
        training_plan_arn=launch.training_plan,
        keeps_checkpoints=bool(recipe.checkpoint.every_steps or recipe.checkpoint.recovery_every_steps),
        pins_versions=any(one.version and is_in_s3(one.path) for one in recipe_inputs(loaded)),
    )


def unnamed_access() -> Access:
    """Give placeholders for everything, where there is no recipe."""
    return Access(
        region="<region>",
        account_id="<account>",
        job_name="*",
        input_uri="s3://<bucket>/<prefix>/cloudcpt",
        output_uri="s3://<bucket>/<prefix>",
        read_uris=(),
        role_arn="arn:aws:iam::<account>:role/<role>",
        image="<account>.dkr.ecr.<region>.amazonaws.com/<repository>",
        input_key="",
        output_key="",
        volume_key="",
        instance_types=(DEFAULT_INSTANCE,),
        subnets=(),
        security_groups=(),
        network_isolation=True,
        encrypt_traffic=False,
        training_plan_arn="",
        keeps_checkpoints=False,
    )


def _names_of_jobs(run_name: str) -> str:
    """Give the pattern of the names of a recipe's jobs; starting over may shorten what stands before the hash."""
    slug = job_slug(run_name)
    return f"{slug}-*" if len(slug) <= _NEVER_CUT else f"{slug[:_NEVER_CUT].rstrip('-')}*"


def _folder(path: str) -> str:
    """Give the folder that a path in S3 is, or is in: a pattern and a file are in one."""
    whole = re.split(r"[*?\[]", path, maxsplit=1)[0]
    is_inside = whole != path or path.endswith(".jsonl")
    return (whole.rpartition("/")[0] if is_inside else whole).rstrip("/")


def files_in_place(plan: Plan) -> tuple[DataFile, ...]:
    """Pick the files that lie in S3 already; the others are uploaded, below the hash of their content."""
    assert plan.launch is not None, f"a plan for `{plan.target}` has nothing in S3"
    bucket, prefix = split_uri(plan.launch.input_uri)
    files = [*plan.model.files, *(file for source in plan.sources for file in source.files)]
    return tuple(file for file in files if file.uri.startswith("s3://") and not _is_ours(file, bucket, prefix))


def _is_ours(file: DataFile, bucket: str, prefix: str) -> bool:
    holder, key = split_uri(file.uri)
    return holder == bucket and is_object_key(prefix, key)


def split_uri(uri: str) -> tuple[str, str]:
    """Take an `s3://bucket/key` apart."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleName:
    """An execution role's ARN, taken apart."""

    partition: str
    account: str
    name: str


def role_of(arn: str) -> RoleName | None:
    """Read the ARN of a role; None when it is something else."""
    match = _ROLE.fullmatch(arn)
    return RoleName(partition=match["partition"], account=match["account"], name=match["name"]) if match else None


@dataclass(frozen=True, kw_only=True, slots=True)
class PrivateImage:
    """An image in a private registry of AWS; `tag` and `digest` are empty when they are not given."""

    account: str
    region: str
    repository: str
    tag: str
    digest: str


def private_image(uri: str) -> PrivateImage | None:
    """Read the name of an image; None when it lies elsewhere."""
    match = _IMAGE.fullmatch(uri)
    if match is None:
        return None
    return PrivateImage(
        account=match["account"],
        region=match["region"],
        repository=match["repository"],
        tag=match["tag"] or "",
        digest=match["digest"] or "",
    )
