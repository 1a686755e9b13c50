"""One replica of a pool: an object in a Ray actor, and how its outcomes cross the process border."""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Part = tuple[Any, ...]
Outcome = tuple[bool, Any]


class Holder:
    """What runs in the actor's process.

    An outcome is (True, result) or (False, exception): an exception that Ray itself carries over
    arrives as another class.
    """

    def build(self, factory: Callable[[], Any]) -> Outcome:
        """Make the object; the result is the process id."""

        def make() -> int:
            self.held = factory()
            return os.getpid()

        return _outcome(make, ())

    def call(self, method: str, part: Part) -> Outcome:
        """`object.method(*part)`."""
        return _outcome(getattr(self.held, method), part)


@dataclass(eq=False)
class Replica:
    """The driver's view: the actor, its outstanding `build` (None once it is up), its calls under way."""

    actor: Any
    building: Any
    pid: int = 0
    load: int = 0


def start_replica(factory: Callable[[], Any], cpus: float, gpus: float) -> Replica:
    """A new actor that has begun to make its object. Whoever holds it repairs it: Ray restarts nothing."""
    import ray

    actor = ray.remote(Holder).options(num_cpus=cpus, num_gpus=gpus, max_restarts=0).remote()
    return Replica(actor, actor.build.remote(factory))


def _outcome(function: Callable[..., Any], part: Part) -> Outcome:
    try:
        return True, function(*part)
    except Exception as error:  # the border between processes: reported on the other side
        error.add_note("In a replica:\n" + traceback.format_exc())
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # whatever its own pickling code raises
            return False, RuntimeError(f"{type(error).__name__}: {error}")
        return False, error
