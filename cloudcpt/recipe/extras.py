"""The sections that a Nova recipe does not have: data and its mixing, evaluation, export, and where to launch."""

from typing import Annotated, Literal

from pydantic import Field, Strict

from cloudcpt.recipe.fields import (
    ACCOUNT_PATTERN,
    IMAGE_PATTERN,
    INSTANCE_PATTERN,
    KEY_PATTERN,
    NAMED_INSTANCE_PATTERN,
    REGION_PATTERN,
    ROLE_PATTERN,
    SECURITY_GROUP_PATTERN,
    SOURCE_NAME_PATTERN,
    SUBNET_PATTERN,
    TAG_PATTERN,
    TRAINING_PLAN_PATTERN,
    Flag,
    Maybe,
    Number,
    OptionalPath,
    OptionalS3,
    PathText,
    Section,
    Text,
    Whole,
)

KmsKey = Annotated[str, Strict(), Field(pattern=KEY_PATTERN, max_length=2048)]


class DataRules(Section):
    """What to hold the data of `run` against, for every model; never sent to a trainer."""

    version: Text = ""
    """Version of `run.data_s3_path`: `blake3:` and digits of its hash; in S3 also a version id or a moment."""

    validation_version: Text = ""
    """Version of `run.validation_data_s3_path`, written like `version`."""

    max_file_gb: Annotated[Number, Field(gt=0)] = 5.0
    """Warn of a file that is larger, in GB of 10^9 bytes."""

    max_total_gb: Annotated[Number, Field(gt=0)] = 50.0
    """Warn when all data of the recipe together is larger, in GB of 10^9 bytes."""


class MixedSource(Section):
    """General data that is replayed so that the model keeps what it knows."""

    name: Annotated[str, Strict(), Field(pattern=SOURCE_NAME_PATTERN)]
    """Short name, unique in the recipe; it appears in the plan, the metrics and the report."""

    path: PathText
    """JSONL file, folder or glob, or an s3:// URI."""

    version: Text = ""
    """Version of the data, written like `data.version`."""

    weight: Maybe[Annotated[Number, Field(gt=0)]] = None
    """Share among the general sources, relative to the other weights. With `mode: weights` only."""


class DataMixing(Section):
    """How much general data to train on beside the domain data. Open models only."""

    mode: Literal["auto", "weights"] = "auto"
    """`auto` weighs the sources by their size in tokens, `weights` takes the weight of each source."""

    general_ratio: Annotated[Number, Field(ge=0, lt=1)] | Literal["auto"] = "auto"
    """Share of the training tokens that are general; `auto` is 0.05, or 0.25 where the domain is far from them."""

    sources: Annotated[tuple[MixedSource, ...], Field(min_length=1, max_length=15)]
    """The general data, 1 to 15 sources (a training job has 20 input channels)."""


class Evaluation(Section):
    """What to measure before, during and after training. Open models only."""

    general_data_path: OptionalPath = ""
    """Held-out general text: how much is forgotten is measured on it."""

    general_data_version: Text = ""
    """Version of `general_data_path`, written like `data.version`."""

    every_steps: Whole = Field(default=0, ge=0)
    """Optimizer steps between two evaluations; 0 for only before and after."""

    max_rows: Whole = Field(default=0, ge=0)
    """Most rows of each held-out set, from the start; 0 for all."""

    prompts: Annotated[tuple[Text, ...], Field(max_length=32)] = ()
    """Texts to continue before and after training, to read what changed."""

    sample_tokens: Whole = Field(default=64, ge=1, le=1024)
    """Length of each continuation."""


class Export(Section):
    """How the final model is written. Open models only."""

    dtype: Literal["base", "float32", "bfloat16", "float16"] = "base"
    """Type of the weights; `base` keeps that of the base model."""


class Checkpoint(Section):
    """What to keep beside the final model. Open models only."""

    every_steps: Whole = Field(default=0, ge=0)
    """Optimizer steps between two checkpoints, each a whole model; 0 keeps the final one only."""

    keep_last: Whole = Field(default=0, ge=0, le=5000)
    """How many checkpoints to keep, the newest; 0 for all."""

    recovery_every_steps: Whole = Field(default=0, ge=0)
    """Optimizer steps between two states from which an interrupted job goes on, bit for bit; 0 for none."""


class Container(Section):
    """How target `container` rehearses a job on this machine."""

    machines: Whole = Field(default=1, ge=1, le=16)
    """Machines to pretend: containers on a network of their own, called algo-1, algo-2, as SageMaker does."""

    engine: Text = ""
    """Command line that runs them, such as `podman`; empty takes the first of docker, podman, nerdctl, finch."""

    image: Text = ""
    """Image on this machine; empty takes what `cloudcpt image build` makes."""

    memory_gb: Annotated[Number, Field(ge=0, le=4096)] = 0.0
    """Most memory of each container, from 0.1; 0 for no limit."""

    cpus: Annotated[Number, Field(ge=0, le=1024)] = 0.0
    """Most cores of each container, may be a fraction; 0 for no limit."""

    pids: Whole = Field(default=0, ge=0)
    """Most processes and threads of each container, from 32; 0 for no limit."""

    shm_gb: Annotated[Number, Field(ge=0, le=4096)] = 0.0
    """Shared memory of each container; 0 leaves it to the engine."""

    tmp_gb: Annotated[Number, Field(gt=0, le=4096)] = 2.0
    """Size of /tmp in each container, which is in memory; everything else but /opt/ml is read-only."""


