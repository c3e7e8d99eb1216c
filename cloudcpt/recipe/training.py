"""`training_config`: how to train, in the keys of the Nova CPT recipes and a few that open models add.

Two generations of the recipe are published, 1.x (`optim` under `model`, `betas`) and 2.x (`optim` beside `model`,
`adam_beta1` and `adam_beta2`); one model takes both. What must not be combined is in `conditions.py`.

Source: aws/sagemaker-hyperpod-recipes, recipes_collection/recipes/training/nova (2026-06-23); Amazon Nova user guide.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, Strict

from cloudcpt.recipe.fields import MODULE_PATTERN, Flag, Maybe, Number, Positive, Section, Share, Whole, whole

ModuleName = Annotated[str, Strict(), Field(pattern=MODULE_PATTERN, max_length=128)]
BatchRows = Annotated[Literal[32, 64, 128, 256], BeforeValidator(whole)]
Bits = Annotated[Literal[4, 8], BeforeValidator(whole)]
# pydantic forgets a bound in the schema when it comes after a validator.
RowTokens = Annotated[int, Strict(), Field(ge=1, le=8192), BeforeValidator(whole)]
WarmupSteps = Annotated[int, Strict(), Field(ge=1, le=20), BeforeValidator(whole)]


class Schedule(Section):
    """The learning rate over the steps: up to `lr`, then down to `min_lr`."""

    name: Literal["cosine", "linear", "wsd", "constant"] = "cosine"
    """Shape after the warm-up. Nova always decays along a cosine."""

    warmup_steps: Maybe[WarmupSteps] = None
    """Optimizer steps from near 0 up to `lr`, 1 to 20; for a longer warm-up, open models take `warmup_ratio`."""

    warmup_ratio: Maybe[Annotated[Number, Field(ge=0, lt=1)]] = None
    """Warm-up as a share of all optimizer steps, instead of `warmup_steps`."""

    constant_steps: Whole = Field(default=0, ge=0)
    """Last optimizer steps, at `min_lr` after the decay; not a hold at the peak."""

    min_lr: Share
    """Floor of the learning rate; below `lr`. A tenth of `lr` is a good start."""


class Optim(Section):
    """The optimizer: AdamW with its states sharded over all processes."""

    name: Literal["distributed_fused_adam"] = "distributed_fused_adam"
    """The one optimizer of the Nova recipes; for open models it stands for PyTorch's fused AdamW."""

    optimizer: Maybe[Literal["adam"]] = None
    """Written by Nova 2 recipes beside `name`; `adam` is the only value."""

    lr: Annotated[Number, Field(gt=0, le=1)]
    """Peak learning rate. Recommended: 1e-6 to 1e-4 for full training, 2e-5 to 2e-3 for LoRA."""

    adam_w_mode: Flag = True
    """Decoupled weight decay (AdamW); `false` adds the decay to the gradient instead (Adam with L2)."""

    eps: Annotated[Number, Field(gt=0, le=1)] = 1e-6
    """Added to the denominator of the update."""

    weight_decay: Share = 0.0
    """Strength of the weight decay; when it is not 0, 0.01 to 0.1 is useful."""

    betas: Maybe[tuple[Share, Share]] = None
    """Decay rates of the two moments, as Nova 1 recipes write them. Default: 0.9 and 0.999."""

    adam_beta1: Maybe[Share] = None
    """Decay rate of the first moment, as Nova 2 recipes write it. Default: 0.9."""

    adam_beta2: Maybe[Share] = None
    """Decay rate of the second moment, as Nova 2 recipes write it. Default: 0.95 where `optim` is beside `model`."""

    max_grad_norm: Annotated[Number, Field(ge=0)] = 1.0
    """Largest global gradient norm; longer gradients are scaled down to it. 0 does not clip. Open models only."""

    reference_batch_size: Whole = Field(default=0, ge=0)
    """Global batch with which a learning rate was found; the plan says what it amounts to here. Open models only."""

    sched: Schedule
    """The learning rate over the steps."""


class Dropouts(Section):
    """Regularisation inside the model, and in Nova 1 recipes the optimizer."""

    hidden_dropout: Share = 0.0
    """Dropout on the residual branches. Raise it, to 0.2 at most, when the data is small."""

    attention_dropout: Share = 0.0
    """Dropout on the attention weights."""

    ffn_dropout: Share = 0.0
    """Dropout inside the feed-forward blocks. Not a key of Nova 2 recipes."""

    optim: Maybe[Optim] = None
    """The optimizer, where Nova 1 recipes write it."""


