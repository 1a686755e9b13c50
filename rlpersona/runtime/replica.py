"""One replica of a pool: an object in a Ray actor, and how its outcomes cross the process border."""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Part = tuple[Any, ...]


@dataclass(frozen=True)
class Failure:
    """An exception on its way to the driver. Ray would carry it over as another class."""

    error: Exception
    trace: str


class Holder:
    """What runs in the actor's process; `build` and `call` return a result or a `Failure`."""

    def build(self, factory: Callable[[], Any]) -> Any:
        """Make the object; the result is the process id."""

        def make() -> int:
            self.held = factory()
            return os.getpid()

        return outcome_of(make)

    def call(self, method: str, part: Part) -> Any:
        """`object.method(*part)`."""
        return outcome_of(lambda: getattr(self.held, method)(*part))


@dataclass(eq=False)
class Replica:
    """The driver's view: the actor, its unfinished `build` (None once it is up), its calls under way."""

    actor: Any
    building: Any
    pid: int = 0
    load: int = 0


def start_replica(factory: Callable[[], Any], cpus: float, gpus: float) -> Replica:
    """A new actor that has begun to make its object. Its pool repairs it: Ray restarts nothing."""
    import ray

    actor = ray.remote(Holder).options(num_cpus=cpus, num_gpus=gpus, max_restarts=0).remote()
    return Replica(actor, actor.build.remote(factory))


def unwrap(outcome: Any) -> Any:
    """The result, or the replica's exception raised as itself, its remote traceback as a note."""
    if isinstance(outcome, Failure):
        outcome.error.add_note(f"In the replica:\n{outcome.trace}")
        raise outcome.error
    return outcome


def outcome_of(function: Callable[[], Any]) -> Any:
    """What `function` returns, or a `Failure` in place of what it raises."""
    try:
        return function()
    except Exception as error:  # the border between processes: reported on the other side
        trace = traceback.format_exc()
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # whatever its own pickling code raises
            return Failure(RuntimeError(f"{type(error).__name__}: {error}"), trace)
        return Failure(error, trace)
