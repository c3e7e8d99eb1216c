"""The smaller services of the fake, the façade, and the fake started by hand."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from cloudcpt.errors import explanations
from cloudcpt.fake.cloud import ACCOUNT_ID, FakeCloud
from cloudcpt.fake.faults import EXPIRED_TOKEN, EXPIRED_TOKEN_JSON, THROTTLED, Fault, FaultKind, Faults, flipped
from cloudcpt.fake.quotas import quota_code

BY_HAND = """
import signal
from cloudcpt.fake.by_hand import run_by_hand
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background hands down SIG_IGN
run_by_hand(lambda line: print(line, flush=True), runs=False, speed=60.0, ports={}, quotas={"ml.p5.48xlarge": 2})
"""


def test_the_environment_alone_leads_every_client_to_the_fake(fake_cloud):
    for service in ("s3", "sagemaker", "logs", "sts", "iam", "ecr", "service-quotas", "pricing", "kms"):
        assert boto3.client(service).meta.endpoint_url.startswith("http://127.0.0.1:")
    assert boto3.client("sts").get_caller_identity()["Account"] == ACCOUNT_ID
    assert fake_cloud.sts.calls.operations() == ("GetCallerIdentity",)


def test_quotas_are_read_one_by_one_and_page_by_page(fake_cloud):
    client = fake_cloud.client("service-quotas")
    pages = client.get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
    values = {row["QuotaName"]: row["Value"] for page in pages for row in page["Quotas"]}
    assert values["ml.p5.48xlarge for training job usage"] == 0.0
    assert values["ml.m5.xlarge for training job usage"] > 0.0
    assert values["ml.m5.xlarge for training warm pool usage"] == 0.0
    fake_cloud.quotas.set("ml.p5.48xlarge", 4)
    code = quota_code("ml.p5.48xlarge for training job usage")
    assert client.get_service_quota(ServiceCode="sagemaker", QuotaCode=code)["Quota"]["Value"] == 4.0
    with pytest.raises(ClientError, match="NoSuchResourceException"):
        client.get_service_quota(ServiceCode="sagemaker", QuotaCode="L-0")
    with pytest.raises(ClientError, match="NoSuchResourceException"):
        client.list_service_quotas(ServiceCode="ec2")


def test_prices_are_found_by_filters(fake_cloud):
    filters = {
        "productFamily": "ML Instance",
        "regionCode": "us-east-1",
        "instanceName": "ml.p5.48xlarge",
        "platoinstancetype": "Training",
    }
    rows = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in filters.items()]
    pricing = fake_cloud.client("pricing")
    found = [json.loads(row) for row in pricing.get_products(ServiceCode="AmazonSageMaker", Filters=rows)["PriceList"]]
    (term,) = found[0]["terms"]["OnDemand"].values()
    (price,) = term["priceDimensions"].values()
    assert (len(found), float(price["pricePerUnit"]["USD"])) == (1, 63.296)
    rows[2]["Value"] = "ml.nothing"
    assert pricing.get_products(ServiceCode="AmazonSageMaker", Filters=rows)["PriceList"] == []


def test_the_policy_simulator_knows_what_is_denied(fake_cloud):
    fake_cloud.denied.add("s3:PutObject")
    answer = fake_cloud.client("iam").simulate_principal_policy(
        PolicySourceArn=f"arn:aws:iam::{ACCOUNT_ID}:role/r", ActionNames=["s3:PutObject", "s3:GetObject"]
    )
    decisions = {row["EvalActionName"]: row["EvalDecision"] for row in answer["EvaluationResults"]}
    assert decisions == {"s3:PutObject": "implicitDeny", "s3:GetObject": "allowed"}


def test_roles_and_images_are_those_of_moto_behind_permissions(fake_cloud):
    fake_cloud.store("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")
    assert fake_cloud.client("iam").get_role(RoleName="r")["Role"]["RoleName"] == "r"
    fake_cloud.store("ecr").create_repository(repositoryName="cloudcpt")
    assert fake_cloud.client("ecr").describe_images(repositoryName="cloudcpt")["imageDetails"] == []
    fake_cloud.denied |= {"iam:GetRole", "ecr:DescribeImages"}
    with pytest.raises(ClientError, match=r"AccessDenied.*iam:GetRole"):
        fake_cloud.client("iam").get_role(RoleName="r")
    with pytest.raises(ClientError, match=r"AccessDeniedException.*ecr:DescribeImages"):
        fake_cloud.client("ecr").describe_images(repositoryName="cloudcpt")


@pytest.mark.parametrize(("service", "fault"), [("sts", EXPIRED_TOKEN), ("logs", EXPIRED_TOKEN_JSON)])
def test_every_service_can_go_wrong(fake_cloud, service, fault):
    getattr(fake_cloud, service).faults.add(fault)
    client = boto3.client(service, config=Config(retries={"total_max_attempts": 1}))
    call = {"sts": "get_caller_identity", "logs": "describe_log_groups"}[service]
    with pytest.raises(ClientError, match="ExpiredToken"):
        getattr(client, call)()
    getattr(client, call)()


def test_a_seed_gives_the_same_faults_again():
    def schedule(seed: int) -> list:
        faults = Faults()
        faults.seed(seed, rate=0.3)
        return [faults.next("PutObject") for _ in range(200)]

    assert schedule(7) == schedule(7)
    assert schedule(7) != schedule(8)
    assert 30 < sum(fault is not None for fault in schedule(7)) < 90


def test_an_appointed_fault_happens_to_its_call_only():
    faults = Faults()
    faults.add(THROTTLED, nth=2, times=2, operation="A")
    assert [faults.next(name) is not None for name in ("A", "B", "A", "B", "A", "A")] == [
        False,
        False,
        True,
        False,
        True,
        False,
    ]
    faults.add(THROTTLED)
    faults.clear()
    assert faults.next("A") is None


def test_a_flip_changes_one_bit():
    for position in (0.0, 0.5, 1.0):
        changed = flipped(b"\x00" * 9, position)
        assert sum(byte.bit_count() for byte in changed) == 1
    assert flipped(b"", 0.5) == b""


def test_a_stall_keeps_a_client_waiting(fake_cloud):
    fake_cloud.sts.faults.add(Fault(kind=FaultKind.STALL, seconds=5.0))
    client = boto3.client("sts", config=Config(retries={"total_max_attempts": 1}, read_timeout=0.2))
    with pytest.raises(Exception, match="Read timeout"):
        client.get_caller_identity()


def test_a_reset_forgets_everything(fake_cloud):
    fake_cloud.store().create_bucket(Bucket="bucket")
    fake_cloud.clock.advance(1e6)
    fake_cloud.quotas.set("ml.p5.48xlarge", 4)
    fake_cloud.denied.add("s3:PutObject")
    fake_cloud.reset()
    assert fake_cloud.store().list_buckets()["Buckets"] == []
    assert abs(fake_cloud.clock.now() - time.time()) < 100
    assert fake_cloud.quotas.value("ml.p5.48xlarge", "training job usage") == 0.0
    assert not fake_cloud.denied
    assert fake_cloud.s3.calls.all() == ()


def test_a_bug_of_the_fake_comes_to_light(fake_cloud: FakeCloud):
    fake_cloud.pricing.service.prices = None
    client = boto3.client("pricing", config=Config(retries={"total_max_attempts": 1}))
    with pytest.raises(ClientError, match="InternalFailure"):
        client.get_products(ServiceCode="AmazonSageMaker")
    with pytest.raises(RuntimeError, match="the fake broke"):
        fake_cloud.reset()


def test_the_fake_started_by_hand_prints_how_to_reach_it_and_ends_with_ctrl_c():
    process = subprocess.Popen([sys.executable, "-c", BY_HAND], stdout=subprocess.PIPE, text=True)
    try:
        lines = []
        while not lines or "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], "it ended"
        variables = dict(re.findall(r"export (\w+)=(\S+)", "".join(lines)))
        command = [sys.executable, "-c", "import boto3; print(boto3.client('s3').list_buckets()['Buckets'][0]['Name'])"]
        found = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=True)
        assert found.stdout == "cloudcpt-fake\n"
    finally:
        process.send_signal(signal.SIGINT)
        process.stdout.close()
    assert process.wait(30) == 0


def test_the_codes_of_the_fake_are_explained():
    assert {"CPT480", "CPT481"} <= set(explanations())
