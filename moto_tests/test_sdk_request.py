"""AWS's SDK and our own client ask for the same job: both drive the same fake, and what arrived is compared.

`make test-sdk` runs this in an environment of its own; everywhere else the SDK is not installed and this is skipped.
"""

import importlib.util
import json
import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloudcpt.errors import PlanError, UsageProblem
from cloudcpt.fake.cloud import FakeCloud
from cloudcpt.jobs.request import training_job_request
from cloudcpt.plan.launch import Mlflow
from cloudcpt.plan.plan import Checkpoints, Plan
from moto_tests.cloud_jobs import open_engine, put_inputs, small_cloud_plan
from tests.jobs.cloud_plans import cloud_launch, cloud_plan, nova_plan, source, uploaded
from tests.jobs.test_nova_request import MICRO

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("sagemaker") is None,
        reason="the SageMaker SDK is not installed; `make test-sdk` runs this in an environment that has it",
    ),
    # What the SDK and its dependencies warn of while they load is theirs; nothing of ours is loaded under these tests.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::SyntaxWarning"),
]

PAGE = (Path(__file__).parents[1] / "docs" / "sagemaker-sdk.md").read_text("utf-8")
PAPERS = "arn:aws:sagemaker:us-east-1:123456789012"
KEY = "arn:aws:kms:us-east-1:123456789012:key/12345678-1234-1234-1234-123456789012"

EVERYTHING = {
    "output_kms_key": KEY,
    "subnets": ("subnet-0a1b2c3d",),
    "security_groups": ("sg-0a1b2c3d", "sg-1a1b2c3d"),
    "encrypt_traffic": True,
    "network_isolation": False,
    "max_pending_s": 7200,
    "retry_attempts": 3,
    "tags": (("team", "search"), ("cost center", "1")),
    "mlflow": Mlflow(tracking_arn=f"{PAPERS}:mlflow-tracking-server/runs", experiment="geology", run="first"),
}
KEEPING = Checkpoints(every_steps=500, keep_last=2, recovery_every_steps=100)
LAUNCHES: dict[str, dict[str, Any]] = {
    "as little as possible": {},
    "much of what there is": EVERYTHING,
    "spot": {"spot": True, "max_wait_s": 9000},
    "a warm pool": {"keep_alive_s": 600},
    "preferences": {"instance_preferences": ("ml.p5.48xlarge", "ml.p5en.48xlarge")},
    "a training plan": {"training_plan_arn": f"{PAPERS}:training-plan/p5-in-march"},
    "mlflow without names": {"mlflow": Mlflow(tracking_arn=f"{PAPERS}:mlflow-app/a", experiment="", run="")},
}

PLAIN = {
    "TrainingJobName": "every call would be another job",
    "AlgorithmSpecification.EnableSageMakerMetricsTimeSeries": "it has no setting for it",
    "MlflowConfig": "it has no setting for it",
    "ResourceConfig.VolumeSizeInGB": "local NVMe disks have a size of their own",
    "OutputDataConfig.CompressionType": "the same as nothing, for the image of a Nova recipe",
}
"""Where a plain ModelTrainer would differ, and why that will not do; docs/sagemaker-sdk.md has the same table."""


def some_nova_plan(folder: Path) -> Plan:
    group = f"{PAPERS}:model-package-group/nova"
    launch = cloud_launch(model_package_group=group)
    sources = (source("train", uploaded("a.jsonl")), source("validation", uploaded("b.jsonl", "b"), role="validation"))
    return nova_plan(folder, MICRO, launch, sources=sources)


def nova_from(base: str) -> Callable[[Path], Plan]:
    def make(folder: Path) -> Plan:
        plan = some_nova_plan(folder)
        return replace(plan, model=replace(plan.model, name_or_path=base))

    return make


def launched_with(changes: dict[str, Any]) -> Callable[[Path], Plan]:
    return lambda folder: cloud_plan(folder, cloud_launch(**changes))


PLANS: dict[str, Callable[[Path], Plan]] = {
    **{name: launched_with(changes) for name, changes in LAUNCHES.items()},
    "a volume": lambda folder: small_cloud_plan(folder, launch=cloud_launch(volume_gb=200, volume_kms_key=KEY)),
    "no time limit": lambda folder: cloud_plan(folder, max_runtime_s=0),
    "checkpoints": lambda folder: cloud_plan(folder, checkpoints=KEEPING),
    "nova": some_nova_plan,
    "nova from a checkpoint": nova_from("s3://my-bucket/checkpoint/"),
    "nova from a package": nova_from(f"{PAPERS}:model-package/nova/3"),
}


