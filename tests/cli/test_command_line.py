"""The command line that is printed is the one that was typed, and works when it is typed again."""

import shlex

import click
import pytest
from click.testing import CliRunner

from cloudcpt.cli.command_line import command_line


@click.group(name="cloudcpt")
def group() -> None:
    """Stand for cloudcpt."""


@group.command(name="submit")
@click.argument("recipe")
@click.option("-t", "--target")
@click.option("--plan", "saved")
@click.option("--yes", is_flag=True)
@click.option("--output", default="text")
@click.pass_context
def submit(context: click.Context, **_: object) -> None:
    """Print itself."""
    click.echo(command_line(context))


@pytest.mark.parametrize(
    ("typed", "again"),
    [
        ("submit r.yaml", "cloudcpt submit r.yaml"),
        ("submit 'my recipe.yaml' --yes -t local", "cloudcpt submit 'my recipe.yaml' --target local --yes"),
        ("submit --plan=p.json --output json r.yaml", "cloudcpt submit r.yaml --plan p.json --output json"),
    ],
)
def test_what_was_given_is_there_and_nothing_else(typed: str, again: str) -> None:
    shown = CliRunner().invoke(group, shlex.split(typed), prog_name="cloudcpt").output.strip()
    assert shown == again
    twice = CliRunner().invoke(group, shlex.split(shown)[1:], prog_name="cloudcpt").output.strip()
    assert twice == again
