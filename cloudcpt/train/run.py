"""The loop. It reads from top to bottom: set up, measure, train, measure again, export.

Every rank runs this whole file. Where ranks must act alike (stop, fail, finish) they agree on a number first; where
one writes for all, it is rank 0. Until the last call nothing on disk is a model.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from transformers.utils import logging as transformers_logging

from cloudcpt.plan.plan import Plan
from cloudcpt.plan.schedule import learning_rate
from cloudcpt.train.architectures import refuse_long_rows
from cloudcpt.train.batches import eval_batches, train_batches
from cloudcpt.train.card import model_card
from cloudcpt.train.checkpoints import keep_checkpoint
from cloudcpt.train.evaluate import HeldOut, evaluate
from cloudcpt.train.export import export_model
from cloudcpt.train.float8 import compare_losses
from cloudcpt.train.gauges import find_gauges
from cloudcpt.train.inputs import verify_inputs
from cloudcpt.train.kernels import use_best_kernel
from cloudcpt.train.lora import relative_rates
from cloudcpt.train.loss import CausalLoss, model_inputs
from cloudcpt.train.mix import trained_tokens
from cloudcpt.train.model import OpenedModel, gather_model, model_folder, open_model, refuse_unknown_tokens
from cloudcpt.train.monitor import Monitor, nothing_to_predict
from cloudcpt.train.optim import clip_gradients, gradient_norm, make_optimizer, set_learning_rate
from cloudcpt.train.prefetch import Prefetched
from cloudcpt.train.prepare import PreparedRows, prepare_rows
from cloudcpt.train.probe import CudaMeter, build_what_fits
from cloudcpt.train.progress import MetricsLog
from cloudcpt.train.quantise import count_parameters
from cloudcpt.train.recovery import Recovery
from cloudcpt.train.room import refuse_bad_target, refuse_no_room
from cloudcpt.train.sample import continue_prompt
from cloudcpt.train.saved_state import Position
from cloudcpt.train.source_counts import refuse_unread
from cloudcpt.train.source_log import tell_late_sources, tell_sources
from cloudcpt.train.stand_in import build_stand_in
from cloudcpt.train.startup import StartUp
from cloudcpt.train.stop import stop_requested
from cloudcpt.train.window import StepNumbers
from cloudcpt.train.windows import CUT, Cut
from cloudcpt.train.work import work_of
from cloudcpt.train.world import World, joined_world, seed_apart
from cloudcpt.wire import MlFolder


class _Stopped(Exception):
    """All ranks agreed to stop here."""


_PATIENCE_S = 1.0
"""So long a rank waits for its next batches before it asks whether all of them are to stop."""


def train(plan: Plan, ml: MlFolder, *, cut: Cut = CUT) -> Literal["completed", "stopped"]:
    """Execute a plan in a job folder.

    Args:
        plan: What to do; nothing here decides anything that the plan does not say.
        ml: Inputs, scratch, output and model folder.
        cut: Which sources are so large that training starts before all of their rows are there.

    Returns:
        `completed` with a sealed model in the model folder, or `stopped` without one.

    Raises:
        TrainingFailure: for any reason that we foresaw; nothing is in the model folder.
    """
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # a log is not a terminal
    geometry, schedule = plan.geometry, plan.schedule
    start_up = StartUp()
    with joined_world(plan.world) as world, MetricsLog(plan, ml, enabled=world.is_main) as log, ExitStack() as stack:
        start_up.ends("process group")
        # The inputs are the planned ones, and become rows once per node.
        base = model_folder(plan, ml)
        if world.is_node_main:
            verify_inputs(plan, ml)
            gather_model(plan, ml)
            if plan.model.stand_in:
                build_stand_in(base, seed=plan.seed, context_tokens=geometry.seq_len_tokens)
        start_up.ends("inputs verified")
        rows = prepare_rows(
            plan, ml, tokenizer_folder=base, is_node_main=world.is_node_main, barrier=world.barrier, cut=cut
        )
        stack.enter_context(rows)
        refuse_unread(plan, rows)
        tell_sources(plan, rows, log)
        start_up.ends("rows")

        # The model, adapted and cut into shards; each rank reads its own part of the weights.
        first_batches = next(train_batches(plan, rows, rank=world.rank, world_size=world.size))
        meter = CudaMeter(world.device) if world.device.type == "cuda" else None
        open_base = partial(_open_base, base, plan, ml, rows, world, log)
        built = build_what_fits(open_base, plan, world, first_batches[0], log, meter)
        if built.rounding:
            log.event(0, "float8", compare_losses(built.loss, built.rounding, first_batches, world).in_words())
        loss_of = built.loss
        parameters = [parameter for parameter in loss_of.parameters() if parameter.requires_grad]
        optimizer = make_optimizer(parameters, plan.optimizer, relative_rates(built.model, plan))
        seed_apart(plan.seed, world.rank)
        log.event(0, "model", _described(loss_of))
        if world.is_node_main:
            refuse_no_room(plan, ml, built.model)
        gauges = find_gauges(built.model, plan, world.device)
        if gauges.remarks:
            log.event(0, "gauges", "; ".join(gauges.remarks))
        recovery = Recovery(plan, ml, world, loss_of, optimizer, rows, log)
        resumed = recovery.resume()
        start_up.ends("model")

        def are_ready(is_ready: bool) -> bool:
            """Tell whether all ranks are; stop them at the same place when any of them was asked to."""
            stopping, waiting = world.sum(float(stop_requested(ml)), float(not is_ready))
            if stopping:
                raise _Stopped
            return not waiting

        def go_on() -> None:
            """Stop all ranks at the same place when any of them was asked to."""
            are_ready(True)

        completed_steps, seen_tokens = (resumed.steps, resumed.tokens) if resumed else (0, 0)
        before = dict(resumed.before) if resumed else {}
        monitor = Monitor(plan, rows, log, skipped=resumed.skipped_steps if resumed else 0)
        if resumed:
            monitor.recall(resumed.watched)
        try:
            if resumed is None:
                before = _measure(loss_of, plan, rows, world, log, completed_steps, before, pause=go_on)
                _write_samples(loss_of, plan, base / "tokenizer.json", world, log, completed_steps, pause=go_on)

            start_up.ends("first evaluation")
            steps = Prefetched(
                train_batches(plan, rows, rank=world.rank, world_size=world.size, first_step=completed_steps),
                world.device,
            )
            stack.callback(steps.close)
            stack.callback(rows.abandon)  # called first: the thread may be waiting for rows
            while completed_steps < geometry.steps:
                # What is due between two steps comes before the next one: a job that goes on begins with it.
                if _is_due(plan.evaluation.every_steps, completed_steps):
                    _measure(loss_of, plan, rows, world, log, completed_steps, before, pause=go_on)
                if _is_due(plan.checkpoints.every_steps, completed_steps):
                    keep_checkpoint(
                        built.model,
                        built.adapted,
                        plan,
                        ml,
                        world,
                        log,
                        base=base,
                        steps=completed_steps,
                        tokens=seen_tokens,
                    )
                started = time.perf_counter()
                rows.check()
                # Rows may still be in the making, on one node and not on another: no rank waits for them alone.
                while not are_ready(steps.is_ready(_PATIENCE_S)):
                    pass
                batches = next(steps)
                data_ready = time.perf_counter()

                # Sums of token losses, divided once by the labels of all ranks. FSDP averages gradients over ranks,
                # hence the factor `world.size`. Every micro-batch reduces its gradients: holding them back until the
                # last one would keep a whole float32 gradient on each GPU.
                work = work_of(batches, gauges.flops, world)
                if work.labels == 0:
                    raise nothing_to_predict(plan, rows, completed_steps + 1)
                loss_sum = torch.zeros((), device=world.device)
                for batch in batches:
                    loss = loss_of(**model_inputs(batch, world.device))
                    (loss * (world.size / work.labels)).backward()
                    loss_sum += loss.detach()

                # Loss and norm are the same numbers on every rank, so all ranks move here or none does.
                mean_loss = world.sum(float(loss_sum))[0] / work.labels
                norm = gradient_norm(parameters)
                lr = learning_rate(schedule, completed_steps)
                numbers = StepNumbers(loss=mean_loss, grad_norm=float(norm), lr=lr)
                completed_steps += 1
                if numbers.are_finite:
                    clip_gradients(parameters, norm, plan.optimizer.max_grad_norm)
                    set_learning_rate(optimizer, lr)
                    optimizer.step()
                    monitor.step(completed_steps, numbers)
                else:
                    monitor.leave_out(completed_steps, numbers)
                optimizer.zero_grad()

                seen_tokens += int(work.tokens)
                log.step(
                    completed_steps,
                    numbers,
                    work,
                    gauges,
                    monitor.standing,
                    seconds=time.perf_counter() - started,
                    data_wait_s=data_ready - started,
                )
                if start_up.is_running:
                    start_up.ends("first step")
                    log.event(completed_steps, "start-up", start_up.in_words(), seconds=start_up.seconds)
                recovery.step_done(
                    Position(
                        steps=completed_steps,
                        tokens=seen_tokens,
                        seconds=log.seconds,
                        skipped_steps=monitor.standing.skipped,
                        watched=monitor.memory(),
                        before=before,
                    )
                )
        except _Stopped:
            recovery.save()
            log.end(completed_steps, "stopped")
            return "stopped"

        rows.finish()
        tell_late_sources(plan, rows, log, completed_steps)
        log.mix(completed_steps, trained_tokens(plan, rows, completed_steps))

        # Every step is done: from here on a wish to stop is fulfilled fastest by finishing.
        after = _measure(loss_of, plan, rows, world, log, completed_steps, before, pause=lambda: None)
        _write_samples(loss_of, plan, base / "tokenizer.json", world, log, completed_steps, pause=lambda: None)
        log.event(completed_steps, "export", f"writing the final model in {plan.model.dtype}")
        export_model(
            built.model,
            built.adapted,
            plan,
            ml,
            base=base,
            card=model_card(plan, base, before, after, seen_tokens),
            tokens=seen_tokens,
            is_main=world.is_main,
        )
        recovery.forget()
        log.end(completed_steps, "completed")
    return "completed"


def _is_due(every: int, completed_steps: int) -> bool:
    """Tell whether something that is done every so many steps is to be done now; 0 is never."""
    return every > 0 and completed_steps > 0 and completed_steps % every == 0


def _open_base(base: Path, plan: Plan, ml: MlFolder, rows: PreparedRows, world: World, log: MetricsLog) -> OpenedModel:
    """Open the base model and find its fastest attention, or refuse what the job would make of it."""
    opened = open_model(base)
    if world.is_main:
        refuse_bad_target(plan, ml, opened.model.num_parameters())
        refuse_unknown_tokens(opened.model, rows)
        refuse_long_rows(opened.model.config, plan.geometry.seq_len_tokens)
    if opened.weights is None:
        log.event(0, "model", "its weights are in a layout that every process has to read whole")
    if world.device.type == "cuda":
        log.event(0, "attention", use_best_kernel(opened.model.config, world.device))
    return opened


def _measure(
    loss_of: CausalLoss,
    plan: Plan,
    rows: PreparedRows,
    world: World,
    log: MetricsLog,
    step: int,
    before: Mapping[str, HeldOut],
    *,
    pause: Callable[[], None],
) -> dict[str, HeldOut]:
    """Evaluate every held-out set of the plan and log it beside what it was before, by set name."""
    measured = {}
    for source in plan.sources_of("validation", "general_validation"):
        batches = eval_batches(
            rows[source.channel].window(0),  # held-out sets have one
            max_rows=plan.evaluation.max_rows,
            micro_batch_rows=plan.geometry.micro_batch_rows,
            rank=world.rank,
            world_size=world.size,
        )
        held_out = evaluate(loss_of, source.name, batches, world, pause)
        log.evaluation(source.name, step, held_out, before.get(source.name))
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
    parameters, learning = count_parameters(loss_of)
    return f"{parameters} parameters, {learning} of them learn"
