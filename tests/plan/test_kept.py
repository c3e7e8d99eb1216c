"""What is kept beside the final model is counted, sized, and held against the disk before anything is spent."""

import pytest

from cloudcpt.errors import PlanError, Severity
from cloudcpt.plan.kept import kept_checkpoints, kept_findings, most_checkpoints, most_states
from cloudcpt.plan.plan import Checkpoints
from tests.plan.test_memory_fit import LLAMA_8B

CLOUD = {
    "run": {"output_s3_path": "s3://bucket/out", "replicas": 1},
    "launch": {"target": "sagemaker", "instance_type": "ml.m5.xlarge", "region": "us-east-1"},
}


def planned(desk, **changes):
    return desk.plan(desk.recipe(changes))


def codes(findings) -> list[str]:
    return [finding.code for finding in findings]


def found(findings, code):
    (one,) = [finding for finding in findings if finding.code == code]
    return one


@pytest.mark.parametrize(
    ("every", "keep_last", "steps", "kept", "most"),
    [
        (0, 0, 100, 0, 0),
        (10, 0, 100, 9, 9),  # the hundredth is the final model
        (10, 3, 100, 3, 4),
        (10, 9, 100, 9, 9),
        (10, 20, 95, 9, 9),
        (100, 0, 100, 0, 0),
        (200, 5, 100, 0, 0),
    ],
)
def test_the_model_of_the_last_step_is_no_checkpoint_and_a_new_one_comes_before_an_old_one_goes(
    every, keep_last, steps, kept, most
):
    wanted = Checkpoints(every_steps=every, keep_last=keep_last, recovery_every_steps=0)
    assert (kept_checkpoints(wanted, steps), most_checkpoints(wanted, steps)) == (kept, most)


def test_a_plan_says_what_they_take_in_all(desk):
    plan, findings = planned(desk, checkpoint={"every_steps": 5, "recovery_every_steps": 4})
    note = found(findings, "CPT575")
    gigabytes = plan.model.parameters * {"float32": 4, "bfloat16": 2}[plan.model.dtype] / 1e9
    assert note.severity is Severity.NOTE
    assert note.message == (
        f"beside the final model the job keeps 3 checkpoints of {gigabytes:,.3g} GB, {3 * gigabytes:,.3g} GB in all "
        f"and a recovery state of {plan.model.parameters * 12 / 1e9:,.3g} GB"
    )
    assert note.place.line is not None


def test_a_plan_that_keeps_nothing_says_nothing(desk):
    assert not {"CPT575", "CPT576", "CPT577", "CPT578"} & set(codes(planned(desk)[1]))


@pytest.mark.parametrize(
    ("checkpoint", "message"),
    [
        ({"every_steps": 20}, "`every_steps: 20` comes to nothing in a job of 20 steps"),
        ({"recovery_every_steps": 500}, "`recovery_every_steps: 500` comes to nothing in a job of 20 steps"),
        ({"keep_last": 3}, "`keep_last` has no effect without `every_steps`"),
    ],
)
def test_what_never_comes_is_warned_of(checkpoint, message, desk):
    assert found(planned(desk, checkpoint=checkpoint)[1], "CPT576").message == message


def test_more_than_five_thousand_are_refused_unless_few_stay(desk):
    many = {"training_config": {"trainer": {"max_steps": 5002}}, "checkpoint": {"every_steps": 1}}
    with pytest.raises(PlanError) as caught:
        planned(desk, **many)
    fault = found(caught.value.diagnostics, "CPT578")
    assert fault.message.startswith("5,001 checkpoints are more than the 5,000")
    assert fault.hint == "set `every_steps` to 2 or more, or `keep_last`"
    assert found(planned(desk, **many | {"checkpoint": {"every_steps": 1, "keep_last": 5000}})[1], "CPT575")


def test_a_disk_that_cannot_hold_them_is_warned_of_with_the_size_that_can(desk):
    """Of 8 billion parameters in float32, a model takes 32 GB and a state 96 GB."""

    def warned(volume_gb):
        launch = CLOUD["launch"] | {"volume_gb": volume_gb}
        loaded = desk.recipe(CLOUD | {"launch": launch, "checkpoint": {"every_steps": 5, "recovery_every_steps": 5}})
        plan, _ = desk.plan(loaded)
        return [one for one in kept_findings(loaded, plan, LLAMA_8B) if one.code == "CPT577"]

    (one,) = warned(100)
    assert one.message == "the disk of each machine will have to hold about 450 GB, and has 100 GB"
    assert one.hint == "set `launch.volume_gb: 495`, or keep fewer checkpoints"
    assert warned(449)
    assert not warned(495)


def test_in_the_cloud_one_state_more_stays_until_its_copy_is_there(desk):
    wanted = {"checkpoint": {"recovery_every_steps": 4}}
    assert most_states(planned(desk, **wanted)[0]) == 2
    assert most_states(planned(desk, **CLOUD | wanted)[0]) == 3
    assert most_states(planned(desk)[0]) == 0


def test_spot_with_a_state_to_go_on_from_is_told_and_without_is_warned_of(desk):
    spot = CLOUD | {"launch": CLOUD["launch"] | {"spot": True}}
    told = found(planned(desk, **spot | {"checkpoint": {"recovery_every_steps": 4}})[1], "CPT586")
    assert (told.severity, "at most 4 steps back" in told.message) == (Severity.NOTE, True)
    warned = found(planned(desk, **spot)[1], "CPT586")
    assert (warned.severity, "starts over" in warned.message) == (Severity.WARNING, True)
