"""The command table and the modules of the command line agree."""

import importlib
import inspect
from pathlib import Path

import click
import pytest

import cloudcpt.cli
from cloudcpt.cli import data, image, model
from cloudcpt.cli.main import COMMANDS, command_module

MODULES = {f"cloudcpt.cli.{path.stem}" for path in Path(cloudcpt.cli.__file__).parent.glob("*.py")}
IN_TABLES = [
    *(command_module(name) for name in COMMANDS),
    *(group.command_module(name) for group in (data, image, model) for name in group.COMMANDS),
]


def commands_of(module: str) -> list[click.Command]:
    found = inspect.getmembers(importlib.import_module(module), lambda it: isinstance(it, click.Command))
    return [command for name, command in found if name == "command"]


@pytest.mark.parametrize("module", IN_TABLES)
def test_every_command_of_a_table_has_a_module_with_help(module: str) -> None:
    (command,) = commands_of(module)
    assert command.help
    assert all(option.help for option in command.params if isinstance(option, click.Option))


def test_every_module_with_a_command_is_in_a_table() -> None:
    modules = {module for module in MODULES - {"cloudcpt.cli.__init__"} if commands_of(module)}
    assert modules == set(IN_TABLES)
