"""What depends on the model: replicas, names of the weights, the shape of the recipe, and keys that Nova does not take.

Nova jobs are run by AWS from the recipe as written, so a key that the service does not know is refused rather than
dropped. As in `conditions.py`, each condition stands beside the schema fragment with the same verdict.
"""

import re
from collections.abc import Callable, Iterator

from cloudcpt.recipe.catalog import ModelRow, model_rows
from cloudcpt.recipe.faults import Fault, KeyPath, dotted, listed, shown
from cloudcpt.recipe.fragments import ABSENT, Schema, at, when_model
from cloudcpt.recipe.values import OPTIM_BESIDE, OPTIM_INSIDE, TRAINER, TRAINING, Values

_CHECKPOINT = r"^(?:s3://|arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:[0-9]{12}:model-package/)"
"""Weights of an earlier job: an S3 URI, or a model package, as AWS's SDK takes both."""
_MODEL_TYPE = (("run", "model_type"), "model set here")
_NOVA_EPOCHS = (1, 100)

_OPEN_ONLY: tuple[tuple[KeyPath, str], ...] = (
    (("run", "seed"), "the service draws its own seed"),
    ((*TRAINING, "packing"), "the service packs documents itself"),
    ((*TRAINING, "micro_batch_size"), "the service divides the batch itself"),
    ((*TRAINING, "compile"), "the service decides how it computes"),
    ((*TRAINING, "float8"), "the service decides how it computes"),
    ((*TRAINING, "sharding"), "the service decides how it computes"),
    ((*TRAINING, "activation_checkpointing"), "the service decides how it computes"),
    ((*TRAINER, "log_every_steps"), "the service decides what it logs"),
    ((*TRAINER, "max_skipped_steps"), "the service decides what it does with such steps"),
    ((*TRAINING, "peft"), "continued pretraining of Nova trains all weights"),
    (("optim", "max_grad_norm"), "the service clips gradients itself"),
    (("optim", "reference_batch_size"), "the service does not scale the learning rate"),
    (("optim", "sched", "name"), "Nova always decays along a cosine"),
    (("optim", "sched", "warmup_ratio"), "Nova takes `warmup_steps`, 1 to 20"),
    (("data_mixing",), "mixing with Nova's own data is set up in AWS's Forge recipes"),
    (("eval",), "the service evaluates on `run.validation_data_s3_path` itself"),
    (("export",), "the weights stay with AWS"),
    (("checkpoint",), "the service saves the final model only"),
)
"""Keys that only models with open weights take, and why Nova does not; `optim` stands for either of its places."""

_OTHER_GENERATION: dict[int, tuple[tuple[KeyPath, str], ...]] = {
    1: (
        ((*TRAINING, "task_type"), "leave it out"),
        ((*TRAINER, "max_steps"), "write `max_epochs`"),
        ((*TRAINER, "val_check_interval"), "leave it out"),
        ((*TRAINER, "limit_val_batches"), "leave it out"),
        (("optim", "optimizer"), "leave it out"),
        (("optim", "adam_beta1"), "write `betas: [0.9, 0.999]`"),
        (("optim", "adam_beta2"), "write `betas: [0.9, 0.999]`"),
    ),
    2: (
        ((*TRAINER, "max_epochs"), "write `max_steps`"),
        ((*TRAINING, "model", "ffn_dropout"), "leave it out"),
        (("optim", "betas"), "write `adam_beta1` and `adam_beta2`"),
    ),
}
"""Keys that recipes of a Nova generation do not have, and what to write instead."""


def _places(loc: KeyPath) -> tuple[KeyPath, ...]:
    if loc[0] != "optim":
        return (loc,)
    return ((*OPTIM_INSIDE, *loc[1:]), (*OPTIM_BESIDE, *loc[1:]))


def _optim_place(row: ModelRow) -> tuple[KeyPath, KeyPath]:
    """Give the right place of `optim` for a Nova model, and the wrong one."""
    return (OPTIM_INSIDE, OPTIM_BESIDE) if row.generation == 1 else (OPTIM_BESIDE, OPTIM_INSIDE)


def family_faults(values: Values) -> Iterator[Fault]:
    """Check a recipe against the row of its model."""
    if values.row is None:
        return
    yield from _replicas(values, values.row)
    yield from _context(values, values.row)
    if values.row.family == "open":
        yield from _data(values)
    else:
        yield from _weights(values, values.row)
        yield from _epochs(values)
        yield from _warmup(values)
        yield from _foreign_keys(values, values.row)
        yield from _optim_elsewhere(values, values.row)


def _replicas(values: Values, row: ModelRow) -> Iterator[Fault]:
    count = values.number("run", "replicas")
    if count is None or count in row.replicas:
        return
    hint = None
    if row.published_replicas:
        hint = f"AWS's newer recipe allows {listed(row.published_replicas, 'and')}; the user guide does not"
    yield Fault(
        code="CPT201",
        message=f"`{row.model_type}` runs on {listed(row.replicas)} replicas, not {shown(count)}",
        loc=("run", "replicas"),
        related=(_MODEL_TYPE,),
        hint=hint,
    )


def _context(values: Values, row: ModelRow) -> Iterator[Fault]:
    length = values.number(*TRAINING, "max_length")
    if length is not None and row.context < length <= 8192:
        yield Fault(
            code="CPT218",
            message=f"`{row.model_type}` knows {row.context} positions, `max_length` is {shown(length)}",
            loc=(*TRAINING, "max_length"),
            related=(_MODEL_TYPE,),
        )


