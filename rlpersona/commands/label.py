"""`rlpersona label`: preference pairs, labelled by judges and by people, checked and split."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rlpersona.commands.common import CONFIG_FILES, Commands, print_config, runs_option
from rlpersona.errors import ConfigError, RunExistsError, did_you_mean

if TYPE_CHECKING:
    from rlpersona.config import LabelConfig
    from rlpersona.store import Run

LIMIT = click.FloatRange(min=0, min_open=True)

preset_option = click.option("--preset", help="The same as the preset's name among WHAT.")
dry_option = click.option("--dry-run", is_flag=True, help="Print the resolved config and stop.")
resume_option = click.option("--resume", is_flag=True, help="Continue what was begun.")


@click.group(cls=Commands)
def label() -> None:
    """Preference pairs: sample answers, have them labelled, check and split them.

    \b
      rlpersona label ai nano-persuasion          # sample pairs, label them by rules
      rlpersona label human nano-persuasion       # label the same pairs yourself
      rlpersona label human nano-persuasion --page --annotator ann
      rlpersona label check nano-persuasion       # biases, ties, agreement
      rlpersona label split nano-persuasion       # rows for DPO, by part
    """


@label.command()
@click.argument("what", nargs=-1)
@preset_option
@click.option("--judge", default="rules", show_default=True, help="rules, openai or anthropic.")
@click.option("--judge-model", "model", default="", help="The judging model's name at its provider.")
@click.option("--base-url", default="", help="Another server that speaks the provider's protocol.")
@click.option("--both-orders/--one-order", default=True, help="One order: half the cost, more bias.")
@click.option("--batch", is_flag=True, help="Half price, within a day.")
@click.option("--rpm", "requests_per_minute", type=LIMIT, help="Requests a minute at most.")
@click.option("--tpm", "tokens_per_minute", type=LIMIT, help="Tokens a minute at most.")
@click.option("--prices", type=click.Path(path_type=Path), help="YAML file of prices by model.")
@click.option("--max-cost", type=click.FloatRange(min=0), help="Stop before this many dollars.")
@click.option("--annotator", help="Name of the labels; ai-MODEL if left out.")
@click.option("--estimate", is_flag=True, help="Print calls, tokens, cost and time, and stop.")
@resume_option
@dry_option
@runs_option
def ai(
    what: tuple[str, ...],
    preset: str | None,
    annotator: str | None,
    estimate: bool,
    resume: bool,
    dry_run: bool,
    root: Path,
    **choice: Any,
) -> None:
    """Label pairs by a judge: rules over the nano world, or a model behind an API.

    WHAT is a preset (nano-persuasion, nano-facts) or an existing run, YAML or JSON files, key=value:

    \b
      rlpersona label ai nano-persuasion
      rlpersona label ai my-pairs pairs=pairs.jsonl --judge anthropic --judge-model MODEL --estimate
    """
    config, exists = label_config(what, preset, root)
    if dry_run:
        print_config(config)
        return
    from rlpersona.experiments.judging import (
        JudgeChoice,
        estimate_cost,
        machine_name,
        opened_judge,
        resume_command,
    )
    from rlpersona.experiments.labelling.labelling import check, label_by_judge
    from rlpersona.experiments.labelling.pairing import LABELS, open_pairs, prepare
    from rlpersona.preferences.labels import label_file, read_labels
    from rlpersona.report.labelling import print_examination

    chosen = JudgeChoice(**choice)
    name = machine_name(chosen, annotator)
    prepare(config, root, resume=resume or exists)
    run, config, pairs = open_pairs(root, config.name)
    if estimate:
        click.echo(estimate_cost(chosen, run, pairs))
        return
    if not resume and read_labels(label_file(run.folder / LABELS, name)):
        raise RunExistsError(
            f"Run '{run.name}' has labels of '{name}'.",
            "Continue them with --resume, or label under another name: --annotator ai-again",
        )
    again = resume_command(chosen, run, name)
    with opened_judge(chosen, run, again) as ready:
        if chosen.batch:
            click.echo(
                f"Batches may take a day. Ctrl-C leaves them to the provider; then: {again}", err=True
            )
        label_by_judge(run, pairs, ready, name, chosen.block)
    print_examination(check(run, pairs), run.name)
    tell_set_aside(run)


@label.command()
@click.argument("what", nargs=-1)
@preset_option
@click.option("--annotator", help="Who labels; your login name if left out.")
@click.option("--page", is_flag=True, help="In a page of the browser instead of the terminal.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port of the page; 0: a free one."
)
@dry_option
@runs_option
def human(
    what: tuple[str, ...],
    preset: str | None,
    annotator: str | None,
    page: bool,
    port: int,
    dry_run: bool,
    root: Path,
) -> None:
    """Label pairs yourself, blind to who wrote them. Quit at any time; the same command goes on.

    WHAT is an existing run, or what `label ai` takes; `annotator=NAME` is the same as the option. Keys:
    1 and 2 choose, t tie, s skip, u undo, q quit.
    """
    named = [word.partition("=")[2] for word in what if word.startswith("annotator=")]
    what = tuple(word for word in what if not word.startswith("annotator="))
    config, _ = label_config(what, preset, root)
    if dry_run:
        print_config(config)
        return
    from rlpersona.experiments.labelling.labelling import label_by_person, summarise
    from rlpersona.experiments.labelling.pairing import open_pairs, prepare
    from rlpersona.store import names

    if not page and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError("There is no terminal to label in.", "Label in a page: --page")
    annotator = annotator or (named[0] if named else login_name())
    prepare(config, root, resume=config.name in names(root))
    run, config, pairs = open_pairs(root, config.name)
    show = (lambda address: click.echo(f"Label at {address}\n(Ctrl-C ends)")) if page else None
    done, total = label_by_person(run, config, pairs, annotator, show, port)
    summarise(run, pairs)
    click.echo(f"{annotator}: {done} of {total} pairs labelled, all saved.")
    if done < total:
        click.echo(f"Go on: rlpersona label human {run.name} --annotator {annotator}")


@label.command("check")
@click.argument("name")
@runs_option
def check_command(name: str, root: Path) -> None:
    """Examine pairs and labels: flaws, biases, ties, agreement. Exit status 1 if a pair is flawed."""
    from rlpersona.experiments.labelling.labelling import check
    from rlpersona.experiments.labelling.pairing import open_pairs
    from rlpersona.report.labelling import print_examination

    run, _, pairs = open_pairs(root, name)
    report = check(run, pairs)
    print_examination(report, run.name)
    tell_set_aside(run)
    if not report.sound:
        raise SystemExit(1)


@label.command("split")
@click.argument("name")
@runs_option
def split_command(name: str, root: Path) -> None:
    """Write each annotator's choices as rows for DPO, split by prompt."""
    from rlpersona.experiments.labelling.labelling import write_splits
    from rlpersona.experiments.labelling.pairing import open_pairs

    run, config, pairs = open_pairs(root, name)
    written = write_splits(run, config, pairs)
    for annotator, parts in written["preferences"].items():
        counts = ", ".join(f"{part} {rows:,}" for part, rows in parts.items())
        click.echo(f"{run.folder / 'dpo' / annotator}: {counts}")
    if not written["preferences"]:
        click.echo("There are no labels yet.")


