"""`cloudcpt fake`: an AWS account on this machine, to try everything without one."""

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches

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


def _refuse_unknown(option: str, given: Mapping[str, int], known: Collection[str], what: str) -> None:
    """Refuse a name that the fake would only pass over.

    Raises:
        BadParameter: with the nearest name that there is.
    """
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.5)
            more = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(sorted(known)[:10])}"
            raise click.BadParameter(f"there is no {what} `{name}`; {more}", param_hint=option)


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
    from cloudcpt.fake.cloud import SERVICES
    from cloudcpt.fake.shapes import training_instance_types

    _refuse_unknown("--port", ports, SERVICES, "service")
    _refuse_unknown("--quota", quotas, training_instance_types(), "instance type")
    run_by_hand(click.echo, runs=runs, speed=speed, ports=ports, quotas=quotas)
