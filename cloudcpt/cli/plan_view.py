"""How a plan reads: what runs where, how much data, the schedule drawn, the memory by term, time and cost."""

import textwrap

from cloudcpt.cli import render
from cloudcpt.cli.quantities import around, count, duration, gpu_memory, plural, rough, sparkline, usd
from cloudcpt.plan.geometry import padding_share
from cloudcpt.plan.plan import Estimate, Plan, Source
from cloudcpt.plan.schedule import preview

_SCHEDULE_POINTS = 48

_ACTIVATIONS = {
    "none": "all activations kept",
    "budget": "activations recomputed where the compiler finds it cheap",
    "selective": "activations partly recomputed",
    "full": "activations recomputed layer by layer",
}

_SOURCE_WIDTH = 88
"""Characters in a line that says where a number is from."""


def plan_line(plan: Plan) -> str:
    """Say the essence of a plan in one line."""
    return (
        f"{plural(plan.geometry.steps, 'step')}, {count(plan.geometry.train_tokens)} tokens, "
        f"{_time(plan.estimate)}, {_cost(plan)}; job `{plan.job_name}`"
    )


def show_plan(plan: Plan) -> None:
    """Print a plan for a person."""
    out = render.out()
    is_job = not any(source.is_assumed for source in plan.sources)
    out.print(f"{plan.job_name if is_job else f'{plan.name}, with assumed data'}  {_where(plan)}", style="title")
    out.print()
    render.show_pairs([*_model_pairs(plan), *_batch_pairs(plan), *_schedule_pairs(plan), *_course_pairs(plan)])
    out.print()
    show_sources(plan)
    out.print()
    render.show_pairs([*_memory_pairs(plan), *_estimate_pairs(plan), ("plan", plan.hash)])


def show_sources(plan: Plan) -> None:
    """Print what the job reads, one row per source.

    `share` is that of the training tokens, `epochs` how often the source is gone over; `cut` is the share of its tokens
    that are in documents of more than one piece, `padding` that of its rows that holds no token.
    """
    numbers = ["files", "documents", "tokens", "rows", "cut", "padding", "share", "epochs"]
    render.show_table(["source", "for", *numbers], [_source_cells(plan, one) for one in plan.sources], right=numbers)


def _source_cells(plan: Plan, source: Source) -> list[str]:
    is_estimated = not (source.exact or source.is_assumed)
    tokens, rows = ((rough(number) if is_estimated else number) for number in (source.tokens, source.rows))
    about = "~" if is_estimated else ""
    cells = [
        f"{source.name} (assumed)" if source.is_assumed else source.name,
        source.role.replace("_", " "),
        "-" if source.is_assumed else f"{len(source.files):,}",
        "-" if source.is_assumed else f"{source.documents:,}",
        about + count(tokens),
        f"{about}{rows:,}",
        *_waste_cells(plan, source, about),
    ]
    if source.role not in ("train", "replay") or not source.tokens:
        return [*cells, "-", "-"]
    return [*cells, f"{source.weight:.1%}", f"{source.weight * plan.geometry.train_tokens / source.tokens:.2f}"]


def _waste_cells(plan: Plan, source: Source, about: str) -> list[str]:
    if source.is_assumed or not source.tokens:
        return ["-", "-"]
    padding = 1 - source.tokens / (source.rows * plan.geometry.seq_len_tokens)
    return [f"{about}{source.cut_tokens / source.tokens:.0%}", f"{about}{max(padding, 0):.1%}"]


def _where(plan: Plan) -> str:
    world = plan.world
    device = "GPU" if world.device == "cuda" else "CPU"
    each = plural(world.processes_per_node, f"{device} process")
    if world.image:
        image = world.image.removeprefix("sha256:")[:12]  # as engines show it
        return f"container: {plural(world.nodes, 'container')} of image {image} on this machine, {each} each"
    if world.instance_type == "local":
        return f"{plan.target}: {each} on this machine"
    return f"{plan.target}: {world.nodes} x {world.instance_type}, {each} each"


