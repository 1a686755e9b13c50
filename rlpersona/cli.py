"""The command line. Commands import what they need when they run, so that `--help` is instant."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rlpersona.errors import ConfigError, PersonaError, did_you_mean

if TYPE_CHECKING:
    from rlpersona.config import BanditConfig

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


@cli.command()
@click.argument("what", nargs=-1)
@click.option("--resume", is_flag=True, help="Continue the run of this name.")
@click.option("--dry-run", is_flag=True, help="Print the resolved config and stop.")
@runs_option
def bandit(what: tuple[str, ...], resume: bool, dry_run: bool, root: Path) -> None:
    """Find the persona that answers best, and measure it on fresh questions.

    WHAT is a preset (quickstart, facts, hellaswag), a YAML or JSON file, or both, then key=value:

    \b
      rlpersona bandit quickstart seed=3
      rlpersona bandit hellaswag data=hellaswag.json.gz
      rlpersona bandit my.yaml model=Qwen/Qwen2.5-7B-Instruct model.engine=vllm
    """
    config = bandit_config(what, root if resume else None)
    if dry_run:
        import yaml

        click.echo(
            yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True), nl=False
        )
        return
    from rlpersona.experiments.bandit import run_bandit
    from rlpersona.report.html import write_report
    from rlpersona.report.table import print_summary

    summary = run_bandit(config, root, resume=resume)
    print_summary(summary, sys.stdout, write_report(root / config.name))


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

    run = store.find(root, name)
    print_summary(run.read_json(store.SUMMARY), sys.stdout, run.folder / store.REPORT)


@cli.command()
@click.argument("name")
@runs_option
def report(name: str, root: Path) -> None:
    """Write the report.html of a finished run anew."""
    from rlpersona import store
    from rlpersona.report.html import write_report

    click.echo(write_report(store.find(root, name).folder))


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


def bandit_config(what: tuple[str, ...], resume_root: Path | None = None) -> BanditConfig:
    """The config that the words on the command line mean.

    Words with `=` are settings, words that end in .yaml, .yml or .json are files, the others presets.
    With `resume_root` and no preset or file, the saved config of the named run is the base.
    """
    from rlpersona import presets
    from rlpersona.config import BanditConfig
    from rlpersona.resolve import resolve
    from rlpersona.store import CONFIG

    settings = [word for word in what if "=" in word]
    files = [
        Path(word) for word in what if "=" not in word and Path(word).suffix.lower() in CONFIG_FILES
    ]
    chosen = [word for word in what if "=" not in word and Path(word).suffix.lower() not in CONFIG_FILES]
    if len(chosen) > 1:
        raise ConfigError(f"Two presets: {' and '.join(chosen)}.", "Name one; a setting is key=value.")
    base = presets.preset(chosen[0]) if chosen else BanditConfig()
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
