"""The command line. Commands import what they need when they run, so that `--help` is instant."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rlpersona.errors import ConfigError, PersonaError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from rlpersona.config import BanditConfig, Config, RunConfig

ConfigT = TypeVar("ConfigT", bound="RunConfig")
CONFIG_FILES = {".yaml", ".yml", ".json"}


class Commands(click.Group):
    """A group that suggests the nearest command for an unknown one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Look the command up; ConfigError with a suggestion where there is none."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise ConfigError(f"There is no command '{args[0]}'.", did_you_mean(args[0], self.commands))
        return super().resolve_command(ctx, args)


class Experiment(Commands):
    """A group whose `run` need not be written: `bandit quickstart` is `bandit run quickstart`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `run` in front of words that name no command."""
        if not args or args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["run", *args]
        return super().parse_args(ctx, args)


runs_option = click.option(
    "--runs",
    "root",
    type=click.Path(path_type=Path),
    envvar="RLPERSONA_RUNS",
    default=Path("runs"),
    show_default=True,
    help="Folder of the runs.",
)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rlpersona")
@click.option("--debug", is_flag=True, envvar="RLPERSONA_DEBUG", help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """A laboratory for persona reinforcement learning on Ray."""


@cli.group(cls=Experiment)
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
    from rlpersona.experiments.bandit import run_bandit
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
    from rlpersona.experiments.inputs import load_inputs
    from rlpersona.experiments.planning import plan_for
    from rlpersona.report.plan import print_plan

    config = bandit_config(what)
    inputs = load_inputs(config)
    sizes = len(inputs.personas), len(inputs.search), len(inputs.fresh)
    print_plan(plan_for(config, *sizes, spread=spread, p=p, explained=explained), sys.stdout)


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
    from rlpersona.experiments.temporal import run_temporal
    from rlpersona.report.temporal import temporal_lines

    for line in temporal_lines(run_temporal(config, root, resume=resume)):
        click.echo(line)


@cli.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--top", default=10, show_default=True, help="How many of each leaderboard to compare.")
@runs_option
def compare(names: tuple[str, ...], top: int, root: Path) -> None:
    """Do finished bandit runs agree? Overlap, rank correlation, validated gains, side by side."""
    from rlpersona import store
    from rlpersona.experiments.comparison import compare as compared
    from rlpersona.report.comparison import print_comparison

    print_comparison(compared([store.find(root, name).folder for name in names], top=top), sys.stdout)


@cli.group(cls=Commands)
def nano() -> None:
    """The embedded language model: build it, check it, read its card."""


@nano.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path("nano"))
@click.option("--seed", default=0, show_default=True)
def build(folder: Path, seed: int) -> None:
    """Train the model from scratch into FOLDER (eight minutes on one core)."""
    from rlpersona.models import nano as embedded
    from rlpersona.report.live import progress_bar

    with progress_bar("training") as advance:
        report = embedded.build(folder, seed=seed, progress=advance)
    click.echo(f"{folder}: {report.parameters:,} parameters, trained in {report.seconds:.0f} s")


@nano.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
def check(folder: Path | None) -> None:
    """Measure the model against what it must be; exit status 1 if it falls short."""
    from rlpersona.models import nano as embedded

    bars = embedded.check(folder)
    width = max(len(bar.name) for bar in bars)
    for bar in bars:
        click.echo(f"{'ok  ' if bar.ok else 'FAIL'}  {bar.name:<{width}}  {bar.value}  ({bar.bar})")
    if not all(bar.ok for bar in bars):
        raise SystemExit(1)


@nano.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
def card(folder: Path | None) -> None:
    """Print the model card: accuracy by persona group and domain."""
    from rlpersona.models import nano as embedded

    click.echo(embedded.card(folder))


@cli.command()
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


@cli.command()
@click.argument("name")
@runs_option
def show(name: str, root: Path) -> None:
    """Print the result of a finished run."""
    from rlpersona import store
    from rlpersona.report.table import print_summary
    from rlpersona.report.temporal import temporal_lines

    run = store.find(root, name)
    summary = run.read_json(store.SUMMARY)
    if summary["experiment"] == "temporal":
        click.echo("\n".join(temporal_lines(summary)))
    else:
        print_summary(summary, sys.stdout, run.folder / store.REPORT)


@cli.command()
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


@cli.command()
@runs_option
def doctor(root: Path) -> None:
    """Check this machine: versions, memory, disk, engines; exit status 1 if something is missing."""
    from rlpersona.doctor import examine

    findings = examine(root)
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        click.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.what:<{width}}  {finding.found}")
        if not finding.ok:
            click.echo(f"      {' ' * width}  -> {finding.fix}")
    if not all(finding.ok for finding in findings):
        raise SystemExit(1)


def print_config(config: Config) -> None:
    """The resolved config as YAML, to be saved and run."""
    import yaml

    values = config.model_dump(mode="json")
    click.echo(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), nl=False)


def bandit_config(what: tuple[str, ...], resume_root: Path | None = None) -> BanditConfig:
    """The bandit that the words on the command line mean."""
    from rlpersona import presets
    from rlpersona.config import BanditConfig

    return configured(what, BanditConfig(), presets.BANDIT, resume_root)


def configured(
    what: tuple[str, ...],
    plain: ConfigT,
    known: dict[str, Callable[[], ConfigT]],
    resume_root: Path | None = None,
) -> ConfigT:
    """The config that the words on the command line mean.

    Words with `=` are settings, words that end in .yaml, .yml or .json are files, the others presets of
    `known`; `plain` is the base without one. With `resume_root` and no preset or file, the saved config
    of the named run is the base.
    """
    from rlpersona import presets
    from rlpersona.resolve import resolve
    from rlpersona.store import CONFIG

    settings = [word for word in what if "=" in word]
    files = [
        Path(word) for word in what if "=" not in word and Path(word).suffix.lower() in CONFIG_FILES
    ]
    chosen = [word for word in what if "=" not in word and Path(word).suffix.lower() not in CONFIG_FILES]
    if len(chosen) > 1:
        raise ConfigError(f"Two presets: {' and '.join(chosen)}.", "Name one; a setting is key=value.")
    base = presets.chosen(chosen[0], known) if chosen else plain
    if resume_root is not None and not chosen and not files:
        saved = resume_root / resolve(base, (), settings, os.environ).name / CONFIG
        files = [saved] if saved.exists() else []
    return resolve(base, files, settings, os.environ)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: a PersonaError becomes one message, its hint and its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if Path(".env").is_file():
        from dotenv import load_dotenv

        load_dotenv(Path(".env"))
    debug = "--debug" in words or bool(os.environ.get("RLPERSONA_DEBUG"))
    try:
        code: Any = cli(words, standalone_mode=False)
    except PersonaError as error:
        if debug:
            raise
        click.echo(f"error: {error.message}", err=True)
        if error.hint:
            click.echo(f"  fix: {error.hint}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped; go on with --resume", err=True)
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
