"""`rlpersona grpo`: one GRPO training under one reward, read out on prompts that it never saw."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rlpersona.commands.common import configured, print_config, runs_option

if TYPE_CHECKING:
    from rlpersona.config import GRPOConfig


@click.command()
@click.argument("what", nargs=-1)
@click.option("--resume", is_flag=True, help="Continue the run of this name.")
@click.option("--dry-run", is_flag=True, help="Print the resolved config and stop.")
@runs_option
def grpo(what: tuple[str, ...], resume: bool, dry_run: bool, root: Path) -> None:
    """Train a policy by GRPO under one reward, and compare it with its base on held-out prompts.

    WHAT is a preset (nano-math, gsm8k-gemma, gsm8k-qwen), a YAML or JSON file, or both, then key=value:

    \b
      rlpersona grpo nano-math seed=3
      rlpersona grpo nano-math reward.biases.length=0.3 suite.domains=math,opinion
      rlpersona grpo gsm8k-qwen recipe.workers=4 recipe.gpus_per_worker=1
    """
    config = grpo_config(what, root if resume else None)
    if dry_run:
        print_config(config)
        return
    from rlpersona.experiments.dose.grpo import run_grpo
    from rlpersona.report.dose_table import print_training
    from rlpersona.report.training import write_training_report

    summary = run_grpo(config, root, resume=resume)
    print_training(summary, sys.stdout, write_training_report(root / config.name))
    if summary["alarms"]:
        steps = ", ".join(map(str, summary["alarms"]))
        click.echo(f"alarm: the reward rose while the held-out task score fell, seen at step {steps}")


def grpo_config(what: tuple[str, ...], resume_root: Path | None = None) -> GRPOConfig:
    """The training that the words on the command line mean."""
    from rlpersona import presets
    from rlpersona.config import GRPOConfig

    return configured(what, GRPOConfig(), presets.GRPO, resume_root)
