"""The main job end to end, as a person runs it, and everything that reads its run folder."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import nbclient
import nbformat
import pandas as pd
import pytest

from rlpersona.models import nano
from tests.support import ROOT, Finished, rlpersona

BEST = {persona.name for persona in nano.personas() if persona.group == "scientist"}


def test_planted_best_personas_win_and_their_gain_is_above_zero(quickstart: Finished) -> None:
    summary = json.loads((quickstart.folder / "summary.json").read_text())
    best = max(summary["winners"], key=lambda winner: winner["gain"]["estimate"])
    assert best["persona"] in BEST
    assert best["gain"]["low"] > 0
    assert best["p_holm"] < 0.001
    assert summary["significant"]
    assert summary["random_gain"]["high"] < best["gain"]["low"], "random personas do not win"


def test_table_verdict_and_paths_are_printed(quickstart: Finished) -> None:
    summary = json.loads((quickstart.folder / "summary.json").read_text())
    assert summary["winners"][0]["persona"] in quickstart.printed
    assert "runs/quickstart/report.html" in quickstart.printed
    assert "\x1b" not in quickstart.printed, "no escape codes where there is no terminal"


def test_every_evaluation_is_recorded_once(quickstart: Finished) -> None:
    events = pd.read_parquet(quickstart.folder / "events.parquet")
    assert not events.duplicated(["round", "persona", "question"]).any()
    validation = pd.read_parquet(quickstart.folder / "validation.parquet")
    assert not set(events["question"]) & set(validation["question"]), "fresh questions are fresh"
    asked = events.groupby("round")["question"].agg(lambda ids: ids.nunique())
    assert (asked == 8).all()
    assert (events.groupby(["round", "persona"]).size() == 8).all(), "all of a round answer the same"


def test_the_report_is_one_page_that_needs_nothing_else(quickstart: Finished) -> None:
    page = (quickstart.folder / "report.html").read_text()
    found: list[tuple[str, str]] = []

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag != "script"
            found.extend((key, value or "") for key, value in attrs if key in {"src", "href", "data"})

    Links().feed(page)
    assert not [value for _, value in found if value.startswith(("http", "//"))]
    assert page.count("<svg") >= 3


def test_show_runs_and_report_read_the_folder(quickstart: Finished) -> None:
    work = quickstart.folder.parents[1]
    shown = rlpersona("show", "quickstart", cwd=work)
    assert shown.returncode == 0
    assert shown.stdout.strip() in quickstart.printed
    assert "quickstart" in rlpersona("runs", cwd=work).stdout
    page = quickstart.folder / "report.html"
    before = page.read_bytes()
    page.unlink()
    assert rlpersona("report", "quickstart", cwd=work).returncode == 0
    assert page.read_bytes() == before


def test_a_taken_name_is_refused_and_a_finished_run_resumes_to_itself(quickstart: Finished) -> None:
    work = quickstart.folder.parents[1]
    before = (quickstart.folder / "summary.json").read_bytes()
    assert rlpersona("bandit", "quickstart", cwd=work).returncode == 6
    assert rlpersona("bandit", "quickstart", "--resume", cwd=work).returncode == 0
    assert rlpersona("bandit", "quickstart", "seed=2", "--resume", cwd=work).returncode == 7
    assert (quickstart.folder / "summary.json").read_bytes() == before


@pytest.mark.parametrize(
    "notebook", [ROOT / "notebooks" / "01_persona_bandit.ipynb"], ids=lambda path: path.stem
)
def test_the_notebook_reads_the_run(
    quickstart: Finished, notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RLPERSONA_RUN", str(quickstart.folder))
    book = nbformat.read(notebook, as_version=4)
    nbclient.NotebookClient(book, timeout=300, kernel_name="python3").execute()
    texts = [output.get("text", "") for cell in book.cells for output in cell.get("outputs", [])]
    assert any("better than no persona" in text for text in texts)
