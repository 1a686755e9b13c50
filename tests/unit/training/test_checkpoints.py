from __future__ import annotations

from pathlib import Path

import pytest

from rlpersona.config.training import Recipe
from rlpersona.errors import ConfigError
from rlpersona.training import LocalCheckpoints
from rlpersona.training.arguments import micro_batches
from rlpersona.training.checkpoints import whole_folder


def filled(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "file").write_text(text)
    return folder


def test_the_last_checkpoint_comes_back_and_the_others_go(tmp_path: Path) -> None:
    checkpoints = LocalCheckpoints(tmp_path / "kept")
    assert not checkpoints.load(tmp_path / "into")
    for number in range(12):
        checkpoints.save(filled(tmp_path / "made", str(number)), {"loss": 1.0})
    assert LocalCheckpoints(tmp_path / "kept").load(tmp_path / "into")
    assert (tmp_path / "into/file").read_text() == "11"
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_a_folder_is_whole_or_as_it_was(tmp_path: Path) -> None:
    target = filled(tmp_path / "target", "old")
    (target / "more").write_text("old")
    with pytest.raises(InterruptedError), whole_folder(target) as made:
        filled(made, "half")
        raise InterruptedError
    assert (target / "file").read_text() == "old"
    with whole_folder(target) as made:
        filled(made, "new")
        assert (target / "file").read_text() == "old"
    assert [(file.name, file.read_text()) for file in target.iterdir()] == [("file", "new")]
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


@pytest.mark.parametrize(
    ("batch", "micro", "workers", "expected"),
    [
        (16, None, 1, (16, 1)),
        (16, 4, 1, (4, 4)),
        (16, 4, 2, (4, 2)),
        (16, None, 4, (4, 1)),
        (16, 8, 4, (4, 1)),  # a worker's share is smaller than what fits
    ],
)
def test_a_batch_is_shared_out_over_workers_and_memory(
    batch: int, micro: int | None, workers: int, expected: tuple[int, int]
) -> None:
    assert micro_batches(Recipe(batch=batch, micro_batch=micro), workers) == expected


@pytest.mark.parametrize(("batch", "workers"), [(16, 3), (2, 4)])
def test_a_batch_that_cannot_be_shared_out_is_refused(batch: int, workers: int) -> None:
    with pytest.raises(ConfigError, match=f"batch={batch} cannot be shared out: {workers} workers"):
        micro_batches(Recipe(batch=batch), workers)


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    filled(tmp_path / ".target-killed" / "new", "half")
    with whole_folder(tmp_path / "target") as made:
        filled(made, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
