"""`validate --online`, `doctor` and `iam print` as a person types them, against the fake account."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cloudcpt.aws.object_store import S3ObjectStore
from cloudcpt.aws.preflight import preflight
from cloudcpt.aws.session import AwsSession
from cloudcpt.cli.confirm import confirm_cost
from cloudcpt.cli.main import main
from cloudcpt.errors import SetupError, UsageProblem
from cloudcpt.fake.cloud import FakeCloud
from cloudcpt.fake.faults import EXPIRED_TOKEN
from cloudcpt.jobs.access import access_of_plan, access_of_recipe
from cloudcpt.jobs.checks import CheckOutcome
from cloudcpt.jobs.policies import actions_of, client_policy
from cloudcpt.recipe.load import load_recipe
from tests.jobs.cloud_plans import cloud_launch, cloud_plan, in_place, source

Cloudcpt = Callable[..., Any]
ACCOUNT, BUCKET = "123456789012", "team-bucket"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/cpt"
IMAGE = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/cloudcpt@sha256:{'ab' * 32}"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "sagemaker.amazonaws.com"}}],
}
RECIPE = f"""
run:
  name: online
  model_type: amazon.nova-micro-v1:0:128k
  model_name_or_path: nova-micro/prod
  replicas: 2
  data_s3_path: train.jsonl
  validation_data_s3_path: train.jsonl
  output_s3_path: s3://{BUCKET}/runs
training_config:
  max_length: 512
  global_batch_size: 32
  trainer: {{max_epochs: 1}}
  model:
    hidden_dropout: 0.0
    attention_dropout: 0.0
    ffn_dropout: 0.0
    optim:
      lr: 1e-5
      name: distributed_fused_adam
      adam_w_mode: true
      eps: 1e-06
      weight_decay: 0.0
      betas: [0.9, 0.999]
      sched: {{warmup_steps: 1, constant_steps: 0, min_lr: 1e-6}}
launch:
  target: sagemaker
  region: us-east-1
  instance_type: ml.p5.48xlarge
  role: {ROLE}
  image: {IMAGE}
