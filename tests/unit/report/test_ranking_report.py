"""The page and the tables of a ranking: they say what was found, and foreign text stays text."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pandas as pd
import pytest
import yaml

from rlpersona.errors import RunError
from rlpersona.report.ranking import write_ranking
from rlpersona.report.ranking_figures import figures_of
from rlpersona.report.ranking_records import read_ranking
from rlpersona.report.ranking_table import print_combined, print_ranking
from tests.support import ROOT
from tests.unit.experiments.ranked_worlds import FailingJudge, PlantedModel, config_of, evaluated
from tests.unit.report.test_html_report import HOSTILE, Page

BOOK = ROOT / "notebooks" / "02_rlaif_rlhf.ipynb"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "planted"
    evaluated(folder, PlantedModel(cut={"base": 0.2}), FailingJudge(fails=range(5)))
    (folder / "config.yaml").write_text(yaml.safe_dump(config_of().model_dump(mode="json")))
    (folder / "provenance.json").write_text(json.dumps({"git_commit": "a" * 40, "data": {}}))
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "planted"))


def summary_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


def change(folder: Path, **values: Any) -> None:
    (folder / "summary.json").write_text(json.dumps(summary_of(folder) | values))


def test_the_page_says_the_verdict_first_and_loads_nothing(finished: Path) -> None:
    path = write_ranking(finished)
    assert path == finished / "report.html"
    page = Page(path)
    summary = summary_of(finished)
    heading = summary["verdict"].partition(": ")[0]
    assert page.text.index(heading) < page.text.index("Highest win rate over the base")
    assert not [tag for tag, _ in page.tags if tag in ("script", "img", "link", "iframe")]
    addresses = [v for _, attributes in page.tags for v in attributes.values() if v and "//" in v]
    assert {v for v in addresses if not v.startswith("http://www.w3.org/")} == set()
    assert sum(tag == "svg" for tag, _ in page.tags) == 4


def test_the_numbers_of_the_summary_stand_on_the_page_and_in_the_figures(finished: Path) -> None:
    text = re.sub(r"\s+", " ", Page(write_ranking(finished)).text.replace("\u00a0", " "))
    summary = summary_of(finished)
    for pair in summary["pairs"]:
        assert f"{100 * pair['win']['estimate']:.1f} %" in text
        assert f"{pair['wins']} / {pair['losses']} / {pair['ties']}" in text or pair["second"] == "base"
    for model in summary["models"]:
        assert f"{model['rank']['estimate']:.2f}" in text
        assert f"{model['tokens']['estimate']:.1f}" in text
    assert "5 of 960 comparisons have no verdict" in text
    assert "5 × cut off" in text
    assert "built from the tables of the nano world" in text
    assert "share of sentences with a hedge" in text
    for line in summary["plan"]:
        assert line in text


def test_the_same_folder_gives_the_same_bytes(finished: Path) -> None:
    first = write_ranking(finished).read_bytes()
    assert write_ranking(finished).read_bytes() == first


def test_foreign_text_stays_text(run: Path) -> None:
    summary = summary_of(run)
    examples = [one | {"answer": text, "base": text, "prompt": text} for text, one in zip(
        HOSTILE, summary["examples"] * 2, strict=False)]  # fmt: skip
    change(run, examples=examples, judge=HOSTILE[0], errors={HOSTILE[4]: 5}, verdict=HOSTILE[5])
    page = Page(write_ranking(run))
    assert not [tag for tag, _ in page.tags if tag in ("script", "img")]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in page.text
    out = io.StringIO()
    print_ranking(summary_of(run) | {"errors": {HOSTILE[6]: 5}}, out)
    assert "\x1b" not in out.getvalue()


def test_a_run_that_lacks_a_model_has_a_page_of_its_own_that_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    evaluated(folder, names=("base", "sft"))
    (folder / "config.yaml").write_text("experiment: dpo\n")
    path = write_ranking(folder)
    assert path == folder / "evaluation" / "report.html"
    text = Page(path).text
    assert "not trained: sft-rlhf, sft-rlaif, sft-rlaif-rlhf" in text
    assert not (folder / "report.html").exists()


def test_how_each_model_was_trained_is_told_where_its_record_can_be_read(run: Path) -> None:
    for name, text in (
        ("sft", json.dumps({"stage": "sft", "parent": "base", "measures": {"rows": 1234, "loss": 0.5}})),
        ("sft-rlhf", '{"stage": "rl'),
    ):
        (run / "stages" / name).mkdir(parents=True)
        (run / "stages" / name / "done.json").write_text(text)
    assert [one.name for one in read_ranking(run).trainings] == ["sft"]
    text = Page(write_ranking(run)).text
    assert "1,234" in text
    assert "0.500" in text


def test_what_was_not_measured_is_not_shown_as_zero(run: Path) -> None:
    summary = summary_of(run)
    bare = {"win": None, "controlled": None, "detectable": None, "stop": None, "likeness": None}
    pairs = [pair | bare for pair in summary["pairs"]]
    models = [model | {"rank": None, "likeness": None, "behaviour": {}} for model in summary["models"]]
    nothing = {
        "strengths": {},
        "covariates": {},
        "left_out": {"base": "no scored comparison"},
        "notes": [],
    }
    change(run, pairs=pairs, models=models, strengths=nothing, adjusted=nothing, examples=[])
    text = Page(write_ranking(run)).text
    assert "not measured" in text
    assert "no scored comparison" in text
    out = io.StringIO()
    print_ranking(summary_of(run), out)
    assert "not measured" in out.getvalue()
    assert not re.search(r"(?<![0-9])0\.0 %", out.getvalue())


def test_a_model_that_never_lost_has_no_strength_and_an_open_interval_is_no_number(run: Path) -> None:
    summary = summary_of(run)
    strengths = summary["strengths"]
    del strengths["strengths"]["sft-rlaif-rlhf"]
    strengths["left_out"] = {"sft-rlaif-rlhf": "never lost"}
    summary["adjusted"]["strengths"]["sft"]["high"] = None
    change(run, strengths=strengths, adjusted=summary["adjusted"])
    text = Page(write_ranking(run)).text
    assert "sft-rlaif-rlhf has no Bradley-Terry strength: never lost" in text
    assert "open]" in text


@pytest.mark.parametrize(
    "name", ["summary.json", "responses.parquet", "comparisons.parquet", "config.yaml"]
)
def test_missing_and_torn_files_are_named(run: Path, name: str) -> None:
    torn = (run / name).read_bytes()[:20] if name != "config.yaml" else b"\xff\xfe\xff"
    (run / name).write_bytes(torn)
    with pytest.raises(RunError, match=re.escape(name)):
        write_ranking(run)
    (run / name).unlink()
    with pytest.raises(RunError, match=re.escape(name)) as caught:
        write_ranking(run)
    assert "rlpersona evaluate" in caught.value.hint


def test_wrong_fields_and_columns_are_named(run: Path) -> None:
    table = pd.read_parquet(run / "responses.parquet")
    table.drop(columns=["tokens"]).to_parquet(run / "responses.parquet")
    with pytest.raises(RunError, match="lacks the column tokens"):
        read_ranking(run)
    change(run, prompts="many")
    with pytest.raises(RunError, match="prompts"):
        write_ranking(run)


def test_the_heat_map_holds_each_pair_both_ways(finished: Path) -> None:
    figures = figures_of(read_ranking(finished))
    texts = {text.get_text() for text in figures["pairs"][0].axes[0].texts}
    for pair in summary_of(finished)["pairs"]:
        rate = pair["win"]["estimate"]
        assert {f"{100 * rate:.1f} %", f"{100 * (1 - rate):.1f} %"} <= texts
    assert set(figures) == {"wins", "pairs", "length", "likeness"}


def test_tables_are_plain_where_nobody_watches(finished: Path) -> None:
    out = io.StringIO()
    print_ranking(summary_of(finished), out, finished / "report.html")
    text = out.getvalue()
    assert "\x1b" not in text
    assert "sft-rlaif-rlhf over sft-rlhf" in text
    assert "Holm over all 10 pairs" in text
    assert f"Report: {finished / 'report.html'}" in text


def test_several_runs_stand_side_by_side() -> None:
    win = {"estimate": 0.7, "low": 0.6, "high": 0.8, "n": 2, "level": 0.95, "p": 0.01, "p_holm": 0.02}
    pair = {"first": "sft", "second": "base", "rates": [0.65, 0.75], "win": win}
    together = {
        "runs": ["a", "b"],
        "level": 0.95,
        "pairs": [pair],
        "missing": ["dpo"],
        "verdict": "Yes.",
    }
    out = io.StringIO()
    print_combined(together, out)
    assert "65.0, 75.0" in out.getvalue()
    assert "70.0 % [60.0, 80.0]" in out.getvalue()
    assert "Not in every run: dpo." in out.getvalue()


def test_the_notebook_reads_a_finished_run(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLPERSONA_RUN", str(finished))
    book = nbformat.read(BOOK, as_version=4)
    assert all(not cell.get("outputs") for cell in book.cells), "the notebook is kept without results"
    nbclient.NotebookClient(book, timeout=120, kernel_name="python3").execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    shown = "".join(output["data"].get("text/html", "") for output in outputs if "data" in output)
    assert shown.count("<svg") == 4
    printed = "".join(output.get("text", "") for output in outputs)
    assert summary_of(finished)["verdict"] in printed
    share = re.search(
        r"([0-9.]+)% of the decided comparisons of a prompt are won by the longer", printed
    )
    assert share is not None
    assert float(share[1]) > 60  # in the nano world more arguments earn more, and are longer
