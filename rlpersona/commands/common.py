"""What the groups of commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from rlpersona.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from rlpersona.config import Config, RunConfig

ConfigT = TypeVar("ConfigT", bound="RunConfig")
CONFIG_FILES = {".yaml", ".yml", ".json"}


class Commands(click.Group):
    """A group that suggests the nearest command for an unknown one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Look the command up; ConfigError with a suggestion where there is none."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise ConfigError(f"There is no command '{args[0]}'.", did_you_mean(args[0], self.commands))
        return super().resolve_command(ctx, args)


class Experiment(Commands):
    """A group whose `run` need not be written: `bandit quickstart` is `bandit run quickstart`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `run` in front of words that name no command."""
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["run", *args]
        return super().parse_args(ctx, args)


class RunsFolder(click.ParamType[Path]):
    """A folder of runs; for a URI the folder of this machine that stands for it."""

    name = "folder or uri"

    def convert(
        self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        """The folder; what the command leaves in a URI's is copied there when the command ends."""
        from rlpersona.storage import is_uri, local_root

        if not is_uri(str(value)):
            return Path(value)
        from rlpersona.store import publish

        root = local_root(value)
        if ctx is not None:
            ctx.call_on_close(partial(publish, root))
        return root


runs_option = click.option(
    "--runs",
    "root",
    type=RunsFolder(),
    envvar="RLPERSONA_RUNS",
    default=Path("runs"),
    show_default=True,
    help="Folder of the runs, or s3://, gs://, file://.",
)


def print_config(config: Config) -> None:
    """The resolved config as YAML, to be saved and run."""
    import yaml

    values = config.model_dump(mode="json")
    click.echo(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), nl=False)


def configured(
    what: tuple[str, ...],
    plain: ConfigT,
    known: dict[str, Callable[[], ConfigT]],
    resume_root: Path | None = None,
) -> ConfigT:
    """The config that the words on the command line mean.

    Words with `=` are settings, words that end in .yaml, .yml or .json are files, the others presets of
    `known`; `plain` is the base without one. With `resume_root` and no preset or file, the saved config
    of the named run is the base.
    """
    from rlpersona import presets
    from rlpersona.resolve import resolve
    from rlpersona.store import CONFIG, Run, up_to_date

    settings = [word for word in what if "=" in word]
    files = [
        Path(word) for word in what if "=" not in word and Path(word).suffix.lower() in CONFIG_FILES
    ]
    chosen = [word for word in what if "=" not in word and Path(word).suffix.lower() not in CONFIG_FILES]
    if len(chosen) > 1:
        raise ConfigError(f"Two presets: {' and '.join(chosen)}.", "Name one; a setting is key=value.")
    base = presets.chosen(chosen[0], known) if chosen else plain
    if resume_root is not None and not chosen and not files:
        name = resolve(base, (), settings, os.environ).name
        saved = up_to_date(Run(resume_root / name)).folder / CONFIG
        files = [saved] if saved.exists() else []
    return resolve(base, files, settings, os.environ)
