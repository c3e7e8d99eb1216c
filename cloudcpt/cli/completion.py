"""`cloudcpt completion SHELL`: print the script that teaches a shell our commands and options."""

import click

INSTALL = {
    "bash": 'eval "$(cloudcpt completion bash)"  # in ~/.bashrc',
    "zsh": 'eval "$(cloudcpt completion zsh)"  # in ~/.zshrc',
    "fish": "cloudcpt completion fish | source  # in ~/.config/fish/config.fish",
}
"""The line that switches completion on, and the file it belongs in."""


@click.command(epilog="\b\n" + "\n".join(INSTALL.values()))
@click.argument("shell", type=click.Choice(list(INSTALL)))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the completion script of SHELL.

    Switch it on for good with the line for your shell below.
    """
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    assert script is not None, f"click has no completion for {shell}, the choice should not offer it"
    click.echo(script(context.find_root().command, {}, "cloudcpt", "_CLOUDCPT_COMPLETE").source())