def differences(one: Any, other: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """List the members in which two requests differ, by path; None for a member that is not there."""
    if isinstance(one, dict) and isinstance(other, dict):
        found = {}
        for name in one.keys() | other.keys():
            found |= differences(one.get(name), other.get(name), f"{path}.{name}" if path else name)
        return found
    return {} if one == other else {path: (one, other)}


def requests(cloud: FakeCloud) -> list[dict[str, Any]]:
    """Give the bodies of CreateTrainingJob that arrived, refused ones too."""
    return [call.parameters for call in cloud.sagemaker.calls.all("CreateTrainingJob")]


@pytest.fixture
def plan(fake_cloud: FakeCloud, tmp_path: Path) -> Plan:
    """A plan whose job the account takes, with its inputs in S3."""
    made = small_cloud_plan(tmp_path)
    put_inputs(fake_cloud, made)
    return made


def trained(plan: Plan, **options: Any) -> Any:
    from cloudcpt.aws.sdk import model_trainer

    trainer = model_trainer(plan)
    trainer.train(wait=False, logs=False, **options)
    return trainer


# --- the same request ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", PLANS.values(), ids=PLANS)
def test_the_sdk_and_our_client_send_the_same_request(fake_cloud, tmp_path, make):
    from botocore.exceptions import ClientError

    from cloudcpt.errors import CloudcptError

    plan = make(tmp_path)
    # The account has neither quota nor inputs for most of these; what was asked for is on record all the same.
    with pytest.raises(ClientError):
        trained(plan)
    with pytest.raises(CloudcptError):
        open_engine(fake_cloud, tmp_path / "state").create(plan)
    by_sdk, by_us = requests(fake_cloud)
    assert differences(by_sdk, by_us) == {}
    assert by_us == training_job_request(plan)


def test_what_the_sdk_starts_is_the_job_that_our_client_finds(fake_cloud, plan, tmp_path):
    trainer = trained(plan)
    assert trainer._latest_training_job.training_job_name == plan.job_name
    submission = open_engine(fake_cloud, tmp_path / "state").create(plan)
    assert (submission.name, submission.adopted) == (plan.job_name, True)
    by_sdk, by_us = fake_cloud.sagemaker.calls.all("CreateTrainingJob")
    assert (by_sdk.status, by_us.status) == (200, 400)
    assert by_sdk.parameters == by_us.parameters


def test_training_again_starts_no_second_job(fake_cloud, plan):
    from botocore.exceptions import ClientError

    trainer = trained(plan)
    with pytest.raises(ClientError, match="ResourceInUse"):
        trainer.train(wait=False, logs=False)
    assert [call.status for call in fake_cloud.sagemaker.calls.all("CreateTrainingJob")] == [200, 400]


def test_a_dry_run_sends_nothing(fake_cloud, plan):
    trained(plan, dry_run=True)
    assert fake_cloud.sagemaker.calls.all() == ()


def test_making_a_trainer_asks_nobody_about_anything(fake_cloud, plan):
    trained(plan)
    assert fake_cloud.sagemaker.calls.operations() == ("CreateTrainingJob", "DescribeTrainingJob")
    for service in (fake_cloud.iam, fake_cloud.sts, fake_cloud.s3):
        assert service.calls.all() == ()


def test_the_users_defaults_file_has_no_say(fake_cloud, plan, tmp_path, monkeypatch):
    defaults = tmp_path / "config.yaml"
    job = {"Environment": {"A": "b"}, "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}}
    defaults.write_text(json.dumps({"SchemaVersion": "1.0", "SageMaker": {"TrainingJob": job}}), "utf-8")
    monkeypatch.setenv("SAGEMAKER_USER_CONFIG_OVERRIDE", str(defaults))
    trained(plan)
    assert requests(fake_cloud) == [training_job_request(plan)]


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
@pytest.mark.parametrize("make", PLANS.values(), ids=PLANS)
def test_the_settings_that_one_looks_at_are_those_of_the_request(fake_cloud, tmp_path, make):
    from sagemaker.core.utils.utils import serialize

    from cloudcpt.aws.sdk import model_trainer

    plan = make(tmp_path)
    trainer, request = model_trainer(plan), training_job_request(plan)
    shown = {
        "RoleArn": trainer.role,
        "TrainingJobName": trainer.base_job_name,
        "HyperParameters": trainer.hyperparameters,
        "InputDataConfig": trainer.input_data_config,
        "OutputDataConfig": trainer.output_data_config,
        "ResourceConfig": trainer.compute._to_resource_config(),
        "VpcConfig": trainer.networking._to_vpc_config(),
        "StoppingCondition": trainer.stopping_condition,
        "EnableNetworkIsolation": trainer.networking.enable_network_isolation,
        "EnableInterContainerTrafficEncryption": trainer.networking.enable_inter_container_traffic_encryption,
        "EnableManagedSpotTraining": trainer.compute.enable_managed_spot_training,
        "Tags": trainer.tags,
        "CheckpointConfig": trainer.checkpoint_config,
        "ModelPackageConfig": trainer.model_package_config,
    }
    assert differences(serialize(shown), {name: request[name] for name in shown if name in request}) == {}


# --- why it takes a trainer of its own ------------------------------------------------------------------------------


def plain_trainer(ours: Any, session: Any) -> Any:
    """Make a trainer of the SDK's own class with the settings of ours."""
    from sagemaker.train.model_trainer import ModelTrainer

    settings = {name: getattr(ours, name) for name in ModelTrainer.model_fields if name != "config_mgr"}
    plain = ModelTrainer(**(settings | {"sagemaker_session": session}))
    for name in ("_metric_definitions", "_tensorboard_output_config", "_retry_strategy"):
        setattr(plain, name, getattr(ours, name))
    return plain


def plain_request(cloud: FakeCloud, plan: Plan) -> dict[str, Any]:
    """Let a plain ModelTrainer with the settings of ours train, and give what it sent."""
    from botocore.exceptions import ClientError

    from cloudcpt.aws.sdk import model_trainer

    ours = model_trainer(plan)
    plain = plain_trainer(ours, ours.sagemaker_session)
    with pytest.raises(ClientError):
        plain.train(wait=False, logs=False)
    (sent,) = requests(cloud)
    return sent


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
def test_a_plain_trainer_with_the_same_settings_differs_only_where_the_table_says(fake_cloud, tmp_path, monkeypatch):
    monkeypatch.setenv("SAGEMAKER_VALIDATE_ROLE", "false")
    found = set()
    for make in PLANS.values():
        plan = make(tmp_path)
        found |= set(differences(plain_request(fake_cloud, plan), training_job_request(plan)))
        fake_cloud.sagemaker.calls.clear()
    assert found == set(PLAIN)


def test_the_page_has_the_same_table():
    rows = dict(re.findall(r"^\| `([\w.]+)` \| [^|]+ \| ([^|]+) \|$", PAGE, re.MULTILINE))
    assert rows == PLAIN


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda trainer: setattr(trainer.compute, "instance_count", 7), "`compute`"),
        (lambda trainer: trainer.hyperparameters.update(plan_hash="0"), "`hyperparameters`"),
        (lambda trainer: setattr(trainer, "role", "arn:aws:iam::123456789012:role/another"), "`role`"),
        (lambda trainer: setattr(trainer, "environment", {"A": "b"}), "`environment`"),
        (lambda trainer: trainer.with_metric_definitions([]), "`metric_definitions`"),
        (lambda trainer: trainer.with_infra_check_config(), "`infra_check_config`"),
        (lambda trainer: trainer.with_checkpoint_config(), "`checkpoint_config`"),
    ],
)
def test_a_trainer_that_was_changed_does_not_train(fake_cloud, plan, change, named):
    from cloudcpt.aws.sdk import model_trainer

    trainer = model_trainer(plan)
    change(trainer)
    with pytest.raises(UsageProblem, match=named) as caught:
        trainer.train(wait=False, logs=False)
    assert caught.value.diagnostics[0].code == "CPT497"
    assert fake_cloud.sagemaker.calls.all() == ()


