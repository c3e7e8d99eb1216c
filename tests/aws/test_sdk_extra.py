"""The SageMaker SDK is an extra: without it there is a sentence that says so, and nothing of ours loads it unasked."""

import subprocess
import sys
from dataclasses import replace

import pytest

from cloudcpt.aws.sdk import model_trainer, upload_inputs
from cloudcpt.errors import PlanError, SetupError
from tests.fakes import small_plan
from tests.jobs.cloud_plans import cloud_launch, cloud_plan


@pytest.fixture
def no_sdk(monkeypatch):
    for name in ("sagemaker", "sagemaker.core.helper.session_helper"):  # the latter where it is installed, and loaded
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "cloudcpt.aws.plan_trainer", raising=False)


def test_without_the_sdk_there_is_the_command_that_installs_it(no_sdk, tmp_path):
    with pytest.raises(SetupError, match="CPT496") as caught:
        model_trainer(cloud_plan(tmp_path))
    assert caught.value.diagnostics[0].hint == "install it with `pip install 'cloudcpt[sagemaker]'`"


def test_our_module_loads_without_the_sdk():
    code = "import sys, cloudcpt.aws.sdk; sys.exit(any(name.partition('.')[0] == 'sagemaker' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_plan_for_this_machine_is_no_training_job(no_sdk, tmp_path):
    plan = small_plan(tmp_path / "train.jsonl")
    for use in (model_trainer, lambda plan: upload_inputs(plan, {}, state=tmp_path)):
        with pytest.raises(PlanError, match="CPT498: the plan is for target `local`"):
            use(plan)


def test_everything_that_a_plan_lacks_is_said_first(no_sdk, tmp_path):
    plan = cloud_plan(tmp_path, cloud_launch(role_arn="", image=""))
    plan = replace(plan, sources=(replace(plan.sources[0], files=()),))
    with pytest.raises(PlanError) as caught:
        model_trainer(plan)
    assert [found.code for found in caught.value.diagnostics] == ["CPT580"] * 3
