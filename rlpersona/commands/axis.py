"""`rlpersona axis`: the Assistant Axis of a model, and how far trainings move along it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rlpersona.commands.common import Experiment, configured, print_config, runs_option
from rlpersona.errors import ConfigError

if TYPE_CHECKING:
    from rlpersona.config import AxisConfig, DriftConfig


@click.group(cls=Experiment)
def axis() -> None:
    """What sets the assistant apart from the roles that it plays: `rlpersona axis nano`.

    More of it: `rlpersona axis run --help`.
    """


@axis.command()
@click.argument("what", nargs=-1)
@click.option("--resume", is_flag=True, help="Continue the run of this name.")
@click.option("--dry-run", is_flag=True, help="Print the resolved config and stop.")
@runs_option
def run(what: tuple[str, ...], resume: bool, dry_run: bool, root: Path) -> None:
    """Ask every role, read what happens inside, and make role vectors and the axis of them.

    WHAT is a preset (nano, assistant-axis), a YAML or JSON file, or both, then key=value:

    \b
      rlpersona axis nano question_limit=132
      rlpersona axis nano only="Pinocchio,a poet,Marie Curie" least=40
      rlpersona axis assistant-axis roles=roles/ questions=extraction_questions.jsonl
    """
    config = axis_config(what, root if resume else None)
    if dry_run:
        print_config(config)
        return
    from rlpersona.experiments.axis.pipeline import run_axis
    from rlpersona.report.axis import write_axis_report
    from rlpersona.report.axis_table import print_axis

    summary = run_axis(config, root, resume=resume)
    print_axis(summary, sys.stdout, write_axis_report(root / config.name))


@axis.command()
@click.argument("what", nargs=-1)
@click.option("--resume", is_flag=True, help="Continue the run of this name.")
@click.option("--dry-run", is_flag=True, help="Print the resolved config and stop.")
@runs_option
def drift(what: tuple[str, ...], resume: bool, dry_run: bool, root: Path) -> None:
    """How far the checkpoints of a grpo, sweep or dpo run moved along an axis run's axis.

    WHAT is the name of the run, then key=value; `axis=` names the axis run, made on the same base:

    \b
      rlpersona axis drift nano-math
      rlpersona axis drift my-sweep axis=my-axis steps=[20,60] name=my-drift
    """
    config = drift_config(what, root, resume)
    if dry_run:
        print_config(config)
        return
    from rlpersona.experiments.drift.drift import run_drift
    from rlpersona.report.kinds import print_result, write_page
    from rlpersona.store import Run

    run_drift(config, root, resume=resume)
    measured = Run(root / config.name)
    write_page(measured)
    print_result(measured, sys.stdout)


def axis_config(what: tuple[str, ...], resume_root: Path | None = None) -> AxisConfig:
    """The axis run that the words on the command line mean."""
    from rlpersona import presets
    from rlpersona.config import AxisConfig

    return configured(what, AxisConfig(), presets.AXIS, resume_root)


def drift_config(what: tuple[str, ...], root: Path, resume: bool = False) -> DriftConfig:
    """The measurement that the words on the command line mean: a first word names the run measured.

    Its model is that of the run, its name `RUN-drift` unless `name=` is given.
    """
    from rlpersona.commands.common import CONFIG_FILES
    from rlpersona.config import DriftConfig

    plain = [word for word in what if "=" not in word]
    named = [word for word in plain if Path(word).suffix.lower() not in CONFIG_FILES]
    if len(named) > 1:
        raise ConfigError(f"Two runs: {' and '.join(named)}.", "Measure one at a time.")
    base = DriftConfig()
    if named:
        from rlpersona.experiments.drift.drift import config_for

        base = config_for(named[0], root)
    rest = tuple(word for word in what if word not in named)
    config = configured(rest, base, {}, root if resume else None)
    if not config.of:
        raise ConfigError("Which run's checkpoints?", "Name it: rlpersona axis drift RUN axis=AXIS_RUN")
    return config
