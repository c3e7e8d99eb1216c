"""`cloudcpt instances`: where a job can run, with prices, where they are from and how old they are."""

import click

from cloudcpt.cli import render
from cloudcpt.cli.quantities import usd
from cloudcpt.plan.instances import Instance, instances


@click.command()
@render.output_option
def command(output: str) -> None:
    """List the instance types that a recipe can name, with their on-demand prices.

    The table ships with cloudcpt and asks no service; below it stands where each price is from, with its date.
    """
    rows = list(instances().values())
    if output == "json":
        render.print_json({"instances": rows})
        return
    sources = list(dict.fromkeys(row.price_source for row in rows))
    render.show_table(
        ["instance type", "GPUs", "memory each", "bf16 TFLOP/s each", "EFA Gb/s", "USD per hour"],
        [_cells(row, sources.index(row.price_source) + 1) for row in rows],
        right=["memory each", "bf16 TFLOP/s each", "EFA Gb/s", "USD per hour"],
    )
    for number, source in enumerate(sources, start=1):
        render.out().print(f"[{number}] {source}")


def _cells(row: Instance, source: int) -> list[str]:
    price = usd(row.price_usd_per_hour) if row.price_usd_per_hour else "not public"
    return [
        row.name,
        *_gpu_cells(row),
        f"{row.efa_gbps:,}" if row.efa_gbps else "-",
        f"{price} [{source}]",
    ]


def _gpu_cells(row: Instance) -> list[str]:
    if not row.gpus:
        return [f"none, {row.vcpus} vCPUs", "-", "-"]
    return [f"{row.gpus} x {row.gpu}", f"{row.gpu_memory_bytes / 10**9:.0f} GB", f"{row.bf16_tflops:,.0f}"]
