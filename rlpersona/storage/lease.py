"""Who works on a run at a URI: an object that its owner writes again every few seconds.

Storage through pyarrow has no lock and no conditional write, so this is weaker than the lock of a run
folder. It promises: a run that another process works on is refused; one whose process died can be taken
over `DEAD` seconds later; an owner that was overtaken (a machine that slept) notices at its next beat
and copies nothing any more. It does not promise that two processes which begin within the same second
are told apart at once: then both may work, and the one that wrote first is told so at its next beat.
Clocks of two machines are never compared.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from dataclasses import asdict, dataclass

from rlpersona.errors import RunLockedError
from rlpersona.storage.places import Place

LEASE = ".lease"
BEAT, DEAD, SETTLE = 5.0, 30.0, 0.5  # seconds

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lease:
    """What the object says: an owner, a count that rises while it works, whether it has ended, and the
    owner before it.
    """

    owner: str
    beat: int = 0
    free: bool = False
    after: str = ""


def read_lease(place: Place) -> Lease | None:
    """The lease at a place; None where nobody ever worked there."""
    content = place.read(LEASE)
    try:
        return None if content is None else Lease(**json.loads(content))
    except (ValueError, TypeError):
        return None


def write_lease(place: Place, lease: Lease) -> None:
    """Put the lease in its place."""
    place.write(LEASE, json.dumps(asdict(lease)).encode())


def take_lease(place: Place, before: str) -> Lease:
    """Become the owner. `before` is the owner that this folder was last: it is dead, its lock is ours.

    Raises:
        RunLockedError: another process works on the run.
    """
    there = read_lease(place)
    if there is not None and not there.free and there.owner != before:
        _wait_for_death(place, there)
    mine = Lease(uuid.uuid4().hex, after=there.owner if there is not None else "")
    write_lease(place, mine)
    time.sleep(SETTLE)
    if read_lease(place) != mine:
        raise _taken(place)
    return mine


def _wait_for_death(place: Place, there: Lease) -> None:
    log.warning("%s has an owner: waiting %.0f s for a sign of life", place.uri, DEAD)
    end = time.monotonic() + DEAD
    while time.monotonic() < end:
        time.sleep(1)
        now = read_lease(place)
        if now is None or now.free:
            return
        if now != there:
            raise _taken(place)


def _taken(place: Place) -> RunLockedError:
    return RunLockedError(
        f"Another process works on {place.uri}.", "Wait for it or end it; then use --resume."
    )
