"""Who works on a run at a URI: alive is refused, dead is taken over, an overtaken owner notices."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from rlpersona.errors import RunLockedError
from rlpersona.storage import Mirror, Place, lease, open_place
from rlpersona.storage.lease import Lease, read_lease, take_lease, write_lease


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(lease, "DEAD", 3.0)
    monkeypatch.setattr(lease, "SETTLE", 0.05)
    monkeypatch.setattr("rlpersona.storage.mirror.BEAT", 0.1)
    return open_place(f"file://{tmp_path}/runs/one")


def test_a_place_without_an_owner_is_taken_at_once(place: Place) -> None:
    mine = take_lease(place, "")
    assert read_lease(place) == mine
    write_lease(place, Lease(mine.owner, free=True))
    assert take_lease(place, "").owner != mine.owner


def test_a_living_owner_is_not_disturbed(place: Place) -> None:
    write_lease(place, Lease("other"))
    beat = threading.Timer(0.5, write_lease, (place, Lease("other", beat=1)))
    beat.start()
    with pytest.raises(RunLockedError, match="works on") as caught:
        take_lease(place, "")
    beat.join()
    assert "--resume" in caught.value.hint
    assert read_lease(place) == Lease("other", beat=1)


def test_a_dead_owner_is_taken_over(place: Place) -> None:
    write_lease(place, Lease("other", beat=7))
    assert take_lease(place, "").owner != "other"


def test_the_last_owner_need_not_wait(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "DEAD", 3600.0)
    write_lease(place, Lease("me", beat=7))
    assert take_lease(place, "me")


def test_of_two_at_once_the_later_has_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def meanwhile(_: float) -> None:
        write_lease(place, Lease("other"))

    monkeypatch.setattr(lease.time, "sleep", meanwhile)
    with pytest.raises(RunLockedError):
        take_lease(place, "")


def test_a_torn_lease_is_none(place: Place) -> None:
    place.write(lease.LEASE, b'{"owner": ')
    assert read_lease(place) is None


def test_an_overtaken_owner_copies_nothing_more(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "here" / "one"
    mirror = Mirror(folder, place.uri)
    with pytest.raises(RunLockedError, match="took over"), mirror.working():
        write_lease(place, Lease("other"))
        (folder / "late.txt").write_text("late")
    assert "late.txt" not in place.files()
    assert (folder / "late.txt").exists()
