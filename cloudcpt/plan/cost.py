"""How long a job takes and what it costs: estimates with an interval, each saying what it rests on.

Nothing was measured on the machines of the table. Nova's times scale the vendor's own table; open models are counted
in FLOPs and divided by an assumed utilisation; the machine at hand is a rough guess. Live numbers replace all of
this once the first steps have run.
"""

from dataclasses import dataclass

from cloudcpt.plan.activations import Activations
from cloudcpt.plan.instances import Instance
from cloudcpt.plan.plan import Estimate, Lora
from cloudcpt.plan.site import Site
from cloudcpt.plan.starting_model import StartingModel


def dollars(usd: float) -> str:
    """Write an amount for a message, without its currency: `0.06`, `2,022`; cents matter below a hundred."""
    return f"{usd:,.2f}" if abs(usd) < 100 else f"{usd:,.0f}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Duration:
    """Wall-clock hours with an interval, and what they rest on."""

    hours: float
    low: float
    high: float
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Anchor:
    """One row of the vendor's time table: hours for 100,000 full rows of 8,192 tokens on so many P5 instances."""

    replicas: int
    hours: float


NOVA_ANCHORS = {
    "micro": Anchor(replicas=8, hours=4),
    "lite": Anchor(replicas=16, hours=4),
    "pro": Anchor(replicas=24, hours=10),
}
"""By size class. Source: Amazon Nova user guide, continued pretraining, global batch 256; start-up included."""

ANCHOR_POSITIONS = 100_000 * 8192

NOVA_LOW, NOVA_HIGH = 0.75, 2.0
"""The table does not say how full its rows were, and scaling is never quite linear: wide upwards. Assumed."""

MFU, MFU_LOW, MFU_HIGH = 0.40, 0.25, 0.55
"""Model FLOPs utilisation, full convention. Source: published bf16 runs of 8B models at 8,192 reach 0.30 to 0.62."""

RECOMPUTE_FACTOR = 4 / 3
"""A second forward pass beside one forward and a backward of twice its size."""

STARTUP_HOURS = 0.25
"""Start of the instances, image, model, first evaluation and export. Assumed."""

CPU_GFLOPS, CPU_GFLOPS_LOW, CPU_GFLOPS_HIGH = 30.0, 10.0, 80.0
"""Of one core on small fp32 models, in model FLOPs. Source: 12 to 52 in runs of the demo on two shared cores, 2026."""


def duration_of(
    site: Site, model: StartingModel, *, rows: int, seq_len: int, lora: Lora | None, activations: Activations
) -> Duration:
    """Estimate the hours of a job by whatever is known about its model and machine.

    Args:
        site: Where it runs.
        model: What it trains.
        rows: Trained in all; their padding is computed like everything else.
        seq_len: Positions in a row.
        lora: None when every parameter learns.
        activations: Whether they are computed twice.
    """
    if model.sizes is None:
        return nova_duration(model.spec.size_class, rows * seq_len, site.world.nodes)
    flops = float(rows * seq_len * model.sizes.flops_per_token(seq_len, frozen_base=lora is not None))
    startup_hours = 0.0 if site.is_here else STARTUP_HOURS
    if site.world.device == "cpu":
        machines = 1 if site.is_here else site.world.nodes  # containers share the cores of the machine that they are on
        return cpu_duration(flops, cpus=site.cpus * machines, startup_hours=startup_hours)
    return gpu_duration(
        flops,
        gpus=site.world.size,
        tflops=site.tflops,
        recompute=activations == "full",
        startup_hours=startup_hours,
    )


def nova_duration(size_class: str, positions: int, replicas: int) -> Duration:
    """Scale the vendor's table: linear in positions, inverse in replicas.

    Args:
        size_class: `micro`, `lite` or `pro`.
        positions: Rows times their length, padding included.
        replicas: Instances.
    """
    anchor = NOVA_ANCHORS[size_class]
    hours = anchor.hours * (positions / ANCHOR_POSITIONS) * (anchor.replicas / replicas)
    source = (
        f"scaled from Amazon's table for Nova {size_class} (100,000 samples of 8,192 tokens take {anchor.hours:g} h on "
        f"{anchor.replicas} ml.p5.48xlarge), linear in samples and instances; not measured here"
    )
    return Duration(hours=hours, low=hours * NOVA_LOW, high=hours * NOVA_HIGH, source=source)


def gpu_duration(flops: float, *, gpus: int, tflops: float, recompute: bool, startup_hours: float) -> Duration:
    """Divide the model's FLOPs by what so many GPUs deliver at an assumed utilisation.

    Args:
        flops: Of the whole job, full convention, recomputation not counted.
        gpus: Over all nodes.
        tflops: Dense bf16 peak of one GPU in TFLOP/s.
        recompute: Activations are computed twice.
        startup_hours: Added to both ends of the interval.
    """
    at_peak = flops * (RECOMPUTE_FACTOR if recompute else 1.0) / (gpus * tflops * 1e12) / 3600
    source = (
        f"{flops:.3g} FLOPs (full convention) at an assumed {MFU:.0%} ({MFU_LOW:.0%} to {MFU_HIGH:.0%}) of "
        f"{gpus} x {tflops:g} TFLOP/s bf16"
        + (", activations computed twice" if recompute else "")
        + (f", and {startup_hours * 60:g} min to start and finish" if startup_hours else "")
        + "; not measured here"
    )
    low, high = at_peak / MFU_HIGH + startup_hours, at_peak / MFU_LOW + startup_hours
    return Duration(hours=at_peak / MFU + startup_hours, low=low, high=high, source=source)


def cpu_duration(flops: float, *, cpus: int, startup_hours: float) -> Duration:
    """Guess the time on CPU cores.

    Args:
        flops: Of the whole job.
        cpus: Over all nodes.
        startup_hours: Added to both ends of the interval.
    """
    at_one = flops / (cpus * 1e9) / 3600
    source = (
        f"a rough guess: {flops:.3g} FLOPs at {CPU_GFLOPS:g} GFLOP/s ({CPU_GFLOPS_LOW:g} to {CPU_GFLOPS_HIGH:g}) for "
        f"each of {cpus} cores"
        + (f", and {startup_hours * 60:g} min to start and finish" if startup_hours else "")
        + "; not measured here"
    )
    low, high = at_one / CPU_GFLOPS_HIGH + startup_hours, at_one / CPU_GFLOPS_LOW + startup_hours
    return Duration(hours=at_one / CPU_GFLOPS + startup_hours, low=low, high=high, source=source)


def priced(duration: Duration, instance: Instance | None, replicas: int) -> Estimate:
    """Put a price on a duration.

    Args:
        duration: Wall-clock hours.
        instance: None on the machine at hand, which costs nothing here.
        replicas: Instances.
    """
    price = instance.price_usd_per_hour if instance else 0.0
    return Estimate(
        hours=duration.hours,
        hours_low=duration.low,
        hours_high=duration.high,
        time_source=duration.source,
        usd_per_instance_hour=price,
        usd=duration.hours * replicas * price,
        usd_low=duration.low * replicas * price,
        usd_high=duration.high * replicas * price,
        price_source=instance.price_source if instance else "the machine at hand, no charge",
    )
