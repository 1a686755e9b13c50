"""`rlpersona evaluate`: compare the models of a run, or read out a trained one, again and again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rlpersona.commands.common import print_config, runs_option
from rlpersona.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from rlpersona.config import StagesConfig
    from rlpersona.store import Run

SETTABLE = ("evaluation", "judge")
LIMIT = click.FloatRange(min=0, min_open=True)


@click.command()
@click.argument("what", nargs=-1, required=True)
@click.option("--judge", "by", help="rules, openai or anthropic; the run's own judge if left out.")
@click.option("--judge-model", "model", help="The judging model's name at its provider.")
@click.option("--base-url", help="Another server that speaks the provider's protocol.")
@click.option("--both-orders/--one-order", default=None, help="One order: half the cost, more bias.")
@click.option("--rpm", "requests_per_minute", type=LIMIT, help="Requests a minute at most.")
@click.option("--tpm", "tokens_per_minute", type=LIMIT, help="Tokens a minute at most.")
@click.option("--prices", help="YAML file of prices by model.")
@click.option("--max-cost", type=click.FloatRange(min=0), help="Stop before this many dollars.")
@click.option("--save", type=click.Path(path_type=Path), help="Several runs: their JSON summary.")
@click.option("--dry-run", is_flag=True, help="Print the resolved config and stop.")
@runs_option
def evaluate(what: tuple[str, ...], save: Path | None, dry_run: bool, root: Path, **judge: Any) -> None:
    """Compare the models of a run anew, with more samples or another judge.

    WHAT is one or more runs, then key=value of `evaluation` and `judge` (runs of grpo and sweep:
    `readout`, `judge`, `nli=MODEL`, `flips=yes`). Nothing is trained, and what is there already is not
    answered or judged again. Several runs must be seeds of one experiment; their differences are then
    tested with the run as the unit.

    \b
      rlpersona evaluate nano-persuasion evaluation.samples=16
      rlpersona evaluate nano-persuasion --judge anthropic --judge-model MODEL --max-cost 2
      rlpersona evaluate seed-0 seed-1 seed-2
    """
    from rlpersona.store import find

    names = list(dict.fromkeys(word for word in what if "=" not in word))
    settings = [word for word in what if "=" in word]
    if judge["by"] == "rules":
        judge = {"model": "", "base_url": ""} | {k: v for k, v in judge.items() if v is not None}
    settings += [f"judge.{key}={value}" for key, value in judge.items() if value is not None]
    if not names:
        raise ConfigError("Which run?", "Name one: rlpersona evaluate RUN; `rlpersona runs` lists them.")
    runs = [find(root.absolute(), name) for name in names]
    kinds = {experiment_of(run) for run in runs}
    if len(kinds) > 1:
        raise ConfigError(
            f"Runs of {' and '.join(sorted(kinds))} together.", "Evaluate one kind at a time."
        )
    kind = kinds.pop()
    if kind == "dpo":
        evaluate_ranked(runs, settings, save, dry_run)
    elif kind in ("grpo", "sweep"):
        if dry_run or save is not None:
            raise ConfigError(f"--dry-run and --save are for dpo runs, not {kind}.", "Leave them out.")
        from rlpersona.experiments.dose.reevaluation import evaluate_run

        for run in runs:
            evaluate_run(run, settings)
    else:
        raise ConfigError(
            f"A {kind} run has no trained models to evaluate.", f"rlpersona show {runs[0].name}"
        )


def evaluate_ranked(runs: list[Run], settings: list[str], save: Path | None, dry_run: bool) -> None:
    """Evaluate runs of staged training, one after another, and then together."""
    from rlpersona.experiments.ranking.runs import evaluate_run, runs_of
    from rlpersona.experiments.ranking.seeds import combine, refuse_unlike
    from rlpersona.report.ranking import write_ranking
    from rlpersona.report.ranking_table import print_combined, print_ranking

    configs = [ranked_config(run, settings) for run in runs]
    if dry_run:
        for config in configs:
            print_config(config)
        return
    if len(runs) > 1:
        refuse_unlike(runs_of(runs[0].folder.parent, [run.name for run in runs]))
    summaries = []
    for run, config in zip(runs, configs, strict=True):
        summaries.append(evaluate_run(run, config))
        print_ranking(summaries[-1], sys.stdout, write_ranking(run.folder))
    if len(runs) > 1:
        together = combine(summaries, configs[0].evaluation.level)
        print_combined(together, sys.stdout)
        if save is not None:
            save.write_text(json.dumps(together, indent=2) + "\n", encoding="utf-8")


def ranked_config(run: Run, settings: list[str]) -> StagesConfig:
    """The run's own config with other settings of evaluation and judge; ConfigError for any other."""
    from rlpersona.experiments.ranking.runs import saved_stages
    from rlpersona.resolve import resolve

    for word in settings:
        section = word.partition("=")[0].partition(".")[0]
        if section not in SETTABLE:
            raise ConfigError(
                f"'{word}' is no setting of an evaluation: '{run.name}' is trained already.",
                did_you_mean(section, SETTABLE) if section else "Write evaluation.samples=16.",
            )
        if word.startswith(("evaluation.share=", "evaluation.prompts=")):
            raise ConfigError(
                f"'{word}': which prompts are set apart was settled before the training.",
                "Train a run with more of them: evaluation.share=0.7 name=...",
            )
    return resolve(saved_stages(run), (), settings)


def experiment_of(run: Run) -> str:
    """The experiment that a run belongs to, from its saved config."""
    import yaml

    from rlpersona.store import CONFIG

    values = yaml.safe_load((run.folder / CONFIG).read_text(encoding="utf-8"))
    return str(values.get("experiment", "bandit"))
