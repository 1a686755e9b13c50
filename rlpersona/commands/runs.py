"""Commands that read runs."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rlpersona.commands.common import runs_option
from rlpersona.commands.submission import address_option
from rlpersona.errors import PersonaError

if TYPE_CHECKING:
    from rlpersona.runtime.jobs import Job

UNFINISHED = "unfinished (--resume)"


@click.command()
@address_option
@runs_option
def runs(root: Path, address: str | None) -> None:
    """List the runs and their results; with --address, the jobs of a cluster beside them."""
    from rlpersona import store

    for name in store.names(root) if address is None else ():
        click.echo(f"{name:<24}  {result_of(root, name)}")
    if address is not None:
        for name, state, result in with_jobs(root, address):
            click.echo(f"{name:<24}  {state:<9}  {result}")


def result_of(root: Path, name: str) -> str:
    """The verdict of a run, its first sentence, or why there is none."""
    from rlpersona import store

    run = store.glance(root, name)
    try:
        return first_sentence(run.read_json(store.SUMMARY)["verdict"]) if run.finished else UNFINISHED
    except PersonaError as error:
        return error.message


def first_sentence(text: str) -> str:
    """Up to its end: a full stop before a space and a capital."""
    return re.split(r"(?<=\.) (?=[A-Z])", text, maxsplit=1)[0]


def with_jobs(root: Path, address: str) -> list[tuple[str, str, str]]:
    """Name, state of the latest job and result of each run; jobs without a run go by their id."""
    from rlpersona import store
    from rlpersona.runtime.jobs import Cluster

    latest: dict[str, Job] = {}
    for job in Cluster(address).jobs():
        latest.setdefault(job.about.get("run") or job.id, job)
    here = set(store.names(root))
    rows = []
    for name in sorted(here | set(latest)):
        known = latest.get(name)
        state = known.status.lower() if known else ""
        if name in here:
            result = result_of(root, name)
        elif known and known.about.get("run"):
            result = f"in {known.about.get('runs', 'a folder that its job does not tell')}"
        else:
            result = known.command if known else ""
        rows.append((name, state, result))
    return rows


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
