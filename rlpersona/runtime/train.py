"""Run resumable work as a Ray Train job: a loop with a small state, or a training with big checkpoints.

The work is handed a place for its checkpoints: it loads what it last saved and saves now and then. A
worker that dies is started again from there; so is the whole job, when the same storage folder is given
again after the driver was killed.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from rlpersona.errors import ConfigError, PersonaError, ReplicaError, first_line
from rlpersona.runtime.room import refuse_too_much
from rlpersona.storage import uri_of

if TYPE_CHECKING:
    from rlpersona.training import FolderCheckpoints

ResultT = TypeVar("ResultT")
State = dict[str, Any]
STATE_FILE = "state.json"


class Checkpoints(Protocol):
    """Where a loop keeps its state."""

    def load(self) -> State | None:
        """The state saved last, or None at the very start."""
        ...

    def save(self, state: State, metrics: dict[str, float]) -> None:
        """Keep a JSON-able state; returns once it is safe in storage."""
        ...


class TrainCheckpoints:
    """Checkpoints through `ray.train`, for a loop that runs inside a Train worker."""

    def load(self) -> State | None:  # noqa: D102
        import ray.train

        checkpoint = ray.train.get_checkpoint()
        if checkpoint is None:
            return None
        with checkpoint.as_directory() as folder:
            state: State = json.loads((Path(folder) / STATE_FILE).read_text())
        return state

    def save(self, state: State, metrics: dict[str, float]) -> None:  # noqa: D102
        import ray.train

        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / STATE_FILE).write_text(json.dumps(state))
            ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))


class TrainFolders:
    """`training.FolderCheckpoints` through `ray.train`, inside a Train worker; every worker calls it."""

    def load(self, into: Path) -> bool:  # noqa: D102
        import ray.train

        checkpoint = ray.train.get_checkpoint()
        if checkpoint is None:
            return False
        checkpoint.to_directory(str(into))
        return True

    def save(self, folder: Path, metrics: dict[str, float]) -> None:  # noqa: D102
        import ray.train

        ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(str(folder)))


def train_job(
    loop: Callable[[Checkpoints], ResultT], storage: Path, *, max_failures: int = 3, keep: int = 2
) -> ResultT:
    """Run `loop` in a Train worker and return what it returns.

    `storage` is the folder of the checkpoints; it must be reachable from every node. A worker whose
    process dies is replaced up to `max_failures` times. An exception of the loop would come again: it
    ends the job at once and is raised here as itself.
    """
    # The loop waits for model replicas, which hold the CPUs.
    workers = {"num_workers": 1, "resources_per_worker": {"memory": 1}}
    return _fit(partial(loop, TrainCheckpoints()), storage, workers, max_failures, keep)


def train_folders(
    work: Callable[[FolderCheckpoints], ResultT],
    storage: Path,
    *,
    workers: int = 1,
    cpus: float = 1,
    gpus: float = 0,
    max_failures: int = 3,
    keep: int = 2,
) -> ResultT:
    """Run a training in `workers` Train workers and return what the first of them returns.

    Each worker reserves `cpus` and `gpus`; several find each other through torch.distributed, each with
    its RANK and WORLD_SIZE. Several such jobs may run at once, in threads of one driver, each with its
    own `storage`. Storage, deaths and exceptions as in `train_job`; with several workers an exception
    other than a PersonaError counts as a death, since the others would wait for that worker for ever.

    Raises:
        ReplicaError: more workers than this machine has room for, or more deaths than `max_failures`.
        Whatever `work` raises.
    """
    refuse_too_much(workers, cpus, gpus, "training workers", "worker")
    wanted = {"CPU": cpus, "GPU": gpus}
    each = {kind: amount for kind, amount in wanted.items() if amount} or {"memory": 1}
    scaling = {"num_workers": workers, "use_gpu": gpus > 0, "resources_per_worker": each}
    return _fit(partial(work, TrainFolders()), storage, scaling, max_failures, keep)


def refuse_split(storage: Path) -> None:
    """ConfigError where other nodes cannot see a run, since it stands for a URI in this one's folder."""
    import ray

    alive = sum(bool(node["Alive"]) for node in ray.nodes())
    mirrored = any(uri_of(folder) for folder in storage.parents)
    if alive > 1 and mirrored and not os.environ.get("RLPERSONA_SCRATCH"):
        raise ConfigError(
            f"The cluster has {alive} nodes, and the run lies in a folder of this one ({storage}).",
            "Set RLPERSONA_SCRATCH to a folder that all nodes see, or give such a folder as --runs.",
        )


def _fit(
    work: Callable[[], ResultT], storage: Path, scaling: dict[str, Any], max_failures: int, keep: int
) -> ResultT:
    import ray.train
    from ray.train.torch import TorchTrainer
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    alone = scaling["num_workers"] == 1

    def worker() -> tuple[ResultT | None, Exception | None]:
        try:
            return work(), None
        except Exception as error:  # the border between processes: raised again below
            if not alone and not isinstance(error, PersonaError):
                raise
            error.add_note("In the Train worker:\n" + traceback.format_exc())
            return None, error

    storage = storage.absolute()
    refuse_split(storage)
    # A single worker needs no process group, which would wrap its model and cost it speed.
    trainer = (DataParallelTrainer if alone else TorchTrainer)(
        worker,
        scaling_config=ray.train.ScalingConfig(**scaling),
        run_config=ray.train.RunConfig(
            name=storage.name,
            storage_path=str(storage.parent),
            failure_config=ray.train.FailureConfig(
                max_failures=max_failures, controller_failure_limit=3
            ),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=keep),
        ),
    )
    with own_signals():
        try:
            result = trainer.fit()
        except SystemExit:  # what Train makes of Ctrl-C
            raise KeyboardInterrupt from None
        except ray.train.TrainingFailedError as error:
            raise _too_many_deaths(error, max_failures) from error
        except ray.exceptions.RayError as error:  # its controller is gone, and with it the head
            raise cluster_gone(error) from error
    value, problem = result.return_value
    if problem is not None:
        raise problem
    return value  # type: ignore[no-any-return]


def cluster_gone(error: Exception) -> ReplicaError:
    """What to say where Ray itself, not a worker, has ended."""
    return ReplicaError(
        f"the Ray cluster of this run is gone: {first_line(error)}",
        "Start it again; what was saved is kept: --resume.",
    )


def _too_many_deaths(error: Exception, max_failures: int) -> ReplicaError:
    """What to say of workers that died once too often."""
    alone = {0: getattr(error, "controller_failure", error)}
    failures = getattr(error, "worker_failures", None) or alone
    rank, first = min(failures.items())
    return ReplicaError(
        f"training worker {rank} died, and {max_failures} deaths are allowed: {first_line(first)}",
        "Out of memory is the usual cause: a smaller micro_batch or model. What was saved is kept:"
        " --resume.",
    )


@contextmanager
def own_signals() -> Iterator[None]:
    """Take SIGINT and SIGTERM back when the block ends: Train leaves handlers for a job that is gone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # one that Python did not install cannot be put back
                signal.signal(number, handler)
