"""Which conditions a sweep packs together, and how packs share the room."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from rlpersona.config import SweepConfig
from rlpersona.errors import ConfigError
from rlpersona.experiments.dose import packs
from rlpersona.experiments.dose.conditions import conditions
from rlpersona.experiments.dose.packs import plan_packs, refuse_packing, side_by_side
from rlpersona.store import Run


def planned(folder: Path, packed: Any, **settings: Any) -> list[list[str]]:
    config = SweepConfig(packed=packed, seeds=(1, 2, 3), **settings)
    return plan_packs(Run(folder), config, {one.id: one.config for one in conditions(config)})


@pytest.mark.parametrize(
    ("packed", "sizes"),
    [(1, [1] * 15), (4, [4, 4, 4, 3]), (6, [5, 5, 5]), (8, [8, 7]), (15, [15]), (99, [15])],
)
def test_packs_are_of_nearly_the_same_size(packed: int, sizes: list[int], tmp_path: Path) -> None:
    found = planned(tmp_path, packed)
    assert [len(names) for names in found] == sizes
    assert len({name for names in found for name in names}) == 15


def test_true_makes_as_many_packs_as_run_at_once(tmp_path: Path) -> None:
    assert [len(names) for names in planned(tmp_path, True, at_once=2)] == [8, 7]


def test_true_makes_waves_where_memory_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rlpersona.training.packed import memory

    one = memory.need(SweepConfig(), cuda=False)
    room = int((one.once + 4.5 * one.each) / memory.SHARE)
    monkeypatch.setattr(memory, "free_memory", lambda *_: room)
    assert [len(names) for names in planned(tmp_path, True, at_once=2)] == [4, 4, 4, 3]


def test_the_plan_is_kept_for_a_resume(tmp_path: Path) -> None:
    first = planned(tmp_path, 4)
    assert planned(tmp_path, 8) == first


def test_conditions_of_different_scalings_share_a_pack(tmp_path: Path) -> None:
    assert len(planned(tmp_path, 30, scalings=("none", "group"))) == 1


@pytest.mark.parametrize(
    ("value", "found"), [(True, True), ("true", True), (8, 8), ("8", 8), (0, False), (False, False)]
)
def test_packed_is_a_number_or_a_yes(value: Any, found: Any) -> None:
    packed = SweepConfig(packed=value).packed
    assert packed == found
    assert type(packed) is type(found)


def test_a_negative_number_is_no_pack() -> None:
    with pytest.raises(ValidationError):
        SweepConfig(packed=-1)


def test_what_cannot_be_packed_is_refused_only_where_it_is_asked_for() -> None:
    full = {"recipe": {"full": True}}
    refuse_packing(SweepConfig(**full))
    with pytest.raises(ConfigError, match=r"packed=8 cannot be: recipe\.full=true"):
        refuse_packing(SweepConfig(packed=8, **full))


def test_items_are_worked_on_side_by_side_and_come_in_order() -> None:
    together = threading.Barrier(2)

    def work(item: int) -> str:
        together.wait(timeout=60)
        time.sleep(0.01 * (4 - item))
        return str(item)

    assert list(side_by_side(work, [0, 1, 2, 3], 2)) == ["0", "1", "2", "3"]


def test_what_work_raises_is_raised() -> None:
    def work(item: int) -> str:
        if item:
            raise KeyboardInterrupt
        return "fine"

    found = side_by_side(work, [0, 1], 1)
    assert next(found) == "fine"
    with pytest.raises(KeyboardInterrupt):
        next(found)


def test_a_pack_that_fails_as_a_whole_leaves_its_conditions_to_be_trained_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rlpersona.errors import ReplicaError

    def dying(*_: Any, **__: Any) -> None:
        raise ReplicaError("training worker 0 died, and 3 deaths are allowed: OOM", "Less.")

    monkeypatch.setattr(packs, "train_folders", dying)
    config = SweepConfig(packed=2, seeds=(1,), bias_weights=(0, 1))
    configs = {one.id: one.config for one in conditions(config)}
    packs.train_packs(Run(tmp_path), config, configs, (), ())
    assert "A pack of 2 failed, its conditions are trained one by one" in capsys.readouterr().err
    assert not list(tmp_path.glob("**/done.json"))
