"""Run one resumable loop as a Ray Train job.

The loop is handed a `Checkpoints`: it loads the state that it last saved and saves its state now and
then. A worker that dies is started again from there; so is the whole job, when the same storage folder
is given again after the driver was killed.
"""

from __future__ import annotations

import json
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

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


def train_job(
    loop: Callable[[Checkpoints], ResultT], storage: Path, *, max_failures: int = 3, keep: int = 2
) -> ResultT:
    """Run `loop` in a Train worker and return what it returns.

    `storage` is the folder of the checkpoints; it must be reachable from every node. A worker whose
    process dies is replaced up to `max_failures` times. An exception of the loop would come again: it
    ends the job at once and is raised here as itself.
    """
    import ray.train
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    def work() -> tuple[ResultT | None, Exception | None]:
        try:
            return loop(TrainCheckpoints()), None
        except Exception as error:  # the border between processes: raised again below
            error.add_note("In the Train worker:\n" + traceback.format_exc())
            return None, error

    storage = storage.absolute()
    trainer = DataParallelTrainer(
        work,
        # The loop waits for model replicas, which hold the CPUs.
        scaling_config=ray.train.ScalingConfig(num_workers=1, resources_per_worker={"memory": 1}),
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
    value, error = result.return_value
    if error is not None:
        raise error
    return value  # type: ignore[no-any-return]


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
