"""The notebook reads every kind of finished run, and its figures can be seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nbclient
import nbformat
import pandas as pd
import pytest

from tests.support import ROOT
from tests.unit.report.run_folders import interval, make_full_run, make_run

BOOK = ROOT / "notebooks" / "01_persona_bandit.ipynb"


def baselines_only(folder: Path) -> Path:
    run = make_full_run(folder, winners=[], rounds=0, transfer=[], plan=[], null_maximum=None)
    (run / "metrics.jsonl").unlink()
    personas = pd.read_parquet(run / "personas.parquet").assign(evaluations=0, reward=float("nan"))
    personas.to_parquet(run / "personas.parquet")
    return run


def without_control(folder: Path) -> Path:
    winners = [{"persona": "Isaac Newton", "accuracy": interval(0.69), "gain": None}]
    run = make_run(folder, gains=(0.1,), winners=winners, control=None, random_gain=None)
    answers = pd.read_parquet(run / "validation.parquet")
    answers[answers["role"] != "control"].to_parquet(run / "validation.parquet")
    return run


@pytest.mark.parametrize("make", [make_run, baselines_only, without_control])
def test_every_kind_of_run_is_read(
    make: Callable[[Path], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RLPERSONA_RUN", str(make(tmp_path / "run")))
    cells = nbformat.read(BOOK, as_version=4).cells
    exec("\n".join(cell.source for cell in cells if cell.cell_type == "code"), {"__name__": "notebook"})
    assert "better than no persona" in capsys.readouterr().out


def test_a_kernel_shows_figures_and_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLPERSONA_RUN", str(make_full_run(tmp_path / "run")))
    book = nbformat.read(BOOK, as_version=4)
    assert all(not cell.get("outputs") for cell in book.cells), "the notebook is kept without results"
    nbclient.NotebookClient(book, timeout=120, kernel_name="python3").execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    pictures = [one["data"].get("text/html", "") for one in outputs if "data" in one]
    assert sum("<svg" in picture for picture in pictures) == 8
    printed = "".join(output.get("text", "") for output in outputs)
    assert "every persona answers 60.1% of the questions right" in printed
    # Forty answers each: the ten best of 200 equal personas seem far better than they are.
    assert "The ten best of training: 75." in printed
    assert "on 400 fresh questions 60." in printed
