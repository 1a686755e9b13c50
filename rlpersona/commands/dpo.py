"""`rlpersona dpo`: SFT and stages of preference optimisation as a graph, and all models compared."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rlpersona.commands.common import Experiment, configured, print_config, runs_option

if TYPE_CHECKING:
    from rlpersona.config import StagesConfig


@click.group(cls=Experiment)
def dpo() -> None:
    """Train stages of SFT and DPO, and compare their models: `rlpersona dpo nano-persuasion`.

    More of it: `rlpersona dpo run --help`.
    """


@dpo.command()
@click.argument("what", nargs=-1)
@click.option("--resume", is_flag=True, help="Continue the run of this name.")
@click.option("--dry-run", is_flag=True, help="Print the resolved config and stop.")
@runs_option
def run(what: tuple[str, ...], resume: bool, dry_run: bool, root: Path) -> None:
    """Train every stage of the graph, then rank all models on prompts that no stage has seen.

    WHAT is a preset (nano-persuasion, persuasion), a YAML or JSON file, or both, then key=value:

    \b
      rlpersona dpo nano-persuasion seed=3 name=seed-3
      rlpersona dpo nano-persuasion stages.rlhf.data.flips=0.3 stages.rlhf.recipe.loss=hinge
      rlpersona dpo my.yaml model=Qwen/Qwen2.5-7B-Instruct graph="sft -> rlhf, sft -> rlaif -> rlhf"
    """
    config = stages_config(what, root if resume else None)
    if dry_run:
        print_config(config)
        return
    from rlpersona.experiments.stages.pipeline import run_dpo
    from rlpersona.report.ranking import write_ranking
    from rlpersona.report.ranking_table import print_ranking

    summary = run_dpo(config, root, resume=resume)
    print_ranking(summary, sys.stdout, write_ranking(root / config.name))


@dpo.command()
@click.argument("what", nargs=-1)
def plan(what: tuple[str, ...]) -> None:
    """What WHAT would train, what its judge would be asked, and what its evaluation can show."""
    from rlpersona.experiments.stages.plan import plan_lines

    for line in plan_lines(stages_config(what)):
        click.echo(line)


def stages_config(what: tuple[str, ...], resume_root: Path | None = None) -> StagesConfig:
    """The graph of stages that the words on the command line mean."""
    from rlpersona import presets
    from rlpersona.config import StagesConfig

    return configured(what, StagesConfig(), presets.STAGES, resume_root)
