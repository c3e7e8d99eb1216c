"""A plan for the cloud: what the service is told, where the inputs lie, and everything wrong with it at once."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cloudcpt.errors import PlanError, Severity
from cloudcpt.plan.addresses import bucket_fault, local_paths
from cloudcpt.plan.launch import CloudLaunch, Mlflow
from cloudcpt.plan.launching import launch_faults
from cloudcpt.plan.plan import read_plan
from cloudcpt.recipe.load import load_recipe

IMAGE = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/cloudcpt@sha256:{'a' * 64}"
ROLE = "arn:aws:iam::123456789012:role/cloudcpt"
KEY = "arn:aws:kms:{}:123456789012:key/12345678-1234-1234-1234-123456789012"
GROUP = "arn:aws:sagemaker:us-east-1:123456789012:model-package-group/mine"
TRACKING = "arn:aws:sagemaker:us-east-1:123456789012:mlflow-tracking-server/ours"
PLAN_ARN = "arn:aws:sagemaker:{}:123456789012:training-plan/block"
READY = {
    "run": {"output_s3_path": "s3://my-bucket/cpt/"},
    "launch": {"target": "sagemaker", "region": "us-east-1", "role": ROLE, "image": IMAGE, "max_runtime_hours": 2},
}

NOTHING_ELSE = CloudLaunch(
    region="us-east-1",
    account_id="",
    role_arn=ROLE,
    image=IMAGE,
    input_uri="s3://my-bucket/cpt/cloudcpt",
    output_uri="s3://my-bucket/cpt",
    input_kms_key="",
    output_kms_key="",
    volume_kms_key="",
    volume_gb=0,
    subnets=(),
    security_groups=(),
    network_isolation=True,
    encrypt_traffic=False,
    spot=False,
    max_wait_s=0,
    max_pending_s=0,
    keep_alive_s=0,
    training_plan_arn="",
    instance_preferences=(),
    retry_attempts=0,
    tags=(),
    mlflow=None,
    budget_usd=0.0,
    model_package_group="",
)


def ready(desk, *changes):
    """Load a recipe that lacks nothing, with changes laid over it."""
    merged = READY
    for change in changes:
        merged = {**merged, **{key: {**merged.get(key, {}), **value} for key, value in change.items()}}
    return desk.recipe(merged)


def codes(findings):
    return [found.code for found in findings if found.code.startswith("CPT58")]


def test_a_short_launch_section_leaves_everything_else_to_the_service(desk):
    plan, findings = desk.plan(ready(desk))
    assert plan.launch == NOTHING_ELSE
    assert codes(findings) == []


def test_every_key_reaches_the_service(desk):
    launch = {
        "account_id": "210987654321",
        "input_s3_path": "s3://inputs//",
        "kms_key": "alias/in",
        "output_kms_key": KEY.format("us-east-1"),
        "subnets": ["subnet-0123456789abcdef0"],
        "security_groups": ["sg-0123456789abcdef0"],
        "network_isolation": False,
        "encrypt_traffic": True,
        "max_pending_hours": 0.5,
        "keep_alive_minutes": 30,
        "training_plan": PLAN_ARN.format("us-east-1"),
        "retry_attempts": 3,
        "tags": {"team": "language", "cost": "1"},
        "budget_usd": 1000,
        "instance_preferences": ["ml.p5.48xlarge", "ml.p5en.48xlarge"],
    }
    run = {"mlflow_tracking_uri": TRACKING, "mlflow_experiment_name": "experiment", "mlflow_run_name": "run"}
    plan, _ = desk.plan(ready(desk, {"launch": launch, "run": run}))
    assert plan.launch == replace(
        NOTHING_ELSE,
        account_id="210987654321",
        input_uri="s3://inputs",
        input_kms_key="alias/in",
        output_kms_key=KEY.format("us-east-1"),
        subnets=("subnet-0123456789abcdef0",),
        security_groups=("sg-0123456789abcdef0",),
        network_isolation=False,
        encrypt_traffic=True,
        max_pending_s=1800,
        keep_alive_s=1800,
        training_plan_arn=PLAN_ARN.format("us-east-1"),
        instance_preferences=("ml.p5.48xlarge", "ml.p5en.48xlarge"),
        retry_attempts=3,
        tags=(("cost", "1"), ("team", "language")),
        mlflow=Mlflow(tracking_arn=TRACKING, experiment="experiment", run="run"),
        budget_usd=1000.0,
    )


def test_a_plan_with_everything_survives_its_file(desk, tmp_path):
    launch = {"tags": {"a": "1"}, "subnets": ["subnet-01234567"], "security_groups": ["sg-01234567"]}
    plan, _ = desk.plan(ready(desk, {"launch": launch, "run": {"mlflow_tracking_uri": TRACKING}}))
    path = tmp_path / "plan.json"
    path.write_text(plan.to_json(), "utf-8")
    assert read_plan(path) == plan


@pytest.mark.parametrize("target", ["local", "container"])
def test_a_job_that_stays_here_is_told_nothing(desk, target):
    plan, findings = desk.plan(ready(desk, {"launch": {"image": "ours:1"}}), target=target)
    assert plan.launch is None
    assert codes(findings) == []
    assert all(Path(file.uri).is_file() for file in (*plan.model.files, *plan.sources[0].files))


def test_the_disks_of_a_machine_without_its_own_are_ordered(desk):
    small = {"instance_type": "ml.m5.xlarge"}
    assert desk.plan(ready(desk, {"launch": small}))[0].launch.volume_gb == 50
    ordered, _ = desk.plan(ready(desk, {"launch": {**small, "volume_gb": 200, "volume_kms_key": "alias/disk"}}))
    assert (ordered.launch.volume_gb, ordered.launch.volume_kms_key) == (200, "alias/disk")
    assert desk.plan(ready(desk, {"launch": {"volume_gb": 200}}))[0].launch.volume_gb == 0


def test_the_region_is_the_recipes_else_the_configured_one(desk):
    assert desk.plan(ready(desk), region="eu-west-1")[0].launch.region == "us-east-1"
    unnamed = ready(desk, {"launch": {"region": "", "image": IMAGE.replace("us-east-1", "eu-west-1")}})
    assert desk.plan(unnamed, region="eu-west-1")[0].launch.region == "eu-west-1"


def test_local_files_are_addressed_by_their_content(desk):
    loaded = ready(desk)
    reports = desk.reports(loaded)
    plan, _ = desk.plan(loaded, reports)
    files = [*plan.model.files, *plan.sources[0].files]
    for file in files:
        ending = Path(file.name).suffix
        assert file.uri == f"s3://my-bucket/cpt/cloudcpt/objects/{file.blake3}/content{ending}"
        assert file.placed == f"{file.blake3}/content{ending}"
    paths = local_paths(loaded, reports, plan)
    assert {file.blake3 for file in files} == paths.keys()
    assert all(paths[file.blake3].stat().st_size == file.size_bytes for file in files)


def test_what_is_in_s3_is_used_where_it_is(desk, reported):
    there = "s3://elsewhere/train.jsonl"
    report = reported([4_000] * 40_000)  # too much to be counted
    reports = {"train": replace(report, files=(replace(report.files[0], path=there),))}
    loaded = ready(desk, {"run": {"data_s3_path": there}})
    plan, _ = desk.plan(loaded, reports)
    assert [(file.uri, file.placed) for file in plan.sources[0].files] == [(there, "train.jsonl")]
    assert local_paths(loaded, reports, plan).keys() == {file.blake3 for file in plan.model.files}


@pytest.mark.parametrize(
    ("data", "written", "is_mixed"),
    [
        ("s3://my-bucket/cpt/", "uploads to `s3://my-bucket/cpt/cloudcpt` and results to `s3://my-bucket/cpt`", True),
        ("s3://my-bucket", "uploads to `s3://my-bucket/cpt/cloudcpt` and results to `s3://my-bucket/cpt`", True),
        ("s3://my-bucket/cpt/cloudcpt/", "uploads to `s3://my-bucket/cpt/cloudcpt`", True),
        ("s3://my-bucket/**/*.jsonl", "uploads to `s3://my-bucket/cpt/cloudcpt` and results to", True),
        ("s3://my-bucket/cpt/data/", "", False),
        ("s3://my-bucket/cpt/*.jsonl", "", False),
        ("s3://my-bucket/cpt-data/", "", False),
        ("s3://other/", "", False),
    ],
)
def test_data_is_not_read_from_where_uploads_and_results_go(desk, data, written, is_mixed):
    """The held-out text that one submission uploads would be training data of the next."""
    found = list(launch_faults(ready(desk, {"run": {"data_s3_path": data}}), "sagemaker", region="us-east-1"))
    assert codes(found) == (["CPT588"] if is_mixed else [])
    assert not is_mixed or written in found[0].message


def test_the_plan_is_the_same_from_every_folder(desk, tmp_path):
    other = tmp_path / "moved" / "deeper"
    shutil.copytree(desk.folder, other, ignore=shutil.ignore_patterns("moved"))
    plan, _ = desk.plan(ready(desk))
    (other / "recipe.yaml").write_text((desk.folder / "recipe.yaml").read_text())
    loaded = load_recipe(other / "recipe.yaml")
    again, _ = desk.plan(loaded, desk.reports(loaded))
    assert again.hash == plan.hash
    assert str(desk.folder) not in plan.to_json()


def test_everything_wrong_is_said_at_once_with_its_place(desk):
    loaded = ready(
        desk,
        {
            "run": {"output_s3_path": "s3://my..bucket/x", "validation_data_s3_path": "s3://10.0.0.1/held-out"},
            "launch": {
                "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/cloudcpt:latest",
                "kms_key": KEY.format("eu-west-1"),
                "training_plan": PLAN_ARN.format("us-west-2"),
                "input_s3_path": "s3://xn--bucket/x",
            },
        },
    )
    with pytest.raises(PlanError) as raised:
        desk.plan(loaded, {})
    found = [one for one in raised.value.diagnostics if one.code.startswith("CPT58")]
    lines = (desk.folder / "recipe.yaml").read_text().splitlines()
    assert [(one.code, lines[one.place.line - 1].split('"')[1]) for one in found] == [
        ("CPT582", "output_s3_path"),
        ("CPT582", "input_s3_path"),
        ("CPT582", "validation_data_s3_path"),
        ("CPT581", "image"),
        ("CPT581", "image"),
        ("CPT584", "kms_key"),
        ("CPT584", "training_plan"),
    ]
    assert "CPT504" in [one.code for one in raised.value.diagnostics]


@pytest.mark.parametrize(
    ("image", "is_refused"),
    [
        (IMAGE, False),
        (IMAGE.replace("cloudcpt@", "team/cloudcpt@"), False),
        (IMAGE.replace("cloudcpt@", "cloudcpt:1@"), False),
        (IMAGE.replace(".ecr.", ".ecr-fips."), False),
        (IMAGE[:-1], True),
        (IMAGE.partition("@")[0], True),
        (IMAGE.replace("us-east-1", "us-east-2"), True),
        ("cloudcpt:latest", True),
        (f"ghcr.io/cloudcpt@sha256:{'a' * 64}", True),
    ],
)
def test_an_image_is_in_ecr_here_and_by_digest(desk, image, is_refused):
    loaded = ready(desk, {"launch": {"image": image}})
    if is_refused:
        with pytest.raises(PlanError, match="CPT581"):
            desk.plan(loaded)
    else:
        assert desk.plan(loaded)[0].launch.image == image


@pytest.mark.parametrize(
    ("bucket", "is_possible"),
    [
        ("my-bucket", True),
        ("my.bucket.1", True),
        ("1.2.3", True),
        ("1.2.3.4", False),
        ("my..bucket", False),
        ("xn--a", False),
        ("sthree-a", False),
        ("amzn-s3-demo-bucket", False),
        ("a-s3alias", False),
        ("a--ol-s3", False),
        ("a.mrap", False),
        ("a--table-s3", False),
    ],
)
def test_a_bucket_has_a_name_that_can_be(bucket, is_possible):
    assert (bucket_fault(f"s3://{bucket}/x") is None) == is_possible
    assert (bucket_fault(f"s3://{bucket}") is None) == is_possible


def test_preferred_machines_are_reckoned_with_at_their_worst(desk):
    preferences = ["ml.p5.48xlarge", "ml.p4d.24xlarge", "ml.p5en.48xlarge"]
    plan, _ = desk.plan(ready(desk, {"launch": {"instance_preferences": preferences}}))
    assert plan.world.instance_type == "ml.p5.48xlarge"
    assert plan.memory.capacity_bytes == 40 * 10**9
    assert plan.estimate.usd_per_instance_hour == 72.79
    assert plan.estimate.price_source.startswith("ml.p5en.48xlarge: ")


def test_preferred_machines_have_the_same_number_of_gpus_and_are_known(desk):
    with pytest.raises(PlanError, match="CPT587"):
        desk.plan(ready(desk, {"launch": {"instance_preferences": ["ml.p5.48xlarge", "ml.p5.4xlarge"]}}))
    with pytest.raises(PlanError) as raised:
        desk.plan(ready(desk, {"launch": {"instance_preferences": ["ml.p9.large", "ml.p5.48xlarge", "ml.p8.large"]}}))
    assert [found.code for found in raised.value.diagnostics] == ["CPT511", "CPT511"]


def test_a_price_that_is_not_public_leaves_the_cost_of_preferred_machines_unknown(desk):
    plan, findings = desk.plan(ready(desk, {"launch": {"instance_preferences": ["ml.p5.48xlarge", "ml.p5e.48xlarge"]}}))
    assert plan.estimate.usd_per_instance_hour == 0
    assert "CPT552" in [found.code for found in findings]


def test_only_a_nova_job_registers_its_model_and_only_by_arn(desk, nova_recipe, reported):
    reports = {"train": reported([4_000] * 20_000)}
    cloud = {"region": "us-east-1", "max_runtime_hours": 600}
    for group, registered in ((GROUP, GROUP), ("mine", ""), ("", "")):
        nova = desk.recipe({"run": {"model_package_group": group}, "launch": cloud}, base=nova_recipe)
        plan, findings = desk.plan(nova, reports)
        assert plan.launch.model_package_group == registered
        assert ("CPT585" in codes(findings)) == (bool(group) and not registered)
    plan, findings = desk.plan(ready(desk, {"run": {"model_package_group": GROUP}}))
    assert (plan.launch.model_package_group, codes(findings)) == ("", ["CPT585"])


def test_only_our_own_trainer_is_cut_off_from_the_network_unasked(desk, nova_recipe, reported):
    reports = {"train": reported([4_000] * 20_000)}
    for written, isolated in (({}, False), ({"network_isolation": True}, True)):
        nova = desk.recipe({"launch": {"region": "us-east-1", "max_runtime_hours": 600} | written}, base=nova_recipe)
        assert desk.plan(nova, reports)[0].launch.network_isolation is isolated
    assert desk.plan(ready(desk))[0].launch.network_isolation is True


def test_an_image_for_nova_may_be_named_by_a_tag(desk, nova_recipe, reported):
    image = "708977205387.dkr.ecr.us-east-1.amazonaws.com/nova-fine-tune-repo:SM-TJ-CPT-latest"
    launch = {"target": "sagemaker", "image": image, "region": "us-east-1", "role": ROLE}
    loaded = desk.recipe({"launch": launch}, base=nova_recipe)
    assert desk.plan(loaded, {"train": reported([4_000] * 20_000)})[0].launch.image == image


def test_an_mlflow_server_that_is_no_arn_is_not_passed_on(desk):
    plan, _ = desk.plan(ready(desk, {"run": {"mlflow_tracking_uri": "https://mlflow.example"}}))
    assert plan.launch.mlflow is None


def test_the_plan_as_json_says_what_the_service_is_told(desk):
    plan, _ = desk.plan(ready(desk))
    assert json.loads(plan.to_json())["launch"]["image"] == IMAGE
    assert Severity.ERROR not in [found.severity for found in desk.plan(ready(desk))[1]]
