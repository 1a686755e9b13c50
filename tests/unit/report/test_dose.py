"""The page, the figures and the table of a sweep, made from the files of its folder alone."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from rlpersona.errors import RunError
from rlpersona.experiments.dose.response import analyse
from rlpersona.experiments.dose.single import analyse_training
from rlpersona.report import dose_figures, drawing
from rlpersona.report.dose import write_dose_report
from rlpersona.report.dose_records import DoseRun, read_dose_run
from rlpersona.report.dose_table import print_sweep, print_training
from tests.unit.experiments import dosed_worlds as worlds

STEEP = {"math": 10.0, "fact": 10.0, "advice": 40.0, "opinion": 40.0}


def make_sweep(folder: Path, *, logged: bool = True, hostile: bool = False, small: bool = False) -> Path:
    """A finished sweep with a control; `hostile` texts would break a page that did not escape them."""
    table = worlds.conditions(controls=("none", "length-matched"))
    if small:  # two trainings: too few for a mixed model
        few = (table["seed"] == table["seed"].min()) & table["bias_weight"].isin((0, 1))
        table = table[few & (table["control"] == "none")].copy()
    table.loc[table["id"] == "42-0.5-none", ["status", "error"]] = ["failed", "Out of <memory>"]
    readout = worlds.readout(table[table["status"] == "done"], STEEP)
    telemetry = worlds.telemetry(table) if logged else None
    if hostile:
        readout["text"] = "<script>alert(1)</script> $x^2$ \x1b[31m \u202e"
    folder.mkdir(parents=True)
    summary = {"experiment": "sweep", "run": folder.name, "model": "nano"}
    summary |= analyse(table, readout, telemetry=telemetry)
    (folder / "summary.json").write_text(json.dumps(summary))
    table.to_parquet(folder / "conditions.parquet")
    readout.to_parquet(folder / "readout.parquet")
    for name, part in telemetry.groupby("condition") if telemetry is not None else ():
        own = folder / "conditions" / str(name)
        own.mkdir(parents=True)
        rows = part.drop(columns="condition").to_dict("records")
        (own / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> DoseRun:
    return read_dose_run(make_sweep(tmp_path_factory.mktemp("runs") / "lengths"))


def test_a_sweep_of_two_trainings_has_a_page_too(tmp_path: Path) -> None:
    page = write_dose_report(make_sweep(tmp_path / "single", small=True)).read_text()
    assert "No mixed model: " in page


def test_the_page_says_what_is_shown_first(sweep: DoseRun) -> None:
    page = write_dose_report(sweep.folder).read_text()
    assert "<h1>Length in tokens rises with the weight of the length bias</h1>" in page
    assert "<script" not in page
    assert "://" not in page.replace("http://www.w3.org", "")
    assert page.count("<svg") == 14
    assert "1 of 27 trainings have no result" in page
    assert "Out of &lt;memory&gt;" in page
    assert "length (length-matched)" in page
    assert page.index("<h1>") < page.index("<svg") < page.index("Run it again")
    again = write_dose_report(sweep.folder).read_text()
    assert again == page


def test_what_a_model_wrote_stays_text(tmp_path: Path) -> None:
    page = write_dose_report(make_sweep(tmp_path / "evil", logged=False, hostile=True)).read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_without_telemetry_the_page_has_what_is_known(tmp_path: Path) -> None:
    page = write_dose_report(make_sweep(tmp_path / "bare", logged=False)).read_text()
    assert "What reached the policy" not in page
    assert page.count("<svg") == 6


def test_panels_show_every_run_and_the_base(sweep: DoseRun) -> None:
    (plain, _) = sweep.summary["arms"]
    figure = dose_figures.dose_panels(sweep, plain, "tokens")
    assert figure is not None
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["all domains", "objective", "subjective", "advice", "fact", "math", "opinion"]
    first = figure.axes[0]
    mean, dots, base = first.lines[:3]
    own = next(one for one in plain["responses"] if one["primary"] and one["metric"] == "tokens")
    assert list(mean.get_ydata()) == [point["estimate"] for point in own["means"]]
    assert len(dots.get_xdata()) == 14  # one training failed
    assert base.get_ydata()[0] == pytest.approx(own["base"])


def test_the_map_and_the_controls_have_their_numbers(sweep: DoseRun) -> None:
    plain, _ = sweep.summary["arms"]
    figure = dose_figures.effective_map(plain)
    assert figure is not None
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts.count("67 %") == 1
    assert texts.count("33 %") == 1
    bars = dose_figures.controls(sweep)
    assert bars is not None
    (control,) = sweep.summary["controls"]
    ends = [line.get_xdata()[0] for line in bars.axes[0].lines if len(line.get_xdata()) == 1]
    assert control["slope"]["estimate"] in ends
    assert control["against_slope"]["estimate"] in ends


def test_every_figure_is_well_formed(sweep: DoseRun) -> None:
    plain, _ = sweep.summary["arms"]
    figures = {
        "drift": dose_figures.drift(sweep, ["tokens"]),
        "curve": dose_figures.effective_curve(sweep, plain),
        "parts": dose_figures.reward_parts(sweep, plain),
        "gold": dose_figures.proxy_and_gold(sweep, plain),
    }
    for name, figure in figures.items():
        assert figure is not None
        ElementTree.fromstring(drawing.svg(figure, name, name))
    assert dose_figures.dose_panels(sweep, plain, "no such metric") is None


def test_the_table_has_the_doses_in_columns(sweep: DoseRun) -> None:
    stream = io.StringIO()
    print_sweep(sweep.summary, stream, Path("runs/lengths/report.html"))
    said = stream.getvalue()
    own = next(one for one in sweep.summary["arms"][0]["responses"] if one["primary"])
    assert f"{own['means'][0]['estimate']:.1f}" in said
    for dose in ("0.1", "0.3", "0.5"):
        assert dose in said
    assert "failed: 42-0.5-none: Out of <memory>" in said
    assert "26 of 27 trainings" in said
    assert "Report: runs/lengths/report.html" in said


def test_one_training_is_printed_with_its_changes() -> None:
    table = worlds.conditions(doses=(1.0,), seeds=(42,))
    summary: dict[str, Any] = analyse_training(worlds.readout(table, STEEP))
    stream = io.StringIO()
    print_training({"run": "one", **summary}, stream)
    assert "one: base and step 40" in stream.getvalue()
    assert "length in tokens" in stream.getvalue()


def test_a_broken_folder_is_told(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "torn", logged=False)
    (folder / "readout.parquet").write_text("not a table")
    with pytest.raises(RunError, match="cannot be read"):
        write_dose_report(folder)
