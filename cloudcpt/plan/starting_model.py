"""The model that a job starts from: at AWS, in a folder here, known by name only, or a tiny stand-in."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from cloudcpt.dataset.places import is_in_s3
from cloudcpt.errors import Diagnostic, PlanError, warning
from cloudcpt.plan.architectures import ARCHITECTURES
from cloudcpt.plan.base_model import BaseModel, read_base_model
from cloudcpt.plan.inputs import in_s3_but_needed_here
from cloudcpt.plan.missing_model import not_here, planned_by_name
from cloudcpt.plan.model_advice import row_length_findings, tuned_row, tuning_findings
from cloudcpt.plan.model_folder import LocalModel, ModelFolder
from cloudcpt.plan.plan import DataFile, ModelSpec
from cloudcpt.plan.site import Target
from cloudcpt.plan.sizes import STAND_IN_SIZES, Sizes
from cloudcpt.plan.staged import staged_origin
from cloudcpt.plan.warm_start import EarlierOutput, find_earlier_output
from cloudcpt.recipe.catalog import open_replicas, size_class_of
from cloudcpt.recipe.load import LoadedRecipe


@dataclass(frozen=True, kw_only=True, slots=True)
class StartingModel:
    """What is known about the model before it is loaded.

    Args:
        spec: What goes into the plan.
        sizes: None where only AWS knows them.
        stored_bytes: Of one parameter as the weights are stored; 0 where only AWS knows.
        folder: Where it is; None when it cannot be read from here.
        allowed_replicas: Numbers of machines that a model of its class may use.
        findings: Warnings.
        earlier: What is known of the job that wrote it; None when it is no output of ours.
    """

    spec: ModelSpec
    sizes: Sizes | None
    stored_bytes: int
    folder: ModelFolder | None
    allowed_replicas: tuple[int, ...]
    findings: tuple[Diagnostic, ...] = ()
    earlier: EarlierOutput | None = None


def find_starting_model(
    loaded: LoadedRecipe, target: Target, *, stand_in: bool, in_s3: ModelFolder | None
) -> StartingModel:
    """Find out what the recipe's model is.

    Args:
        loaded: The recipe.
        target: Where it runs; only the cloud can train what is not here.
        stand_in: Rehearse on a tiny random model; a model that is here is still checked, and lends its tokenizer.
        in_s3: The model, when it is in S3 and can be read from here.

    Raises:
        PlanError: the model cannot be trained, or is not there.
    """
    row, here, place = loaded.recipe.row, _folder(loaded), loaded.place("run", "model_name_or_path")
    in_cloud = target in ("sagemaker", "hyperpod")
    if in_s3 is not None and not in_cloud and not stand_in:
        raise PlanError(in_s3_but_needed_here(in_s3.shown, place))
    folder = in_s3 or here
    if folder is not None and (in_s3 is not None or folder.kind != "nothing"):
        earlier = None if stand_in else find_earlier_output(folder, place)
        base = read_base_model(folder, place)
        found = _from_folder(loaded, base, earlier, files=() if stand_in else base.hashed_files())
    elif stand_in or (in_cloud and (row.parameters or loaded.recipe.is_nova)):
        found = _from_catalog(loaded, here)
    else:
        raise PlanError(not_here(loaded, here, in_cloud=in_cloud))
    return _as_stand_in(found) if stand_in else found


def _folder(loaded: LoadedRecipe) -> LocalModel | None:
    """Return the folder on this machine that the recipe means; None for Nova and for s3://."""
    named = loaded.recipe.run.model_name_or_path
    return None if loaded.recipe.is_nova or is_in_s3(named) else LocalModel(loaded.folder / named)


