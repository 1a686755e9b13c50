"""Commands that read finished runs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from rlpersona.commands.common import runs_option
from rlpersona.errors import PersonaError


@click.command()
@runs_option
def runs(root: Path) -> None:
    """List the runs and their results."""
    from rlpersona import store

    for name in store.names(root):
        run = store.find(root, name)
        try:
            result = run.read_json(store.SUMMARY)["verdict"] if run.finished else "unfinished (--resume)"
        except PersonaError as error:
            result = error.message
        click.echo(f"{name:<24}  {result}")


@click.command()
@click.argument("name")
@runs_option
def show(name: str, root: Path) -> None:
    """Print the result of a finished run."""
    from rlpersona import store
    from rlpersona.report.kinds import print_result

    print_result(store.find(root, name))


@click.command()
@click.argument("name")
@runs_option
def report(name: str, root: Path) -> None:
    """Write the report.html of a finished run anew."""
    from rlpersona import store
    from rlpersona.report.kinds import write_page

    click.echo(write_page(store.find(root, name)))


@click.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--top", default=10, show_default=True, help="How many of each leaderboard to compare.")
@runs_option
def compare(names: tuple[str, ...], top: int, root: Path) -> None:
    """Do finished bandit runs agree? Overlap, rank correlation, validated gains, side by side."""
    from rlpersona import store
    from rlpersona.experiments.bandit.comparison import compare as compared
    from rlpersona.report.comparison import print_comparison

    print_comparison(compared([store.find(root, name).folder for name in names], top=top), sys.stdout)
