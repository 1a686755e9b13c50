"""Commands that read finished runs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from rlpersona.commands.common import runs_option
from rlpersona.errors import ConfigError, PersonaError


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
    from rlpersona.report.table import print_summary
    from rlpersona.report.temporal import temporal_lines

    run = store.find(root, name)
    summary = run.read_json(store.SUMMARY)
    if summary["experiment"] == "label":
        raise ConfigError(f"'{name}' holds preference pairs.", f"rlpersona label check {name}")
    if summary["experiment"] == "temporal":
        click.echo("\n".join(temporal_lines(summary)))
    else:
        print_summary(summary, sys.stdout, run.folder / store.REPORT)


@click.command()
@click.argument("name")
@runs_option
def report(name: str, root: Path) -> None:
    """Write the report.html of a finished bandit run anew."""
    from rlpersona import store
    from rlpersona.report.html import write_report

    run = store.find(root, name)
    if run.finished and run.read_json(store.SUMMARY)["experiment"] != "bandit":
        raise ConfigError(f"'{name}' is no bandit run: it has no page.", f"rlpersona show {name}")
    click.echo(write_report(run.folder))


@click.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--top", default=10, show_default=True, help="How many of each leaderboard to compare.")
@runs_option
def compare(names: tuple[str, ...], top: int, root: Path) -> None:
    """Do finished bandit runs agree? Overlap, rank correlation, validated gains, side by side."""
    from rlpersona import store
    from rlpersona.experiments.comparison import compare as compared
    from rlpersona.report.comparison import print_comparison

    print_comparison(compared([store.find(root, name).folder for name in names], top=top), sys.stdout)