def _from_folder(
    loaded: LoadedRecipe, base: BaseModel, earlier: EarlierOutput | None, *, files: tuple[DataFile, ...]
) -> StartingModel:
    recipe, sizes = loaded.recipe, base.sizes
    origin, changes = staged_origin(base.folder, files, loaded.place("run", "model_name_or_path"))
    size_class = size_class_of(sizes.parameters)
    chosen = recipe.export.dtype
    return StartingModel(
        spec=ModelSpec(
            model_type=recipe.run.model_type,
            name_or_path=recipe.run.model_name_or_path,
            family="open",
            size_class=size_class,
            architecture=base.architecture,
            parameters=sizes.parameters,
            layers=sizes.layers,
            hidden_size=sizes.hidden_size,
            vocab_size=sizes.vocab_size,
            tied_embeddings=sizes.tied_embeddings,
            dtype=base.dtype if chosen == "base" else chosen,
            files=files,
            stand_in=False,
            origin=origin,
            lineage=earlier.lineage if earlier else (),
        ),
        sizes=sizes,
        stored_bytes=4 if base.dtype == "float32" else 2,
        folder=base.folder,
        allowed_replicas=open_replicas(size_class),
        earlier=earlier,
        findings=(*_mismatches(loaded, base), *changes),
    )


def _mismatches(loaded: LoadedRecipe, base: BaseModel) -> list[Diagnostic]:
    """Say when the folder is not what the recipe says, or not what continued pretraining should start from."""
    row, length = loaded.recipe.row, loaded.recipe.training_config.max_length
    place = loaded.place("run", "model_name_or_path")
    found = [*row_length_findings(base, length, loaded.place("training_config", "max_length"))]
    found += [tuned_row(row, loaded.place("run", "model_type"))] if row.tuned else tuning_findings(base, place)
    if row.parameters and (row.layers, row.hidden_size) != (base.sizes.layers, base.sizes.hidden_size):
        message = (
            f"`{base.folder.shown}` has {base.sizes.layers} layers of width {base.sizes.hidden_size}, "
            f"`{row.model_type}` has {row.layers} of {row.hidden_size}"
        )
        hint = "write `model_type: hf` for a model of your own"
        found.append(warning("CPT534", message, place=loaded.place("run", "model_type"), hint=hint))
    return found


def _from_catalog(loaded: LoadedRecipe, folder: ModelFolder | None) -> StartingModel:
    """Take what the catalog knows; the files are empty because nothing was read."""
    recipe, row = loaded.recipe, loaded.recipe.row
    sizes = None
    if row.parameters:
        sizes = Sizes(
            architecture=row.architecture,
            parameters=row.parameters,
            layers=row.layers,
            hidden_size=row.hidden_size,
            intermediate_size=row.intermediate_size,
            heads=row.heads,
            kv_heads=row.kv_heads,
            head_dim=row.head_size,
            vocab_size=row.vocab_size,
            tied_embeddings=row.tied_embeddings,
            position_rows=row.context if ARCHITECTURES[row.architecture].positions == "learned" else 0,
        )
    return StartingModel(
        spec=ModelSpec(
            model_type=row.model_type,
            name_or_path=recipe.run.model_name_or_path,
            family=row.family,
            size_class=row.size_class,
            architecture=row.architecture,
            parameters=row.parameters,
            layers=row.layers,
            hidden_size=row.hidden_size,
            vocab_size=row.vocab_size,
            tied_embeddings=row.tied_embeddings,
            dtype="bfloat16" if recipe.export.dtype == "base" else recipe.export.dtype,
            files=(),
            stand_in=False,
            origin=None,
            lineage=(),
        ),
        sizes=sizes,
        stored_bytes=2 if sizes else 0,
        folder=None,
        allowed_replicas=row.replicas,
        findings=tuple(_catalog_findings(loaded, folder)),
    )


def _catalog_findings(loaded: LoadedRecipe, folder: ModelFolder | None) -> Iterator[Diagnostic]:
    if folder is not None:
        yield planned_by_name(loaded, folder)
    if loaded.recipe.row.tuned:
        yield tuned_row(loaded.recipe.row, loaded.place("run", "model_type"))


def _as_stand_in(found: StartingModel) -> StartingModel:
    sizes = STAND_IN_SIZES
    spec = replace(
        found.spec,
        family="open",
        architecture="llama",
        parameters=sizes.parameters,
        layers=sizes.layers,
        hidden_size=sizes.hidden_size,
        vocab_size=sizes.vocab_size,
        tied_embeddings=sizes.tied_embeddings,
        dtype="float32",
        stand_in=True,
    )
    return replace(found, spec=spec, sizes=sizes, stored_bytes=4)
