"""From the words of a command to a job on a cluster: rehearsed here, packed, sent, followed."""

from __future__ import annotations

import io
import re
import secrets
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import rlpersona
from rlpersona.errors import (
    ConfigError,
    DataError,
    RunError,
    RunLockedError,
    ServeError,
    did_you_mean,
)
from rlpersona.provenance import COMMIT, git_commit

if TYPE_CHECKING:
    from rlpersona.runtime.jobs import Cluster, Job

FAMILIES = ("bandit", "label", "dpo", "grpo", "sweep", "axis", "evaluate", "nano", "serve")
INTERRUPTED = 130
SEPARATORS = re.compile(r"[=,\[\]\s]+")
LONGEST_PATH = 200  # bytes

address_option = click.option(
    "--address",
    help="The cluster's dashboard, http://HEAD:8265 (or RAY_API_SERVER_ADDRESS, RAY_ADDRESS).",
)


@dataclass(frozen=True)
class Order:
    """What a job is to do. `config` is as resolved here, empty where only the cluster can resolve it."""

    words: tuple[str, ...]
    config: Mapping[str, Any]
    runs: str  # folder of the runs, as the cluster's machines see it
    variables: Mapping[str, str] = field(default_factory=dict)
    python: str = "python"

    @property
    def run(self) -> str:
        """Name of the run, empty where it is not known here."""
        return str(self.config.get("name", ""))

    @property
    def about(self) -> dict[str, str]:
        """What the cluster keeps beside the job, for `runs`, `logs`, `stop` and `resume`."""
        experiment = str(self.config.get("experiment", ""))
        words = shlex.join(self.words)
        return {"run": self.run, "experiment": experiment, "runs": self.runs, "words": words}


def refuse_words(words: Sequence[str]) -> None:
    """ConfigError for words that are no work for a cluster."""
    if words[0] not in FAMILIES:
        raise ConfigError(f"'{words[0]}' is no work for a cluster.", did_you_mean(words[0], FAMILIES))
    if words[:2] == ("label", "human"):
        raise ConfigError("A person labels here, not on a cluster.", shlex.join(["rlpersona", *words]))
    if words[:2] == ("nano", "build") and not any(word.startswith("/") for word in words[2:]):
        raise ConfigError(
            "Where is the model to be built?", "nano build /FOLDER, which the cluster sees"
        )


def refuse_key_file(config: Mapping[str, Any]) -> None:
    """ConfigError for a token's file that would travel in the package."""
    file = str(config.get("token_file") or "/")
    if not file.startswith(("/", "~")):
        raise ConfigError(
            f"token_file={file}: a key does not travel, and a job starts in a folder of its own.",
            "Give an absolute path on the cluster; the file is made if it is missing.",
        )


def rehearsed(root_command: click.Command, words: Sequence[str], root: Path) -> dict[str, Any]:
    """The config that the words mean, resolved here so that mistakes show before anything starts.

    Empty for a command without a config, and where it depends on a run that only the cluster sees.
    """
    if words[0] == "evaluate":
        from rlpersona.commands.evaluate import evaluate

        known = evaluate.make_context("evaluate", [*words[1:]], resilient_parsing=True).params
        named = [word for word in known.get("what") or () if "=" not in word]
        return {"name": named[0], "experiment": "evaluate"} if named else {}
    import yaml

    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            root_command.main([*words, "--dry-run", "--runs", str(root)], standalone_mode=False)
    except click.NoSuchOption as error:
        if error.option_name not in ("--dry-run", "--runs"):
            raise
        return {}
    except (RunError, DataError):
        return {}
    values = yaml.safe_load(printed.getvalue())
    return values if isinstance(values, dict) else {}


def begin(order: Order, cluster: Cluster, job: str | None, no_wait: bool) -> None:
    """Pack and submit an order; unless `no_wait`, follow it and end with its exit status.

    Raises:
        ConfigError: a package that is too large, an id that is taken.
        RunLockedError: a job that has not ended works on the same run.
        ServeError: the cluster refuses.
    """
    from rlpersona.runtime.upload import pack

    for other in cluster.jobs():
        same = (other.about.get("run"), other.about.get("runs")) == (order.run, order.runs)
        if order.run and same and not other.over:
            raise RunLockedError(
                f"Job '{other.id}' works on run '{order.run}'.",
                f"Follow it: rlpersona logs {other.id} -f; or end it: rlpersona stop {other.id}",
            )
    id = job or f"{order.run or order.words[0]}-{secrets.token_hex(3)}"
    command = [order.python, "-m", "rlpersona.cli", *order.words]
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "package.zip"
        files = {**code(), **files_named(order)}
        commit = {f"rlpersona/{COMMIT}": git_commit(Path(rlpersona.__file__).parent) or ""}
        size = pack(package, files, commit)
        variables = {**order.variables, "RLPERSONA_RUNS": order.runs}
        cluster.submit(command, package, variables, order.about, id)
    click.echo(f"job      {id} at {cluster.address} (Ray {cluster.version})", err=True)
    click.echo(f"run      {order.run or '(named by the job)'} in {order.runs}, on the cluster", err=True)
    click.echo(
        f"package  {size / 2**20:.1f} MiB; variables: {', '.join(order.variables) or 'none'}", err=True
    )
    if no_wait:
        click.echo(id)
        return
    follow(cluster, id)


def follow(cluster: Cluster, id: str) -> None:
    """Print a job's log until the job is over; end with its exit status. Ctrl-C leaves it running."""
    try:
        job = cluster.follow(
            id,
            lambda text: click.echo(text, nl=False),
            lambda text: click.echo(f"note: {text}", err=True),
        )
    except KeyboardInterrupt:
        click.echo(
            f"\nThe job goes on. Follow it: rlpersona logs {id} -f; end it: rlpersona stop {id}",
            err=True,
        )
        sys.exit(INTERRUPTED)
    settle(job, cluster)


def settle(job: Job, cluster: Cluster) -> None:
    """End as the job did: quietly, with its exit status, or with what kept it from running."""
    if job.status == "SUCCEEDED":
        return
    if job.status == "STOPPED":
        click.echo(f"job {job.id} was stopped{again(job, cluster)}", err=True)
        sys.exit(INTERRUPTED)
    if not job.exit_code:
        raise ServeError(f"Job '{job.id}' failed: {job.message.strip()}", "The dashboard has its logs.")
    sys.exit(job.exit_code if job.exit_code > 0 else 128 - job.exit_code)


def again(job: Job, cluster: Cluster) -> str:
    """How the run of a job goes on, as the end of a sentence."""
    if not job.about.get("run"):
        return ""
    return f"; go on with: rlpersona resume {job.about['run']} --address {cluster.address}"


def code() -> dict[str, Path]:
    """The package's own files and, from a checkout, its jobs."""
    from rlpersona.runtime.upload import files_below

    package = Path(rlpersona.__file__).parent
    return {**files_below(package, "rlpersona"), **files_below(package.parent / "jobs", "jobs")}


def files_named(order: Order) -> dict[str, Path]:
    """The files here that the words or the config name; absolute paths are the cluster's own."""
    texts = {piece for word in order.words for piece in SEPARATORS.split(word)}
    texts |= set(strings(order.config))
    paths = [
        Path(text)
        for text in sorted(texts)
        if text.isprintable() and len(text.encode()) < LONGEST_PATH  # longer ones are prompts
    ]
    return {
        path.as_posix(): path
        for path in paths
        if not path.is_absolute() and not {"..", ".env"} & set(path.parts) and path.is_file()
    }


def strings(value: Any) -> Iterator[str]:
    """Every text in nested lists and mappings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from strings(inner)
