"""Every recipe that is shipped plans: for where it says, when its model is at hand or known, and as a rehearsal."""

from pathlib import Path

import pytest

from cloudcpt.errors import PlanError
from cloudcpt.plan.geometry import largest_part
from cloudcpt.plan.instances import Machine
from cloudcpt.plan.make import make_plan, recipe_inputs
from cloudcpt.recipe.load import load_recipe

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
LAPTOP = Machine(gpus=0, gpu_memory_bytes=0, cpus=2)


def reports_for(loaded, reported):
    """Report 20 million tokens for every dataset that the recipe names, too much to be counted."""
    return {one.channel: reported([4_000] * 20_000, name=one.name) for one in recipe_inputs(loaded)}


def needs_its_model(loaded) -> bool:
    """A recipe for this machine needs its model here; `make demo`, or a download, brings it."""
    if loaded.recipe.is_nova or loaded.recipe.launch.target != "local":
        return False
    return not (loaded.folder / loaded.recipe.run.model_name_or_path).exists()


def require_consistent(plan):
    geometry = plan.geometry
    assert geometry.steps >= 1
    assert geometry.train_rows == geometry.steps * geometry.global_batch_rows
    assert sum(source.weight for source in plan.sources) == pytest.approx(1)
    if plan.model.family == "open":
        per_process = geometry.micro_batch_rows * geometry.accumulation
        assert per_process == largest_part(geometry.global_batch_rows, plan.world.size)
    if plan.memory.terms:
        assert plan.memory.total_bytes <= plan.memory.capacity_bytes


def test_there_are_recipes():
    assert RECIPES


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_plans_where_it_says(path, reported):
    loaded = load_recipe(path)
    reports = reports_for(loaded, reported)
    if needs_its_model(loaded):
        with pytest.raises(PlanError, match="CPT520"):
            make_plan(loaded, reports, machine=LAPTOP)
    else:
        require_consistent(make_plan(loaded, reports, machine=LAPTOP)[0])


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_rehearsed_on_a_laptop(path, reported):
    loaded = load_recipe(path)
    reports = reports_for(loaded, reported)
    plan, _ = make_plan(loaded, reports, target="local", stand_in=True, machine=LAPTOP)
    assert plan.model.stand_in
    require_consistent(plan)