def _data(values: Values) -> Iterator[Fault]:
    if not values.has("run", "data_s3_path") and values.is_section("run"):
        message = "`run` needs `data_s3_path`, the training data"
        yield Fault(code="CPT213", message=message, loc=("run",), on="key")
    elif values.text("run", "data_s3_path") == "":
        message = "`data_s3_path` is empty, there is nothing to train on"
        hint = "an s3:// URI, a file, a folder or a glob"
        yield Fault(code="CPT213", message=message, loc=("run", "data_s3_path"), hint=hint)


def _weights(values: Values, row: ModelRow) -> Iterator[Fault]:
    name = values.text("run", "model_name_or_path")
    if name is None or name in row.checkpoints or re.search(_CHECKPOINT, name):
        return
    yield Fault(
        code="CPT202",
        message=f"`{row.model_type}` starts from {listed(row.checkpoints)} or an s3:// URI, not {shown(name)}",
        hint="the ARN of a model package, the result of an earlier job, is taken too",
        loc=("run", "model_name_or_path"),
        related=(_MODEL_TYPE,),
    )


def _epochs(values: Values) -> Iterator[Fault]:
    epochs = values.number(*TRAINER, "max_epochs")
    low, high = _NOVA_EPOCHS
    if epochs is not None and 0 < epochs <= high and not (epochs >= low and float(epochs).is_integer()):
        yield Fault(
            code="CPT210",
            message=f"Nova trains whole epochs, {low} to {high}, not {shown(epochs)}",
            loc=(*TRAINER, "max_epochs"),
            related=(_MODEL_TYPE,),
        )


def _warmup(values: Values) -> Iterator[Fault]:
    for optim in values.optims:
        sched = (*optim, "sched")
        if values.is_section(*sched) and not values.has(*sched, "warmup_steps"):
            message = f"`{dotted(sched)}` needs `warmup_steps`, 1 to 20"
            yield Fault(code="CPT208", message=message, loc=sched, on="key")


def _foreign_keys(values: Values, row: ModelRow) -> Iterator[Fault]:
    for keys, reason in _OPEN_ONLY:
        for loc in _places(keys):
            if values.has(*loc):
                message = f"`{loc[-1]}` is for models with open weights, {reason}"
                yield Fault(code="CPT203", message=message, loc=loc, on="key", related=(_MODEL_TYPE,))
    for keys, instead in _OTHER_GENERATION[row.generation]:
        for loc in _places(keys):
            if values.has(*loc):
                message = f"`{loc[-1]}` is not a key of Nova {row.generation} recipes"
                yield Fault(code="CPT205", message=message, loc=loc, on="key", related=(_MODEL_TYPE,), hint=instead)


def _optim_elsewhere(values: Values, row: ModelRow) -> Iterator[Fault]:
    right, wrong = _optim_place(row)
    if values.optims == (wrong,):
        message = f"Nova {row.generation} recipes write `optim` under `{dotted(right[:-1])}`"
        yield Fault(code="CPT206", message=message, loc=wrong, on="key", related=(_MODEL_TYPE,))


# --- the same, for the schema -------------------------------------------------------------------------------------


def _absent(*keys: KeyPath) -> list[Schema]:
    return [at(loc, ABSENT) for key in keys for loc in _places(key)]


def _grouped(rows: tuple[ModelRow, ...], key: Callable[[ModelRow], Schema]) -> list[Schema]:
    """Say once what several models share."""
    groups: list[tuple[Schema, list[str]]] = []
    for row in rows:
        then = key(row)
        names = next((names for known, names in groups if known == then), None)
        if names is None:
            groups.append((then, [row.model_type]))
        else:
            names.append(row.model_type)
    return [when_model(tuple(names), then) for then, names in groups]


def _names_schema(row: ModelRow) -> Schema:
    return at(("run", "model_name_or_path"), {"anyOf": [{"enum": list(row.checkpoints)}, {"pattern": _CHECKPOINT}]})


def _generation_schema(row: ModelRow) -> Schema:
    wrong = _optim_place(row)[1]
    return {"allOf": [*_absent(*(keys for keys, _ in _OTHER_GENERATION[row.generation])), at(wrong, ABSENT)]}


def _family_schema() -> tuple[Schema, ...]:
    rows = model_rows()
    nova = tuple(row for row in rows if row.family == "nova")
    is_open = tuple(row.model_type for row in rows if row.family == "open")
    data: Schema = {"required": ["data_s3_path"], "properties": {"data_s3_path": {"minLength": 1}}}
    nova_keys = (
        at((*TRAINER, "max_epochs"), {"type": "integer", "minimum": _NOVA_EPOCHS[0]}),
        *(at((*optim, "sched"), {"required": ["warmup_steps"]}) for optim in (OPTIM_INSIDE, OPTIM_BESIDE)),
        *_absent(*(keys for keys, _ in _OPEN_ONLY)),
    )
    return (
        *_grouped(rows, lambda row: at(("run", "replicas"), {"enum": list(row.replicas)})),
        *_grouped(rows, lambda row: at((*TRAINING, "max_length"), {"maximum": row.context})),
        when_model(is_open, at(("run",), data)),
        when_model(tuple(row.model_type for row in nova), *nova_keys),
        *_grouped(nova, _names_schema),
        *_grouped(nova, _generation_schema),
    )


FAMILY_SCHEMA = _family_schema()
"""What `family_faults` finds, as fragments of the published schema."""
