"""`rlpersona sweep`: GRPO under misspecified rewards, as a factorial of doses, biases and seeds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rlpersona.commands.common import Experiment, configured, print_config, runs_option
from rlpersona.errors import ConfigError

if TYPE_CHECKING:
    from rlpersona.config import SweepConfig


@click.group(cls=Experiment)
def sweep() -> None:
    """How behaviour answers to the weight of a bias in the reward: `rlpersona sweep nano-length`.

    More of it: `rlpersona sweep run --help`.
    """


@sweep.command()
@click.argument("what", nargs=-1)
@click.option("--resume", is_flag=True, help="Continue the run of this name; try what failed again.")
@click.option("--dry-run", is_flag=True, help="Print the resolved config and stop.")
@runs_option
def run(what: tuple[str, ...], resume: bool, dry_run: bool, root: Path) -> None:
    """Train every condition, read all of them out, and test the doses.

    WHAT is a preset (nano-length, nano-agreement, misspecification), a YAML or JSON file, or both, then
    key=value:

    \b
      rlpersona sweep nano-length seeds=[1,2,3,4,5]
      rlpersona sweep nano-length controls=none,length-matched scalings=none,group
      rlpersona sweep my.yaml model=Qwen/Qwen2.5-7B-Instruct recipe.gpus_per_worker=1
    """
    config = sweep_config(what, root if resume else None)
    if dry_run:
        print_config(config)
        return
    from rlpersona.experiments.dose.sweep import run_sweep
    from rlpersona.report.dose import write_dose_report
    from rlpersona.report.dose_table import print_sweep

    summary = run_sweep(config, root, resume=resume)
    print_sweep(summary, sys.stdout, write_dose_report(root / config.name))


@sweep.command()
@click.argument("what", nargs=-1)
@click.option("--seconds-per-step", type=float, help="Of one update, as measured elsewhere.")
@click.option("--measure", is_flag=True, help="Time a few updates of the largest dose here.")
@click.option("--dollars-per-hour", type=float, help="Price of what one training runs on.")
@click.option("--gpu", help="Reckon for GPUs instead: l40s, a100, h100, h200. Loads no data.")
@click.option("--gpus", default="1,4,8", show_default=True, help="For how many GPUs, with --gpu.")
@click.option("--noise", default=1.0, show_default=True, help="Assumed run-to-run sd of the metric.")
def plan(
    what: tuple[str, ...],
    seconds_per_step: float | None,
    measure: bool,
    dollars_per_hour: float | None,
    gpu: str | None,
    gpus: str,
    noise: float,
) -> None:
    """What the sweep of WHAT takes, and the smallest slope that it can detect."""
    from rlpersona.experiments.dose.plan import measured_step, plan_lines, plan_sweep

    config = sweep_config(what)
    if gpu is not None:
        from rlpersona.experiments.dose.costs import cost_lines, cost_of

        found = cost_of(config, gpu, gpu_counts(gpus), dollars_per_hour)
        click.echo("\n".join(cost_lines(found, config.model.name)))
        return
    if measure and seconds_per_step is None:
        seconds_per_step = measured_step(config)
    planned = plan_sweep(
        config, seconds_per_step=seconds_per_step, dollars_per_hour=dollars_per_hour, noise=noise
    )
    click.echo("\n".join(plan_lines(planned)))


def gpu_counts(text: str) -> tuple[int, ...]:
    """`"1,4,8"` as numbers; ConfigError for what is none."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdigit() and int(word) > 0 for word in words):
        raise ConfigError(f"--gpus {text}", "Give numbers of GPUs, such as 1,4,8.")
    return tuple(int(word) for word in words)


def sweep_config(what: tuple[str, ...], resume_root: Path | None = None) -> SweepConfig:
    """The sweep that the words on the command line mean."""
    from rlpersona import presets
    from rlpersona.config import SweepConfig

    return configured(what, SweepConfig(), presets.SWEEP, resume_root)
