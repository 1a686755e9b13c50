"""`rlpersona doctor`: is this machine what the work needs?"""

from __future__ import annotations

from pathlib import Path

import click

from rlpersona.commands.common import runs_option


@click.command()
@runs_option
def doctor(root: Path) -> None:
    """Check this machine: versions, memory, GPUs, keys, ports; exit status 1 if work cannot start."""
    from rlpersona.doctor import examine

    findings = examine(root)
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        click.echo(f"{finding.mark:<4}  {finding.what:<{width}}  {finding.found}")
        if finding.mark != "ok":
            click.echo(f"      {' ' * width}  -> {finding.fix}")
    if not all(finding.ok for finding in findings):
        raise SystemExit(1)