def label_config(what: tuple[str, ...], preset: str | None, root: Path) -> tuple[LabelConfig, bool]:
    """The config that the words mean, and whether its run is there with all its pairs.

    Words with `=` are settings, words that end in .yaml, .yml or .json files, the other one a preset or
    an existing run. An existing run's saved config stands where nothing else is said.
    """
    from rlpersona.config import LabelConfig
    from rlpersona.errors import RunError
    from rlpersona.experiments.labelling.pairing import is_prepared, saved_config
    from rlpersona.presets import LABEL
    from rlpersona.resolve import resolve
    from rlpersona.store import find, names

    settings = [word for word in what if "=" in word]
    files = [Path(w) for w in what if "=" not in w and Path(w).suffix.lower() in CONFIG_FILES]
    chosen = [w for w in what if "=" not in w and Path(w).suffix.lower() not in CONFIG_FILES]
    chosen += [preset] if preset else []
    if len(set(chosen)) > 1:
        raise ConfigError(f"Two names: {' and '.join(chosen)}.", "Name one preset or one run.")
    runs = names(root)
    name = chosen[0] if chosen else None
    if name in runs and not files and not any(word.startswith("name=") for word in settings):
        saved = saved_config(find(root, str(name)))
        return resolve(saved, (), settings), is_prepared(root, name)
    if name is not None and name not in LABEL:
        raise RunError(f"There is no preset and no run '{name}'.", did_you_mean(name, [*LABEL, *runs]))
    base = LABEL[name]() if name is not None else LabelConfig()
    config = resolve(base, files, settings, os.environ)
    return config, is_prepared(root, config.name)


def tell_set_aside(run: Run) -> None:
    """Say how many rows of a pairs file are not used, and where to read why."""
    from rlpersona.experiments.labelling.pairing import QUARANTINE, set_aside

    if rows := set_aside(run):
        click.echo(f"{rows:,} rows were set aside: {run.folder / QUARANTINE}")


def login_name() -> str:
    """Who is logged in, in letters that a file's name may have."""
    import getpass
    import re

    try:
        return re.sub(r"[^A-Za-z0-9._-]", "-", getpass.getuser())[:64] or "me"
    except (KeyError, OSError):
        return "me"
