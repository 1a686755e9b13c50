"""What the groups of commands share."""

from __future__ import annotations

from pathlib import Path

import click

from rlpersona.errors import ConfigError, did_you_mean


class Commands(click.Group):
    """A group that suggests the nearest command for an unknown one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Look the command up; ConfigError with a suggestion where there is none."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise ConfigError(f"There is no command '{args[0]}'.", did_you_mean(args[0], self.commands))
        return super().resolve_command(ctx, args)


runs_option = click.option(
    "--runs",
    "root",
    type=click.Path(path_type=Path),
    envvar="RLPERSONA_RUNS",
    default=Path("runs"),
    show_default=True,
    help="Folder of the runs.",
)
