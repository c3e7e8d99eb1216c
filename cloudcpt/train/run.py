"""The loop. It reads from top to bottom: set up, measure, train, measure again, export.

Every rank runs this whole file. Where ranks must act alike (stop, fail, finish) they agree on a number first; where
one writes for all, it is rank 0. Until the last call nothing on disk is a model.
"""

import math
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from transformers.utils import logging as transformers_logging

from cloudcpt.errors import Blame
from cloudcpt.plan.plan import Plan
from cloudcpt.plan.schedule import learning_rate
from cloudcpt.train.architectures import decoder_layers, refuse_stretching_positions
from cloudcpt.train.batches import eval_batches, step_places, train_batches
from cloudcpt.train.card import model_card
from cloudcpt.train.dropout import place_dropouts
from cloudcpt.train.evaluate import HeldOut, evaluate
from cloudcpt.train.export import export_model, refuse_bad_target
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.inputs import verify_inputs
from cloudcpt.train.lora import add_lora
from cloudcpt.train.loss import CausalLoss, chunk_tokens, model_inputs
from cloudcpt.train.mix import count_in_words, trained_tokens
from cloudcpt.train.model import gather_model, load_model, model_folder, refuse_unknown_tokens
from cloudcpt.train.optim import clip_gradients, gradient_norm, make_optimizer, set_learning_rate
from cloudcpt.train.pack import prepare_rows
from cloudcpt.train.progress import MetricsLog
from cloudcpt.train.recompute import recompute_activations
from cloudcpt.train.rows import Rows
from cloudcpt.train.sample import continue_prompt
from cloudcpt.train.shard import shard
from cloudcpt.train.stand_in import build_stand_in
from cloudcpt.train.stop import stop_requested
from cloudcpt.train.world import World, joined_world, seed_alike, seed_apart
from cloudcpt.wire import Failure, MlFolder

_PLACES_SHOWN = 3
"""Dataset lines named when a step fails."""


class _Stopped(Exception):
    """All ranks agreed to stop here."""


def train(plan: Plan, ml: MlFolder) -> Literal["completed", "stopped"]:
    """Execute a plan in a job folder.

    Args:
        plan: What to do; nothing here decides anything that the plan does not say.
        ml: Inputs, scratch, output and model folder.

    Returns:
        `completed` with a sealed model in the model folder, or `stopped` without one.

    Raises:
        TrainingFailure: for any reason that we foresaw; nothing is in the model folder.
    """
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # a log is not a terminal
    geometry, schedule = plan.geometry, plan.schedule
    with joined_world(plan.world) as world, MetricsLog(plan, ml, enabled=world.is_main) as log:
        # The inputs are the planned ones, and become rows once per node.
        base = model_folder(plan, ml)
        if world.is_node_main:
            verify_inputs(plan, ml)
            gather_model(plan, ml)
            if plan.model.stand_in:
                build_stand_in(base, seed=plan.seed, context_tokens=geometry.seq_len_tokens)
        rows = prepare_rows(plan, ml, tokenizer_folder=base, is_node_main=world.is_node_main, barrier=world.barrier)
        for source in plan.sources:
            log.event(0, "data", count_in_words(source, plan, rows))

        # The model: whole on every rank, adapted, then cut into shards. The order matters, see each module.
        seed_alike(plan.seed)
        model = load_model(base)
        if world.is_main:
            refuse_bad_target(plan, ml, model.num_parameters())
            refuse_unknown_tokens(model, rows)
            refuse_stretching_positions(model.config, geometry.seq_len_tokens)
        adapted = add_lora(model, plan.lora) if plan.lora else None
        place_dropouts(model, plan.dropouts)
        if plan.memory.activations == "recompute":
            for layer in decoder_layers(model):
                recompute_activations(layer)
        loss_of = CausalLoss(model, chunk_tokens=chunk_tokens(model.config.vocab_size))
        loss_of.train()  # transformers loads for inference, with every dropout off
        shard(loss_of, plan.world, world)
        parameters = [parameter for parameter in loss_of.parameters() if parameter.requires_grad]
        optimizer = make_optimizer(parameters, plan.optimizer)
        seed_apart(plan.seed, world.rank)
        log.event(0, "model", _described(loss_of))

        def go_on() -> None:
            """Stop all ranks at the same place when any of them was asked to."""
            if world.any(stop_requested(ml)):
                raise _Stopped

        completed_steps, seen_tokens = 0, 0
        try:
            before = _measure(loss_of, plan, rows, world, log, completed_steps, pause=go_on)
            _write_samples(loss_of, plan, base / "tokenizer.json", world, log, completed_steps, pause=go_on)

            steps = train_batches(plan, rows, rank=world.rank, world_size=world.size)
            while completed_steps < geometry.steps:
                go_on()
                started = time.perf_counter()
                batches = next(steps)
                data_ready = time.perf_counter()

                # Sums of token losses, divided once by the labels of all ranks. FSDP averages gradients over ranks,
                # hence the factor `world.size`. Every micro-batch reduces its gradients: holding them back until the
                # last one would keep a whole float32 gradient on each GPU.
                labels, tokens = world.sum(
                    sum(batch.num_labels for batch in batches), sum(batch.num_tokens for batch in batches)
                )
                if labels == 0:
                    raise _nothing_to_predict(plan, rows, completed_steps)
                loss_sum = torch.zeros((), device=world.device)
                for batch in batches:
                    loss = loss_of(**model_inputs(batch, world.device))
                    (loss * (world.size / labels)).backward()
                    loss_sum += loss.detach()

                # Loss and norm are the same numbers on every rank, so all ranks stop here or none does.
                mean_loss = world.sum(float(loss_sum))[0] / labels
                norm = gradient_norm(parameters)
                lr = learning_rate(schedule, completed_steps)
                if not (math.isfinite(mean_loss) and torch.isfinite(norm)):
                    raise _not_finite(plan, rows, completed_steps, mean_loss, lr)

                clip_gradients(parameters, norm, plan.optimizer.max_grad_norm)
                set_learning_rate(optimizer, lr)
                optimizer.step()
                optimizer.zero_grad()

                completed_steps += 1
                seen_tokens += int(tokens)
                log.step(
                    completed_steps,
                    loss=mean_loss,
                    lr=lr,
                    grad_norm=float(norm),
                    tokens=int(tokens),
                    seconds=time.perf_counter() - started,
                    data_wait_s=data_ready - started,
                    memory_bytes=_peak_memory_bytes(world),
                )
                every = plan.evaluation.every_steps
                if every and completed_steps % every == 0 and completed_steps < geometry.steps:
                    _measure(loss_of, plan, rows, world, log, completed_steps, pause=go_on)
        except _Stopped:
            log.end(completed_steps, "stopped")
            return "stopped"

        log.mix(completed_steps, trained_tokens(plan, rows, completed_steps))

        # Every step is done: from here on a wish to stop is fulfilled fastest by finishing.
        after = _measure(loss_of, plan, rows, world, log, completed_steps, pause=lambda: None)
        _write_samples(loss_of, plan, base / "tokenizer.json", world, log, completed_steps, pause=lambda: None)
        log.event(completed_steps, "export", f"writing the final model in {plan.model.dtype}")
        export_model(
            model,
            adapted,
            plan,
            ml,
            base=base,
            card=model_card(plan, base, before, after, seen_tokens),
            tokens=seen_tokens,
            is_main=world.is_main,
        )
        log.end(completed_steps, "completed")
    return "completed"


