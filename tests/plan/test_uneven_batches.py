"""Global batches that do not divide over the processes: what is planned, what it costs, what is said."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudcpt.plan.geometry import micro_batches

LLAMA_70B = {"model_type": "llama-3.1-70b", "model_name_or_path": "s3://bucket/llama"}


def planned(desk, reported, *, replicas):
    loaded = desk.recipe(
        {
            "run": {**LLAMA_70B, "replicas": replicas},
            "training_config": {"max_length": 8192, "global_batch_size": 256},
            "launch": {"target": "sagemaker"},
        }
    )
    return desk.plan(loaded, {"train": reported([30_000] * 5000)})


def about_padding(findings):
    return [(found.message, found.hint) for found in findings if found.code == "CPT518"]


@pytest.mark.parametrize("replicas", [6, 12, 24])
def test_all_weights_of_a_large_model_are_planned_on_every_number_of_machines_of_its_class(desk, reported, replicas):
    plan, _ = planned(desk, reported, replicas=replicas)
    geometry = plan.geometry
    assert (plan.world.nodes, plan.world.size, geometry.global_batch_rows) == (replicas, replicas * 8, 256)
    assert geometry.micro_batch_rows * geometry.accumulation == -(-256 // plan.world.size)
    assert plan.memory.total_bytes <= plan.memory.capacity_bytes


def test_the_warning_says_how_much_is_padding_and_what_has_less(desk, reported):
    ((message, hint),) = about_padding(planned(desk, reported, replicas=24)[1])
    assert message == "256 rows over 192 processes: 33% of the forward passes are padding"
    assert hint == "`run.replicas` of `12` pads 11%", "one machine would divide evenly, but does not hold the model"
    ((message, hint),) = about_padding(planned(desk, reported, replicas=6)[1])
    assert message == "256 rows over 48 processes: 11% of the forward passes are padding"
    assert hint == "no `run.replicas` that this model may use and fits on has less"


def test_the_nearest_even_numbers_are_named(desk):
    ((message, hint),) = about_padding(desk.plan(desk.recipe({"launch": {"processes_per_node": 3}}))[1])
    assert message == "32 rows over 3 processes: 3% of the forward passes are padding"
    assert hint == "`launch.processes_per_node` of `2` or `4` divides evenly"
    ((_, hint),) = about_padding(desk.plan(desk.recipe({"launch": {"processes_per_node": 12}}))[1])
    assert (
        hint == "`launch.processes_per_node` of `8` or `16` divides evenly; `launch.processes_per_node` of `11` pads 3%"
    )


def test_gpus_that_are_not_there_are_not_proposed(desk):
    from cloudcpt.plan.instances import Machine

    box = Machine(gpus=3, gpu_memory_bytes=80 * 10**9, cpus=32)
    ((_, hint),) = about_padding(desk.plan(desk.recipe(), machine=box)[1])
    assert hint == "`launch.processes_per_node` of `1` or `2` divides evenly"


def test_padding_takes_time(desk, reported):
    """Of the same rows: 96 processes compute 288 for 256, which is 3 each, and 192 compute 384, which is 2 each."""
    hours = [planned(desk, reported, replicas=replicas)[0].estimate.hours - 0.25 for replicas in (12, 24)]
    assert hours[1] / hours[0] == pytest.approx(2 / 3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(rows=st.sampled_from([32, 64, 128, 256]), processes=st.integers(1, 32), cap=st.integers(0, 40))
def test_processes_run_as_few_passes_as_their_rows_need(desk, rows, processes, cap):
    changes = {"global_batch_size": rows, "micro_batch_size": cap}
    loaded = desk.recipe({"training_config": changes, "launch": {"processes_per_node": processes}})
    plan, findings = desk.plan(loaded, desk.reports(loaded))
    geometry = plan.geometry
    most = max(len(range(rank, rows, processes)) for rank in range(processes))  # dealt out like cards
    assert geometry.micro_batch_rows * geometry.accumulation == most
    assert geometry.micro_batch_rows == micro_batches(most, cap or 8192 // 64)[0]
    assert bool(about_padding(findings)) == (rows % processes != 0)


def test_nova_divides_its_batches_itself(desk, nova_recipe, reported):
    run = {"model_type": "amazon.nova-pro-v1:0:300k", "model_name_or_path": "nova-pro/prod", "replicas": 24}
    nova_recipe["run"] |= run
    assert not about_padding(desk.plan(desk.recipe(base=nova_recipe), {"train": reported([32_767] * 100_000)})[1])


def test_a_rehearsal_does_not_complain_about_its_own_padding(desk):
    _, findings = desk.plan(desk.recipe({"launch": {"processes_per_node": 3}}), stand_in=True)
    assert not about_padding(findings)
