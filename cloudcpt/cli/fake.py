"""`cloudcpt fake`: an AWS account on this machine, to try everything without one."""

from collections.abc import Sequence

import click


def _pairs(context: click.Context, option: click.Parameter, values: Sequence[str]) -> dict[str, int]:
    """Read `NAME=NUMBER` options.

    Raises:
        BadParameter: one is something else.
    """
    pairs = {}
    for value in values:
        name, sign, number = value.partition("=")
        if not (name and sign and number.isdecimal()):
            raise click.BadParameter(f"`{value}` is not NAME=NUMBER", context, option)
        pairs[name] = int(number)
    return pairs


@click.command()
@click.option("--run", "runs", is_flag=True, help="Train with the bundled loop instead of playing a script.")
@click.option(
    "--speed",
    metavar="X",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds of the fake's clock per real second.",
)
@click.option(
    "--port", "ports", metavar="SERVICE=PORT", multiple=True, callback=_pairs, help="Where a service listens."
)
@click.option(
    "--quota",
    "quotas",
    metavar="TYPE=N",
    multiple=True,
    callback=_pairs,
    help="Instances of a type that jobs may use, such as ml.p5.48xlarge=2.",
)
def command(runs: bool, speed: float, ports: dict[str, int], quotas: dict[str, int]) -> None:
    """Start S3, SageMaker, CloudWatch Logs and the rest on loopback, and print how to reach them.

    `eval` the printed lines in another shell: boto3, the AWS CLI and cloudcpt then talk to the fake. Ctrl-C ends it
    and forgets everything. It needs `pip install 'cloudcpt[fake]'`.
    """
    from cloudcpt.fake.by_hand import run_by_hand

    run_by_hand(click.echo, runs=runs, speed=speed, ports=ports, quotas=quotas)
