"""`cloudcpt doctor`: whether this machine and this account can run jobs, without a recipe."""

from typing import TYPE_CHECKING

import click

from cloudcpt.cli import render
from cloudcpt.cli.check_view import checks_as_json, show_checks
from cloudcpt.errors import ExitCode
from cloudcpt.jobs.checks import CheckOutcome
from cloudcpt.local.equipment import check_equipment
from cloudcpt.local.folder import state_dir
from cloudcpt.plan.instances import this_machine

if TYPE_CHECKING:
    from cloudcpt.aws.survey import Survey


@click.command()
@click.option("--region", default="", help="AWS Region to look at, instead of the configured one.")
@render.output_option
@click.pass_context
def command(context: click.Context, region: str, output: str) -> None:
    """Look at this machine and at the AWS account of its credentials.

    Each line is ok, failed or not checked. Nothing is changed, and nothing is asked for that costs money. Without
    credentials or network everything about the machine is shown all the same.

    Exit code 0: jobs can be submitted from here; 3: they cannot.
    """
    from cloudcpt.aws.survey import survey

    machine = check_equipment(this_machine(), state_dir())
    found = survey(region)
    checks = (*machine, *found.checks)
    # What follows an identity is skipped when there is none, so its absence is what counts.
    is_known = any(check.name == "identity" and check.outcome is CheckOutcome.OK for check in found.checks)
    is_ready = is_known and not any(check.blocks for check in checks)
    if output == "json":
        render.print_json({"ok": is_ready, "checks": checks_as_json(checks), "quotas": found.quotas})
    else:
        show_checks(checks, console=render.out())
        _show_quotas(found)
    if not is_ready:
        context.exit(ExitCode.SETUP)


def _show_quotas(found: "Survey") -> None:
    """Print how many instances of each type may be used, and for what."""
    from cloudcpt.aws.survey import USAGES

    if not found.quotas:
        return
    render.out().print()
    headers = [usage.removesuffix(" usage") for usage in USAGES]
    rows = [
        [one, *(f"{row[usage]:.0f}" if usage in row else "-" for usage in USAGES)] for one, row in found.quotas.items()
    ]
    render.show_table(["quota, instances", *headers], rows, right=headers)