class Trainer(Section):
    """How long to train, and how often to look."""

    max_epochs: Maybe[Annotated[Number, Field(gt=0, le=100)]] = None
    """Passes over the training data; open models may train a fraction, such as 0.5. Either this or `max_steps`."""

    max_steps: Maybe[Positive] = None
    """Optimizer steps. Either this or `max_epochs`."""

    val_check_interval: Maybe[Positive] = None
    """Optimizer steps between two validations; a key of Nova 2 recipes."""

    limit_val_batches: Maybe[Positive] = None
    """Validate on so many batches of `global_batch_size` rows; a key of Nova 2 recipes."""

    log_every_steps: Positive = 10
    """Optimizer steps between two progress lines; the first and the last are always logged. Open models only."""

    max_skipped_steps: Whole = Field(default=0, ge=0, le=100)
    """Steps to leave out, at most, because their loss or gradient is not finite. Open models only."""

    timeout_s: Positive = 600
    """Seconds that a process waits for the others before it gives the job up; a lost machine costs as many."""


class Peft(Section):
    """Parameter-efficient training: freeze the model and train small adapters. Open models only."""

    method: Literal["none", "lora"] = "none"
    """`none` trains all weights, `lora` trains low-rank adapters."""

    rank: Positive = 16
    """Rank of the adapters. Continued pretraining gains from a high one, such as 256."""

    alpha: Annotated[Number, Field(gt=0)] = 32.0
    """Numerator of the adapters' scale; twice the rank is usual."""

    dropout: Share = 0.0
    """Dropout on the adapters' input."""

    target_modules: Annotated[tuple[ModuleName, ...], Field(min_length=1, max_length=64)] | Literal["all-linear"] = (
        "all-linear"
    )
    """Names of the layers that get an adapter, or `all-linear`."""

    rslora: Flag = False
    """Scale by alpha / sqrt(rank) instead of alpha / rank, which keeps high ranks stable."""

    bits: Maybe[Bits] = None
    """Hold the frozen weights in 4 or 8 bits (QLoRA), on GPUs. Only with `method: lora`."""

    embedding_lr: Maybe[Annotated[Number, Field(gt=0, le=1)]] = None
    """Train the embeddings too, at this peak learning rate; a fifth to a tenth of `lr`. Only with `method: lora`."""

    merge: Flag = True
    """Export the whole model with the adapters merged in; `false` exports the adapters alone."""


class TrainingConfig(Section):
    """How to train."""

    task_type: Maybe[Literal["cpt"]] = None
    """Written by Nova 2 recipes; `cpt` is the only value."""

    max_length: RowTokens
    """Tokens in one packed row, 1 to 8192."""

    global_batch_size: BatchRows
    """Rows per optimizer step over all processes: 32, 64, 128 or 256."""

    packing: Literal["best_fit", "concat"] = "best_fit"
    """`best_fit` keeps documents whole where they fit in a row, `concat` cuts one long stream. Open models only."""

    micro_batch_size: Whole = Field(default=0, ge=0, le=256)
    """Most rows of one process at a time; 0 lets the plan choose. Open models only."""

    compile: Literal["auto", "on", "off"] = "auto"
    """Compile the decoder layers; `auto` does so on GPUs. Open models only."""

    float8: Literal["none", "tensorwise", "rowwise", "rowwise_with_gw_hp"] = "none"
    """Matrix products of the decoder layers in 8 bits, on H100 or newer; faster, less exact. Open models only."""

    sharding: Literal["auto", "full", "hybrid"] = "auto"
    """`full` divides the states over all machines, `hybrid` within each machine. Open models only."""

    activation_checkpointing: Literal["auto", "none", "budget", "selective", "full"] = "auto"
    """What the backward pass computes again to save memory; `auto` is the fastest that fits. Open models only."""

    trainer: Trainer
    """How long to train, and how often to look."""

    model: Dropouts = Dropouts()
    """Regularisation, and in Nova 1 recipes the optimizer."""

    optim: Maybe[Optim] = None
    """The optimizer, where Nova 2 recipes write it. Open models may use either place."""

    peft: Peft = Peft()
    """Parameter-efficient training. Open models only."""