class Launch(Section):
    """Where and under which limits to run; never sent to the trainer.

    Limits of the cloud are those of CreateTrainingJob. Source: botocore, sagemaker 2017-07-24.
    """

    target: Literal["local", "container", "sagemaker", "hyperpod"] = "local"
    """Where the job runs."""

    container: Container = Container()
    """Of target `container`."""

    instance_type: Annotated[str, Strict(), Field(pattern=INSTANCE_PATTERN, max_length=64)] = ""
    """Machine in the cloud, such as `ml.p5.48xlarge`; empty lets the plan choose."""

    instance_preferences: Annotated[
        tuple[Annotated[str, Strict(), Field(pattern=NAMED_INSTANCE_PATTERN, max_length=64)], ...], Field(max_length=5)
    ] = ()
    """Machines to try instead of one `instance_type`, best first, 1 to 5; the plan reckons with the weakest."""

    processes_per_node: Whole = Field(default=0, ge=0, le=64)
    """Training processes on each machine; 0 takes one per GPU."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """What each process computes on; `auto` takes GPUs where there are some."""

    region: Annotated[str, Strict(), Field(pattern=REGION_PATTERN)] = ""
    """AWS Region; empty takes the one that your AWS configuration names."""

    account_id: Annotated[str, Strict(), Field(pattern=ACCOUNT_PATTERN)] = ""
    """Account that owns the buckets, twelve digits in quotes; empty for the account of whoever submits."""

    role: Annotated[str, Strict(), Field(pattern=ROLE_PATTERN, max_length=2048)] = ""
    """ARN of the execution role: what the job itself may read and write."""

    image: Annotated[str, Strict(), Field(pattern=IMAGE_PATTERN, max_length=255)] = ""
    """Training image in ECR, by digest: `....dkr.ecr.us-east-1.amazonaws.com/cloudcpt@sha256:...`."""

    input_s3_path: OptionalS3 = ""
    """Where local data and base models are uploaded to; empty for `cloudcpt` below `run.output_s3_path`."""

    kms_key: KmsKey = ""
    """KMS key for what is uploaded: ARN, id or alias; empty for the bucket's own default."""

    output_kms_key: KmsKey = ""
    """KMS key for what the job writes; empty for the bucket's own default."""

    volume_kms_key: KmsKey = ""
    """KMS key for the disks of the machines; P4, P5 and P6 have local disks, which take none."""

    volume_gb: Whole = Field(default=0, ge=0, le=16384)
    """Size of the disk of each machine; 0 takes 50. P4, P5 and P6 have local disks of a fixed size."""

    subnets: Annotated[tuple[Annotated[str, Strict(), Field(pattern=SUBNET_PATTERN)], ...], Field(max_length=16)] = ()
    """Subnets of a VPC of yours to run in, at most 16; with `security_groups`."""

    security_groups: Annotated[
        tuple[Annotated[str, Strict(), Field(pattern=SECURITY_GROUP_PATTERN)], ...], Field(max_length=5)
    ] = ()
    """Security groups for the machines, at most 5; with `subnets`."""

    network_isolation: Flag = True
    """The container reaches nothing but the other machines of the job, not even S3. Off for Nova unless written."""

    encrypt_traffic: Flag = False
    """Encrypt what the machines of a job exchange; slows training on several."""

    spot: Flag = False
    """Use spare capacity, which can be taken away; the job then starts over, or goes on from its recovery state."""

    max_wait_hours: Annotated[Number, Field(ge=0, le=672)] = 0.0
    """With `spot`: waiting and training together; 0 for a day more than the time limit of the job."""

    max_pending_hours: Annotated[Number, Field(ge=0, le=672)] = 0.0
    """How long to wait for capacity, from 0.5; 0 leaves it to the service."""

    keep_alive_minutes: Whole = Field(default=0, ge=0, le=360)
    """Keep the machines for so long after the job, billed, so that the next one starts at once; 0 for not at all."""

    training_plan: Annotated[str, Strict(), Field(pattern=TRAINING_PLAN_PATTERN, max_length=2048)] = ""
    """ARN of a training plan: capacity that was reserved before."""

    retry_attempts: Whole = Field(default=0, ge=0, le=30)
    """How often the service starts the job again after an error of its own; 0 for never."""

    tags: Annotated[
        dict[str, Annotated[str, Strict(), Field(pattern=TAG_PATTERN, max_length=256)]], Field(max_length=50)
    ] = {}  # noqa: RUF012  # pydantic copies it
    """Tags of the job, at most 50, name and value; values in quotes. Names that begin with `aws:` belong to AWS."""

    environment: Annotated[dict[str, Annotated[str, Strict(), Field(max_length=512)]], Field(max_length=48)] = {}  # noqa: RUF012  # pydantic copies it
    """Variables of the training processes, such as `NCCL_DEBUG: INFO`; values in quotes, and no secrets."""

    max_runtime_hours: Annotated[Number, Field(ge=0, le=672)] = 0.0
    """Stop the job after so many hours; 0 for no limit of ours. SageMaker allows 28 days."""

    budget_usd: Annotated[Number, Field(ge=0)] = 0.0
    """Refuse a plan whose expected cost is higher, and stop a job that would cost more; 0 for no limit."""
