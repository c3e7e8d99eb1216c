"""How the loop computes: what is compiled, divided, kept and rounded, and what is refused before a job begins."""

import pytest

from cloudcpt.errors import PlanError
from cloudcpt.plan.instances import Machine

BOX = Machine(gpus=8, gpu_memory_bytes=80 * 10**9, cpus=96, gpu_name="NVIDIA H100 80GB HBM3")


@pytest.fixture
def planned(desk, reported):
    """Plan a Llama on machines of eight GPUs, with changes of `training_config`."""

    def plan(instance="ml.p5.48xlarge", *, size="8b", replicas=4, **config):
        recipe = desk.recipe(
            {
                "run": {
                    "model_type": f"llama-3.1-{size}",
                    "model_name_or_path": "s3://bucket/llama",
                    "replicas": replicas,
                },
                "training_config": {"max_length": 8192, "global_batch_size": 256, **config},
                "launch": {"target": "sagemaker", "instance_type": instance},
            }
        )
        plan, findings = desk.plan(recipe, {"train": reported([30_000] * 5000)})
        return plan, {found.code: found.message for found in findings}

    return plan


def refused(planned, *arguments, **config):
    with pytest.raises(PlanError) as caught:
        planned(*arguments, **config)
    return {found.code: (found.message, found.hint) for found in caught.value.diagnostics}


def test_layers_are_compiled_on_gpus_and_nowhere_else_unless_the_recipe_says_so(desk):
    for wanted, on_cpu, on_gpu in (("auto", False, True), ("on", True, True), ("off", False, False)):
        recipe = desk.recipe({"training_config": {"compile": wanted}})
        assert desk.plan(recipe)[0].compute.compile is on_cpu
        assert desk.plan(recipe, machine=BOX)[0].compute.compile is on_gpu


def test_small_models_have_replicas_because_they_cost_neither_rows_nor_activations(planned):
    plan, said = planned("ml.p5en.48xlarge")
    assert (plan.compute.shard_processes, plan.world.size) == (8, 32)
    assert said["CPT592"].startswith("each machine holds a replica of the states, divided over its 8 GPUs")
    alone, _ = planned("ml.p5en.48xlarge", replicas=1)
    for kept in ("micro_batch_rows", "steps"):
        assert getattr(plan.geometry, kept) == getattr(alone.geometry, kept)
    assert plan.memory == alone.memory


def test_states_are_divided_over_all_machines_where_replicas_would_cost_activations(planned):
    plan, said = planned("ml.p4d.24xlarge")
    assert plan.compute.shard_processes == plan.world.size == 32
    assert said["CPT592"] == (
        "the states are divided over all 32 GPUs: a replica on each machine would leave less memory for rows or "
        "activations"
    )
    replicas, _ = planned("ml.p4d.24xlarge", sharding="hybrid")
    assert plan.memory.activations != replicas.memory.activations
    assert plan.memory.total_bytes <= plan.memory.capacity_bytes


def test_one_machine_has_no_choice_to_report(planned):
    plan, said = planned(replicas=1)
    assert plan.compute.shard_processes == 8
    assert "CPT592" not in said


@pytest.mark.parametrize(("sharding", "shards"), [("full", 32), ("hybrid", 8)])
def test_the_recipe_forces_either_and_nothing_is_said(sharding, shards, planned):
    plan, said = planned("ml.p5en.48xlarge", sharding=sharding)
    assert plan.compute.shard_processes == shards
    assert "CPT592" not in said


def test_more_is_kept_where_there_is_more_memory(planned):
    machines = ("ml.p5.48xlarge", "ml.p4d.24xlarge")
    kept = [planned(instance, replicas=1)[0].memory.activations for instance in machines]
    assert kept == ["none", "full"]
    assert planned("ml.p4d.24xlarge", replicas=4)[0].memory.activations == "budget"


@pytest.mark.parametrize("wanted", ["none", "budget", "selective", "full"])
def test_the_recipe_forces_what_is_kept(wanted, planned, desk):
    assert planned("ml.p5en.48xlarge", activation_checkpointing=wanted)[0].memory.activations == wanted
    if wanted != "budget":
        here, _ = desk.plan(desk.recipe({"training_config": {"activation_checkpointing": wanted}}))
        assert here.memory.activations == wanted


@pytest.mark.parametrize(
    ("model", "forced"),
    [
        ({"instance": "ml.p4d.24xlarge", "replicas": 1}, {"activation_checkpointing": "none"}),
        ({"size": "70b", "replicas": 12}, {"sharding": "hybrid"}),
    ],
)
def test_a_forced_choice_that_cannot_fit_is_refused_with_the_way_out(model, forced, planned):
    message, hint = refused(planned, **model, **forced)["CPT540"]
    ((key, value),) = forced.items()
    assert "one GPU would hold" in message
    assert hint.startswith(f"it fits without `{key}: {value}`")
    assert planned(**model)[0].memory.total_bytes


def test_a_budget_needs_a_compiler(desk):
    recipe = desk.recipe({"training_config": {"activation_checkpointing": "budget"}})
    with pytest.raises(PlanError, match="CPT591") as caught:
        desk.plan(recipe)
    assert caught.value.diagnostics[0].hint == "set `compile: on`, or choose `selective`"
    assert desk.plan(recipe, machine=BOX)[0].memory.activations == "budget"


@pytest.mark.parametrize("instance", ["ml.p5.48xlarge", "ml.p5en.48xlarge", "ml.p6-b200.48xlarge"])
def test_float8_is_planned_where_the_chips_have_it(instance, planned):
    assert planned(instance, float8="rowwise")[0].compute.float8 == "rowwise"


@pytest.mark.parametrize(
    ("instance", "config", "reason"),
    [
        ("ml.p4de.24xlarge", {}, "needs H100, H200, B200 or B300, not A100"),
        (
            "ml.p5.48xlarge",
            {"peft": {"method": "lora"}},
            "trains whole matrices, and with `method: lora` they are frozen",
        ),
        ("ml.p5.48xlarge", {"compile": "off"}, "gains nothing without compiled layers"),
        ("ml.p5.48xlarge", {"max_length": 8190}, "needs a `max_length` that is a multiple of 16"),
        ("ml.m5.4xlarge", {}, "needs a GPU"),
    ],
)
def test_float8_is_refused_where_it_cannot_be_with_the_reason(instance, config, reason, planned):
    message, hint = refused(planned, instance, float8="tensorwise", **config)["CPT590"]
    assert (message, hint) == (f"`float8: tensorwise` {reason}", "leave `float8` out")


def test_a_rehearsal_leaves_float8_out_and_says_so(desk):
    recipe = desk.recipe({"training_config": {"float8": "tensorwise"}})
    plan, findings = desk.plan(recipe, stand_in=True)
    assert plan.compute.float8 == "none"
    assert "CPT593" in {found.code for found in findings}
