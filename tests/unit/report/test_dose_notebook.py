"""The notebook reads finished sweeps, with and without telemetry, and its figures can be seen."""

from __future__ import annotations

from pathlib import Path

import nbclient
import nbformat
import pytest

from tests.support import ROOT
from tests.unit.report.test_dose import make_sweep

BOOK = ROOT / "notebooks" / "03_dose_response.ipynb"


def test_a_sweep_without_telemetry_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RLPERSONA_RUN", str(make_sweep(tmp_path / "bare", logged=False)))
    cells = nbformat.read(BOOK, as_version=4).cells
    exec("\n".join(cell.source for cell in cells if cell.cell_type == "code"), {"__name__": "notebook"})
    printed = capsys.readouterr().out
    assert "rises with the weight of the length bias" in printed
    assert "This run has nothing to draw for: effective dose." in printed


def test_a_kernel_shows_figures_and_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLPERSONA_RUN", str(make_sweep(tmp_path / "lengths")))
    book = nbformat.read(BOOK, as_version=4)
    assert all(not cell.get("outputs") for cell in book.cells), "the notebook is kept without results"
    nbclient.NotebookClient(book, timeout=300, kernel_name="python3").execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    pictures = [one["data"].get("text/html", "") for one in outputs if "data" in one]
    assert sum("<svg" in picture for picture in pictures) == 8
    printed = "".join(output.get("text", "") for output in outputs)
    assert "26 of 27 trainings, 32 questions, 2 completions of each, step 40." in printed
    assert "slopes of shuffled doses: 95 % between -" in printed
