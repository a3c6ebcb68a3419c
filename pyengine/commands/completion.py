"""`pyengine completion`: the code by which a shell completes pyengine's commands."""

import click
from click.shell_completion import get_completion_class

PROGRAM = "pyengine"


@click.command(
    "completion",
    epilog='\b\nIn ~/.bashrc:  eval "$(pyengine completion bash)"\n'
    'In ~/.zshrc:   eval "$(pyengine completion zsh)"\n'
    "For fish:      pyengine completion fish > ~/.config/fish/completions/pyengine.fish",
)
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the code that lets a shell complete commands and options."""
    completer = get_completion_class(shell)
    assert completer is not None, "click knows all three"
    root = context.find_root().command
    click.echo(completer(root, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE").source())
