"""From recipe, data and machine to the plan: every choice is made once, and each surprise is told.

    recipe --> site (target, machine, processes) --> starting model (sizes, files, tokenizer)
    data   --> volumes (tokens, rows) --> shares of the mix --> extent (steps, rows, tokens)
           --> schedule, batching and memory, time and cost --> Plan

The same inputs give the same plan, byte for byte: there is no clock, no chance and no environment in it.
"""

from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import cloudcpt
from cloudcpt.dataset.check import DatasetReport
from cloudcpt.dataset.files import HERE
from cloudcpt.dataset.places import DataPlace
from cloudcpt.errors import Diagnostic, PlanError, Severity
from cloudcpt.plan.advice import data_advice
from cloudcpt.plan.batching import Batching, choose_batching
from cloudcpt.plan.computing import choose_compute, compute_advice, compute_faults
from cloudcpt.plan.cost import duration_of, priced
from cloudcpt.plan.division import batch_faults, division_advice
from cloudcpt.plan.extent import Extent, measure_extent
from cloudcpt.plan.inputs import DataInput, distant_inputs, input_faults, recipe_inputs, sources_of
from cloudcpt.plan.instances import Machine
from cloudcpt.plan.kept import kept_findings
from cloudcpt.plan.launching import choose_region, in_cloud, launch_advice, launch_faults
from cloudcpt.plan.limits import estimate_findings
from cloudcpt.plan.mixing import Mix, choose_mix
from cloudcpt.plan.model_advice import attention_findings, tokenizer_findings
from cloudcpt.plan.model_folder import ModelFolder, tokenizer_of
from cloudcpt.plan.plan import Geometry, Plan
from cloudcpt.plan.quantising import quantising_faults
from cloudcpt.plan.rates import rate_advice, schedule_findings
from cloudcpt.plan.readiness import readiness_advice
from cloudcpt.plan.rehearsal import Scope, rehearsal_note, scope_of
from cloudcpt.plan.runtime import recipe_limit_s
from cloudcpt.plan.settings import checkpoints_of, dropouts_of, lora_of, optimizer_of, schedule_of
from cloudcpt.plan.site import Site, Target, choose_site, choose_target, site_advice
from cloudcpt.plan.starting_model import StartingModel, find_starting_model
from cloudcpt.plan.volume import Volume, assume, measure
from cloudcpt.plan.warm_start import warm_start_advice
from cloudcpt.recipe.load import LoadedRecipe
from cloudcpt.wire import SCHEMA_VERSION, TRAIN_CHANNEL

if TYPE_CHECKING:
    from cloudcpt.dataset.tokens import DocumentTokenizer

__all__ = ["DataInput", "make_plan", "recipe_inputs"]


