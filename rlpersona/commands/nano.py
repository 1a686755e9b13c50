"""`rlpersona nano`: the embedded model."""

from __future__ import annotations

from pathlib import Path

import click

from rlpersona.commands.common import Commands


@click.group(cls=Commands)
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
