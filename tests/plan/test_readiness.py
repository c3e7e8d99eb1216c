"""What a plan still lacks: a warning when it is made, errors with places when it is submitted."""

import pytest

from cloudcpt.errors import Severity
from cloudcpt.plan.readiness import unready

IMAGE = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/cloudcpt@sha256:{'a' * 64}"
ROLE = "arn:aws:iam::123456789012:role/cloudcpt"
READY = {
    "run": {"output_s3_path": "s3://my-bucket/cpt"},
    "launch": {"target": "sagemaker", "region": "us-east-1", "role": ROLE, "image": IMAGE},
}


def without(*names):
    return {
        "run": {key: value for key, value in READY["run"].items() if key not in names},
        "launch": {key: value for key, value in READY["launch"].items() if key not in names},
    }


def not_ready(findings):
    return [found for found in findings if found.code == "CPT580"]


def test_a_plan_that_lacks_nothing_is_ready(desk):
    plan, findings = desk.plan(desk.recipe(READY))
    assert not_ready(findings) == []
    assert unready(plan) == ()


@pytest.mark.parametrize(
    ("key", "section"), [("region", "launch"), ("role", "launch"), ("image", "launch"), ("output_s3_path", "run")]
)
def test_each_missing_key_is_a_warning_of_the_plan_and_an_error_of_the_submission(desk, key, section):
    loaded = desk.recipe(without(key))
    plan, findings = desk.plan(loaded)
    (found,) = not_ready(findings)
    assert found.severity is Severity.WARNING
    assert found.message == f"not ready to submit, not set: `{section}.{key}`"
    (refused,) = unready(plan, loaded=loaded)
    assert (refused.code, refused.severity) == ("CPT580", Severity.ERROR)
    assert refused.place == found.place == loaded.place(section, key)
    assert refused.hint


def test_everything_that_is_missing_is_said_at_once(desk):
    loaded = desk.recipe({"launch": {"target": "sagemaker"}})
    plan, findings = desk.plan(loaded)
    names = "`launch.region`, `launch.role`, `launch.image`, `run.output_s3_path`"
    assert [found.message for found in not_ready(findings)] == [f"not ready to submit, not set: {names}"]
    assert len(unready(plan, loaded=loaded)) == 4
    assert {file.uri for file in (*plan.model.files, *plan.sources[0].files)} == {""}
    assert (plan.launch.input_uri, plan.launch.output_uri) == ("", "")
    assert plan.estimate.usd > 0


def test_a_region_of_the_configuration_is_enough(desk):
    plan, findings = desk.plan(desk.recipe(without("region")), region="us-east-1")
    assert (not_ready(findings), unready(plan)) == ([], ())


def test_a_place_for_uploads_does_not_say_where_the_model_goes(desk):
    launch = {**READY["launch"], "input_s3_path": "s3://inputs"}
    plan, _ = desk.plan(desk.recipe({"launch": launch}))
    assert [found.message for found in unready(plan)] == [
        "there is no `output_s3_path` to write the model to, nor to upload to"
    ]


def test_a_job_here_is_always_ready(desk):
    plan, findings = desk.plan(desk.recipe())
    assert (not_ready(findings), unready(plan)) == ([], ())


def test_assumed_data_and_a_model_known_by_name_are_for_looking_only(desk):
    run = {
        **READY["run"],
        "model_type": "llama-3.2-1b",
        "model_name_or_path": "s3://my-bucket/model",
        "data_s3_path": "s3://my-bucket/data",
    }
    plan, findings = desk.plan(desk.recipe({**READY, "run": run}), {}, assumed_rows=1000)
    assert not_ready(findings) == []
    assert [found.message for found in unready(plan)] == [
        "data was assumed, not read: `train`",
        "the base model `s3://my-bucket/model` was planned by its name, not read",
    ]


def test_nova_for_hyperpod_needs_only_a_place_for_what_is_uploaded(desk, nova_recipe, reported):
    reports = {"train": reported([4_000] * 20_000)}
    plan, findings = desk.plan(desk.recipe(base=nova_recipe), reports)
    assert plan.target == "hyperpod"
    assert [found.message for found in not_ready(findings)] == ["not ready to submit, not set: `run.output_s3_path`"]
    placed, _ = desk.plan(desk.recipe({"run": {"output_s3_path": "s3://my-bucket/x"}}, base=nova_recipe), reports)
    assert unready(placed) == ()


def test_nova_in_a_training_job_needs_an_image_that_does_not_exist_in_public(desk, nova_recipe, reported):
    loaded = desk.recipe(without("image"), base=nova_recipe)
    plan, _ = desk.plan(loaded, {"train": reported([4_000] * 20_000)})
    (found,) = unready(plan)
    assert found.message == "no public image trains `amazon.nova-micro-v1:0:128k` in a training job"
    assert "hyperpod" in found.hint