def _model_pairs(plan: Plan) -> list[tuple[str, str]]:
    model = plan.model
    facts = [
        model.model_type if model.model_type == model.name_or_path else f"{model.model_type}, {model.name_or_path}"
    ]
    if model.stand_in:
        facts.append("REHEARSAL on a tiny random stand-in")
    if model.parameters:
        facts.append(f"{count(model.parameters)} parameters, {model.dtype}")
    if model.origin:
        facts.append(f"staged from {model.origin.shown}")
    pairs = [("model", "; ".join(facts)), ("trained", _trained(plan))]
    if plan.model.family == "open":  # how the service computes a Nova model is not ours to say
        pairs.append(("computed", _computed(plan)))
    if plan.world.environment:
        pairs.append(("environment", ", ".join(f"{name}={value}" for name, value in plan.world.environment)))
    return pairs


def _trained(plan: Plan) -> str:
    if plan.lora is None:
        return f"all weights, {plan.world.compute_dtype} compute"
    lora = plan.lora
    ends = "merged at the end" if lora.merge else "adapter alone at the end"
    base = f"; frozen weights in {lora.bits} bits" if lora.bits else ""
    embeddings = f"; embeddings too, up to {lora.embedding_lr:g}" if lora.embedding_lr else ""
    return f"LoRA rank {lora.rank}, alpha {lora.alpha:g}, on {', '.join(lora.target_modules)}{embeddings}{base}; {ends}"


def _computed(plan: Plan) -> str:
    """Say how the loop computes: nothing here changes what is learned, float8 apart."""
    compute, processes = plan.compute, plan.world.size
    replicas = processes // compute.shard_processes
    if processes == 1:
        ways = ["in one process"]
    elif compute.shard_processes == 1:
        ways = [f"a whole model on each of {processes} processes"]
    else:
        copies = f", {replicas} copies" if replicas > 1 else ""
        ways = [f"model and optimizer divided over {compute.shard_processes} processes{copies}"]
    if compute.float8 != "none":
        ways.append(f"matrix products in float8 ({compute.float8})")
    if compute.compile:
        ways.append("compiled")
    return "; ".join([*ways, _ACTIVATIONS[plan.memory.activations]])


def _course_pairs(plan: Plan) -> list[tuple[str, str]]:
    """Say what happens on the way besides training: what is measured, what is kept, what is borne."""
    pairs = []
    if plan.sources_of("validation", "general_validation"):
        often = f", and every {plural(plan.evaluation.every_steps, 'step')}" if plan.evaluation.every_steps else ""
        limit = f", the first {plural(plan.evaluation.max_rows, 'row')} of each set" if plan.evaluation.max_rows else ""
        pairs.append(("evaluated", f"before and after{often}{limit}"))
    checkpoints, skipped = plan.checkpoints, plan.optimizer.max_skipped_steps
    kept = ["the final model"]
    if checkpoints.every_steps:
        last = f", the last {checkpoints.keep_last}" if checkpoints.keep_last else ""
        kept.append(f"a model every {plural(checkpoints.every_steps, 'step')}{last}")
    pairs.append(("kept", " and ".join(kept)))
    if plan.model.family == "open":
        every = checkpoints.recovery_every_steps
        again = f"goes on from a state saved every {plural(every, 'step')}" if every else "begins anew"
        bad = f"is left out, up to {skipped} times" if skipped else "ends the job"
        pairs.append(("if cut off", f"it {again}; a step whose loss is not finite {bad}"))
    return pairs


