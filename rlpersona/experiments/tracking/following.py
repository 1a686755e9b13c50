"""Follow the rows of a run while it works, and tell them to whoever shows them elsewhere.

`metrics.jsonl` is the record; everything else is a copy of it, made in the driver by threads that read
the file. So no training waits for a copy or ends with one, no worker needs anybody's key, and a training
that is killed and goes on shows each step once, as the file does.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from rlpersona.errors import ConfigError, did_you_mean
from rlpersona.experiments.tracking.identity import identity
from rlpersona.experiments.tracking.rows import RowTail, Update, series_of
from rlpersona.runtime import metrics
from rlpersona.store import METRICS, Run

VARIABLE = "RLPERSONA_TRACK"
SERVICES = ("wandb", "mlflow")
POLL = 1.0  # seconds between looks at the files
PATIENCE = 120  # seconds that a service may take for its last uploads

log = logging.getLogger(__name__)


class Mirror(Protocol):
    """Shows rows elsewhere. `series` is a part of the run: "", conditions/ID or stages/NAME."""

    def show(self, series: str, folder: Path, update: Update) -> None:
        """Show what is new in a series, whose folder this is."""
        ...

    def close(self, well: bool) -> None:
        """The run is over for now: it ended `well`, or by an error."""
        ...


def services() -> tuple[str, ...]:
    """The services that RLPERSONA_TRACK names (`wandb`, `mlflow`, `wandb,mlflow`); none where unset.

    A variable and not a setting: where a run is shown is no part of the experiment, so it is not in the
    config that a resume compares, nor in the hash that names a condition.

    Raises:
        ConfigError: an unknown name, a package that is not installed, MLflow without an address.
    """
    words = [word.strip() for word in os.environ.get(VARIABLE, "").split(",")]
    chosen = tuple(dict.fromkeys(word for word in words if word and word != "none"))
    for name in chosen:
        if name not in SERVICES:
            raise ConfigError(
                f"{VARIABLE} names '{name}', which is no service.", did_you_mean(name, SERVICES)
            )
        spec = find_spec(name)
        if spec is None or spec.origin is None:  # the latter: a folder of that name, such as W&B leaves
            raise ConfigError(
                f"{VARIABLE} names {name}, which is not installed.",
                f"Install the extra: pip install 'rlpersona[{name}]', or unset {VARIABLE}.",
            )
    if "mlflow" in chosen and not os.environ.get("MLFLOW_TRACKING_URI"):
        raise ConfigError(
            f"{VARIABLE} names mlflow, and MLFLOW_TRACKING_URI does not say where it is.",
            "Give its server: MLFLOW_TRACKING_URI=http://127.0.0.1:5000",
        )
    return chosen


@contextmanager
def tracked(run: Run, chosen: tuple[str, ...] = (), completions: int = 0) -> Iterator[None]:
    """Copy the rows of a run while the block works: to TensorBoard files, to Ray's metrics, and to the
    `services` that are chosen.

    A training's step is written on so many `completions` (0: on none). Use it inside of `ray_session`. A
    copy that fails ends with a warning, and the run goes on without it.
    """
    from rlpersona.experiments.tracking.gauges import Gauges
    from rlpersona.experiments.tracking.tensorboard import TensorBoard

    metrics.work_for(run.name)
    if chosen:
        identity(run)  # made here, and not by two of the threads at once
    mirrors: dict[str, Callable[[], Mirror]] = {
        "tensorboard": TensorBoard,
        "metrics": lambda: Gauges(run.name, completions),
    }
    if "wandb" in chosen:
        from rlpersona.experiments.tracking.wandb_runs import WandbRuns

        mirrors["wandb"] = lambda: WandbRuns(run)
    if "mlflow" in chosen:
        from rlpersona.experiments.tracking.mlflow_runs import MlflowRuns

        mirrors["mlflow"] = lambda: MlflowRuns(run)
    followers = [Follower(name, make, run.folder) for name, make in mirrors.items()]
    well = False
    try:
        yield
        well = True
    finally:
        for follower in followers:
            follower.stop(well)
        for follower in followers:
            follower.join()


class Follower:
    """A thread that tells one mirror what is added to the files of a run."""

    def __init__(self, name: str, make: Callable[[], Mirror], folder: Path) -> None:
        self._name, self._make, self._folder = name, make, folder
        self._tails = {part: RowTail(place / METRICS) for part, place in series_of(folder).items()}
        # What is there at the start is of an earlier process: known, but not made now.
        self._old = {part: tail.read() for part, tail in self._tails.items()}
        self._over, self._well = threading.Event(), False
        self._thread = threading.Thread(target=self._follow, name=f"copy to {name}", daemon=True)
        self._thread.start()

    def stop(self, well: bool) -> None:
        """Tell what is still new, then end."""
        self._well = well
        self._over.set()

    def join(self) -> None:
        """Wait until it has ended."""
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            log.warning("%s was not done after %d s and is left alone", self._name, PATIENCE)

    def _follow(self) -> None:
        try:
            mirror = self._make()
            for part, old in self._old.items():
                if old is not None:
                    mirror.show(part, self._folder / part, Update(old.rows, anew=True, fresh=0))
            ended = False
            while not ended:
                ended = self._over.wait(POLL)
                self._look(mirror)
            mirror.close(self._well)
        except Exception as error:  # libraries of others, networks: a copy must not end the work
            log.warning("%s shows no more of this run: %s: %s", self._name, type(error).__name__, error)

    def _look(self, mirror: Mirror) -> None:
        for part, place in series_of(self._folder).items():
            tail = self._tails.setdefault(part, RowTail(place / METRICS))
            update = tail.read()
            if update is not None:
                mirror.show(part, place, update)
