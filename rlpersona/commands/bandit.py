"""`rlpersona bandit`: search for the best persona, plan a search, validate across eras."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rlpersona.commands.common import Experiment, configured, print_config, runs_option
from rlpersona.errors import ConfigError

if TYPE_CHECKING:
    from rlpersona.config import BanditConfig


@click.group(cls=Experiment)
def bandit() -> None:
    """Find the persona that answers best: `rlpersona bandit quickstart`.

    More of it: `rlpersona bandit run --help`.
    """


@bandit.command()
@click.argument("what", nargs=-1)
@click.option("--resume", is_flag=True, help="Continue the run of this name.")
@click.option("--dry-run", is_flag=True, help="Print the resolved config and stop.")
@click.option("--baseline-only", is_flag=True, help="Measure the controls, search nothing.")
@click.option("--skip-baseline", is_flag=True, help="Do not measure no persona: accuracies, no gains.")
@runs_option
def run(
    what: tuple[str, ...],
    resume: bool,
    dry_run: bool,
    baseline_only: bool,
    skip_baseline: bool,
    root: Path,
) -> None:
    """Search for the persona that answers best, and measure it on fresh questions.

    WHAT is a preset (quickstart, facts, hellaswag, ...), a YAML or JSON file, or both, then key=value:

    \b
      rlpersona bandit quickstart seed=3
      rlpersona bandit hellaswag data=hellaswag.json.gz
      rlpersona bandit my.yaml model=Qwen/Qwen2.5-7B-Instruct model.engine=vllm
    """
    if baseline_only and skip_baseline:
        raise ConfigError("--baseline-only and --skip-baseline leave nothing to do.", "Give one.")
    flags = ["search=false"] * baseline_only + ["validation.baseline=false"] * skip_baseline
    config = bandit_config((*what, *flags), root if resume else None)
    if dry_run:
        print_config(config)
        return
    from rlpersona.experiments.bandit.search import run_bandit
    from rlpersona.report.html import write_report
    from rlpersona.report.table import print_summary

    summary = run_bandit(config, root, resume=resume)
    print_summary(summary, sys.stdout, write_report(root / config.name))


@bandit.command()
@click.argument("what", nargs=-1)
@click.option("--spread", default=0.02, show_default=True, help="Assumed spread of the accuracies (sd).")
@click.option("--p", default=0.6, show_default=True, help="Assumed accuracy of the mean persona.")
@click.option("--explained", default=0.0, show_default=True, help="Share of it that features explain.")
def plan(what: tuple[str, ...], spread: float, p: float, explained: float) -> None:
    """What the budget of WHAT can find, and what its fresh questions can confirm."""
    from rlpersona.experiments.bandit.inputs import load_inputs, make_policy
    from rlpersona.experiments.bandit.planning import anything_known, plan_for
    from rlpersona.report.plan import print_plan

    config = bandit_config(what)
    inputs = load_inputs(config)
    make_policy(config, inputs.personas)
    sizes = len(inputs.personas), len(inputs.search), len(inputs.fresh)
    known = anything_known(inputs.personas)
    found = plan_for(config, *sizes, spread=spread, p=p, explained=explained, known=known)
    print_plan(found, sys.stdout)


@bandit.command()
@click.argument("what", nargs=-1)
@click.option("--resume", is_flag=True, help="Continue the run of this name.")
@click.option("--dry-run", is_flag=True, help="Print the resolved config and stop.")
@runs_option
def validate(what: tuple[str, ...], resume: bool, dry_run: bool, root: Path) -> None:
    """Do personas of an era know the things of their era? Era x content, with fame held fast.

    WHAT is a preset (eras), a YAML or JSON file, or both, then key=value:

    \b
      rlpersona bandit validate eras
      rlpersona bandit validate data=hellaswag.csv.gz labels=[first.csv.gz,second.csv.gz] model=...
    """
    from rlpersona import presets
    from rlpersona.config import TemporalConfig

    config = configured(what, TemporalConfig(), presets.TEMPORAL, root if resume else None)
    if dry_run:
        print_config(config)
        return
    from rlpersona.experiments.temporal.validation import run_temporal
    from rlpersona.report.temporal import temporal_lines

    for line in temporal_lines(run_temporal(config, root, resume=resume)):
        click.echo(line)


def bandit_config(what: tuple[str, ...], resume_root: Path | None = None) -> BanditConfig:
    """The bandit that the words on the command line mean."""
    from rlpersona import presets
    from rlpersona.config import BanditConfig

    return configured(what, BanditConfig(), presets.BANDIT, resume_root)