def _batch_pairs(plan: Plan) -> list[tuple[str, str]]:
    geometry = plan.geometry
    per_step = geometry.global_batch_rows * geometry.seq_len_tokens
    batch = f"{geometry.global_batch_rows} rows of {geometry.seq_len_tokens:,} tokens ({count(per_step)}) per step"
    if geometry.micro_batch_rows:  # otherwise the service divides the batch itself
        batch += (
            f" = {plural(plan.world.size, 'process')} x {plural(geometry.micro_batch_rows, 'row')}"
            f" x {plural(geometry.accumulation, 'pass')}"
        )
        padding = padding_share(geometry.global_batch_rows, plan.world.size)
        batch += f", {float(padding):.0%} padding" if padding else ""
    steps = (
        f"{geometry.steps:,} by {geometry.bound}: {count(geometry.train_tokens)} tokens in "
        f"{count(geometry.train_rows)} rows, {geometry.epochs:.2f} epochs of the domain"
    )
    return [("batch", batch), ("steps", steps)]


def _schedule_pairs(plan: Plan) -> list[tuple[str, str]]:
    schedule, optimizer = plan.schedule, plan.optimizer
    rates = [rate for _, rate in preview(schedule, _SCHEDULE_POINTS)]
    curve = sparkline(rates, _SCHEDULE_POINTS)
    tail = f", {schedule.constant_steps:,} constant" if schedule.constant_steps else ""
    kind = "AdamW" if optimizer.adam_w_mode else "Adam with L2"
    clip = f"clipped at {optimizer.max_grad_norm:g}" if optimizer.max_grad_norm else "not clipped"
    return [
        ("learning rate", f"{schedule.name}, {plural(schedule.warmup_steps, 'step')} of warm-up{tail}"),
        ("", f"{curve}  up to {_rate(max(rates))}, {_rate(rates[-1])} at the end"),
        (
            "optimizer",
            f"{kind}, betas {optimizer.beta1:g} and {optimizer.beta2:g}, weight decay {optimizer.weight_decay:g}, "
            f"gradients {clip}",
        ),
    ]


def _rate(number: float) -> str:
    """Write a learning rate as people do, `2e-5` and `1e-4`, where Python writes `2e-05` and `0.0001`."""
    if not 0 < number < 1e-3:
        return f"{number:.3g}"
    mantissa, exponent = f"{number:.2e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def _memory_pairs(plan: Plan) -> list[tuple[str, str]]:
    memory = plan.memory
    if not memory.terms:
        why = "on a CPU" if plan.world.device == "cpu" else "because the sizes of the model are not public"
        return [("memory", f"not estimated {why}")]
    whole = gpu_memory(memory.total_bytes)
    if memory.capacity_bytes:
        whole += f" of {gpu_memory(memory.capacity_bytes)} ({memory.total_bytes / memory.capacity_bytes:.0%})"
    terms = [("", f"{gpu_memory(term.size_bytes):>8}  {term.name}") for term in memory.terms]
    return [("memory", f"{whole} on each GPU, estimated"), *terms]


def _estimate_pairs(plan: Plan) -> list[tuple[str, str]]:
    estimate, price = plan.estimate, plan.estimate.usd_per_instance_hour
    pairs = [("time", _time(estimate)), *_wrapped(estimate.time_source), ("cost", _cost(plan))]
    if price:
        pairs += _wrapped(f"{plural(plan.world.nodes, 'instance')} at {usd(price)} per hour; {estimate.price_source}")
    elif plan.world.instance_type != "local":
        pairs += _wrapped(estimate.price_source)
    return pairs


def _wrapped(text: str) -> list[tuple[str, str]]:
    return [("", line) for line in textwrap.wrap(text, _SOURCE_WIDTH)]


def _time(estimate: Estimate) -> str:
    low, high = duration(estimate.hours_low * 3600), duration(estimate.hours_high * 3600)
    return around(duration(estimate.hours * 3600), low, high)


def _cost(plan: Plan) -> str:
    estimate = plan.estimate
    if not estimate.usd_per_instance_hour:
        return "no charge on this machine" if plan.world.instance_type == "local" else "no public price"
    return around(usd(estimate.usd), usd(estimate.usd_low), usd(estimate.usd_high))