def make_plan(
    loaded: LoadedRecipe,
    reports: Mapping[str, DatasetReport],
    *,
    target: str | None = None,
    stand_in: bool = False,
    assumed_rows: int = 0,
    region: str = "",
    machine: Machine,
    place: DataPlace = HERE,
    model_in_s3: ModelFolder | None = None,
    nodes: int = 0,
) -> tuple[Plan, tuple[Diagnostic, ...]]:
    """Decide everything about a job.

    Args:
        loaded: The recipe.
        reports: Of the datasets that `recipe_inputs` lists, by channel.
        target: Where to run instead of where the recipe says.
        stand_in: Rehearse with a tiny random model and a few steps.
        assumed_rows: Full rows that each dataset without a report is taken to make, to see time and cost before the
            data is at hand; 0 when all of them have to be reported.
        region: Of AWS, where the recipe names none; empty when it is not configured either.
        machine: What the local targets run on.
        place: Where the datasets of the reports are.
        model_in_s3: The base model, when the recipe names one in S3 and it can be read from here.
        nodes: Containers of target `container`, instead of what the recipe says; 0 to follow it.

    Returns:
        The plan, and the warnings and notes about it.

    Raises:
        PlanError: recipe, data and machine do not add up; with everything that could be found at once.
        DatasetError: the model's tokenizer cannot be used.
    """
    recipe, config = loaded.recipe, loaded.recipe.training_config
    chosen, region = choose_target(loaded, target), choose_region(loaded, region)
    faults = [
        *input_faults(loaded, reports, assumed_rows=assumed_rows),
        *launch_faults(loaded, chosen, region=region),
        *distant_inputs(loaded, reports, chosen),
    ]
    site, model = _ground(loaded, chosen, machine, faults, stand_in=stand_in, model_in_s3=model_in_s3, nodes=nodes)
    tokenizer = _tokenizer(model)
    volumes = _volumes(loaded, reports, tokenizer, assumed_rows, place)
    replay = {one.name: volumes[one.channel] for one in recipe_inputs(loaded) if one.role == "replay"}
    mix = _mix(loaded, reports, replay)
    extent = measure_extent(loaded, volumes[TRAIN_CHANNEL], replay, mix.weights)
    scope = scope_of(loaded, extent, site.world, stand_in=stand_in)
    compute = choose_compute(loaded, site, model, scope.global_batch_rows)
    batching = choose_batching(loaded, site, model, scope.global_batch_rows, compute)
    duration = duration_of(
        site,
        model,
        rows=scope.steps * batching.computed_rows,
        seq_len=config.max_length,
        lora=lora_of(recipe),
        activations=batching.memory.activations,
    )
    plan = Plan(
        schema_version=SCHEMA_VERSION,
        made_by=f"cloudcpt {cloudcpt.__version__}",
        name=recipe.run.name,
        recipe_path=Path(loaded.path).name,
        recipe_blake3=loaded.blake3,
        recipe_text=loaded.text,
        target=site.target,
        seed=recipe.run.seed,
        log_every_steps=config.trainer.log_every_steps,
        max_runtime_s=recipe_limit_s(recipe),
        model=model.spec,
        sources=sources_of(loaded, reports, volumes, mix.weights, stand_in=stand_in),
        world=site.world,
        compute=compute,
        geometry=_geometry(loaded, extent, scope, batching),
        schedule=schedule_of(recipe, extent.steps),
        optimizer=optimizer_of(recipe),
        dropouts=dropouts_of(recipe),
        lora=lora_of(recipe),
        evaluation=scope.evaluation,
        checkpoints=checkpoints_of(recipe),
        memory=batching.memory,
        estimate=priced(duration, site.instance, site.world.nodes),
        launch=None,
    )
    if not site.is_here:
        plan = in_cloud(loaded, site, plan, region=region)
    findings = (
        *_tokenizer_advice(loaded, model, tokenizer),
        *_findings(loaded, plan, site, model, volumes, extent, mix, scope),
    )
    if any(found.severity is Severity.ERROR for found in findings):
        raise PlanError(*findings)
    return plan, findings


def _ground(
    loaded: LoadedRecipe,
    target: Target,
    machine: Machine,
    faults: Iterable[Diagnostic],
    *,
    stand_in: bool,
    model_in_s3: ModelFolder | None,
    nodes: int,
) -> tuple[Site, StartingModel]:
    """Find the machines and the model.

    Raises:
        PlanError: the faults of the caller and everything that is wrong here, at once.
    """
    faults = [*faults]
    site = model = None
    try:
        site = choose_site(loaded, target, machine, nodes=nodes)
    except PlanError as exc:
        faults += exc.diagnostics
    try:
        model = find_starting_model(loaded, target, stand_in=stand_in, in_s3=model_in_s3)
    except PlanError as exc:
        faults += exc.diagnostics
    if site is not None and model is not None:
        faults += quantising_faults(loaded, site, model)
    if site is not None and model is not None and model.sizes is not None:
        faults += batch_faults(loaded, site, model.allowed_replicas)
        faults += compute_faults(loaded, site, stand_in=stand_in)
    if faults:
        raise PlanError(*faults)
    assert site is not None, "a site that could not be chosen is a fault"
    assert model is not None, "a model that could not be found is a fault"
    return site, model


