"""The command line that somebody typed, as a line to type again."""

import shlex

import click
from click.core import ParameterSource


def command_line(context: click.Context) -> str:
    """Write the running command with the arguments and options that were given, and no others."""
    words = context.command_path.split()
    for parameter in context.command.params:
        assert parameter.name is not None, "click names every parameter of ours"
        if context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE:
            words += _words(parameter, context.params[parameter.name])
    return shlex.join(words)


def _words(parameter: click.Parameter, value: object) -> list[str]:
    if isinstance(parameter, click.Argument):
        return [str(value)]
    longest = max(parameter.opts, key=len)
    return [longest] if isinstance(parameter, click.Option) and parameter.is_flag else [longest, str(value)]
