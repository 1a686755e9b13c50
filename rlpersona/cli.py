"""The command line. Commands import what they need when they run, so that `--help` is instant."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import click

from rlpersona.commands.axis import axis
from rlpersona.commands.bandit import bandit
from rlpersona.commands.common import Commands
from rlpersona.commands.doctor import doctor
from rlpersona.commands.dpo import dpo
from rlpersona.commands.evaluate import evaluate
from rlpersona.commands.grpo import grpo
from rlpersona.commands.jobs import logs, resume, stop, submit
from rlpersona.commands.label import label
from rlpersona.commands.nano import nano
from rlpersona.commands.runs import compare, report, runs, show
from rlpersona.commands.serve import serve
from rlpersona.commands.sweep import sweep
from rlpersona.errors import PersonaError


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rlpersona")
@click.option("--debug", is_flag=True, envvar="RLPERSONA_DEBUG", help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """A laboratory for persona reinforcement learning on Ray."""


experiments = (bandit, label, nano, dpo, grpo, sweep, axis, evaluate)
for command in (*experiments, serve, runs, show, report, compare, submit, resume, logs, stop, doctor):
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: a PersonaError becomes one message, its hint and its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if Path(".env").is_file():
        from dotenv import load_dotenv

        load_dotenv(Path(".env"))
    warnings.showwarning = lambda message, *_: click.echo(f"note: {message}", err=True)
    debug = "--debug" in words or bool(os.environ.get("RLPERSONA_DEBUG"))
    try:
        code: Any = cli(words, standalone_mode=False)
    except PersonaError as error:
        if debug:
            raise
        click.echo(f"error: {error.message}", err=True)
        if error.hint:
            click.echo(f"  fix: {error.hint}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped; a run goes on with --resume", err=True)
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