def _tokenizer(model: StartingModel) -> "DocumentTokenizer | None":
    """Load the model's own tokenizer, when both it and the library are here.

    Raises:
        DatasetError: it cannot be read.
    """
    return None if model.folder is None or find_spec("tokenizers") is None else tokenizer_of(model.folder)


def _tokenizer_advice(
    loaded: LoadedRecipe, model: StartingModel, tokenizer: "DocumentTokenizer | None"
) -> Iterator[Diagnostic]:
    if tokenizer is not None and model.folder is not None and not model.spec.stand_in:
        place = loaded.place("run", "model_name_or_path")
        yield from tokenizer_findings(model.folder.shown, tokenizer.vocab_size, model.spec.vocab_size, place)


def _volumes(
    loaded: LoadedRecipe,
    reports: Mapping[str, DatasetReport],
    tokenizer: "DocumentTokenizer | None",
    assumed_rows: int,
    place: DataPlace,
) -> dict[str, Volume]:
    """Measure what was read and take the user's word for the rest, by channel."""
    config = loaded.recipe.training_config
    measured = measure(reports, seq_len=config.max_length, packing=config.packing, tokenizer=tokenizer, place=place)
    unread = [one.channel for one in recipe_inputs(loaded) if one.channel not in measured]
    return measured | {channel: assume(assumed_rows, config.max_length) for channel in unread}


def _mix(loaded: LoadedRecipe, reports: Mapping[str, DatasetReport], replay: Mapping[str, Volume]) -> Mix:
    """Share out the training tokens, going by what was read of each source."""
    samples = {channel: report.sample for channel, report in reports.items()}
    general = {one.name: samples.get(one.channel, ()) for one in recipe_inputs(loaded) if one.role == "replay"}
    tokens = {name: volume.tokens for name, volume in replay.items()}
    return choose_mix(loaded, tokens, domain=samples.get(TRAIN_CHANNEL, ()), general=general)


def _geometry(loaded: LoadedRecipe, extent: Extent, scope: Scope, batching: Batching) -> Geometry:
    config = loaded.recipe.training_config
    train_rows = scope.steps * scope.global_batch_rows
    return Geometry(
        seq_len_tokens=config.max_length,
        packing=config.packing,
        global_batch_rows=scope.global_batch_rows,
        micro_batch_rows=batching.micro_batch_rows,
        accumulation=batching.accumulation,
        steps=scope.steps,
        bound=extent.bound,
        train_rows=train_rows,
        train_tokens=extent.train_tokens * train_rows // extent.train_rows,
        epochs=extent.epochs * (train_rows / extent.train_rows),
    )


def _findings(
    loaded: LoadedRecipe,
    plan: Plan,
    site: Site,
    model: StartingModel,
    volumes: Mapping[str, Volume],
    extent: Extent,
    mix: Mix,
    scope: Scope,
) -> Iterator[Diagnostic]:
    """Say everything about a plan that a person should know; errors among it are the last refusals."""
    yield from model.findings
    yield from attention_findings(loaded, plan)
    yield from schedule_findings(loaded, plan.schedule)
    yield from rate_advice(loaded, plan)
    yield from warm_start_advice(loaded, plan, model.earlier)
    yield from estimate_findings(loaded, plan.estimate, site)
    yield from site_advice(loaded, site)
    yield from compute_advice(loaded, plan)
    yield from launch_advice(loaded, plan)
    yield from kept_findings(loaded, plan, model.sizes)
    yield from readiness_advice(loaded, plan)
    if plan.model.stand_in:
        yield rehearsal_note(loaded, extent, scope)
    elif model.sizes is not None:
        yield from division_advice(loaded, site, model, plan.compute)
    yield from data_advice(loaded, plan.sources, volumes, extent, mix)
