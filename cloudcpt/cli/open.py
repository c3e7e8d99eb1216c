"""`cloudcpt open [NAME]`: the page of a job in the service's console."""

import os
import sys
import webbrowser
from collections.abc import Mapping

import click

from cloudcpt.aws.console import console_link
from cloudcpt.cli import render
from cloudcpt.cli.places import Places
from cloudcpt.errors import UsageProblem, error


@click.command()
@click.argument("name", required=False)
@click.option("--print", "print_only", is_flag=True, help="Only print the link, open nothing.")
@click.make_pass_decorator(Places, ensure=True)
def command(places: Places, name: str | None, print_only: bool) -> None:
    """Print the link of the job NAME in the service's console; without NAME, of the newest job.

    On a terminal with a display the page opens in the browser too. Nothing is asked of the service.
    """
    link = page_of(places, places.find(name))
    render.out().print(link)
    if not print_only and sys.stdout.isatty() and has_display(sys.platform, os.environ):
        webbrowser.open(link)


def page_of(places: Places, name: str) -> str:
    """Name the page of a job.

    Raises:
        UsageProblem: it runs on this machine or in an isolated region: no public console has a page of it.
    """
    hint = f"`cloudcpt report {name}` makes a page of it"
    if places.is_local(name):
        raise UsageProblem(
            error("CPT764", f"job `{name}` runs on this machine, no console has a page of it", hint=hint)
        )
    region = places.record(name).region
    link = console_link(region, name)
    if link is None:
        message = f"job `{name}` runs in `{region}`, whose console has no public address"
        raise UsageProblem(error("CPT764", message, hint=hint))
    return link


def has_display(platform: str, environment: Mapping[str, str]) -> bool:
    """Tell whether a browser could show itself; over SSH it would run in the terminal instead, or nowhere."""
    if platform in ("darwin", "win32"):
        return "SSH_CONNECTION" not in environment
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))
