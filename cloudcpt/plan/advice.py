"""What a person should know about the data before spending money on it.

Warnings and notes, with one exception: a general source that the recipe asks for and the job would never read.
"""

from collections.abc import Iterator, Mapping
from itertools import product

from cloudcpt.errors import Diagnostic, Place, error, note, warning
from cloudcpt.plan.extent import DOMAIN, Extent
from cloudcpt.plan.inputs import recipe_inputs
from cloudcpt.plan.mixing import Mix, mixing_advice
from cloudcpt.plan.plan import Source
from cloudcpt.plan.token_rate import GUESS_ERROR
from cloudcpt.plan.volume import EXACT_LIMIT_BYTES, Volume
from cloudcpt.recipe.load import LoadedRecipe

FEW_TOKENS = 10_000_000
"""Below it, fine-tuning or retrieval teaches more. Source: practice reported for domain models; DESIGN's reference."""

ENOUGH_TOKENS = 1_000_000_000
"""From it on, new knowledge can be expected to stick. Source: the same."""

MOST_PASSES = 4
"""Repeated data is worth nearly as much as new data up to here. Source: Muennighoff et al., arXiv 2305.16264."""


def data_advice(
    loaded: LoadedRecipe, sources: tuple[Source, ...], volumes: Mapping[str, Volume], extent: Extent, mix: Mix
) -> Iterator[Diagnostic]:
    """Comment on the data of a plan.

    Args:
        loaded: The recipe.
        sources: Of the plan.
        volumes: What was measured of them, by channel.
        extent: How far the job goes.
        mix: How its training tokens are shared out.
    """
    domain = next(source for source in sources if source.role == "train")
    read = tuple(source for source in sources if not source.is_assumed)
    if len(read) < len(sources):
        yield _assumed(loaded, sources)
    if not domain.is_assumed:
        yield from _amount(loaded, domain)
    if not all(source.exact for source in read):
        yield _estimated(loaded, read, max(volumes[source.channel].error for source in read))
    yield from _length_of_run(loaded, domain, extent)
    yield from _cut_documents(loaded, domain)
    if not loaded.recipe.is_nova:
        yield from mixing_advice(loaded, mix)
    yield from _passes(loaded, sources, extent)
    yield from _held_out(loaded, sources)


def _assumed(loaded: LoadedRecipe, sources: tuple[Source, ...]) -> Diagnostic:
    channels = {source.channel: source for source in sources if source.is_assumed}
    paths = [one.path or "run.data_s3_path" for one in recipe_inputs(loaded) if one.channel in channels]
    rows = next(iter(channels.values())).rows
    return note(
        "CPT571",
        f"assumed, not read: {rows:,} full rows of {loaded.recipe.training_config.max_length:,} tokens"
        f"{' each' if len(paths) > 1 else ''} for {', '.join(f'`{path}`' for path in paths)}",
        hint="time and cost are for that amount; a job is planned and started with data that was read",
    )


def _amount(loaded: LoadedRecipe, domain: Source) -> Iterator[Diagnostic]:
    place = loaded.place("run", "data_s3_path")
    # An estimate knows no more than two digits.
    shown = f"{domain.tokens:,} tokens" if domain.exact else f"about {float(f'{domain.tokens:.2g}'):,.0f} tokens"
    shown += " of domain text"
    if domain.tokens < FEW_TOKENS:
        hint = "below 10 million tokens, fine-tuning on examples or retrieval at run time usually teaches more"
        yield note("CPT568", f"{shown} are few for continued pretraining", place=place, hint=hint)
    elif domain.tokens < ENOUGH_TOKENS:
        hint = "a billion tokens and more are recommended where the model is to learn new facts"
        yield note("CPT568", f"{shown} shift style and vocabulary more than knowledge", place=place, hint=hint)


def _estimated(loaded: LoadedRecipe, sources: tuple[Source, ...], error: float) -> Diagnostic:
    size = sum(file.size_bytes for source in sources for file in source.files)
    hint = "the job counts them before its first step and reports the real numbers"
    if loaded.recipe.is_nova:
        why, hint = "the tokenizer of Nova models is not public", "rows, steps, time and cost are as uncertain"
    elif size > EXACT_LIMIT_BYTES:
        why = f"the data is larger than {EXACT_LIMIT_BYTES // 2**20} MiB"
    else:
        why = "the model's tokenizer, or the `tokenizers` library, is not here"
    error = error or GUESS_ERROR  # a stand-in does not read what was counted
    grounds = "characters" if error == GUESS_ERROR else "excerpts of the documents"
    within = f"{error:.0%}" if error >= 0.1 else f"{error:.1%}"
    message = f"tokens are estimated from {grounds}, within {within} or so, because {why}"
    return note("CPT565", message, hint=hint)


