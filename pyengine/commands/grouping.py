"""Groups of commands: how their help lists them, and what is said about a command that is not there."""

from __future__ import annotations

import click

_WHOLE_SENTENCE = 200


class Group(click.Group):
    """A group whose help shows whole sentences, and which finds a command in the groups below it."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        rows = [
            (name, command.get_short_help_str(_WHOLE_SENTENCE))
            for name, command in commands.items()
            if command is not None and not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant.

        Raises:
            click.UsageError: There is none of this name; says in which groups there is one.
        """
        name = args[0]
        if self.get_command(ctx, name) is None:
            places = [
                f"`{ctx.command_path} {group.name} {name}`"
                for group in self.commands.values()
                if isinstance(group, click.Group) and name in group.commands
            ]
            if places:
                ctx.fail(f"No such command '{name}'. Did you mean {' or '.join(places)}?")
        return super().resolve_command(ctx, args)
