"""What a recipe may say but probably should not, and what it says without effect: warnings and notes.

Recommended bands are those of the Amazon Nova user guide (full training) and of DESIGN's decision for LoRA, ten times
the rate of full training.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from cloudcpt.errors import Severity
from cloudcpt.recipe.faults import Fault, KeyPath, shown
from cloudcpt.recipe.launch import machines_with_local_disks
from cloudcpt.recipe.rules import betas_of_one, warmup_of
from cloudcpt.recipe.values import TRAINER, TRAINING, Values

_LR_BAND = {"full": (1e-6, 1e-4), "lora": (2e-5, 2e-3)}
_WEIGHT_DECAY_BAND = (0.01, 0.1)
_MOST_DROPOUT = 0.2
_MOST_EPOCHS = 5
_ADAPTER_KEYS = ("rank", "alpha", "dropout", "target_modules", "rslora", "merge")


def learning_rate(values: Values) -> Iterator[Fault]:
    """Learning rates outside the band of the method."""
    is_lora = values.text(*TRAINING, "peft", "method") == "lora"
    low, high = _LR_BAND["lora" if is_lora else "full"]
    for optim in values.optims:
        rate = values.number(*optim, "lr")
        if rate is not None and 0 < rate <= 1 and not low <= rate <= high:
            side = "forgets more of what the model knew" if rate > high else "hardly learns"
            yield Fault(
                code="CPT151",
                message=f"`lr` {shown(rate)} is outside {shown(low)} to {shown(high)}, recommended for "
                f"{'LoRA' if is_lora else 'full training'}",
                loc=(*optim, "lr"),
                hint=f"a rate this {'high' if rate > high else 'low'} {side}",
            )


def embedding_rate(values: Values) -> Iterator[Fault]:
    """Embeddings that learn faster than the adapters beside them."""
    loc = (*TRAINING, "peft", "embedding_lr")
    own = values.number(*loc)
    for optim in values.optims:
        rate = values.number(*optim, "lr")
        if own is not None and rate is not None and 0 < rate < own <= 1:
            yield Fault(
                code="CPT160",
                message=f"`embedding_lr` {shown(own)} is above `lr` {shown(rate)}",
                loc=loc,
                related=(((*optim, "lr"), "`lr` set here"),),
                hint=f"a tenth to a fifth of `lr` is usual, {rate / 10:g} to {rate / 5:g}",
            )


def weight_decay(values: Values) -> Iterator[Fault]:
    """Weight decay that is neither off nor in the useful band."""
    low, high = _WEIGHT_DECAY_BAND
    for optim in values.optims:
        decay = values.number(*optim, "weight_decay")
        if decay is not None and 0 < decay <= 1 and not low <= decay <= high:
            message = f"`weight_decay` {shown(decay)} is outside {shown(low)} to {shown(high)}, where it is useful"
            yield Fault(code="CPT152", message=message, loc=(*optim, "weight_decay"))


def dropout(values: Values) -> Iterator[Fault]:
    """Dropout above what small data calls for."""
    model = tuple((*TRAINING, "model", name) for name in ("hidden_dropout", "attention_dropout", "ffn_dropout"))
    for loc in (*model, (*TRAINING, "peft", "dropout")):
        share = values.number(*loc)
        if share is not None and _MOST_DROPOUT < share <= 1:
            message = f"`{loc[-1]}` {shown(share)} is above {shown(_MOST_DROPOUT)}, the most that is recommended"
            yield Fault(code="CPT153", message=message, loc=loc)


def epochs(values: Values) -> Iterator[Fault]:
    """More passes over the data than it has new things to say."""
    count = values.number(*TRAINER, "max_epochs")
    if count is not None and _MOST_EPOCHS < count <= 100:
        yield Fault(
            code="CPT154",
            message=f"{shown(count)} epochs: the model starts to memorise after about {_MOST_EPOCHS}",
            loc=(*TRAINER, "max_epochs"),
            hint="1 to 3 epochs, and more data rather than more passes",
        )


def warmup(values: Values) -> Iterator[Fault]:
    """A warm-up that is not over when training is."""
    steps = values.number(*TRAINER, "max_steps")
    for optim in values.optims:
        sched = (*optim, "sched")
        if not steps or values.number(*sched, "constant_steps"):
            continue  # with constant steps, a rule decides
        length, loc = warmup_of(values, sched, steps)
        if length >= steps:
            yield Fault(
                code="CPT155",
                message=f"{shown(length)} warm-up steps of {shown(steps)} steps: `lr` is never reached",
                loc=loc,
                related=(((*TRAINER, "max_steps"), "`max_steps` set here"),),
            )


def no_effect(values: Values) -> Iterator[Fault]:
    """Settings that change nothing in this recipe."""
    if values.flag("skip_recipe_validation"):
        message = "`skip_recipe_validation` has no effect, cloudcpt always validates"
        yield Fault(code="CPT156", message=message, loc=("skip_recipe_validation",), on="key")
    mlflow = values.text("run", "mlflow_tracking_uri")
    if values.row is not None and values.row.family == "open" and mlflow and not mlflow.startswith("arn:"):
        message = "the MLflow keys have no effect without an ARN, metrics go to TensorBoard and metrics.jsonl"
        yield Fault(code="CPT156", message=message, loc=("run", "mlflow_tracking_uri"), on="key")
    if values.row is not None and values.row.family == "nova" and values.keys("launch", "environment"):
        message = "`environment` has no effect on a Nova model, whose container is AWS's own"
        yield Fault(code="CPT156", message=message, loc=("launch", "environment"), on="key")
    if values.number("launch", "volume_gb") and (local := machines_with_local_disks(values)):
        message = f"`volume_gb` has no effect on {shown(local[0][1])}, whose local disks have a size of their own"
        yield Fault(code="CPT156", message=message, loc=("launch", "volume_gb"), on="key")
    for optim in values.optims:
        sched = (*optim, "sched")
        if values.text(*sched, "name") == "constant" and values.number(*sched, "constant_steps"):
            message = "`constant_steps` has no effect with `name: constant`, which stays at `lr`"
            yield Fault(code="CPT156", message=message, loc=(*sched, "constant_steps"), on="key")
    if values.text(*TRAINING, "peft", "method") != "lora":
        for key in _ADAPTER_KEYS:
            if values.has(*TRAINING, "peft", key):
                message = f"`{key}` has no effect without `method: lora`"
                yield Fault(code="CPT156", message=message, loc=(*TRAINING, "peft", key), on="key")


def held_out(values: Values) -> Iterator[Fault]:
    """Held-out data that is also trained on."""
    trained: dict[str, KeyPath] = {}
    sources = range(values.length("data_mixing", "sources"))
    for loc in (("run", "data_s3_path"), *(("data_mixing", "sources", index, "path") for index in sources)):
        if path := values.text(*loc):
            trained.setdefault(path, loc)
    for loc in (("run", "validation_data_s3_path"), ("eval", "general_data_path")):
        path = values.text(*loc)
        if path in trained:
            yield Fault(
                code="CPT157",
                message=f"{shown(path)} is trained on and measured on, so the measurement says nothing about new text",
                loc=loc,
                related=((trained[path], "trained on here"),),
            )


def nova_betas(values: Values) -> Iterator[Fault]:
    """A beta of 1, which AWS's guide allows and Adam does not survive."""
    if values.row is not None and values.row.family == "nova":
        for loc in betas_of_one(values):
            yield Fault(code="CPT158", message="a beta of `1` makes Adam divide by zero", loc=loc)


def nova_data(values: Values) -> Iterator[Fault]:
    """A Nova recipe as AWS publishes it, without data."""
    if values.row is not None and values.row.family == "nova" and not values.text("run", "data_s3_path"):
        message = "`data_s3_path` is not set yet, a plan needs the training data"
        yield Fault(code="CPT159", message=message, loc=("run", "data_s3_path"), severity=Severity.NOTE)


ADVICE: tuple[Callable[[Values], Iterator[Fault]], ...] = (
    learning_rate,
    embedding_rate,
    weight_decay,
    dropout,
    epochs,
    warmup,
    no_effect,
    held_out,
    nova_betas,
    nova_data,
)


def advice(values: Values) -> Iterator[Fault]:
    """Collect every warning and note."""
    for advise in ADVICE:
        for fault in advise(values):
            yield fault if fault.severity is Severity.NOTE else replace(fault, severity=Severity.WARNING)