def _measure(
    loss_of: CausalLoss,
    plan: Plan,
    rows: dict[str, Rows],
    world: World,
    log: MetricsLog,
    step: int,
    *,
    pause: Callable[[], None],
) -> dict[str, HeldOut]:
    """Evaluate every held-out set of the plan and log it, by set name."""
    measured = {}
    for source in plan.sources_of("validation", "general_validation"):
        batches = eval_batches(
            rows[source.channel],
            max_rows=plan.evaluation.max_rows,
            micro_batch_rows=plan.geometry.micro_batch_rows,
            rank=world.rank,
            world_size=world.size,
        )
        held_out = evaluate(loss_of, source.name, batches, world, pause)
        log.evaluation(source.name, step, held_out.loss, held_out.perplexity, held_out.tokens)
        measured[source.name] = held_out
    return measured


def _write_samples(
    loss_of: CausalLoss,
    plan: Plan,
    tokenizer: Path,
    world: World,
    log: MetricsLog,
    step: int,
    *,
    pause: Callable[[], None],
) -> None:
    """Continue every prompt of the plan and log it."""
    length = plan.evaluation.sample_tokens
    for prompt in plan.evaluation.prompts:
        text = continue_prompt(loss_of, prompt, tokenizer, length=length, world=world, pause=pause)
        log.sample(step, prompt, text)


def _described(loss_of: CausalLoss) -> str:
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in loss_of.parameters()]
    learning = sum(size for size, learns in sizes if learns)
    return f"{sum(size for size, _ in sizes)} parameters, {learning} of them learn"


def _nothing_to_predict(plan: Plan, rows: dict[str, Rows], completed_steps: int) -> TrainingFailure:
    places = _places(plan, rows, completed_steps)
    message = f"step {completed_steps + 1} has no token that follows another; its batch begins with {places}"
    hint = "set `max_length` to 2 or more, and give documents of ordinary length"
    return TrainingFailure(Failure(code="CPT612", blame=Blame.USER, message=message, hint=hint))


def _not_finite(plan: Plan, rows: dict[str, Rows], completed_steps: int, loss: float, lr: float) -> TrainingFailure:
    value = "the gradient" if math.isfinite(loss) else f"the loss (`{loss}`)"
    places = _places(plan, rows, completed_steps)
    message = (
        f"{value} is not finite at step {completed_steps + 1}, learning rate {lr:g}; its batch begins with {places}"
    )
    hint = "lower `lr`, raise `warmup_steps`, or look at these lines; no model was saved"
    return TrainingFailure(Failure(code="CPT604", blame=Blame.USER, message=message, hint=hint))


def _places(plan: Plan, rows: dict[str, Rows], completed_steps: int) -> str:
    return ", ".join(f"`{place}`" for place in step_places(plan, rows, completed_steps)[:_PLACES_SHOWN])


def _peak_memory_bytes(world: World) -> int:
    if world.device.type == "cuda":
        return torch.cuda.max_memory_allocated(world.device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