def test_channels_given_to_train_are_refused(fake_cloud, plan):
    from sagemaker.core.training.configs import InputData

    more = InputData(channel_name="more", data_source="s3://my-bucket/more")
    with pytest.raises(UsageProblem, match="`input_data_config`"):
        trained(plan, input_data_config=[more])
    assert fake_cloud.sagemaker.calls.all() == ()


def test_the_plan_of_a_trainer_stays(fake_cloud, plan):
    from pydantic import ValidationError

    from cloudcpt.aws.sdk import model_trainer

    with pytest.raises(ValidationError, match="frozen"):
        model_trainer(plan).plan = plan


def test_a_session_for_another_region_is_refused(fake_cloud, plan):
    import boto3
    from sagemaker.core.helper.session_helper import Session

    from cloudcpt.aws.sdk import model_trainer

    session = Session(boto_session=boto3.Session(region_name="eu-west-1"))
    with pytest.raises(UsageProblem, match="the session is for eu-west-1, and the plan for us-east-1"):
        model_trainer(plan, session=session)


def test_a_plan_that_the_service_would_not_take_is_refused_before_anything_is_sent(fake_cloud, tmp_path):
    from cloudcpt.aws.sdk import model_trainer

    with pytest.raises(PlanError, match="MaxWaitTimeInSeconds"):
        model_trainer(cloud_plan(tmp_path, cloud_launch(spot=True, max_wait_s=60)))


# --- telemetry ------------------------------------------------------------------------------------------------------