"""


@pytest.fixture
def cloud(fake_cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCloud:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLOUDCPT_STATE_DIR", str(tmp_path / "state"))
    fake_cloud.store().create_bucket(Bucket=BUCKET)
    fake_cloud.store("iam").create_role(RoleName="cpt", AssumeRolePolicyDocument=json.dumps(TRUST))
    fake_cloud.quotas.set("ml.p5.48xlarge", 2)
    rows = "".join(
        json.dumps({"text": f"line {number} of a text that is long enough"}) + "\n" for number in range(4000)
    )
    (tmp_path / "train.jsonl").write_text(rows)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return fake_cloud


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def cloudcpt(cloud: FakeCloud, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cloudcpt:
    """Run a command line in this process, in the environment of the fake account."""
    for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> Outcome:
        code = main(list(arguments))
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


# --- validate --online ---------------------------------------------------------------------------------------------


def test_validate_online_shows_every_check_and_names_what_is_missing(cloud: FakeCloud, cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("validate", "recipe.yaml", "--online")
    assert "ok           identity" in shown.out
    assert f"ok           bucket `{BUCKET}`" in shown.out
    assert "failed       image" in shown.out  # nothing was pushed
    assert "error[CPT708]" in shown.out
    assert "warning[CPT703]" in shown.out  # moto's bucket has no public access block
    assert shown.code == 3


def test_a_quota_of_nothing_is_exit_code_4(cloud: FakeCloud, cloudcpt: Cloudcpt) -> None:
    cloud.quotas.clear()
    cloud.denied.add("ecr:DescribeImages")
    shown = cloudcpt("validate", "recipe.yaml", "--online")
    assert "the quota `ml.p5.48xlarge for training job usage` is 0, the job needs 2" in shown.out
    assert "not checked  image" in shown.out
    assert shown.code == 4


def test_what_cannot_be_checked_is_no_failure(cloud: FakeCloud, cloudcpt: Cloudcpt) -> None:
    cloud.denied |= {"ecr:DescribeImages", "iam:GetRole", "servicequotas:ListServiceQuotas"}
    shown = cloudcpt("validate", "recipe.yaml", "--online")
    assert shown.code == 0
    assert "`iam:GetRole`" in shown.out
    assert cloudcpt("validate", "recipe.yaml", "--online", "--strict").code == 1  # of the warning about the bucket


def test_validate_online_as_json_carries_every_check(cloud: FakeCloud, cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("validate", "recipe.yaml", "--online", "--output", "json")
    (one,) = json.loads(shown.out)["inputs"]
    outcomes = {check["name"]: (check["outcome"], check["blocks"]) for check in one["checks"]}
    assert outcomes["identity"] == ("ok", False)
    assert outcomes["image"] == ("failed", True)
    assert json.loads(shown.out)["ok"] is False
    assert shown.code == 3


def test_a_mistake_in_the_recipe_comes_before_the_account(cloud: FakeCloud, cloudcpt: Cloudcpt, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("replicas: 2", "replicas: 3"))
    shown = cloudcpt("validate", "recipe.yaml", "--online")
    assert (shown.code, cloud.sts.calls.operations()) == (1, ())


def test_without_online_nothing_is_asked(cloud: FakeCloud, cloudcpt: Cloudcpt) -> None:
    assert cloudcpt("validate", "recipe.yaml").code == 0
    assert cloud.sts.calls.operations() == cloud.s3.calls.operations() == ()


def test_a_job_of_this_machine_has_no_account(cloud: FakeCloud, cloudcpt: Cloudcpt, tmp_path: Path) -> None:
    assert cloudcpt("validate", "train.jsonl", "--online").code == 0
    assert cloud.sts.calls.operations() == ()


# --- doctor --------------------------------------------------------------------------------------------------------


def test_doctor_looks_at_machine_and_account(cloud: FakeCloud, cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("doctor")
    assert shown.code == 0
    for name in ("Python", "packages", "extra [train]", "containers", "GPUs", "state folder", "region", "clock"):
        assert f"ok           {name}" in shown.out
    assert "credentials        from env\n" in shown.out
    assert f"account {ACCOUNT}" in shown.out
    (row,) = [line.split() for line in shown.out.splitlines() if line.startswith("ml.p5.48xlarge ")]
    assert row == ["ml.p5.48xlarge", "2", "0", "0"]


def test_doctor_as_json(cloud: FakeCloud, cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("doctor", "--output", "json")
    answer = json.loads(shown.out)
    assert answer["ok"] is True
    assert answer["quotas"]["ml.p5.48xlarge"]["training job usage"] == 2.0
    assert {check["outcome"] for check in answer["checks"]} == {"ok"}


def test_doctor_without_credentials_says_so_and_asks_nothing(
    cloud: FakeCloud, cloudcpt: Cloudcpt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    shown = cloudcpt("doctor")
    assert shown.code == 3
    assert "failed       credentials" in shown.out
    assert "error[CPT400]" in shown.out
    assert "ok           Python" in shown.out
    assert cloud.sts.calls.operations() == ()


def test_doctor_without_a_region_says_so(cloud: FakeCloud, cloudcpt: Cloudcpt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    shown = cloudcpt("doctor")
    assert (shown.code, "error[CPT406]" in shown.out) == (3, True)
    assert cloudcpt("doctor", "--region", "us-east-1").code == 0


def test_doctor_with_expired_credentials_stops_there(cloud: FakeCloud, cloudcpt: Cloudcpt) -> None:
    cloud.sts.faults.add(EXPIRED_TOKEN, operation="GetCallerIdentity")
    shown = cloudcpt("doctor")
    assert (shown.code, "error[CPT401]" in shown.out) == (3, True)


def test_doctor_says_when_no_machine_may_be_used(cloud: FakeCloud, cloudcpt: Cloudcpt) -> None:
    cloud.quotas.clear()
    shown = cloudcpt("doctor")
    assert (shown.code, "warning[CPT715]" in shown.out) == (0, True)


def test_doctor_does_not_take_a_narrow_policy_for_a_wrong_one(cloud: FakeCloud, cloudcpt: Cloudcpt) -> None:
    cloud.denied.add("sagemaker:CreateTrainingJob")
    shown = cloudcpt("doctor")
    assert (shown.code, "not checked  your permissions" in shown.out) == (0, True)
    assert "`sagemaker:CreateTrainingJob`" in shown.out


# --- iam print -----------------------------------------------------------------------------------------------------


def test_iam_print_fills_in_a_recipe_and_prints_json_alone(cloud: FakeCloud, cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("iam", "print", "recipe.yaml")
    assert (shown.code, shown.err) == (0, "")
    policies = json.loads(shown.out)
    assert list(policies) == ["client", "execution", "trust"]
    assert f"arn:aws:s3:::{BUCKET}/runs/cloudcpt/*" in shown.out
    assert cloud.sts.calls.operations() == ()


def test_a_single_policy_is_what_iam_takes(cloud: FakeCloud, cloudcpt: Cloudcpt) -> None:
    trust = json.loads(cloudcpt("iam", "print", "recipe.yaml", "--role", "trust").out)
    assert set(trust) == {"Version", "Statement"}
    cloud.store("iam").update_assume_role_policy(RoleName="cpt", PolicyDocument=json.dumps(trust))
    checks = json.loads(cloudcpt("validate", "recipe.yaml", "--online", "--output", "json").out)["inputs"][0]["checks"]
    assert next(check["outcome"] for check in checks if check["name"] == "role") == "ok"


def test_iam_print_without_a_recipe_says_what_to_fill_in(cloud: FakeCloud, cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("iam", "print", "--role", "execution")
    assert shown.err == "fill in: <account>, <bucket>, <prefix>, <region>, <repository>\n"
    assert json.loads(shown.out)["Version"] == "2012-10-17"


def test_iam_print_as_json_has_a_version(cloud: FakeCloud, cloudcpt: Cloudcpt) -> None:
    answer = json.loads(cloudcpt("iam", "print", "--role", "client", "--output", "json").out)
    assert list(answer) == ["schema_version", "policies"]


def test_iam_print_of_a_wrong_recipe_says_what_is_wrong(cloud: FakeCloud, cloudcpt: Cloudcpt, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("replicas: 2", "replicas: 3"))
    shown = cloudcpt("iam", "print", "recipe.yaml")
    assert (shown.code, shown.out) == (1, "")


# --- what the policies allow is what is called ---------------------------------------------------------------------


def called(cloud: FakeCloud) -> set[str]:
    services = (
        cloud.s3,
        cloud.sagemaker,
        cloud.iam,
        cloud.ecr,
        cloud.kms,
        cloud.service_quotas,
        cloud.pricing,
        cloud.logs,
    )
    return {
        action
        for handle in services
        for call in handle.calls.all()
        if (action := handle.service.action(call.operation))
    }


def test_looking_and_uploading_call_nothing_that_the_client_policy_does_not_allow(
    cloud: FakeCloud, tmp_path: Path
) -> None:
    arn = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:training-plan/mine"
    key = cloud.store("kms").create_key()["KeyMetadata"]["Arn"]
    launch = cloud_launch(
        input_uri=f"s3://{BUCKET}/in", output_uri=f"s3://{BUCKET}/out", role_arn=ROLE, input_kms_key=key
    )
    corpus = source("train", in_place(f"s3://{BUCKET}/corpus/a.jsonl", "a.jsonl"))
    for plan in (
        cloud_plan(tmp_path, launch, sources=(corpus,)),
        cloud_plan(tmp_path, cloud_launch(role_arn=ROLE, training_plan_arn=arn)),
    ):
        preflight(AwsSession(region="us-east-1"), plan)
    store = S3ObjectStore(AwsSession(region="us-east-1"), bucket=BUCKET, owner=ACCOUNT)
    upload_in_parts(store)
    full = cloud_plan(tmp_path, cloud_launch(training_plan_arn=arn, input_kms_key=key))
    assert called(cloud) <= actions_of(client_policy(access_of_plan(full)))
    assert len(called(cloud)) > 12


def test_a_recipe_grants_what_a_plan_of_it_grants(cloud: FakeCloud, tmp_path: Path) -> None:
    of_recipe = actions_of(client_policy(access_of_recipe(load_recipe(tmp_path / "recipe.yaml"))))
    of_plan = actions_of(client_policy(access_of_plan(cloud_plan(tmp_path))))
    assert of_recipe == of_plan


def upload_in_parts(store: S3ObjectStore) -> None:
    store.head("in/x")
    upload = store.create_upload("in/x")
    list(store.list_uploads("in/"))
    store.list_parts("in/x", upload)
    store.abort("in/x", upload)


UPLOADING = (
    "s3:PutObject",
    "s3:GetObject",
    "s3:ListMultipartUploadParts",
    "s3:ListBucketMultipartUploads",
    "s3:AbortMultipartUpload",
)


@pytest.mark.parametrize("action", UPLOADING)
def test_an_upload_without_a_permission_fails_and_names_it(cloud: FakeCloud, action: str) -> None:
    store = S3ObjectStore(AwsSession(region="us-east-1"), bucket=BUCKET, owner=ACCOUNT)
    cloud.denied.add(action)
    with pytest.raises(SetupError, match=f"CPT403.*`{action}`"):
        upload_in_parts(store)


# --- the question before money is spent ----------------------------------------------------------------------------


def test_nobody_to_ask_means_no(cloud: FakeCloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = cloud_plan(tmp_path, cloud_launch(role_arn=ROLE))
    checks = preflight(AwsSession(region="us-east-1"), plan)
    assert next(check.outcome for check in checks if check.name == "price") is CheckOutcome.OK
    with pytest.raises(UsageProblem, match="CPT716"):
        confirm_cost(plan, checks, yes=False)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "2 x ml.p5.48xlarge at $63.30 per hour; AWS Price List API, 20" in shown.err
    assert "about $12.66 ($12.66 to $25.32), an estimate" in shown.err
    assert "$253, when it runs until its time limit of 2 h 00 min" in shown.err
    confirm_cost(plan, checks, yes=True)
