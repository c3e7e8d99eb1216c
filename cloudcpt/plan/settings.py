"""What the plan takes over from the recipe: optimizer, schedule, dropouts, adapters, evaluation."""

from cloudcpt.plan.plan import Checkpoints, Dropouts, Evaluation, Lora, Optimizer, Schedule
from cloudcpt.plan.schedule import warmup_steps_of
from cloudcpt.recipe.model import Recipe


def optimizer_of(recipe: Recipe) -> Optimizer:
    """Read the optimizer, whichever generation of the recipe wrote it."""
    optim = recipe.optim
    return Optimizer(
        adam_w_mode=optim.adam_w_mode,
        beta1=recipe.beta1,
        beta2=recipe.beta2,
        eps=optim.eps,
        weight_decay=optim.weight_decay,
        max_grad_norm=optim.max_grad_norm,
        max_skipped_steps=recipe.training_config.trainer.max_skipped_steps,
    )


def schedule_of(recipe: Recipe, steps: int) -> Schedule:
    """Read the schedule and turn a warm-up ratio into steps.

    Args:
        recipe: With `warmup_steps` or `warmup_ratio`.
        steps: N of the job.
    """
    sched = recipe.optim.sched
    warmup = sched.warmup_steps if sched.warmup_ratio is None else warmup_steps_of(sched.warmup_ratio, steps)
    assert warmup is not None, "validation asks for exactly one of `warmup_steps` and `warmup_ratio`"
    return Schedule(
        name=sched.name,
        lr=recipe.optim.lr,
        min_lr=sched.min_lr,
        warmup_steps=warmup,
        constant_steps=0 if sched.name == "constant" else sched.constant_steps,  # which has no tail: CPT156 said so
        steps=steps,
    )


def dropouts_of(recipe: Recipe) -> Dropouts:
    """Read the three dropouts of the Nova recipe."""
    model = recipe.training_config.model
    return Dropouts(hidden=model.hidden_dropout, attention=model.attention_dropout, ffn=model.ffn_dropout)


def lora_of(recipe: Recipe) -> Lora | None:
    """Read the adapters; None when every parameter learns."""
    peft = recipe.training_config.peft
    if peft.method == "none":
        return None
    modules = (peft.target_modules,) if isinstance(peft.target_modules, str) else peft.target_modules
    return Lora(
        rank=peft.rank,
        alpha=peft.alpha,
        dropout=peft.dropout,
        target_modules=modules,
        rslora=peft.rslora,
        merge=peft.merge,
        bits=peft.bits or 0,
        embedding_lr=peft.embedding_lr or 0.0,
    )


def evaluation_of(recipe: Recipe) -> Evaluation:
    """Read what is measured on held-out text, and how often."""
    return Evaluation(
        every_steps=recipe.eval_every_steps,
        max_rows=recipe.eval_max_rows,
        prompts=recipe.eval.prompts,
        sample_tokens=recipe.eval.sample_tokens,
    )


def checkpoints_of(recipe: Recipe) -> Checkpoints:
    """Read what is kept beside the final model."""
    wanted = recipe.checkpoint
    return Checkpoints(
        every_steps=wanted.every_steps,
        keep_last=wanted.keep_last,
        recovery_every_steps=wanted.recovery_every_steps,
    )