@pytest.fixture
def asked_of_the_internet(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Note every host that somebody wants to reach by way of the proxy, which is everything but this machine."""
    hosts: list[str] = []

    class Refusal(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            hosts.append(self.rfile.readline().decode().split()[1])
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refusal) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.server_address[1]}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield hosts
        proxy.shutdown()


def wait_for_reports() -> None:
    for thread in threading.enumerate():
        if thread.name == "sagemaker-telemetry":
            thread.join(30)


def test_a_plain_trainer_reports_each_call_and_ours_does_not(fake_cloud, plan, asked_of_the_internet, monkeypatch):
    import boto3
    from sagemaker.core.helper.session_helper import Session

    from cloudcpt.aws.sdk import model_trainer

    monkeypatch.setenv("SAGEMAKER_VALIDATE_ROLE", "false")
    session = Session(boto_session=boto3.Session(region_name="us-east-1"))
    before = dict(session.sagemaker_config)
    ours = model_trainer(plan, session=session)
    ours.train(wait=False, logs=False)
    wait_for_reports()
    assert asked_of_the_internet == []
    assert session.sagemaker_config == before

    plain_trainer(ours, session).train(dry_run=True)
    wait_for_reports()
    assert asked_of_the_internet == ["sm-pysdk-t-us-east-1.s3.us-east-1.amazonaws.com:443"]


# --- the examples of the page -----------------------------------------------------------------------------------------

RECIPE = """
run:
  name: geology
  model_type: hf
  model_name_or_path: base
  replicas: 1
  data_s3_path: train.jsonl
  output_s3_path: s3://my-bucket/runs
training_config:
  max_length: 32
  global_batch_size: 32
  trainer: {max_steps: 4}
  optim:
    lr: 1e-3
    sched: {warmup_steps: 1, min_lr: 1e-4}
launch:
  target: sagemaker
  region: us-east-1
  instance_type: ml.m5.xlarge
  role: arn:aws:iam::123456789012:role/cpt-role
  image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/cloudcpt@sha256:%s
  max_runtime_hours: 1
"""
TENSORS = {"model.embed_tokens.weight": ([11, 8], 352), "norm.weight": ([8], 32)}


def write_base_model(folder: Path) -> None:
    """Write what a plan reads of a model, by hand: there is no torch here. It has weights of zero."""
    folder.mkdir()
    sizes = {"vocab_size": 11, "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 64}
    kind = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "eos_token_id": 0}
    (folder / "config.json").write_text(json.dumps(kind | sizes | heads), "utf-8")
    (folder / "tokenizer.json").write_text("{}", "utf-8")
    header, end = {}, 0
    for name, (shape, size) in TENSORS.items():
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    head = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + bytes(end))


def example(name: str) -> str:
    (block,) = re.findall(rf"```python {name}\n(.*?)```", PAGE, re.DOTALL)
    return block


@pytest.fixture
def desk(fake_cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a recipe and what it names, in an account that will take the job."""
    fake_cloud.store().create_bucket(Bucket="my-bucket")
    write_base_model(tmp_path / "base")
    (tmp_path / "train.jsonl").write_text(json.dumps({"text": "the river carries sand " * 40}) + "\n", "utf-8")
    (tmp_path / "recipe.yaml").write_text(RECIPE % ("ab" * 32), "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLOUDCPT_STATE_DIR", str(tmp_path / "state"))
    return tmp_path


def test_the_notebook_of_the_page_starts_the_job(fake_cloud, desk):
    told: dict[str, Any] = {}
    exec(example("notebook"), told)
    plan = told["plan"]
    assert requests(fake_cloud) == [training_job_request(plan)]
    described = fake_cloud.client("sagemaker").describe_training_job(TrainingJobName=plan.job_name)
    assert described["HyperParameters"] == {"plan_hash": plan.hash}


@pytest.mark.filterwarnings("ignore:Running within a PipelineSession:UserWarning")
def test_the_pipeline_of_the_page_has_the_request_without_the_name(fake_cloud, desk):
    from cloudcpt.cli.prepare import prepare

    plan = prepare(Path("recipe.yaml")).require_plan()
    (desk / "plan.json").write_text(plan.to_json(), "utf-8")
    told: dict[str, Any] = {}
    exec(example("pipeline"), told)
    pipeline = told["pipeline"]
    (step,) = json.loads(pipeline.definition())["Steps"]
    assert differences(step["Arguments"], training_job_request(plan)) == {"TrainingJobName": (None, plan.job_name)}
    pipeline.pipeline_definition_config.use_custom_job_prefix = True
    (step,) = json.loads(pipeline.definition())["Steps"]
    assert step["Arguments"] == training_job_request(plan)
    assert fake_cloud.sagemaker.calls.all() == ()
