"""How much of a job is executed: all of it, or the short rehearsal that ends in a minute or two on two cores.

A rehearsal runs every part of the job (reading, packing, steps, measuring, export) with the tokens per row and the
schedule of the recipe. Only the number of times that the same thing is done again is cut.
"""

from dataclasses import dataclass, replace

from cloudcpt.errors import Diagnostic, note
from cloudcpt.plan.extent import Extent
from cloudcpt.plan.plan import Evaluation, World
from cloudcpt.plan.settings import evaluation_of
from cloudcpt.recipe.load import LoadedRecipe

REHEARSAL_STEPS = 4
"""Optimizer steps; enough to see the loss move, the optimizer step and the export work."""

REHEARSAL_ROWS = 8
"""Rows of a step, and of each held-out set; 32 rows of 8,192 tokens in all take about a minute on two cores."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """What is executed of a job.

    Args:
        steps: Optimizer steps, from the first.
        global_batch_rows: Rows of each over all processes.
        evaluation: What is measured.
    """

    steps: int
    global_batch_rows: int
    evaluation: Evaluation


def scope_of(loaded: LoadedRecipe, extent: Extent, world: World, *, stand_in: bool) -> Scope:
    """Take the whole job, or what a rehearsal does of it.

    Args:
        loaded: The recipe.
        extent: The whole job.
        world: Processes; even a rehearsal has a row for each.
        stand_in: Whether it is a rehearsal.
    """
    rows, evaluation = loaded.recipe.training_config.global_batch_size, evaluation_of(loaded.recipe)
    if not stand_in:
        return Scope(steps=extent.steps, global_batch_rows=rows, evaluation=evaluation)
    return Scope(
        steps=min(extent.steps, REHEARSAL_STEPS),
        global_batch_rows=min(rows, max(REHEARSAL_ROWS, world.size)),
        evaluation=replace(evaluation, max_rows=min(evaluation.max_rows or REHEARSAL_ROWS, REHEARSAL_ROWS)),
    )


def rehearsal_note(loaded: LoadedRecipe, extent: Extent, scope: Scope) -> Diagnostic:
    """Say what a rehearsal does and what it does not.

    Args:
        loaded: The recipe.
        extent: The whole job.
        scope: What is executed of it.
    """
    rows = loaded.recipe.training_config.global_batch_size
    return note(
        "CPT572",
        f"a rehearsal: a tiny random model takes {scope.steps} of {extent.steps:,} steps with "
        f"{scope.global_batch_rows} of {rows} rows each, and measures on {scope.evaluation.max_rows} held-out rows at "
        "most; data, packing and schedule are those of the job",
        hint="its loss means nothing, and its checkpoint is not a model",
    )