def _length_of_run(loaded: LoadedRecipe, domain: Source, extent: Extent) -> Iterator[Diagnostic]:
    """Say what the key that set the number of steps comes to, where another reading of it would surprise."""
    trainer, batch = loaded.recipe.training_config.trainer, loaded.recipe.training_config.global_batch_size
    place = loaded.place("training_config", "trainer", extent.bound)
    if extent.bound == "max_steps":
        yield note(
            "CPT570",
            f"`max_steps: {extent.steps}` goes {extent.epochs:.3g} times over the domain data; once over it takes "
            f"{extent.rows_per_pass / batch:.4g} steps",
            place=place,
        )
    elif not domain.is_assumed:
        unpacked = int((trainer.max_epochs or 0) * domain.documents / batch)
        yield note(
            "CPT570",
            f"`max_epochs: {trainer.max_epochs:g}` makes {extent.steps} steps of {batch} packed rows; epochs x "
            f"documents / batch, which ignores packing and replay, would make {unpacked}",
            place=place,
        )


def _cut_documents(loaded: LoadedRecipe, domain: Source) -> Iterator[Diagnostic]:
    config = loaded.recipe.training_config
    if domain.cut_documents <= 0.05 * domain.documents:
        return
    why, hint = "longer than `max_length`", "a longer `max_length` keeps what belongs together in one row"
    if config.packing == "concat":
        why, hint = "across the end of a row", "`packing: best_fit` cuts only documents longer than `max_length`"
    yield note(
        "CPT569",
        f"{domain.cut_documents / domain.documents:.0%} of the documents, with "
        f"{domain.cut_tokens / domain.tokens:.0%} of the tokens, are {why} and are cut into pieces",
        place=loaded.place("training_config", "max_length"),
        hint=hint,
    )


def _passes(loaded: LoadedRecipe, sources: tuple[Source, ...], extent: Extent) -> Iterator[Diagnostic]:
    for source in sources:
        count = extent.passes.get(source.name, 0.0) if source.role in ("train", "replay") else 0.0
        place = loaded.place("data_mixing", "sources")
        if source.role == "replay" and source.weight > 0 and count * source.rows < 1:
            yield _too_small(source, rows=count * source.rows, extent=extent, place=place)
        # A recipe that asks for many epochs was warned when it was read; many steps show only here.
        is_asked_for = source.name == DOMAIN and extent.bound == "max_epochs"
        if count > MOST_PASSES and not is_asked_for:
            message = (
                f"source `{source.name}` is passed over {count:.1f} times; after {MOST_PASSES} the model memorises"
            )
            where = place if source.role == "replay" else loaded.place("training_config", "trainer", extent.bound)
            yield warning("CPT564", message, place=where, hint="add text, or train on less")


def _too_small(source: Source, *, rows: float, extent: Extent, place: Place | None) -> Diagnostic:
    """Say that a general source comes to one row at most: an error where it is rather none."""
    kind = error if rows < 0.5 else warning
    return kind(
        "CPT563",
        f"source `{source.name}` has {source.weight:.2%} of the tokens, {rows:.2g} of {extent.train_rows:,} rows",
        place=place,
        hint="raise its share, train for more steps, or leave it out",
    )


def _held_out(loaded: LoadedRecipe, sources: tuple[Source, ...]) -> Iterator[Diagnostic]:
    trained = [source for source in sources if source.role in ("train", "replay")]
    held_out = [source for source in sources if source.role in ("validation", "general_validation")]
    for one, other in product(held_out, trained):
        if shared := {file.blake3 for file in one.files} & {file.blake3 for file in other.files}:
            name = next(file.name for file in one.files if file.blake3 in shared)
            key = ("run", "validation_data_s3_path") if one.role == "validation" else ("eval", "general_data_path")
            message = f"`{name}` is in the held-out {one.name} set and in the training source `{other.name}`"
            yield warning("CPT566", message, place=loaded.place(*key), hint="hold out text that is never trained on")
    missing = {"validation", "general_validation"} - {source.role for source in held_out}
    if "validation" in missing:
        hint = "name some held-out text in `run.validation_data_s3_path`"
        yield note("CPT567", "what is learnt is not measured: there is no held-out domain text", hint=hint)
    if "general_validation" in missing and not loaded.recipe.is_nova:
        hint = "name some general text in `eval.general_data_path`"
        yield note("CPT567", "what is forgotten is not measured: there is no held-out general text", hint=hint)
